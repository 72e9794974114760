package engine_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// at makes a request for a window of web-1's port 22.
func at(start time.Time, length time.Duration) requests.SubmitInput {
	in := ssh("web-1", length)
	in.Start = start
	return in
}

// TestLongestHoldsForWindowsThatTouch holds that nobody gets by several requests, or by a series, what one request
// would be refused.
func TestLongestHoldsForWindowsThatTouch(t *testing.T) {
	t.Parallel()
	const gap = access.DefaultGap
	for name, ask := range map[string]func(w *approvable, from time.Time) error{
		"a series without a gap": func(w *approvable, from time.Time) error {
			in := at(from, 3*time.Hour)
			in.Repeat = "FREQ=HOURLY;INTERVAL=3;COUNT=400"
			_, err := w.Requests.Submit(w.ctx, w.ann, in)
			return err
		},
		"a series that overlaps": func(w *approvable, from time.Time) error {
			in := at(from, 3*time.Hour)
			in.Repeat = "FREQ=HOURLY;COUNT=2"
			_, err := w.Requests.Submit(w.ctx, w.ann, in)
			return err
		},
		"back to back": func(w *approvable, from time.Time) error {
			must(w.Requests.Submit(w.ctx, w.ann, at(from, 3*time.Hour)))(t)
			_, err := w.Requests.Submit(w.ctx, w.ann, at(from.Add(3*time.Hour), time.Hour))
			return err
		},
		"the later one first": func(w *approvable, from time.Time) error {
			must(w.Requests.Submit(w.ctx, w.ann, at(from.Add(3*time.Hour), time.Hour)))(t)
			_, err := w.Requests.Submit(w.ctx, w.ann, at(from, 3*time.Hour))
			return err
		},
		"with the one between last": func(w *approvable, from time.Time) error {
			must(w.Requests.Submit(w.ctx, w.ann, at(from, time.Hour)))(t)
			must(w.Requests.Submit(w.ctx, w.ann, at(from.Add(2*time.Hour), 2*time.Hour)))(t)
			_, err := w.Requests.Submit(w.ctx, w.ann, at(from.Add(time.Hour), time.Hour))
			return err
		},
		"a little less than the gap apart": func(w *approvable, from time.Time) error {
			must(w.Requests.Submit(w.ctx, w.ann, at(from, 3*time.Hour)))(t)
			_, err := w.Requests.Submit(w.ctx, w.ann, at(from.Add(3*time.Hour+gap-time.Second), time.Hour))
			return err
		},
		"from another address": func(w *approvable, from time.Time) error {
			must(w.Requests.Submit(w.ctx, w.ann, at(from, 3*time.Hour)))(t)
			in := at(from.Add(3*time.Hour), time.Hour)
			in.Items[0].Port.Sources = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
			_, err := w.Requests.Submit(w.ctx, w.ann, in)
			return err
		},
		"as part of a range": func(w *approvable, from time.Time) error {
			must(w.Requests.Submit(w.ctx, w.ann, at(from, 3*time.Hour)))(t)
			in := at(from.Add(3*time.Hour), time.Hour)
			in.Items[0].Port.Ports = access.PortRange{First: 20, Last: 30}
			_, err := w.Requests.Submit(w.ctx, w.ann, in)
			return err
		},
		"of a range that was asked for": func(w *approvable, from time.Time) error {
			in := at(from, 3*time.Hour)
			in.Items[0].Port.Ports = access.PortRange{First: 20, Last: 30}
			must(w.Requests.Submit(w.ctx, w.ann, in))(t)
			_, err := w.Requests.Submit(w.ctx, w.ann, at(from.Add(3*time.Hour), time.Hour))
			return err
		},
		"by an extension": func(w *approvable, from time.Time) error {
			must(w.Requests.Submit(w.ctx, w.ann, at(from.Add(2*time.Hour), 2*time.Hour)))(t)
			d := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", time.Hour)))(t)
			_, err := w.Requests.Extend(w.ctx, w.ann, d.Grants[0].ID,
				requests.ExtendInput{Until: from.Add(2 * time.Hour)})
			return err
		},
		"after the first ended early": func(w *approvable, _ time.Time) error {
			d := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", 3*time.Hour)))(t)
			w.clock.advance(10 * time.Minute)
			must(w.Requests.Revoke(w.ctx, w.ann, d.Grants[0].ID, "done"))(t)
			w.clock.advance(gap - time.Second)
			_, err := w.Requests.Submit(w.ctx, w.ann, ssh("web-1", 3*time.Hour))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newApprovable(t, func(access.PrincipalID) access.MachinePolicy { return widePolicy() })
			wantCode(t, ask(w, w.clock.now().Add(time.Hour)), access.KindInvalid, "chainTooLong")
		})
	}
}

