package engine_test

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
)

var (
	hotel = netip.MustParseAddr("198.51.100.9")
	train = netip.MustParseAddr("198.51.100.77")
)

func from(c engine.Caller, address netip.Addr) engine.Caller {
	c.Address = address
	return c
}

// open gives the sources from which port 22 of the host is open by the desired state.
func (w *approvable) open() (sources []netip.Prefix) {
	w.tb.Helper()
	for _, o := range w.desired(w.host.Agent.ID).Openings {
		sources = append(sources, o.Source)
	}
	return sources
}

func TestMove(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(access.PrincipalID) access.MachinePolicy { return sshPolicy() })
	g := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", time.Hour)))(t).Grants[0]
	w.report(w.host.Agent.ID, access.Report{
		Revision:     w.desired(w.host.Agent.ID).Revision,
		Observations: []access.Observation{{Grant: g.ID, Status: access.StatusOpen}},
	})
	w.clock.advance(20 * time.Minute)
	revision, start := w.desired(w.host.Agent.ID).Revision, w.size()
	d := must(w.Requests.Move(w.ctx, from(w.ann, hotel), g.ID, requests.MoveInput{}))(t)
	is := d.Grants[0]
	if d.Request.Moves != g.ID || d.Request.State != access.RequestApproved || d.Request.Justification != "because" ||
		is.Moved != g.ID || !is.End.Equal(g.End) || !is.From().Equal(g.Start) || is.State != access.GrantOpening {
		t.Errorf("moved, the request is %+v and the grant %+v", d.Request, is)
	}
	state := w.desired(w.host.Agent.ID)
	if got := w.open(); len(got) != 1 || got[0] != access.SingleAddress(hotel) || state.Revision != revision+1 ||
		len(state.Ended) != 1 || state.Ended[0] != g.ID {
		t.Errorf("open is %v at revision %d, after %d; to be seen closed: %v", got, state.Revision, revision, state.Ended)
	}
	if was := w.grant(g.ID); was.State != access.GrantSuperseded || !was.ClosedAt.IsZero() ||
		was.Reason != "moved to 198.51.100.9/32 as grant "+string(is.ID) {
		t.Errorf("the grant that was moved is %+v", was)
	}
	if got := w.kinds(start); got != "request.submitted request.approved grant.created grant.moved" {
		t.Errorf("on record is %q", got)
	}
	moved := w.events()[w.size()-1]
	if moved.Grant != g.ID || moved.Details["sources"] != "203.0.113.7/32" || moved.Details["to"] != "198.51.100.9/32" ||
		moved.Details["movedTo"] != string(is.ID) || moved.Actor.Address != hotel {
		t.Errorf("the event of the move is %+v", moved)
	}
	w.report(w.host.Agent.ID, access.Report{Revision: state.Revision, Observations: []access.Observation{
		{Grant: g.ID, Status: access.StatusClosed}, {Grant: is.ID, Status: access.StatusOpen},
	}})
	if was, now := w.grant(g.ID), w.grant(is.ID); was.ClosedAt.IsZero() || now.State != access.GrantActive {
		t.Errorf("seen closed %v, and open %s", was.ClosedAt, now.State)
	}
	// An access that was moved is held to the longest time from its first opening.
	_, err := w.Requests.Extend(w.ctx, w.ann, is.ID, requests.ExtendInput{Until: g.Start.Add(3*time.Hour + 2*time.Minute)})
	wantCode(t, err, access.KindInvalid, "durationTooLong")
	must(w.Requests.Extend(w.ctx, w.ann, is.ID, requests.ExtendInput{Until: g.Start.Add(3 * time.Hour)}))(t)
}

func TestMoveOfAnothersUnion(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(access.PrincipalID) access.MachinePolicy { return sshPolicy() })
	bea := w.user("bea", "JIT Access Requester")
	g := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", time.Hour)))(t).Grants[0]
	must(w.Requests.Submit(w.ctx, bea, ssh("web-1", time.Hour)))(t)
	must(w.Requests.Move(w.ctx, from(w.ann, hotel), g.ID, requests.MoveInput{}))(t)
	if got := w.open(); len(got) != 2 || got[0] != access.SingleAddress(hotel) || got[1] != access.SingleAddress(office) {
		t.Errorf("open is %v, want the new address and what another holds from the old one", got)
	}
}

