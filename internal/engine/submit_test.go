package engine_test

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
)

func TestTheMainJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	ann := w.user("ann", "JIT Access Requester")
	start := w.size()
	before := w.desired(host.Agent.ID)
	if len(before.Openings) != 0 || len(before.Protected) != 1 {
		t.Fatalf("before the request %+v", before)
	}

	d := must(w.Requests.Submit(w.ctx, ann, ssh("web-1", time.Hour)))(t)
	if d.Request.State != access.RequestApproved || len(d.Grants) != 1 || d.Machines[host.Machine.ID] != "web-1" {
		t.Fatalf("submit gave %+v", d)
	}
	g := d.Grants[0]
	if g.State != access.GrantOpening || !g.End.Equal(w.clock.now().Add(time.Hour)) {
		t.Errorf("the grant is %s until %s", g.State, g.End)
	}
	state := w.desired(host.Agent.ID)
	if state.Revision <= before.Revision {
		t.Errorf("revision is %d, was %d", state.Revision, before.Revision)
	}
	want := []access.Opening{{
		OpeningKey: access.OpeningKey{
			Machine: host.Machine.ID, Source: netip.PrefixFrom(office, 32),
			Protocol: access.TCP, Ports: access.SinglePort(22),
		},
		Until: g.End, Grants: []access.GrantID{g.ID},
	}}
	if diff := cmp.Diff(want, state.Openings, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}

	w.report(host.Agent.ID,
		access.Report{
			Revision:     state.Revision,
			Observations: []access.Observation{{Grant: g.ID, Status: access.StatusOpen, Packets: 3}},
		})
	if g = w.grant(g.ID); g.State != access.GrantActive || g.Packets != 3 || !g.OpenedAt.Equal(w.clock.now()) {
		t.Errorf("after the report the grant is %+v", g)
	}
	w.clock.advance(time.Hour)
	w.reconcile()
	if g = w.grant(g.ID); g.State != access.GrantExpired || !g.ClosedAt.IsZero() {
		t.Errorf("after its end the grant is %+v", g)
	}
	state = w.desired(host.Agent.ID)
	if len(state.Openings) != 0 || !slices.Equal(state.Ended, []access.GrantID{g.ID}) {
		t.Errorf("after the end %+v", state)
	}
	w.report(host.Agent.ID,
		access.Report{
			Revision:     state.Revision,
			Observations: []access.Observation{{Grant: g.ID, Status: access.StatusClosed}},
		})
	if g = w.grant(g.ID); g.ClosedAt.IsZero() {
		t.Error("the grant is not closed")
	}
	if state = w.desired(host.Agent.ID); len(state.Ended) != 0 {
		t.Errorf("closed, and still to be looked at: %v", state.Ended)
	}
	if got, want := w.kinds(start), "request.submitted request.approved grant.created grant.opened grant.expired "+
		"grant.closed"; got != want {
		t.Errorf("events are %s, want %s", got, want)
	}
}

