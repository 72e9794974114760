package requests

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/engine"
)

// Chain is how long an item of a request would be open without a break, with what its requester has, had or will have
// of the same beside it. Limits are held against that, and not against one request of many.
type Chain struct {
	policy.Chain

	Item    int           // of the request, from 0
	Longest time.Duration // what is approved without people at the most
	Gap     time.Duration // windows that lie less than it apart are one
	Own     time.Duration // the longest of the windows that are asked for, by itself

	alone bool // nothing stands that a grant which begins now might cover
}

// Beyond reports whether the chain is longer than what is approved without people.
func (c Chain) Beyond() bool { return c.Length() > c.Longest }

// Joined reports whether other windows make it longer than what is asked for by itself.
func (c Chain) Joined() bool { return c.Length() > c.Own }

// tooLong says why a chain is not approved without people, and what would be.
func (c Chain) tooLong(what string) access.Reason {
	return access.Reason{
		Code: "chainTooLong", Field: fmt.Sprintf("items[%d]", c.Item),
		Message: fmt.Sprintf("%s would be open from %s to %s without a break of %s, for %s: more than %s is "+
			"approved by people alone, and the policy names nobody who could; "+
			"ask for less, or leave a break", what, c.Start.UTC().Format(time.RFC3339),
			c.End.UTC().Format(time.RFC3339), engine.Span(c.Gap), engine.Span(c.Length()), engine.Span(c.Longest)),
	}
}

// windowsOf returns the windows for which item i is asked.
func (a ask) windowsOf(i int, now time.Time) []policy.Window {
	item := a.items[i]
	if a.carries.ID != "" {
		return []policy.Window{{Start: a.carries.From(), End: item.Until, Decided: a.carries.Decided}}
	}
	var windows []policy.Window
	request := access.Request{Start: a.start, Windows: a.windows}
	for _, w := range request.Spans(item, now) {
		windows = append(windows, policy.Window{Start: w.Start, End: w.End})
	}
	return windows
}

// ahead returns the times ahead for which item i is asked: what is carried on is asked for from now on.
func (a ask) ahead(i int, now time.Time) []policy.Window {
	windows := a.windowsOf(i, now)
	for k := range windows {
		if windows[k].Start.Before(now) {
			windows[k].Start = now
		}
	}
	return windows
}

// chains finds the chain of each item.
func chains(ctx context.Context, r engine.Reader, a ask, now time.Time) ([]Chain, error) {
	out := make([]Chain, len(a.items))
	for i := range a.items {
		c, err := chainOf(ctx, r, a, i, now)
		if err != nil {
			return nil, fmt.Errorf("read windows: %w", err)
		}
		out[i] = c
	}
	return out, nil
}

func chainOf(ctx context.Context, r engine.Reader, a ask, i int, now time.Time) (Chain, error) {
	item, entry := a.items[i], a.entries[i]
	out := Chain{Item: i, Longest: a.longest[i], Gap: entry.Apart()}
	asked := a.windowsOf(i, now)
	if len(asked) == 0 {
		return out, nil
	}
	for _, w := range asked {
		out.Own = max(out.Own, w.End.Sub(w.Start))
	}
	alone := true
	for k, other := range a.items {
		if k != i && other.Target.Overlaps(item.Target) {
			alone = false
			asked = append(asked, a.windowsOf(k, now)...)
		}
	}
	first, last := asked[0].Start, asked[0].End
	for _, w := range asked {
		if w.Start.Before(first) {
			first = w.Start
		}
		if w.End.After(last) {
			last = w.End
		}
	}
	f := a.around(i, first, last)
	found, err := r.Windows(ctx, f)
	if err != nil {
		return out, err
	}
	if !found.Whole { // so many that they are not counted: they are taken for one
		found.Held = append(found.Held, policy.Window{Start: f.After, End: f.Before})
	}
	out.Chain = policy.ChainOf(asked, found.Held, out.Gap)
	out.alone = alone && !found.Standing && !f.After.After(now)
	return out, nil
}

// around picks what may be joined to windows of item i from first to last. A chain that reaches further is too long,
// and by how much does not matter.
func (a ask) around(i int, first, last time.Time) engine.WindowFilter {
	item, entry := a.items[i], a.entries[i]
	reach := a.longest[i] + entry.Apart()
	return engine.WindowFilter{
		Principal: a.requester, Target: item.Target, After: first.Add(-reach), Before: last.Add(reach),
		Longest: longestOf(entry),
	}
}

// longestOf returns how long a window can be that has not ended: a change of the policy ends those that are longer.
func longestOf(entry *access.MachinePolicy) time.Duration {
	if len(entry.Ports) == 0 {
		return access.MaxDuration
	}
	var longest time.Duration
	for _, rule := range entry.Ports {
		longest = max(longest, rule.Max)
	}
	return longest
}

// trim cuts items whose chain is a little too long to what is allowed: whoever asks for the longest twice within a
// minute gets the same twice.
func (a ask) trim(now time.Time) {
	if len(a.windows) > 0 || a.carries.ID != "" {
		return
	}
	for i := range a.chains {
		c, item := &a.chains[i], &a.items[i]
		excess := c.Length() - c.Longest
		_, end := access.Request{Start: a.start}.Window(*item, now)
		if excess <= 0 || excess > policy.EndGrace || !end.Equal(c.End) || c.Own-excess < access.MinDuration {
			continue
		}
		c.End, c.Own = c.End.Add(-excess), c.Own-excess
		if item.Until.IsZero() {
			item.Duration -= excess
		} else {
			item.Until = item.Until.Add(-excess)
		}
	}
}

// chainsOf returns, for an approver, the chains of a pending request that are longer than what it asks for by itself.
func chainsOf(ctx context.Context, r engine.Reader, request access.Request, now time.Time) ([]Chain, error) {
	const most = 50 // items
	a := askOf(request)
	a.items = a.items[:min(len(a.items), most)]
	present := guardsOf(r, request.Tenant)
	for _, item := range a.items {
		guard, err := present.of(ctx, item.Target)
		if err != nil {
			return nil, err
		}
		a.entries, a.longest = append(a.entries, &guard.terms), append(a.longest, guard.longest)
	}
	if id := request.CarriesOn(); id != "" {
		g, err := r.Grant(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("read grant: %w", err)
		}
		a.carries = g
	}
	all, err := chains(ctx, r, a, now)
	return slices.DeleteFunc(joined(all), func(c Chain) bool { return c.Longest == 0 }), err
}

// joined returns the chains that are longer than what is asked for by itself, or too long.
func joined(all []Chain) []Chain {
	var out []Chain
	for _, c := range all {
		if c.Joined() || c.Beyond() {
			out = append(out, c)
		}
	}
	return out
}