func TestMoveRefusals(t *testing.T) {
	t.Parallel()
	policy := sshPolicy()
	policy.Ports[0].Sources = prefixes("203.0.113.0/24", "198.51.100.0/24")
	w := newApprovable(t, func(access.PrincipalID) access.MachinePolicy { return policy })
	g := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", time.Hour)))(t).Grants[0]
	later := must(w.Requests.Submit(w.ctx, w.ann, at(w.clock.now().Add(2*time.Hour), time.Hour)))(t).Grants[0]
	must(w.Roles.WriteEligibility(w.ctx, w.admin,
		roles.EligibilityInput{Principal: "ann", Role: "Contributor", Max: 4 * time.Hour}))(t)
	role := must(w.Requests.Activate(w.ctx, w.ann, contributor(time.Hour)))(t).Grants[0]
	move := func(c engine.Caller, id access.GrantID, in requests.MoveInput) error {
		start := w.size()
		_, err := w.Requests.Move(w.ctx, c, id, in)
		if err == nil || len(w.open()) != 1 || w.open()[0] != access.SingleAddress(office) {
			t.Fatalf("refused with %v, open is %v", err, w.open())
		}
		if got := w.kinds(start); got != "request.refused" {
			t.Errorf("refused with %v, on record is %q", err, got)
		}
		return err
	}
	wantCode(t, move(from(w.ann, netip.MustParseAddr("192.0.2.200")), g.ID, requests.MoveInput{}), access.KindInvalid,
		"sourceNotAllowed")
	wantCode(t, move(w.ann, g.ID, requests.MoveInput{}), access.KindInvalid, "sameSources")
	wantCode(t, move(w.ann, g.ID, requests.MoveInput{Networks: []string{"nowhere"}}), access.KindNotFound,
		"unknownNetwork")
	wantCode(t, move(w.ann, later.ID, requests.MoveInput{Sources: prefixes("198.51.100.9/32")}), access.KindConflict,
		"grantNotBegun")
	wantCode(t, move(w.ann, role.ID, requests.MoveInput{Sources: prefixes("198.51.100.9/32")}), access.KindInvalid,
		"notMovable")
	wantCode(t, move(w.bystander, g.ID, requests.MoveInput{}), access.KindForbidden, "notYourGrant")
	wantCode(t, move(w.bob, g.ID, requests.MoveInput{}), access.KindNotFound, "unknownGrant")
	bound := w.ann
	bound.Bounds = &engine.Bounds{Actions: []string{"Postern.Access/grants/read"}, Scope: access.Root}
	wantCode(t, move(bound, g.ID, requests.MoveInput{}), access.KindForbidden, "tokenBounds")

	must(w.Requests.Revoke(w.ctx, w.ann, g.ID, "done"))(t)
	_, err := w.Requests.Move(w.ctx, from(w.ann, hotel), g.ID, requests.MoveInput{})
	wantCode(t, err, access.KindConflict, "grantEnded")
}

// TestMoveNeedsANewDecision holds that whoever approved one address did not approve another: the old one stays open
// until people agree to the new one.
func TestMoveNeedsANewDecision(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	first := w.ask()
	g := must(w.decide(w.bob, first, true))(t).Grants[0]
	d := must(w.Requests.Move(w.ctx, from(w.ann, hotel), g.ID, requests.MoveInput{}))(t)
	if d.Request.State != access.RequestPending || !d.Request.PendingUntil.Equal(g.End) {
		t.Fatalf("the move is %s until %s", d.Request.State, d.Request.PendingUntil)
	}
	if got := w.open(); len(got) != 1 || got[0] != access.SingleAddress(office) {
		t.Fatalf("open is %v before the decision", got)
	}
	_, err := w.Requests.Decide(w.ctx, w.bob, d.Request.ID, true, "", first.Request.Digest)
	wantCode(t, err, access.KindConflict, "requestChanged")
	_, err = w.decide(w.ann, d, true)
	wantCode(t, err, access.KindForbidden, "ownRequest")
	is := must(w.decide(w.bob, d, true))(t).Grants[0]
	if got := w.open(); len(got) != 1 || got[0] != access.SingleAddress(hotel) || !is.Decided || !is.End.Equal(g.End) {
		t.Errorf("open is %v, by %+v", got, is)
	}
	// A second move of the same grant that waited comes too late, as do those of what has ended.
	again := must(w.Requests.Move(w.ctx, from(w.ann, train), is.ID, requests.MoveInput{}))(t)
	must(w.Requests.Revoke(w.ctx, w.ann, is.ID, "done"))(t)
	_, err = w.decide(w.cy, again, true)
	wantCode(t, err, access.KindConflict, "grantEnded")
	if got := w.open(); len(got) != 0 {
		t.Errorf("open is %v after the end", got)
	}
}

// TestPolicyLetsHoldersMove holds that a policy may let moves be, and that limits go on counting, though people agreed
// to the first address and to none of the next.
func TestPolicyLetsHoldersMove(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy {
		p := oneOfOps(ops)
		p.Approval.Cases = append([]access.Case{{Name: "new address", When: "request.moves"}}, p.Approval.Cases...)
		return p
	})
	g := must(w.decide(w.bob, w.ask(), true))(t).Grants[0]
	for _, to := range []netip.Addr{hotel, train, office, hotel} {
		w.clock.advance(10 * time.Minute)
		d := must(w.Requests.Move(w.ctx, from(w.ann, to), g.ID, requests.MoveInput{}))(t)
		if d.Request.State != access.RequestApproved || !d.Grants[0].Decided || !d.Grants[0].End.Equal(g.End) {
			t.Fatalf("the move to %s is %s: %+v", to, d.Request.State, d.Grants)
		}
		g = d.Grants[0]
	}
	// The longest time is three hours from the first opening, whoever agrees.
	_, err := w.Requests.Extend(w.ctx, w.ann, g.ID, requests.ExtendInput{Until: g.From().Add(3*time.Hour + 2*time.Minute)})
	wantCode(t, err, access.KindInvalid, "durationTooLong")
	// And one more window right after it is joined to the whole of it, and not to the last address alone.
	next := must(w.Requests.Submit(w.ctx, w.ann, at(g.End, 2*time.Hour)))(t)
	if len(next.Chains) != 1 || !next.Chains[0].Start.Equal(g.From()) {
		t.Errorf("the window after it is part of %+v, want of what began at %s", next.Chains, g.From())
	}
}

