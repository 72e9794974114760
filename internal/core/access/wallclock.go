package access

import "time"

// farthest is more than any two places' clocks are apart, and than any clock was ever set forward or back.
const farthest = 27 * time.Hour

// WallClock returns the instant at which clocks in zone show what wall shows in its own zone. Where clocks are set back
// and show it twice, it is the first of the two; where they are set forward and never show it, it is the instant at
// which they would have shown it, had they not been set: half past two in a night that has no two o'clock is half past
// three. Both are as RFC 5545 and browsers have it. time.Date picks one or the other, without a promise which.
func WallClock(wall time.Time, zone *time.Location) time.Time {
	shown := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(),
		wall.Nanosecond(), time.UTC)
	var before time.Time // by the clocks before they were set forward
	for at := shown.Add(-farthest).In(zone); ; {
		_, offset := at.Zone()
		start, end := at.ZoneBounds()
		t := shown.Add(-time.Duration(offset) * time.Second)
		switch {
		case !end.IsZero() && !t.Before(end):
			before = t // the clocks were set before they showed it
		case start.IsZero() || !t.Before(start):
			return t.In(zone)
		default:
			return before.In(zone)
		}
		at = end.In(zone)
	}
}