// widePolicy lets ports 20 to 30 be opened for three hours.
func widePolicy() access.MachinePolicy {
	p := sshPolicy()
	p.Ports[0].Ports = access.PortRange{First: 20, Last: 30}
	return p
}

func TestWindowsThatAreNotOne(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(access.PrincipalID) access.MachinePolicy { return widePolicy() })
	w.world.host("web-2")
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-2", widePolicy(), nil))(t)
	from := w.clock.now().Add(time.Hour)
	must(w.Requests.Submit(w.ctx, w.ann, at(from, 3*time.Hour)))(t)
	next := at(from.Add(3*time.Hour), 3*time.Hour)
	port, machine := next, next
	port.Items = slices.Clone(next.Items)
	port.Items[0].Port.Ports = access.SinglePort(23)
	machine.Items = slices.Clone(next.Items)
	machine.Items[0].Machine = "web-2"
	carl := w.user("carl", "JIT Access Requester")
	must(w.Requests.Submit(w.ctx, w.ann, port))(t)
	must(w.Requests.Submit(w.ctx, w.ann, machine))(t)
	must(w.Requests.Submit(w.ctx, carl, next))(t)
	apart := at(from.Add(3*time.Hour+access.DefaultGap), 3*time.Hour)
	d := must(w.Requests.Submit(w.ctx, w.ann, apart))(t)
	if len(d.Chains) != 0 {
		t.Errorf("what begins a gap later is part of %+v", d.Chains)
	}
	daily := at(from.Add(24*time.Hour), 3*time.Hour)
	daily.Repeat = "FREQ=DAILY;COUNT=300"
	if got := must(w.Requests.Submit(w.ctx, w.ann, daily))(t); len(got.Grants) != 300 {
		t.Errorf("a daily series has %d grants", len(got.Grants))
	}
}

// TestRuleSeesTheChain holds that a rule for what is short is not had by asking for it again and again.
func TestRuleSeesTheChain(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy {
		p := sshPolicy()
		p.Approval = access.Rule{Cases: []access.Case{
			{Name: "short", When: `request.duration <= duration("30m")`},
			{Name: "rest", Stages: []access.Stage{{AllOf: []access.Quorum{of(1, ops)}}}},
		}}
		return p
	})
	half := 30 * time.Minute
	first := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", half)))(t)
	if first.Request.State != access.RequestApproved {
		t.Fatalf("half an hour is %s", first.Request.State)
	}
	x := must(w.Requests.Explain(w.ctx, w.ann,
		requests.Question{Machine: "web-1", Ports: access.SinglePort(22), Duration: half, Start: first.Grants[0].End}))(
		t)
	if x.Outcome != requests.ExplainApproval || x.Chain == nil || x.Chain.Length() != time.Hour {
		t.Errorf("the next half hour is explained as %s, %+v", x.Outcome, x.Chain)
	}
	next := must(w.Requests.Submit(w.ctx, w.ann, at(first.Grants[0].End, half)))(t)
	if next.Request.State != access.RequestPending {
		t.Fatalf("the next half hour is %s", next.Request.State)
	}
	seen := must(w.Requests.Request(w.ctx, w.bob, next.Request.ID))(t)
	if len(seen.Chains) != 1 || seen.Chains[0].Length() != time.Hour || seen.Chains[0].Beyond() {
		t.Errorf("the approver is shown %+v", seen.Chains)
	}
	w.clock.advance(29 * time.Minute)
	if more := must(w.Requests.Extend(w.ctx, w.ann, first.Grants[0].ID, requests.ExtendInput{For: 20 * time.Minute}))(
		t); more.Request.State != access.RequestPending {
		t.Errorf("20 minutes more, a minute before the end, are %s", more.Request.State)
	}
}

