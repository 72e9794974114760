package engine_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

func TestEnrolment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, _, err := w.Machines.MakeEnrollmentToken(w.ctx, w.admin, machines.TokenInput{TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	in := machines.EnrollInput{Token: token, Name: "web-1.example.com", OS: "linux", Version: "1"}
	d := must(w.Machines.Enroll(w.ctx, office, in, fingerprint))(t)
	if d.Machine.Name != "web-1" || d.Agent.Name != "web-1" || d.Agent.Mode != access.ModeHost ||
		d.Machine.Agent != d.Agent.ID {
		t.Errorf("enrolled %+v", d)
	}
	if m := must(w.Machines.Machine(w.ctx, w.admin, "WEB-1"))(t); m.Standing != access.NotConfigured || m.Agent == nil {
		t.Errorf("the machine is %+v", m)
	}
	must(w.Machines.AuthenticateAgent(w.ctx, d.Agent.ID, d.Agent.Fingerprint))(t)

	signed := 0
	sign := func(id access.AgentID) (string, error) { signed++; return fingerprint(id) }
	refused := func(code, token, name string) {
		t.Helper()
		start := w.size()
		_, err := w.Machines.Enroll(w.ctx, office, machines.EnrollInput{Token: token, Name: name}, sign)
		if access.CodeOf(err) != code {
			t.Errorf("got %v, want %s", err, code)
		}
		if got := w.kinds(start); got != string(access.AgentEnrolRefused) {
			t.Errorf("events are %s", got)
		}
		for _, e := range w.events()[start:] {
			if strings.Contains(fmt.Sprint(e.Details), token) && token != "" {
				t.Error("the token is on record")
			}
		}
	}
	refused("tokenUsed", token, "web-2")
	refused("tokenUnknown", "pen_nonsense", "web-2")
	refused("tokenUnknown", "", "web-2")
	late, _, err := w.Machines.MakeEnrollmentToken(w.ctx, w.admin, machines.TokenInput{TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	w.clock.advance(time.Minute)
	refused("tokenExpired", late, "web-2")
	if signed != 0 {
		t.Error("a certificate was signed for a token that does not count")
	}
	unnamed, _, err := w.Machines.MakeEnrollmentToken(w.ctx, w.admin, machines.TokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	refused("machineExists", unnamed, "web-1")
	refused("malformedName", unnamed, "")
	if agents := must(w.Machines.Agents(w.ctx, w.admin, engine.Page{}))(t); len(agents.Items) != 1 {
		t.Errorf("there are %d agents", len(agents.Items))
	}
}

func TestForeignCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	for id, why := range map[access.AgentID]string{host.Agent.ID: "replaced", "nix": "unknownAgent"} {
		_, err := w.Machines.AuthenticateAgent(w.ctx, id, "another key")
		wantCode(t, err, access.KindUnauthenticated, "agentRefused")
		if e, ok := errors.AsType[*access.Error](err); !ok || len(e.Reasons) != 1 || e.Reasons[0].Code != why {
			t.Errorf("the reason is %+v, want %s", err, why)
		}
	}
	start := w.size()
	if err := w.Machines.AgentRefused(w.ctx, office, "replaced", map[string]string{"agent": "x"}); err != nil {
		t.Fatal(err)
	}
	if got := w.kinds(start); got != "agent.refused" { // the administrator sees it, though it is of nobody's tenant
		t.Errorf("events are %s", got)
	}
}

// TestRenewalKeepsTheKey proves that whoever has a copy of an agent's certificate cannot put the original out by
// renewing it for a key of theirs, unseen beside it: the original connects as before, and so finds the copy.
func TestRenewalKeepsTheKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	renew := func(key string) error {
		_, err := w.Machines.RenewAgent(w.ctx, host.Agent.ID, office,
			func(access.AgentID) (string, error) { return key, nil })
		return err
	}
	if err := renew(host.Agent.Fingerprint); err != nil {
		t.Error(err)
	}
	start := w.size()
	for _, key := range []string{"second", "third"} {
		wantCode(t, renew(key), access.KindForbidden, "anotherKey")
		_, err := w.Machines.AuthenticateAgent(w.ctx, host.Agent.ID, key)
		wantCode(t, err, access.KindUnauthenticated, "agentRefused")
	}
	if got := w.kinds(start); got != "agent.refused agent.refused" {
		t.Errorf("events are %s", got)
	}
	must(w.Machines.AuthenticateAgent(w.ctx, host.Agent.ID, host.Agent.Fingerprint))(t)
}

func TestReportsOfForeignThingsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mine, other := w.host("web-1"), w.host("web-2")
	w.guard("web-1")
	w.guard("web-2")
	ann := w.user("ann", "JIT Access Requester")
	g := must(w.Requests.Submit(w.ctx, ann, ssh("web-2", time.Hour)))(t).Grants[0]
	for name, r := range map[string]access.Report{
		"grant of another machine": {Observations: []access.Observation{{Grant: g.ID, Status: access.StatusOpen}}},
		"another machine": {Denied: []access.Denied{
			{Machine: other.Machine.ID, Source: office, Protocol: access.TCP, Port: 22},
		}},
		"impossible revision": {Revision: 1 << 60},
	} {
		start := w.size()
		err := w.Machines.Report(w.ctx, mine.Agent.ID, office, r)
		if kind := access.KindOf(err); kind != access.KindForbidden && kind != access.KindInvalid {
			t.Errorf("%s: got %v", name, err)
		}
		if got := w.kinds(start); got != string(access.AgentRefused) {
			t.Errorf("%s: events are %s", name, got)
		}
	}
	if state := w.grant(g.ID).State; state != access.GrantOpening {
		t.Errorf("the other machine's grant is %s", state)
	}
}

// TestGrantsInForceInPart holds that a grant of which something is not in force says so, and each change of that once.
func TestGrantsInForceInPart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	ann := w.user("ann", "JIT Access Requester")
	g := must(w.Requests.Submit(w.ctx, ann, ssh("web-1", time.Hour)))(t).Grants[0]
	for i, step := range []struct {
		missing string
		news    bool
	}{{"no IPv6 here", true}, {"no IPv6 here", false}, {"", true}, {"", false}, {"no IPv4 here", true}} {
		size, opened := w.size(), w.grant(g.ID).OpenedAt
		w.clock.advance(time.Second)
		w.report(host.Agent.ID,
			access.Report{
				Revision:     1,
				Observations: []access.Observation{{Grant: g.ID, Status: access.StatusOpen, Detail: step.missing}},
			})
		got := w.grant(g.ID)
		if got.State != access.GrantActive || got.Reason != step.missing || got.InPart() != (step.missing != "") {
			t.Errorf("%d: the grant is %s, reason %q, in part %t", i, got.State, got.Reason, got.InPart())
		}
		if news := w.size() > size; news != step.news {
			t.Errorf("%d: recorded %t, want %t", i, news, step.news)
		}
		if i > 0 && !got.OpenedAt.Equal(opened) {
			t.Errorf("%d: it was first open at %s, and is said to be since %s", i, opened, got.OpenedAt)
		}
		if events := w.events(); step.news && (events[len(
			events)-1].Kind != access.GrantOpened || events[len(events)-1].Details["reason"] != step.missing) {
			t.Errorf("%d: the last event is %+v", i, events[len(events)-1])
		}
	}
}

func TestReportsMoveGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	ann := w.user("ann", "JIT Access Requester")
	g := must(w.Requests.Submit(w.ctx, ann, ssh("web-1", time.Hour)))(t).Grants[0]
	say := func(s access.GrantStatus) access.GrantState {
		t.Helper()
		o := access.Observation{Grant: g.ID, Status: s}
		if s != access.StatusOpen {
			o.Detail = "so"
		}
		w.report(host.Agent.ID, access.Report{Revision: 1, Observations: []access.Observation{o}})
		return w.grant(g.ID).State
	}
	for _, step := range []struct {
		say  access.GrantStatus
		want access.GrantState
	}{
		{access.StatusFailed, access.GrantFailed},
		{access.StatusFailed, access.GrantFailed},
		{access.StatusOpen, access.GrantActive},
		{access.StatusDrifted, access.GrantOpening},
		{access.StatusDrifted, access.GrantOpening},
		{access.StatusOpen, access.GrantActive},
		{access.StatusClosed, access.GrantOpening},
		{access.StatusOpen, access.GrantActive},
	} {
		if got := say(step.say); got != step.want {
			t.Fatalf("%s made it %s, want %s", step.say, got, step.want)
		}
	}
	size := w.size()
	say(access.StatusOpen)
	if w.size() != size {
		t.Error("a report without news was recorded")
	}
	w.clock.advance(time.Hour)
	if got := say(access.StatusOpen); got != access.GrantActive {
		t.Errorf("a late report of an open grant made it %s", got)
	}
	if got := say(access.StatusClosed); got != access.GrantExpired || w.grant(g.ID).ClosedAt.IsZero() {
		t.Errorf("a report of its end made it %s, closed at %s", got, w.grant(g.ID).ClosedAt)
	}
	size = w.size()
	if got := say(access.StatusClosed); got != access.GrantExpired || w.size() != size {
		t.Error("a repeated report was recorded")
	}
}