func TestRefusedRequestsChangeNothingAndAreOnRecord(t *testing.T) { //nolint:tparallel // the cases share the activity log
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	w.host("db-1")
	policy := sshPolicy()
	policy.Ports[0].Sources = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	policy.Justification = access.JustificationRule{Required: true, MinLength: 4}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", policy, nil))(t)
	ann := w.user("ann", "JIT Access Requester")
	nobody := w.user("nobody", "")
	reader := w.user("reader", "Reader")

	for _, c := range []struct {
		name   string
		caller engine.Caller
		change func(*requests.SubmitInput)
		kind   access.Kind
		reason string
	}{
		{"no role", nobody, func(*requests.SubmitInput) {}, access.KindForbidden, "forbidden"},
		{
			"no role, unknown machine", nobody, func(in *requests.SubmitInput) { in.Items[0].Machine = "nix" },
			access.KindForbidden, "forbidden",
		},
		{"may read only", reader, func(*requests.SubmitInput) {}, access.KindForbidden, "forbidden"},
		{
			"unknown machine", ann, func(in *requests.SubmitInput) { in.Items[0].Machine = "nix" }, access.KindNotFound,
			"unknownMachine",
		},
		{
			"malformed machine", ann, func(in *requests.SubmitInput) { in.Items[0].Machine = "a b" }, access.KindInvalid,
			"malformedName",
		},
		{
			"no policy", ann, func(in *requests.SubmitInput) { in.Items[0].Machine = "db-1" }, access.KindInvalid,
			"machineNotConfigured",
		},
		{
			"port outside", ann, func(in *requests.SubmitInput) { in.Items[0].Port.Ports = access.SinglePort(23) },
			access.KindInvalid, "portNotInPolicy",
		},
		{
			"port zero", ann, func(in *requests.SubmitInput) { in.Items[0].Port.Ports = access.PortRange{} },
			access.KindInvalid, "malformedPorts",
		},
		{"source outside", ann, func(in *requests.SubmitInput) {
			in.Items[0].Port.Sources = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
		}, access.KindInvalid, "sourceNotAllowed"},
		{"from everywhere", ann, func(in *requests.SubmitInput) {
			in.Items[0].Port.Sources = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
		}, access.KindInvalid, "sourceNotAllowed"},
		{
			"too long", ann, func(in *requests.SubmitInput) { in.Items[0].Duration = 4 * time.Hour }, access.KindInvalid,
			"durationTooLong",
		},
		{"end before start", ann, func(in *requests.SubmitInput) {
			in.Items[0].Duration, in.Items[0].Until = 0, w.clock.now().Add(-time.Hour)
		}, access.KindInvalid, "endBeforeStart"},
		{
			"start in the past", ann, func(in *requests.SubmitInput) { in.Start = w.clock.now().Add(-time.Hour) },
			access.KindInvalid, "startInPast",
		},
		{
			"no reason", ann, func(in *requests.SubmitInput) { in.Justification = "" }, access.KindInvalid,
			"justificationRequired",
		},
		{"nothing", ann, func(in *requests.SubmitInput) { in.Items = nil }, access.KindInvalid, "noItems"},
		{"one of two outside", ann, func(in *requests.SubmitInput) {
			in.Items = append(in.Items, in.Items[0])
			in.Items[1].Port.Ports = access.SinglePort(80)
		}, access.KindInvalid, "portNotInPolicy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := w.size()
			in := ssh("web-1", time.Hour)
			c.change(&in)
			_, err := w.Requests.Submit(w.ctx, c.caller, in)
			if access.KindOf(err) != c.kind {
				t.Fatalf("got %v (%s), want %s", err, access.KindOf(err), c.kind)
			}
			events := w.events()[start:]
			if len(events) != 1 || events[0].Kind != access.RequestRefused || events[0].Outcome != access.Refused ||
				events[0].Actor.ID != c.caller.Principal {
				t.Fatalf("events are %+v", events)
			}
			var all []string
			for name, text := range events[0].Details {
				all = append(all, name+"="+text)
			}
			if text := strings.Join(all, "\n"); !strings.Contains(text, c.reason) {
				t.Errorf("the record does not say %s: %s", c.reason, text)
			}
			if list := must(w.Requests.Grants(w.ctx, w.admin, engine.GrantFilter{}, engine.Page{}))(
				t); len(list.Items) > 0 {
				t.Errorf("it made grants: %+v", list.Items)
			}
		})
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	w.guard("web-1")
	ann, bob := w.user("ann", "JIT Access Requester"), w.user("bob", "JIT Access Requester")
	in := ssh("web-1", time.Hour)
	in.IdempotencyKey = "k"

	var wait sync.WaitGroup
	ids := make([]access.RequestID, 8)
	for i := range ids {
		wait.Go(func() {
			d, err := w.Requests.Submit(w.ctx, ann, in)
			if err != nil {
				t.Error(err)
			}
			ids[i] = d.Request.ID
		})
	}
	wait.Wait()
	if len(slices.Compact(slices.Sorted(slices.Values(ids)))) != 1 {
		t.Errorf("the same key led to %v", ids)
	}
	if list := must(w.Requests.Requests(w.ctx, ann, engine.RequestFilter{}, engine.Page{}))(t); len(list.Items) != 1 {
		t.Errorf("there are %d requests", len(list.Items))
	}
	other := in
	other.Justification = "another reason"
	_, err := w.Requests.Submit(w.ctx, ann, other)
	wantCode(t, err, access.KindConflict, "idempotencyKeyReused")
	if d := must(w.Requests.Submit(w.ctx, bob, other))(t); d.Request.ID == ids[0] {
		t.Error("another principal's key led to the same request")
	}
}