// TestMoveOfAnEmergency holds that what was opened without approval goes nowhere else without one.
func TestMoveOfAnEmergency(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy {
		p := oneOfOps(ops)
		return p
	})
	p := oneOfOps(w.ops)
	p.BreakGlass = &access.BreakGlass{People: []access.PrincipalID{w.ann.Principal}, Max: time.Hour}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
	in := ssh("web-1", 30*time.Minute)
	in.BreakGlass = true
	g := must(w.Requests.Submit(w.ctx, w.ann, in))(t).Grants[0]
	d := must(w.Requests.Move(w.ctx, from(w.ann, hotel), g.ID, requests.MoveInput{}))(t)
	if d.Request.State != access.RequestPending || d.Request.BreakGlass || len(w.open()) != 1 {
		t.Errorf("the move is %+v, and open is %v", d.Request, w.open())
	}
	is := must(w.decide(w.bob, d, true))(t).Grants[0]
	if got := w.open(); len(got) != 1 || got[0] != access.SingleAddress(hotel) || !is.End.Equal(g.End) {
		t.Errorf("open is %v", got)
	}
}

// TestMoveOfOneWindow holds that the window of a series that is open moves alone.
func TestMoveOfOneWindow(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(access.PrincipalID) access.MachinePolicy { return sshPolicy() })
	in := at(w.clock.now().Add(time.Minute), time.Hour)
	in.Repeat = "FREQ=DAILY;COUNT=3"
	all := must(w.Requests.Submit(w.ctx, w.ann, in))(t).Grants
	w.clock.advance(2 * time.Minute)
	w.reconcile()
	must(w.Requests.Move(w.ctx, from(w.ann, hotel), all[0].ID, requests.MoveInput{}))(t)
	w.clock.advance(24 * time.Hour)
	w.reconcile()
	if got := w.open(); len(got) != 1 || got[0] != access.SingleAddress(office) {
		t.Errorf("the second window is open from %v, want from the address it was asked for", got)
	}
}

// TestMoveRaces has a move, an end, an extension and another move come at one instant: one of them wins where they
// exclude each other, and never are two addresses open.
func TestMoveRaces(t *testing.T) {
	t.Parallel()
	for range 8 {
		w := newApprovable(t, func(access.PrincipalID) access.MachinePolicy { return sshPolicy() })
		g := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", time.Hour)))(t).Grants[0]
		other := w.another()
		var moved [2]requests.RequestDetail
		var errs [4]error
		var all sync.WaitGroup
		for i, act := range []func() error{
			func() (err error) {
				moved[0], err = w.Requests.Move(w.ctx, from(w.ann, hotel), g.ID, requests.MoveInput{})
				return err
			},
			func() (err error) {
				moved[1], err = other.Requests.Move(w.ctx, from(w.ann, train), g.ID, requests.MoveInput{})
				return err
			},
			func() error {
				_, err := other.Requests.Revoke(w.ctx, w.ann, g.ID, "done")
				return err
			},
			func() error {
				_, err := w.Requests.Extend(w.ctx, w.ann, g.ID, requests.ExtendInput{For: time.Hour})
				return err
			},
		} {
			all.Go(func() { errs[i] = act() })
		}
		all.Wait()
		won := 0
		for i, err := range errs {
			if err == nil && i < 3 {
				won++
			}
			if err != nil && access.KindOf(err) != access.KindConflict {
				t.Errorf("%d failed with %v", i, err)
			}
		}
		open := w.open()
		if won != 1 || len(open) > 1 || (errs[2] == nil) != (len(open) == 0) {
			t.Fatalf("%d of three that exclude each other won (%v), and open is %v", won, errs, open)
		}
		for _, d := range moved {
			if len(d.Grants) > 0 && (!d.Grants[0].From().Equal(g.Start) ||
				(errs[3] == nil) && d.Grants[0].End.After(g.End.Add(time.Hour))) {
				t.Errorf("the grant is %+v", d.Grants[0])
			}
		}
	}
}

func TestMoveAtTheEnd(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, func(access.PrincipalID) access.MachinePolicy { return sshPolicy() })
	g := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", time.Hour)))(t).Grants[0]
	w.clock.advance(time.Hour)
	_, err := w.Requests.Move(w.ctx, from(w.ann, hotel), g.ID, requests.MoveInput{})
	wantCode(t, err, access.KindConflict, "grantEnded")
	w.reconcile()
	_, err = w.Requests.Move(w.ctx, from(w.ann, hotel), g.ID, requests.MoveInput{})
	wantCode(t, err, access.KindConflict, "grantEnded")
}
