package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// RouteID names a route; a UUID of version 7.
type RouteID string

// Route subscribes to notifications: which of them go to which channel, for whom.
//
//   - Without a principal it is for everybody: a personal channel (SMTP) reaches those whom a notification addresses,
//     any other channel gets it whomever it addresses.
//   - With a principal and no policy it is for that person, about what addresses them.
//   - With a principal and a policy it is for that person, about all that touches the policy: they watch it.
//   - A mute with a principal keeps from that person what other routes of the channel would bring, but for what
//     became of
//     their own account: whoever took it over could else mute that.
type Route struct {
	ID        RouteID
	Tenant    access.TenantID
	Channel   ChannelID
	Principal access.PrincipalID // a person; empty for everybody
	Policy    access.PolicyID    // empty for all
	Kinds     []NotificationKind // empty for all
	Mute      bool
	CreatedAt time.Time
}

// Validate gives every reason why r cannot be kept.
func (r Route) Validate() error {
	e := access.Fault(access.KindInvalid, "routeInvalid", "the route cannot be kept")
	for _, kind := range r.Kinds {
		if !slices.Contains(NotificationKinds(), kind) {
			e.Reasons = append(e.Reasons, access.Reason{
				Code: "kindUnknown", Field: "kinds",
				Message: fmt.Sprintf("a notification is one of %v", NotificationKinds()),
			})
			break
		}
	}
	if r.Mute && slices.Contains(r.Kinds, NotifyAccount) {
		e.Reasons = append(e.Reasons, access.Reason{
			Code: "muteAccount", Field: "kinds",
			Message: "notifications about one's own account cannot be muted, since whoever took the account over " +
				"would mute them: leave account out",
		})
	}
	if r.Mute && r.Principal == "" {
		e.Reasons = append(e.Reasons,
			access.Reason{
				Code: "muteForAll", Field: "mute",
				Message: "name whom to mute; to mute a channel for all, disable it",
			})
	}
	if len(e.Reasons) == 0 {
		return nil
	}
	return e
}

func (r Route) matches(n Notification) bool {
	return (r.Policy == "" || slices.Contains(n.Policies,
		r.Policy)) && (len(r.Kinds) == 0 || slices.Contains(r.Kinds, n.Kind) ||
		slices.Contains(r.Kinds, n.Kind.follows()))
}

// Plan gives the deliveries of n. channels and routes are those of its tenant; a disabled channel gets none. addressed
// are the people whom n addresses, groups resolved. Every delivery has an id that follows from n, its channel and its
// recipient, so that the same plan made twice is the same deliveries. It does not depend on the order of its arguments.
func Plan(n Notification, channels []Channel, routes []Route, addressed []access.PrincipalID,
	now time.Time,
) []Delivery {
	byChannel := make(map[ChannelID][]Route)
	for _, r := range routes {
		// what became of one's account is not muted
		if r.Tenant == n.Tenant && r.matches(n) && (!r.Mute || n.Kind != NotifyAccount) {
			byChannel[r.Channel] = append(byChannel[r.Channel], r)
		}
	}
	addressed = slices.DeleteFunc(slices.Clone(addressed),
		func(p access.PrincipalID) bool { return slices.Contains(n.Except, p) })
	var plan []Delivery
	for _, c := range channels {
		if !c.Enabled || c.Tenant != n.Tenant || !c.Kind.Carries(n.Kind) {
			continue
		}
		if c.Kind == Lifecycle {
			if c.ID == n.Lifecycle.Channel {
				plan = append(plan, newDelivery(n, c.ID, "", now))
			}
			continue
		}
		everybody, people := listeners(byChannel[c.ID], addressed)
		if n.Kind == NotifySettled {
			everybody, people = n.unheard(c, routes, everybody, people)
		}
		switch {
		case c.Kind.Personal():
			for _, p := range people {
				plan = append(plan, newDelivery(n, c.ID, p, now))
			}
		case everybody || len(people) > 0:
			plan = append(plan, newDelivery(n, c.ID, "", now))
		}
	}
	slices.SortFunc(plan, func(a, b Delivery) int {
		return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Recipient, b.Recipient))
	})
	return plan
}

// unheard leaves out of those who would hear that a request is settled whom a channel tells how it was decided.
func (n Notification) unheard(c Channel, routes []Route, everybody bool,
	people []access.PrincipalID,
) (bool, []access.PrincipalID) {
	n.Kind = NotifyDecided
	decided := slices.DeleteFunc(slices.Clone(routes), func(r Route) bool {
		return r.Tenant != n.Tenant || r.Channel != c.ID || !r.matches(n)
	})
	all, watchers := listeners(decided, nil)
	if !c.Kind.Personal() && (all || len(watchers) > 0) {
		return false, nil
	}
	return everybody, slices.DeleteFunc(people,
		func(p access.PrincipalID) bool { return slices.Contains(watchers, p) })
}

// listeners tells who hears of a notification through one channel, given the routes that match it.
func listeners(routes []Route, addressed []access.PrincipalID) (everybody bool, people []access.PrincipalID) {
	hears := make(map[access.PrincipalID]bool)
	for _, r := range routes {
		switch {
		case r.Mute:
		case r.Principal == "":
			everybody = true
		case r.Policy != "" || slices.Contains(addressed, r.Principal):
			hears[r.Principal] = true
		}
	}
	if everybody {
		for _, p := range addressed {
			hears[p] = true
		}
	}
	for _, r := range routes {
		if r.Mute {
			delete(hears, r.Principal)
		}
	}
	for p := range hears {
		people = append(people, p)
	}
	return everybody, people
}

func newDelivery(n Notification, channel ChannelID, recipient access.PrincipalID, now time.Time) Delivery {
	sum := sha256.Sum256([]byte(string(n.ID) + "\n" + string(channel) + "\n" + string(recipient)))
	lane := n.stream()
	if recipient != "" {
		lane += "/to/" + string(recipient)
	}
	return Delivery{
		ID: DeliveryID(hex.EncodeToString(sum[:16])), Seq: n.Seq, Notification: n.ID, Kind: n.Kind, Tenant: n.Tenant,
		Request: n.Request,
		Channel: channel, Recipient: recipient, Lane: lane, State: DeliveryPending, QueuedAt: now, NextAttempt: now,
		Revision: 1,
	}
}