// TestAnAgentsClockEndsAGrant has an agent say that a grant is over before the server's clock is at its end: agents
// count from the earliest instant. Long before, that is no end, and what should be open is opened again.
func TestAnAgentsClockEndsAGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	g := must(w.Requests.Submit(w.ctx, w.user("ann", "JIT Access Requester"), ssh("web-1", time.Hour)))(t).Grants[0]
	say := func(s access.GrantStatus) access.Grant {
		w.report(host.Agent.ID,
			access.Report{Revision: 1, Observations: []access.Observation{{Grant: g.ID, Status: s}}})
		return w.grant(g.ID)
	}
	w.clock.advance(time.Hour - access.EarlyEnd - time.Second)
	say(access.StatusOpen)
	if got := say(access.StatusClosed); got.State != access.GrantOpening {
		t.Errorf("closed long before its end, it became %s, want opening", got.State)
	}
	w.clock.advance(time.Second)
	if got := say(access.StatusClosed); got.State != access.GrantOpening {
		t.Errorf("what is not open yet became %s", got.State)
	}
	say(access.StatusOpen)
	if got := say(access.StatusClosed); got.State != access.GrantExpired || !got.EndedAt.Equal(
		w.clock.now()) || !got.ClosedAt.Equal(w.clock.now()) {
		t.Errorf("over by its agent's clock, it became %s, ended at %v and closed at %v", got.State, got.EndedAt,
			got.ClosedAt)
	}
}

func TestConditionOfAnAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	start := w.size()
	for _, r := range []access.Report{
		{Skew: 59 * time.Second, Version: "2"},
		{Skew: 61 * time.Second},
		{Skew: -2 * time.Minute, Problem: "no netlink"},
		{Skew: 0, Problem: "no netlink"},
		{Drift: []string{"table deleted"}},
	} {
		w.report(host.Agent.ID, r)
	}
	if got, want := w.kinds(start), "agent.skewed agent.problem agent.skewed agent.drift agent.problem"; got != want {
		t.Errorf("events are %s, want %s", got, want)
	}
	if d := must(w.Machines.Machine(w.ctx, w.admin, "web-1"))(t); !d.Agent.LastSeenAt.Equal(w.clock.now()) {
		t.Errorf("last seen at %s", d.Agent.LastSeenAt)
	}
}

func TestDeniedTrafficIsGroupedAndBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	start := w.size()
	var denied []access.Denied
	for i := range 300 {
		denied = append(denied,
			access.Denied{
				Machine: host.Machine.ID, Source: netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}),
				Protocol: access.TCP, Port: 22, Count: 2,
			})
	}
	noisy := access.Denied{Machine: host.Machine.ID, Source: office, Protocol: access.TCP, Port: 22, Count: 500}
	denied = append(denied, noisy, noisy)
	w.report(host.Agent.ID, access.Report{Denied: denied})
	events := w.events()[start:]
	if len(events) != 101 {
		t.Fatalf("%d events", len(events))
	}
	if first := events[0].Details; first["count"] != "1000" || first["source"] != office.String() ||
		first["port"] != "22" {
		t.Errorf("the noisiest is %v", first)
	}
	if last := events[100].Details; last["others"] != "201" || last["count"] != "402" {
		t.Errorf("the rest is %v", last)
	}
}

func TestGateway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gate := w.enrol("gate", access.ModeGateway)
	w.host("web-1")
	if gate.Machine.ID != "" {
		t.Error("a gateway has a machine")
	}
	add := machines.AddMachineInput{
		Name: "plc-1", Gateway: "gate",
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.50"), netip.MustParseAddr("2001:db8::50")},
	}
	d := must(w.Machines.AddMachine(w.ctx, w.admin, add))(t)
	if d.Agent == nil || d.Agent.ID != gate.Agent.ID {
		t.Errorf("the machine is %+v", d)
	}
	_, err := w.Machines.AddMachine(w.ctx, w.admin, add)
	wantCode(t, err, access.KindConflict, "machineExists")
	add.Name, add.Gateway = "plc-2", "web-1"
	_, err = w.Machines.AddMachine(w.ctx, w.admin, add)
	wantCode(t, err, access.KindInvalid, "notAGateway")
	add.Gateway, add.Addresses = "gate", nil
	_, err = w.Machines.AddMachine(w.ctx, w.admin, add)
	wantCode(t, err, access.KindInvalid, "addressesMissing")

	w.guard("plc-1")
	must(w.Requests.Submit(w.ctx, w.user("ann", "JIT Access Requester"), ssh("plc-1", time.Hour)))(t)
	state := w.desired(gate.Agent.ID)
	if len(state.Machines) != 1 || len(state.Protected) != 1 || len(state.Openings) != 1 {
		t.Errorf("the gateway is to hold %+v", state)
	}
	if err := w.Machines.DeleteMachine(w.ctx, w.admin, "plc-1"); err != nil {
		t.Fatal(err)
	}
	after := w.desired(gate.Agent.ID)
	if len(after.Machines)+len(after.Protected)+len(after.Openings) != 0 || after.Revision <= state.Revision {
		t.Errorf("after the machine was deleted the gateway is to hold %+v", after)
	}
}

func TestDeletingAMachine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	ann := w.user("ann", "JIT Access Requester")
	g := must(w.Requests.Submit(w.ctx, ann, ssh("web-1", time.Hour)))(t).Grants[0]
	if err := w.Machines.DeleteMachine(w.ctx, w.admin, string(host.Machine.ID)); err != nil {
		t.Fatal(err)
	}
	if got := must(w.Requests.Grant(w.ctx, ann, g.ID))(
		t); got.Grant.State != access.GrantRevoked || got.MachineName != string(host.Machine.ID) {
		t.Errorf("the grant is %+v", got)
	}
	_, err := w.Machines.AuthenticateAgent(w.ctx, host.Agent.ID, host.Agent.Fingerprint)
	wantCode(t, err, access.KindUnauthenticated, "agentRefused")
	_, err = w.Machines.Machine(w.ctx, w.admin, "web-1")
	wantCode(t, err, access.KindNotFound, "unknownMachine")
	if list := must(w.Machines.Policies(w.ctx, w.admin, engine.PolicyFilter{}, engine.Page{}))(t); len(list.Items) != 0 {
		t.Errorf("a policy that names nothing is left: %+v", list.Items)
	}
	if again := w.host("web-1"); again.Machine.ID == host.Machine.ID {
		t.Error("the name gave the deleted machine")
	}
}