// TestIdempotencyKeyOfWhatIsWorkedOut repeats calls of which the engine works something out: the first window of a
// series, and the machines that labels pick. The key is compared with what was sent, not with what came of that.
func TestIdempotencyKeyOfWhatIsWorkedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	w.guard("web-1")
	ann := w.user("ann", "JIT Access Requester")
	series := ssh("web-1", time.Hour)
	series.Repeat = "FREQ=DAILY;COUNT=2"
	picked := ssh("", time.Hour)
	picked.Items[0].Group = "default"
	for name, in := range map[string]requests.SubmitInput{"a series": series, "a group": picked} {
		in.IdempotencyKey = name
		first := must(w.Requests.Submit(w.ctx, ann, in))(t)
		again, err := w.Requests.Submit(w.ctx, ann, in)
		if err != nil || again.Request.ID != first.Request.ID {
			t.Errorf("%s, sent again: %s %v, want %s", name, again.Request.ID, err, first.Request.ID)
		}
	}
}

func TestOverlapAndSupersede(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	ann, bob := w.user("ann", "JIT Access Requester"), w.user("bob", "JIT Access Requester")
	first := must(w.Requests.Submit(w.ctx, ann, ssh("web-1", time.Hour)))(t).Grants[0]
	others := must(w.Requests.Submit(w.ctx, bob, ssh("web-1", 30*time.Minute)))(t).Grants[0]
	second := must(w.Requests.Submit(w.ctx, ann, ssh("web-1", 2*time.Hour)))(t).Grants[0]
	if g := w.grant(first.ID); g.State != access.GrantSuperseded {
		t.Errorf("the covered grant is %s", g.State)
	}
	if g := w.grant(others.ID); g.State != access.GrantOpening {
		t.Errorf("another principal's grant is %s", g.State)
	}
	shorter := must(w.Requests.Submit(w.ctx, ann, ssh("web-1", time.Hour)))(t).Grants[0]
	if g := w.grant(second.ID); g.State != access.GrantOpening {
		t.Errorf("a longer grant was superseded by a shorter: %s", g.State)
	}
	if _, err := w.Requests.Revoke(w.ctx, ann, second.ID, "done"); err != nil {
		t.Fatal(err)
	}
	state := w.desired(host.Agent.ID)
	if len(state.Openings) != 1 || !state.Openings[0].Until.Equal(shorter.End) {
		t.Errorf("ending one of the overlapping grants left %+v", state.Openings)
	}
	if len(state.Ended) != 2 {
		t.Errorf("to be seen gone: %v", state.Ended)
	}
}

func TestScheduledGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	ann := w.user("ann", "JIT Access Requester")
	in := ssh("web-1", time.Hour)
	in.Start = w.clock.now().Add(time.Hour)
	g := must(w.Requests.Submit(w.ctx, ann, in))(t).Grants[0]
	if g.State != access.GrantScheduled || len(w.desired(host.Agent.ID).Openings) != 0 {
		t.Fatalf("the grant is %s, openings %v", g.State, w.desired(host.Agent.ID).Openings)
	}
	next := must(w.Reconcile(w.ctx))(t)
	if !next.Equal(in.Start) {
		t.Errorf("next due at %s, want %s", next, in.Start)
	}
	revision := w.desired(host.Agent.ID).Revision
	w.clock.advance(time.Hour)
	w.reconcile()
	state := w.desired(host.Agent.ID)
	if w.grant(g.ID).State != access.GrantOpening || len(state.Openings) != 1 || state.Revision <= revision {
		t.Errorf("after its start: %s, %+v", w.grant(g.ID).State, state)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	ann, bob := w.user("ann", "JIT Access Requester"), w.user("bob", "JIT Access Requester")
	reader, security := w.user("reader", "Reader"), w.user("security", "Security Admin")
	open := func() access.GrantID {
		return must(w.Requests.Submit(w.ctx, ann, ssh("web-1", time.Hour)))(t).Grants[0].ID
	}

	id := open()
	_, err := w.Requests.Revoke(w.ctx, bob, id, "")
	wantCode(t, err, access.KindNotFound, "unknownGrant")
	_, err = w.Requests.Revoke(w.ctx, reader, id, "")
	wantCode(t, err, access.KindForbidden, "forbidden")
	if len(w.desired(host.Agent.ID).Openings) != 1 {
		t.Fatal("a refused revocation closed the opening")
	}
	for _, who := range []engine.Caller{ann, security, w.admin} {
		id := open()
		d := must(w.Requests.Revoke(w.ctx, who, id, "done"))(t)
		if d.Grant.State != access.GrantRevoked || d.Grant.Reason != "done" {
			t.Errorf("%s revoked, and it is %+v", who.Name, d.Grant)
		}
		size := w.size()
		must(w.Requests.Revoke(w.ctx, who, id, "again"))(t)
		if w.size() != size {
			t.Error("a repeated revocation was recorded")
		}
	}
	if _, err := w.Requests.Revoke(w.ctx, ann, id, ""); err != nil { // still superseded by the later ones
		wantCode(t, err, access.KindConflict, "grantEnded")
	}
	if len(w.desired(host.Agent.ID).Openings) != 0 {
		t.Error("something is open still")
	}
}

func TestOwnRequestsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	w.guard("web-1")
	ann, bob := w.user("ann", "JIT Access Requester"), w.user("bob", "JIT Access Requester")
	d := must(w.Requests.Submit(w.ctx, ann, ssh("web-1", time.Hour)))(t)
	must(w.Requests.Request(w.ctx, ann, d.Request.ID))(t)
	must(w.Requests.Grant(w.ctx, ann, d.Grants[0].ID))(t)
	_, err := w.Requests.Request(w.ctx, bob, d.Request.ID)
	wantCode(t, err, access.KindNotFound, "unknownRequest")
	_, err = w.Requests.Grant(w.ctx, bob, d.Grants[0].ID)
	wantCode(t, err, access.KindNotFound, "unknownGrant")
	if list := must(w.Requests.Requests(w.ctx, bob, engine.RequestFilter{}, engine.Page{}))(t); len(list.Items) != 0 {
		t.Error("bob sees ann's request")
	}
	_, err = w.Requests.Requests(w.ctx, bob, engine.RequestFilter{Requester: ann.Principal}, engine.Page{})
	wantCode(t, err, access.KindForbidden, "forbidden")
	if list := must(w.Requests.Grants(w.ctx, w.user("reader", "Reader"), engine.GrantFilter{}, engine.Page{}))(
		t); len(list.Items) != 1 || list.Items[0].MachineName != "web-1" {
		t.Errorf("a reader sees %+v", list.Items)
	}
	_, err = w.Requests.Cancel(w.ctx, ann, d.Request.ID, "")
	wantCode(t, err, access.KindConflict, "requestNotPending")
}
