package cli

import (
	"context"
	"net/netip"
	"time"

	"github.com/postern-dev/postern/api"
)

const (
	longPoll = 25 * time.Second       // the longest that the server holds a question
	pause    = 200 * time.Millisecond // between questions that the server answers at once
)

// waitOpen waits until every grant of a request is active, and tells of each step.
func (a *app) waitOpen(ctx context.Context, cl *api.Client, r api.Request,
	patience time.Duration,
) (api.Request, error) {
	deadline := a.now().Add(patience)
	left := func() time.Duration { return min(longPoll, deadline.Sub(a.now())) }
	late := func(what string) error {
		return fail(exitTimedOut,
			"The request continues in the background. Check it with: postern request show "+a.style().id(
				r.ID)+"; --wait-timeout waits longer.",
			"%s after %s", what, shortDuration(patience))
	}
	if r.State == "pending" {
		a.say("Request %s waits for a decision.", a.style().id(r.ID))
		for _, text := range approvalTexts(r) {
			a.say("  - %s", text)
		}
		if conf, err := a.effective(); err == nil {
			a.say("Approvers find it at %s/requests/%s", conf.Server, r.ID)
		}
	}
	for r.State == "pending" {
		if left() <= 0 {
			return r, late("the request is still pending")
		}
		var err error
		if r, err = cl.Request(ctx, r.ID, left()); err != nil {
			return r, err
		}
		if err := rest(ctx, r.State == "pending"); err != nil {
			return r, err
		}
	}
	if r.State != "approved" {
		return r, fail(exitRefused, r.Reason, "the request is %s", r.State)
	}
	for i := range r.Grants {
		if err := a.waitGrant(ctx, cl, &r.Grants[i], left, late); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (a *app) waitGrant(ctx context.Context, cl *api.Client, g *api.Grant, left func() time.Duration,
	late func(string) error,
) error {
	name := whatOf(*g)
	shown := ""
	for {
		if text := stateText(*g); text != shown {
			a.say("%s: %s", name, text)
			shown = text
			if g.InPart {
				a.say("%s: %s", name, g.Reason)
			}
		}
		switch g.State {
		case "active":
			return nil
		case "scheduled", "opening", "failed": // an agent that failed tries again
		default:
			return fail(exitConflict, g.Reason, "%s is %s", name, g.State)
		}
		if left() <= 0 {
			if g.State == "failed" {
				return fail(exitTimedOut, g.Reason, "%s could not be opened", name)
			}
			return late(name + " is still " + g.State)
		}
		next, err := cl.Grant(ctx, g.ID, left())
		if err != nil {
			return err
		}
		if err := rest(ctx, next.State == g.State); err != nil {
			return err
		}
		*g = next
	}
}

// rest keeps a loop whose question was answered without news from asking too often.
func rest(ctx context.Context, same bool) error {
	if !same {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

// printOpen says what is open, until when, and how to get in.
func (a *app) printOpen(ctx context.Context, cl *api.Client, r api.Request) error {
	s := a.style()
	for _, g := range openSorted(r.Grants) {
		a.line("%s %s is open from %s until %s (%s).", g.Machine, portText(g.Ports, g.Protocol), s.list(g.Sources),
			s.time(g.End), s.left(g.End))
	}
	for _, g := range openSorted(r.Grants) {
		if howTo(g, g.Machine, onWindows) == "" {
			continue
		}
		address := g.Machine
		if m, err := cl.Machine(ctx, g.MachineID); err == nil { // who may connect to it may not always read it
			address = pickAddress(m, g.Sources)
		}
		a.line("  %s", howTo(g, address, onWindows))
	}
	return nil
}

// pickAddress gives an address of the machine of the family that the sources are of, or its name.
func pickAddress(m api.Machine, sources []string) string {
	for _, text := range m.Addresses {
		address, err := netip.ParseAddr(text)
		if err != nil || address.IsLoopback() || address.IsLinkLocalUnicast() {
			continue
		}
		for _, source := range sources {
			if prefix, err := netip.ParsePrefix(source); err == nil && prefix.Addr().Is4() == address.Is4() {
				return text
			}
		}
	}
	return m.Name
}
