package alert

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// HabitSpan is how far back a person's requests are looked at to know what is usual.
const HabitSpan = 30 * 24 * time.Hour

// Habit is what is usual for a person.
type Habit struct {
	Requests int
	Hours    [24]bool // of the day, UTC, at which they asked for something
	Networks map[netip.Prefix]bool
}

// Learn gives what is usual by requests that were made before.
func Learn(requests []access.Request) Habit {
	h := Habit{Networks: map[netip.Prefix]bool{}}
	for _, r := range requests {
		h.Requests++
		h.Hours[r.CreatedAt.UTC().Hour()] = true
		if n, ok := network(r.Address); ok {
			h.Networks[n] = true
		}
	}
	return h
}

// usual tells whether the person asked at this hour, or at the one before or after.
func (h Habit) usual(hour int) bool {
	return h.Hours[(hour+23)%24] || h.Hours[hour] || h.Hours[(hour+1)%24]
}

// network gives the network that an address is counted to: /24, or /48 in IPv6.
func network(a netip.Addr) (netip.Prefix, bool) {
	a = a.Unmap().WithZone("")
	bits := 48
	if a.Is4() {
		bits = 24
	}
	n, err := a.Prefix(bits)
	return n, err == nil && a.IsValid()
}

// Unusual gives what the rules make of a submitted request, by what was usual before. Each is quiet until it knows
// enough.
func Unusual(book Book, e access.Event, h Habit) map[Key]Finding {
	found := map[Key]Finding{}
	if e.Kind != access.RequestSubmitted || e.Actor.ID == "" {
		return found
	}
	subject := Subject{Principal: e.Actor.ID, Name: e.Actor.Name}
	if e.Actor.Address.IsValid() {
		subject.Source = e.Actor.Address.String()
	}
	add := func(id RuleID, detail string) {
		found[Key{e.Tenant, id, string(e.Actor.ID)}] = Finding{
			Key: string(e.Actor.ID), Subject: subject, Detail: detail, Count: 1, Evidence: []int64{e.Seq}, At: e.At,
		}
	}
	if r := book[UnusualHour]; r.Enabled && h.Requests >= r.Threshold && !h.usual(e.At.UTC().Hour()) {
		add(UnusualHour,
			fmt.Sprintf("a request at %s UTC; none of the %d before was within an hour of that",
				e.At.UTC().Format("15:04"), h.Requests))
	}
	n, ok := network(e.Actor.Address)
	if r := book[NewNetwork]; r.Enabled && ok && h.Requests >= r.Threshold && !h.Networks[n] {
		add(NewNetwork,
			fmt.Sprintf("a request from %s; none of the %d before came from %s", e.Actor.Address, h.Requests, n))
	}
	return found
}