// TestApprovalBeginsAChain holds that people approve what is longer, and that what follows counts from there.
func TestApprovalBeginsAChain(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy {
		p := sshPolicy()
		p.Gap = 30 * time.Minute
		p.Approval = access.Rule{Cases: []access.Case{
			{Name: "rest"}, {Name: "more", Stages: []access.Stage{{AllOf: []access.Quorum{of(1, ops)}}}},
		}}
		p.Approval.Cases[0].When = "true"
		return p
	})
	from := w.clock.now().Add(time.Hour)
	must(w.Requests.Submit(w.ctx, w.ann, at(from, 3*time.Hour)))(t)
	d := must(w.Requests.Submit(w.ctx, w.ann, at(from.Add(3*time.Hour), time.Hour)))(t)
	if d.Request.State != access.RequestPending || len(
		d.Chains) != 1 || !d.Chains[0].Beyond() || d.Chains[0].Length() != 4*time.Hour ||
		d.Chains[0].Gap != 30*time.Minute {
		t.Fatalf("the fourth hour is %s, as part of %+v", d.Request.State, d.Chains)
	}
	must(w.decide(w.bob, d, true))(t)
	d = must(w.Requests.Submit(w.ctx, w.ann, at(from.Add(4*time.Hour), 2*time.Hour)))(t)
	if d.Request.State != access.RequestApproved || len(
		d.Chains) != 1 || !d.Chains[0].Start.Equal(from.Add(3*time.Hour)) {
		t.Errorf("two hours more are %s, as part of %+v", d.Request.State, d.Chains)
	}
	if d = must(w.Requests.Submit(w.ctx, w.ann, at(from.Add(6*time.Hour+29*time.Minute), time.Hour)))(
		t); d.Request.State != access.RequestPending {
		t.Errorf("the seventh hour is %s", d.Request.State)
	}
	series := at(from.Add(24*time.Hour), 3*time.Hour)
	series.Repeat = "FREQ=HOURLY;INTERVAL=3;COUNT=4"
	if d = must(w.Requests.Submit(w.ctx, w.ann, series))(
		t); d.Request.State != access.RequestPending || d.Chains[0].Length() != 12*time.Hour {
		t.Errorf("a series of twelve hours is %s, as part of %+v", d.Request.State, d.Chains)
	}
}

// TestTheSameTwice holds that who asks for the longest twice in a minute has the longest, and no more.
func TestTheSameTwice(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(access.PrincipalID) access.MachinePolicy { return sshPolicy() })
	first := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", 3*time.Hour)))(t).Grants[0]
	w.clock.advance(time.Minute)
	again := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", 3*time.Hour)))(t)
	if !again.Grants[0].End.Equal(first.End) || w.grant(first.ID).State != access.GrantSuperseded {
		t.Errorf("it ends at %s, the first at %s", again.Grants[0].End, first.End)
	}
	w.clock.advance(time.Microsecond)
	_, err := w.Requests.Submit(w.ctx, w.ann, ssh("web-1", 3*time.Hour))
	wantCode(t, err, access.KindInvalid, "chainTooLong")
}

