package engine_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
	"github.com/postern-dev/postern/internal/engine/services"
)

// fastTrack approves at once where the condition holds, and asks one of ops where it does not.
func fastTrack(when string) func(ops access.PrincipalID) access.MachinePolicy {
	return func(ops access.PrincipalID) access.MachinePolicy {
		p := oneOfOps(ops)
		p.Approval.Cases = append([]access.Case{{Name: "fast", When: when}}, p.Approval.Cases...)
		return p
	}
}

// TestTheRuleIsChosenAnewWhenItOpens holds that what a rule approved by itself for later is held to the rule again, by
// the groups, the labels and the rule as they are when it is to open, and that what is open stays.
func TestTheRuleIsChosenAnewWhenItOpens(t *testing.T) {
	t.Parallel()
	const inFast = `"fast" in requester.groups`
	set := func(w *approvable, p access.MachinePolicy) {
		must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(w.tb)
	}
	for name, c := range map[string]struct {
		rule   func(ops access.PrincipalID) access.MachinePolicy
		change func(w *approvable, back bool)
		why    string // empty: it opens
	}{
		"nothing has changed": {fastTrack(inFast), func(*approvable, bool) {}, ""},
		"its requester has left the group": {fastTrack(inFast), func(w *approvable, back bool) {
			err := w.Directory.RemoveMember(w.ctx, w.admin, "fast", "ann")
			if back {
				err = w.Directory.AddMember(w.ctx, w.admin, "fast", "ann")
			}
			if err != nil {
				w.tb.Fatal(err)
			}
		}, "that people decide"},
		"the machine has another label": {fastTrack(`machine.labels["env"] == "dev"`), func(w *approvable, back bool) {
			env := "prod"
			if back {
				env = "dev"
			}
			must(w.Machines.LabelMachine(w.ctx, w.admin, "web-1", map[string]string{"env": env}, nil))(w.tb)
		}, "that people decide"},
		"no case applies": {func(access.PrincipalID) access.MachinePolicy {
			p := sshPolicy()
			p.Approval = access.Rule{Cases: []access.Case{{When: inFast}}}
			return p
		}, func(w *approvable, back bool) {
			err := w.Directory.RemoveMember(w.ctx, w.admin, "fast", "ann")
			if back {
				err = w.Directory.AddMember(w.ctx, w.admin, "fast", "ann")
			}
			if err != nil {
				w.tb.Fatal(err)
			}
		}, "no case of the policy's approval rule"},
		"there is a rule by now": {
			func(access.PrincipalID) access.MachinePolicy { return sshPolicy() },
			func(w *approvable, back bool) {
				if set(w, oneOfOps(w.ops)); back {
					set(w, sshPolicy())
				}
			}, "that people decide",
		},
		"there is no rule any more": {fastTrack(inFast), func(w *approvable, back bool) {
			if set(w, sshPolicy()); back {
				set(w, fastTrack(inFast)(w.ops))
			}
		}, ""},
		"the day of asking has passed": {
			fastTrack(`request.start - now >= duration("12h")`),
			func(*approvable, bool) {}, "",
		},
		"it counts with a window beside it": {
			fastTrack(`request.duration <= duration("2h")`),
			func(w *approvable, back bool) {
				if set(w, fastTrack(`request.duration <= duration("1h")`)(w.ops)); back {
					set(w, fastTrack(`request.duration <= duration("2h")`)(w.ops))
				}
			}, "that people decide",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newApprovable(t, c.rule)
			w.group("fast", w.ann)
			must(w.Machines.LabelMachine(w.ctx, w.admin, "web-1", map[string]string{"env": "dev"}, nil))(t)
			w.listen(w.admin.Tenant)
			in := at(w.clock.now().Add(24*time.Hour), time.Hour)
			in.Repeat = "FREQ=DAILY;COUNT=4"
			d := must(w.Requests.Submit(w.ctx, w.ann, in))(t)
			if name == "it counts with a window beside it" {
				must(w.Requests.Submit(w.ctx, w.ann, at(w.clock.now().Add(49*time.Hour), time.Hour)))(t)
			}
			if d.Request.State != access.RequestApproved {
				t.Fatalf("it is %s", d.Request.State)
			}
			open := func() int { return len(w.desired(w.host.Agent.ID).Openings) }

			w.clock.advance(24 * time.Hour)
			if open() != 0 {
				t.Error("it is open before the rule was looked at again")
			}
			if w.reconcile(); open() != 1 {
				t.Fatalf("it does not open: %s", w.grant(d.Grants[0].ID).Reason)
			}
			c.change(w, false)
			w.clock.advance(30 * time.Minute)
			if w.reconcile(); open() != 1 {
				t.Error("what is open closes")
			}
			w.clock.advance(23*time.Hour + 30*time.Minute)
			w.reconcile()
			g := w.grant(d.Grants[1].ID)
			switch {
			case c.why == "":
				if open() != 1 {
					t.Errorf("it does not open: %s", g.Reason)
				}
			case open() != 0 || g.State != access.GrantRevoked || !strings.Contains(g.Reason,
				"approval no longer holds: ") || !strings.Contains(g.Reason, c.why):
				t.Errorf("%d are open, and it is %s because %q", open(), g.State, g.Reason)
			case !slices.ContainsFunc(w.told(), func(n engine.Notification) bool {
				return n.Kind == engine.NotifyEnded && n.Grant == g.ID && n.Subject.Detail == g.Reason
			}):
				t.Error("nobody is told why it did not open")
			}
			c.change(w, true)
			w.clock.advance(24 * time.Hour)
			if w.reconcile(); open() != 1 {
				t.Errorf("it does not open though all is as it was: %s", w.grant(d.Grants[2].ID).Reason)
			}
		})
	}
}

