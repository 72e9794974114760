package agent

import (
	"slices"
	"time"
)

const (
	paceWindow = 16               // messages that the least delay is taken from: four minutes of heartbeats
	maxLag     = 30 * time.Second // beyond it a message was held up for so long that a new connection is better
)

// pace tells, for the messages of one connection, when they were sent, on the agent's boot-time clock. An opening is
// counted from there and not from its arrival, so that a message that was held up on its way does not lengthen it.
//
// The first message counts as sent when the request for it had been written: earlier than it can have been sent, so
// its openings never outlive the server's end. Each later one counts as sent as long ago as it took longer than the
// fastest of the last sixteen messages: its openings outlive the server's end by no more than that fastest journey.
// The window keeps two clocks that run at different speeds from drifting apart.
type pace struct {
	asked time.Time       // when the request had been written, on the boot-time clock
	trips []time.Duration // of the last messages: arrival on our boot-time clock less the server's wall clock at sending
	any   bool
}

// arrived tells when a message was sent that arrived at now with the server's wall clock showing server, and how far
// our wall clock was ahead of the server's then. stale says that it was held up, or that the server's clock was set
// back: the connection should be made anew, to start counting afresh.
func (p *pace) arrived(server time.Time, now reading) (sent time.Time, skew time.Duration, stale bool) {
	trip := now.boot.Sub(server)
	if len(p.trips) == paceWindow {
		p.trips = slices.Delete(p.trips, 0, 1)
	}
	p.trips = append(p.trips, trip)
	if !p.any {
		p.any = true
		// Sent at some time between asking and now: the middle is the best guess to compare clocks by.
		return p.asked, now.wall.Add(-now.boot.Sub(p.asked) / 2).Sub(server), false
	}
	lag := trip - slices.Min(p.trips)
	return now.boot.Add(-lag), now.wall.Add(-lag).Sub(server), lag > maxLag
}