// TestEndByAClockThatIsAhead holds that the longest opening can be asked for by an end that a client reckoned.
func TestEndByAClockThatIsAhead(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(access.PrincipalID) access.MachinePolicy { return sshPolicy() })
	longest := w.clock.now().Add(3 * time.Hour)
	in := ssh("web-1", 0)
	in.Items[0].Until = longest.Add(61 * time.Second)
	_, err := w.Requests.Submit(w.ctx, w.ann, in)
	wantCode(t, err, access.KindInvalid, "durationTooLong")
	in.Items[0].Until = longest.Add(800 * time.Millisecond)
	g := must(w.Requests.Submit(w.ctx, w.ann, in))(t).Grants[0]
	if !g.End.Equal(longest) {
		t.Errorf("it ends at %s, want %s", g.End, longest)
	}
	carl := w.user("carl", "JIT Access Requester")
	g = must(w.Requests.Submit(w.ctx, carl, ssh("web-1", time.Hour)))(t).Grants[0]
	must(w.Requests.Extend(w.ctx, carl, g.ID, requests.ExtendInput{Until: longest.Add(time.Second)}))(t)
	if g = w.grant(g.ID); !g.End.Equal(longest) {
		t.Errorf("extended, it ends at %s, want %s", g.End, longest)
	}
	_, err = w.Requests.Extend(w.ctx, carl, g.ID, requests.ExtendInput{Until: longest.Add(time.Second)})
	wantCode(t, err, access.KindInvalid, "notLater")
}

// TestChainsOfRoles holds the same for activations, by whatever eligibility they are had.
func TestChainsOfRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.user("ann", "")
	for _, max := range []time.Duration{time.Hour, 2 * time.Hour} {
		must(w.Roles.WriteEligibility(w.ctx, w.admin,
			roles.EligibilityInput{Principal: "ann", Role: "Contributor", Max: max}))(
			t)
	}
	mine := must(w.Roles.EligibleRoles(w.ctx, ann))(t)
	ask := func(i int, start time.Time, length time.Duration) (requests.RequestDetail, error) {
		return w.Requests.Activate(w.ctx, ann,
			requests.ActivateInput{
				Roles: []requests.EligibleRole{{Eligibility: mine[i].Eligibility.ID}}, Start: start,
				Duration: length, Justification: "x",
			})
	}
	if mine[0].Eligibility.Max > mine[1].Eligibility.Max {
		mine[0], mine[1] = mine[1], mine[0]
	}
	g := must(ask(0, time.Time{}, time.Hour))(t).Grants[0]
	_, err := ask(0, g.End, time.Hour)
	wantCode(t, err, access.KindInvalid, "chainTooLong")
	must(ask(1, g.End, time.Hour))(t)
	_, err = ask(1, g.End.Add(time.Hour), time.Hour)
	wantCode(t, err, access.KindInvalid, "chainTooLong")
	must(ask(0, g.End.Add(time.Hour+access.DefaultGap), time.Hour))(t)
}