// TestTheRuleIsChosenAnewWhenARoleBegins holds the same of roles, which are in force by an assignment.
func TestTheRuleIsChosenAnewWhenARoleBegins(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{false, true} {
		w := newApprovable(t, oneOfOps)
		w.group("fast", w.ann)
		must(w.Roles.WriteEligibility(w.ctx, w.admin, roles.EligibilityInput{
			Principal: "ann", Role: "Contributor", Max: time.Hour,
			Approval: fastTrack(`"fast" in requester.groups`)(w.ops).Approval,
		}))(t)
		d := must(w.Requests.Activate(w.ctx, w.ann, requests.ActivateInput{
			Roles: []requests.EligibleRole{{Role: "Contributor"}}, Start: w.clock.now().Add(time.Hour),
			Duration: time.Hour, Justification: "x",
		}))(t)
		if gone {
			if err := w.Directory.RemoveMember(w.ctx, w.admin, "fast", "ann"); err != nil {
				t.Fatal(err)
			}
		}
		has := func() bool {
			return w.Directory.Check(w.ctx, w.ann, "Microsoft.Resources/subscriptions/resourceGroups/write",
				d.Grants[0].Place().Scope) == nil
		}
		w.clock.advance(time.Hour)
		if has() {
			t.Error("the role is in force before its rule was looked at again")
		}
		if w.reconcile(); has() == gone {
			t.Errorf("left the group: %t, the role is in force: %t, and the grant %s: %s", gone, has(),
				w.grant(d.Grants[0].ID).State, w.grant(d.Grants[0].ID).Reason)
		}
	}
}

// TestScheduledOpensAsItWouldBeApproved holds that whatever a rule approved by itself opens exactly where it would
// approve it then.
func TestScheduledOpensAsItWouldBeApproved(t *testing.T) {
	t.Parallel()
	type state struct{ fast, dev bool }
	conditions := map[string]func(state) bool{
		"":                                  func(state) bool { return true },
		`"fast" in requester.groups`:        func(s state) bool { return s.fast },
		`!("fast" in requester.groups)`:     func(s state) bool { return !s.fast },
		`machine.labels["env"] == "dev"`:    func(s state) bool { return s.dev },
		`machine.labels["env"] == "prod"`:   func(s state) bool { return !s.dev },
		`request.duration < duration("5m")`: func(state) bool { return false },
	}
	texts := slices.Sorted(func(yield func(string) bool) {
		for text := range conditions {
			if text != "" && !yield(text) {
				return
			}
		}
	})
	rapid.Check(t, func(r *rapid.T) {
		w := newApprovable(t, oneOfOps)
		w.group("fast")
		draw := func(label string) (access.Rule, func(state) string) {
			var rule access.Rule
			for range rapid.IntRange(0, 3).Draw(r, label+" cases") {
				one := access.Case{When: rapid.SampledFrom(texts).Draw(r, "when")}
				if rapid.Bool().Draw(r, "people") {
					one.Stages = oneOfOps(w.ops).Approval.Cases[0].Stages
				}
				rule.Cases = append(rule.Cases, one)
			}
			if last := rapid.IntRange(0, 2).Draw(r, label+" last"); last == 1 {
				rule.Cases = append(rule.Cases, access.Case{})
			} else if last == 2 {
				rule.Cases = append(rule.Cases, oneOfOps(w.ops).Approval.Cases...)
			}
			return rule, func(s state) string {
				for _, one := range rule.Cases {
					if conditions[one.When](s) {
						if len(one.Stages) > 0 {
							return "people"
						}
						return "opens"
					}
				}
				if len(rule.Cases) == 0 {
					return "opens"
				}
				return "refused"
			}
		}
		become := func(s state) {
			var err error
			if s.fast {
				err = w.Directory.AddMember(w.ctx, w.admin, "fast", "ann")
			} else {
				err = w.Directory.RemoveMember(w.ctx, w.admin, "fast", "ann")
			}
			if err != nil && access.KindOf(err) != access.KindNotFound {
				r.Fatal(err)
			}
			env := map[bool]string{true: "dev", false: "prod"}[s.dev]
			must(w.Machines.LabelMachine(w.ctx, w.admin, "web-1", map[string]string{"env": env}, nil))(t)
		}
		drawState := func(label string) state {
			return state{rapid.Bool().Draw(r, label+" fast"), rapid.Bool().Draw(r, label+" dev")}
		}
		rule, says := draw("asked")
		p := sshPolicy()
		p.Approval = rule
		must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
		then := drawState("asked")
		become(then)
		d, err := w.Requests.Submit(w.ctx, w.ann, at(w.clock.now().Add(time.Hour), time.Hour))
		got := "refused"
		if err == nil {
			got = map[access.RequestState]string{
				access.RequestApproved: "opens",
				access.RequestPending:  "people",
			}[d.Request.State]
		}
		if got != says(then) {
			r.Fatalf("asked for, it %s, and %s by the oracle: %v", got, says(then), err)
		}
		if got != "opens" {
			return
		}
		if rapid.Bool().Draw(r, "another rule") {
			p.Approval, says = draw("by now")
			must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
		}
		now := drawState("by now")
		become(now)
		w.clock.advance(time.Hour)
		w.reconcile()
		g := w.grant(d.Grants[0].ID)
		if opened := len(w.desired(w.host.Agent.ID).Openings) == 1; opened != (says(
			now) == "opens") || opened == g.State.Ended() {
			r.Fatalf("it is %s because %q, and %s by the oracle (%s)", g.State, g.Reason, says(now), fmt.Sprint(now))
		}
	})
}