// TestNoChainGrowsBeyondTheLongest lets people ask, extend and end at random, and then joins whatever they had or will
// have, minute by minute: nothing that nobody approved is longer than the longest, and nothing shorter was refused.
func TestNoChainGrowsBeyondTheLongest(t *testing.T) {
	t.Parallel()
	const longest, gap = 2 * time.Hour, 20 * time.Minute
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t)
		w.host("web-1")
		p := widePolicy()
		p.Ports[0].Max, p.Gap = longest, gap
		must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
		ann := w.user("ann", "JIT Access Requester")
		began := w.clock.now()
		var grants []access.GrantID
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			minutes := func(name string, least, most int) time.Duration {
				return time.Duration(rapid.IntRange(least, most).Draw(r, name)) * time.Minute
			}
			port := access.SinglePort(22)
			if rapid.IntRange(0, 3).Draw(r, "a range") == 0 {
				port = access.PortRange{First: 21, Last: uint16(rapid.IntRange(22, 23).Draw(r, "last"))}
			}
			var add []span
			var err error
			var d requests.RequestDetail
			switch do := rapid.SampledFrom([]string{"now", "later", "series", "extend", "end", "wait"}).Draw(r,
				"do"); do {
			case "now", "later", "series":
				in := ssh("web-1", minutes("length", 5, 120))
				in.Items[0].Port.Ports = port
				start := w.clock.now()
				if do != "now" {
					start = start.Add(minutes("after", 1, 300))
					in.Start = start
				}
				add = []span{{start, start.Add(in.Items[0].Duration)}}
				if do == "series" {
					every := rapid.IntRange(1, 4).Draw(r, "every")
					in.Repeat = fmt.Sprintf("FREQ=HOURLY;INTERVAL=%d;COUNT=3", every)
					for i := 1; i < 3; i++ {
						add = append(add,
							span{
								start.Add(time.Duration(i*every) * time.Hour),
								start.Add(time.Duration(i*every)*time.Hour + in.Items[0].Duration),
							})
					}
				}
				d, err = w.Requests.Submit(w.ctx, ann, in)
			case "extend":
				if len(grants) == 0 {
					continue
				}
				g := w.grant(rapid.SampledFrom(grants).Draw(r, "grant"))
				more := minutes("more", 5, 60)
				if g.State.Ended() || !w.clock.now().Before(g.End) || g.End.Add(more).Sub(g.Start) > longest {
					continue
				}
				add, port = []span{{g.Start, g.End.Add(more)}}, portOf(g.Target).Ports
				d, err = w.Requests.Extend(w.ctx, ann, g.ID, requests.ExtendInput{For: more})
			case "end":
				if len(grants) > 0 {
					if g := w.grant(rapid.SampledFrom(grants).Draw(r,
						"grant")); !g.State.Ended() && w.clock.now().Before(g.End) {
						must(w.Requests.Revoke(w.ctx, ann, g.ID, "done"))(t)
					}
				}
				continue
			default:
				w.clock.advance(minutes("wait", 1, 60))
				w.reconcile()
				continue
			}
			var before []span
			for _, id := range grants {
				if g := w.grant(id); portOf(g.Target).Ports.Overlaps(port) && g.Over().After(g.Start) {
					before = append(before, span{g.Start, g.Over()})
				}
			}
			want := lengthOnTheClock(began, append(before, add...), add, gap)
			switch {
			case err == nil:
				for _, g := range d.Grants {
					grants = append(grants, g.ID)
				}
				if want > longest+time.Minute {
					r.Fatalf("%v beside %v is approved, though it makes %s", add, before, want)
				}
			case want <= longest || access.CodeOf(err) != "chainTooLong":
				r.Fatalf("%v beside %v, which makes %s, is refused: %v", add, before, want, err)
			}
		}
		for _, port := range []uint16{21, 22, 23} {
			var all []span
			for _, id := range grants {
				if g := w.grant(id); portOf(g.Target).Ports.Overlaps(access.SinglePort(port)) && g.Over().After(g.Start) {
					all = append(all, span{g.Start, g.Over()})
				}
			}
			if got := lengthOnTheClock(began, all, all, gap); got > longest {
				r.Fatalf("port %d is open for %s in one: %v", port, got, all)
			}
		}
	})
}

type span struct{ start, end time.Time }

// lengthOnTheClock gives the longest time, counted minute by minute, from the first to the last minute of what lies
// less than gap apart and has a minute of one of these.
func lengthOnTheClock(began time.Time, all, these []span, gap time.Duration) time.Duration {
	const horizon = 48 * 60
	covers := func(list []span, minute int) bool {
		at := began.Add(time.Duration(minute) * time.Minute)
		return slices.ContainsFunc(list, func(s span) bool { return !at.Before(s.start) && at.Before(s.end) })
	}
	longest, first, last, has := 0, -1, -1, false
	for minute := range horizon {
		if !covers(all, minute) {
			continue
		}
		if first < 0 || time.Duration(minute-last-1)*time.Minute >= gap {
			first, has = minute, false
		}
		last, has = minute, has || covers(these, minute)
		if has {
			longest = max(longest, last-first+1)
		}
	}
	return time.Duration(longest) * time.Minute
}