// TestWhatBecomesUnlawfulJustBeforeItOpens holds that what begins is judged by the networks and policies of the
// transaction that begins it, and not by those that the sweep before it saw.
func TestWhatBecomesUnlawfulJustBeforeItOpens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1").Agent.ID
	ann := w.user("ann", "JIT Access Requester")
	network := func(prefix string) {
		must(w.Machines.SetNetwork(w.ctx, w.admin, "office", []netip.Prefix{netip.MustParsePrefix(prefix)}, nil))(t)
	}
	network("203.0.113.0/24")
	p := sshPolicy()
	p.Ports[0].Networks = []string{"office"}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
	g := must(w.Requests.Submit(w.ctx, ann, at(w.clock.now().Add(time.Hour), time.Hour)))(t).Grants[0]
	w.clock.advance(time.Hour)
	asked := 0
	replica := w.another(func(c *services.Config) {
		c.Now = func() time.Time {
			if asked++; asked == 3 { // once to sweep, once to count votes, and then to begin
				network("198.51.100.0/24")
			}
			return w.clock.now()
		}
	})
	must(replica.Reconcile(w.ctx))(t)
	if got := w.grant(g.ID); got.State != access.GrantRevoked || len(
		w.desired(host).Openings) != 0 || slices.ContainsFunc(w.events(),
		func(e access.Event) bool { return e.Kind == access.GrantBegan }) {
		t.Errorf("it is %s because %q", got.State, got.Reason)
	}
}

// TestWhatOpensLaterIsHeldToTheWiderRule holds that a window which one rule of a port allows, and another one that
// covers it does not, opens by the first.
func TestWhatOpensLaterIsHeldToTheWiderRule(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy {
		p := fastTrack(`requester.name == "ann"`)(ops)
		wide := p.Ports[0]
		wide.Max, wide.Sources = 8*time.Hour, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
		p.Ports[0].Max = 3 * time.Hour
		p.Ports = append(p.Ports, wide)
		return p
	})
	in := at(w.clock.now().Add(time.Hour), 6*time.Hour)
	in.Items[0].Port.Sources = []netip.Prefix{netip.MustParsePrefix("203.0.113.7/32")}
	d := must(w.Requests.Submit(w.ctx, w.ann, in))(t)
	w.clock.advance(time.Hour)
	w.reconcile()
	if g := w.grant(d.Grants[0].ID); g.State != access.GrantOpening {
		t.Errorf("it is %s: %s", g.State, g.Reason)
	}
}

// What has so many windows beside it that they are not counted is taken for one, also when it begins.
func TestWhatHasTooManyWindowsBesideItDoesNotBegin(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy {
		p := fastTrack(`requester.name == "ann"`)(ops)
		p.Ports[0].Ports = access.PortRange{First: 1, Last: 300}
		return p
	})
	start := w.clock.now().Add(time.Hour)
	in := at(start, time.Hour)
	in.Items[0].Port.Ports = access.PortRange{First: 1, Last: 300}
	d := must(w.Requests.Submit(w.ctx, w.ann, in))(t)
	many := ports("web-1", 1, 300, 10*time.Minute)
	many.Start = start
	must(w.Requests.Submit(w.ctx, w.ann, many))(t)
	w.clock.advance(time.Hour)
	w.reconcile()
	if g := w.grant(d.Grants[0].ID); g.State != access.GrantRevoked ||
		!strings.Contains(g.Reason, "that people decide") {
		t.Errorf("it is %s: %s", g.State, g.Reason)
	}
}
