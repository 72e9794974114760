package engine_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// resourceGroup makes a resource group and somebody with a role at it alone.
func (w *world) resourceGroup(name, person, role string) engine.Caller {
	w.tb.Helper()
	g := must(w.Directory.CreateResourceGroup(w.ctx, w.admin, directory.ResourceGroupInput{Name: name}))(w.tb)
	c := w.user(person, "")
	must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: person, Role: role, Scope: access.ResourceGroupScope(g.Subscription, g.Name)}))(
		w.tb)
	return c
}

func addresses(texts ...string) (all []netip.Addr) {
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

func (w *world) enrolWith(c engine.Caller, in machines.TokenInput) (machines.Enrolled, error) {
	w.tb.Helper()
	token, _, err := w.Machines.MakeEnrollmentToken(w.ctx, c, in)
	if err != nil {
		return machines.Enrolled{}, err
	}
	return w.Machines.Enroll(w.ctx, office,
		machines.EnrollInput{Token: token, Name: "ignored", OS: "linux", Version: "test"}, fingerprint)
}

// TestATokenActsInItsOwnResourceGroup proves that a name of another resource group is another machine: nothing happens
// to it.
func TestATokenActsInItsOwnResourceGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	victim := w.host("web-2")
	gate := w.enrol("gate", access.ModeGateway)
	contrib := w.resourceGroup("rga", "carl", "Contributor")
	for _, mode := range []access.Mode{access.ModeHost, access.ModeGateway} {
		for _, name := range []string{"web-2", "WEB-2", "gate"} {
			d, err := w.enrolWith(contrib, machines.TokenInput{Name: name, Mode: mode, ResourceGroup: "rga"})
			if err == nil && (d.Machine.ID == victim.Machine.ID || d.Agent.Scope.Equal(victim.Agent.Scope)) {
				t.Errorf("%s %s got %+v", mode, name, d)
			}
		}
	}
	must(w.Machines.AuthenticateAgent(w.ctx, victim.Agent.ID, victim.Agent.Fingerprint))(t)
	must(w.Machines.AuthenticateAgent(w.ctx, gate.Agent.ID, gate.Agent.Fingerprint))(t)
	for _, e := range w.events() {
		if e.Kind == access.AgentReplaced && (e.Agent == victim.Agent.ID || !e.Scope.Within(
			access.ResourceGroupScope(victim.Machine.Subscription(), "rga"))) {
			t.Errorf("an agent was replaced: %+v", e)
		}
	}
	if m := must(w.Machines.Machine(w.ctx, w.admin, string(victim.Machine.Resource)))(
		t); m.Agent == nil || m.Agent.ID != victim.Agent.ID {
		t.Errorf("the machine is guarded by %+v", m.Agent)
	}
}

// TestTheMakerOfATokenMayReplace proves that a token takes a machine from its agent only while its maker may do that.
func TestTheMakerOfATokenMayReplace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	scope := access.ResourceGroupScope(must(w.Machines.Machine(w.ctx, w.admin, "web-1"))(t).Machine.Subscription(),
		"default")
	must(w.Roles.PutRole(w.ctx, w.admin, roles.RoleInput{
		Name: "Enroller", Permissions: []rbac.Permission{{Actions: []string{"Postern.Access/enrollmentTokens/write"}}},
		AssignableScopes: []access.ResourceID{access.Root},
	}))(t)
	enroller, contrib := w.user("eve", ""), w.user("carl", "")
	must(w.Roles.AssignRole(w.ctx, w.admin, roles.AssignInput{Principal: "eve", Role: "Enroller", Scope: scope}))(t)
	must(w.Roles.AssignRole(w.ctx, w.admin, roles.AssignInput{Principal: "carl", Role: "Contributor", Scope: scope}))(t)

	_, err := w.enrolWith(enroller, machines.TokenInput{Name: "web-1"})
	wantCode(t, err, access.KindForbidden, "forbidden")
	if _, err := w.enrolWith(enroller, machines.TokenInput{Name: "web-9"}); err != nil {
		t.Errorf("a machine that is not there yet: %v", err)
	}
	token, _, err := w.Machines.MakeEnrollmentToken(w.ctx, contrib, machines.TokenInput{Name: "web-1"})
	if err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	must(w.Directory.ChangePrincipal(w.ctx, w.admin, "carl", directory.PrincipalChange{Disabled: &yes}))(t)
	_, err = w.Machines.Enroll(w.ctx, office, machines.EnrollInput{Token: token, OS: "linux"}, fingerprint)
	wantCode(t, err, access.KindUnauthenticated, "tokenMakerLeft")
	must(w.Directory.ChangePrincipal(w.ctx, w.admin, "carl", directory.PrincipalChange{Disabled: &no}))(t)
	w.unassign("carl")
	must(w.Roles.AssignRole(w.ctx, w.admin, roles.AssignInput{Principal: "carl", Role: "Enroller", Scope: scope}))(t)
	_, err = w.Machines.Enroll(w.ctx, office, machines.EnrollInput{Token: token, OS: "linux"}, fingerprint)
	wantCode(t, err, access.KindConflict, "mayNotReplace")
	must(w.Roles.AssignRole(w.ctx, w.admin, roles.AssignInput{Principal: "carl", Role: "Contributor", Scope: scope}))(t)
	must(w.Machines.Enroll(w.ctx, office, machines.EnrollInput{Token: token, OS: "linux"}, fingerprint))(t)
}

// unassign takes every role away from a principal.
func (w *world) unassign(name string) {
	w.tb.Helper()
	list := must(w.Roles.RoleAssignments(w.ctx, w.admin, roles.AssignmentFilter{Principal: name}, engine.Page{}))(w.tb)
	for _, a := range list.Items {
		if err := w.Roles.UnassignRole(w.ctx, w.admin, a.Assignment.ID); err != nil {
			w.tb.Fatal(err)
		}
	}
}

// TestATokenDoesNotOutlastTheRightToMakeIt proves that a token is good while whoever made it may enroll agents there.
func TestATokenDoesNotOutlastTheRightToMakeIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	carl := w.user("carl", "")
	must(w.Roles.WriteEligibility(w.ctx, w.admin,
		roles.EligibilityInput{Principal: "carl", Role: "Contributor", Max: time.Hour}))(
		t)
	must(w.Requests.Activate(w.ctx, carl,
		requests.ActivateInput{
			Roles: []requests.EligibleRole{{Role: "Contributor"}}, Duration: time.Hour,
			Justification: "x",
		}))(
		t)
	var tokens []string
	for _, mode := range []access.Mode{access.ModeHost, access.ModeGateway} {
		tokens = append(tokens,
			must2(w.Machines.MakeEnrollmentToken(w.ctx, carl,
				machines.TokenInput{Name: "new-" + string(mode), Mode: mode, TTL: 24 * time.Hour}))(
				t))
	}
	w.clock.advance(2 * time.Hour)
	for _, token := range tokens {
		_, err := w.Machines.Enroll(w.ctx, office, machines.EnrollInput{Token: token, OS: "linux"}, fingerprint)
		wantCode(t, err, access.KindUnauthenticated, "tokenMakerLeft")
	}
}

// TestATokenReplacesWhatWasThere proves that a token made for a free name does not replace the agent that took the name
// since: its maker was never asked whether they may.
func TestATokenReplacesWhatWasThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bound := w.admin // an API token that enrolls, and changes no machine
	bound.Bounds = &engine.Bounds{Actions: []string{rbac.EnrollmentTokensWrite}}
	token := must2(w.Machines.MakeEnrollmentToken(w.ctx, bound,
		machines.TokenInput{Name: "web-1", TTL: 24 * time.Hour}))(
		t)
	w.clock.advance(time.Hour)
	victim := w.host("web-1")
	_, _, err := w.Machines.MakeEnrollmentToken(w.ctx, bound, machines.TokenInput{Name: "web-1"})
	wantCode(t, err, access.KindForbidden, "tokenBounds")
	_, err = w.Machines.Enroll(w.ctx, office, machines.EnrollInput{Token: token, OS: "linux"}, fingerprint)
	wantCode(t, err, access.KindConflict, "mayNotReplace")
	must(w.Machines.AuthenticateAgent(w.ctx, victim.Agent.ID, victim.Agent.Fingerprint))(t)
}

func TestANamedTokenReplacesTheAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.host("web-1")
	start := w.size()
	fresh := w.host("web-1")
	if fresh.Machine.ID != old.Machine.ID || fresh.Agent.ID == old.Agent.ID {
		t.Fatalf("the machine was %s and is %s", old.Machine.ID, fresh.Machine.ID)
	}
	if got := w.kinds(start); got != "agent.tokenMade agent.replaced agent.enrolled" {
		t.Errorf("events are %s", got)
	}
	for _, e := range w.events()[start:] {
		if e.Kind == access.AgentReplaced && (!e.Scope.Equal(
			old.Machine.Resource) || e.Agent != old.Agent.ID || e.Details["by"] != string(fresh.Agent.ID)) {
			t.Errorf("the event is %+v", e)
		}
	}
	w.tend()
	if a := w.open()[alert.Replaced]; a.Subject.Machine != old.Machine.ID || !a.Subject.Scope.Equal(
		old.Machine.Resource) {
		t.Errorf("alerts are %+v", w.open())
	}
	// Nothing was open, so the old one has nothing to say any more.
	_, err := w.Machines.AuthenticateAgent(w.ctx, old.Agent.ID, old.Agent.Fingerprint)
	wantCode(t, err, access.KindUnauthenticated, "agentRefused")
	_, err = w.Machines.Desired(w.ctx, old.Agent.ID)
	wantCode(t, err, access.KindUnauthenticated, "agentRefused")
	err = w.Machines.Report(w.ctx, old.Agent.ID, office, access.Report{})
	wantCode(t, err, access.KindUnauthenticated, "agentRefused")
}

// replaced is a machine with two openings whose agent was replaced once or more.
func (w *world) replaced(times int) (agents []machines.Enrolled, short, long access.Grant) {
	w.tb.Helper()
	agents = append(agents, w.host("web-1"))
	w.guard("web-1")
	short = must(w.Requests.Submit(w.ctx, w.user("ann", "JIT Access Requester"), ssh("web-1", time.Hour)))(
		w.tb).Grants[0]
	long = must(w.Requests.Submit(w.ctx, w.user("ben", "JIT Access Requester"), ssh("web-1", 2*time.Hour)))(
		w.tb).Grants[0]
	w.report(agents[0].Agent.ID,
		access.Report{Observations: []access.Observation{
			{Grant: short.ID, Status: access.StatusOpen},
			{Grant: long.ID, Status: access.StatusOpen},
		}})
	w.clock.advance(time.Minute)
	for range times {
		agents = append(agents, w.host("web-1"))
	}
	return agents, short, long
}

// TestAReplacedAgentLetsGo proves that an agent that was replaced is told to close everything, keeps what it guards
// closed, and that nothing counts as closed until it has said so.
func TestAReplacedAgentLetsGo(t *testing.T) {
	t.Parallel()
	for _, times := range []int{1, 2, 3} {
		w := newWorld(t)
		agents, short, long := w.replaced(times)
		fresh := agents[times]
		if d := w.desired(fresh.Agent.ID); len(d.Openings) != 1 || len(d.Openings[0].Grants) != 2 {
			t.Errorf("the new agent is to hold %+v", d.Openings)
		}
		must(w.Requests.Revoke(w.ctx, w.admin, short.ID, "enough"))(t)
		closed := access.Report{Observations: []access.Observation{{Grant: short.ID, Status: access.StatusClosed}}}
		for i, old := range agents[:times] {
			w.report(fresh.Agent.ID, closed)
			if g := w.grant(short.ID); g.State != access.GrantRevoked || !g.ClosedAt.IsZero() {
				t.Errorf("%d of %d have let go, and the grant is %+v", i, times, g)
			}
			must(w.Machines.AuthenticateAgent(w.ctx, old.Agent.ID, old.Agent.Fingerprint))(t)
			d := w.desired(old.Agent.ID)
			if len(d.Openings) != 0 || len(d.Protected) != 1 || len(d.Machines) != 1 || d.Agent != old.Agent.ID {
				t.Errorf("the old agent is to hold %+v", d)
			}
			start := w.size()
			w.report(old.Agent.ID,
				access.Report{
					Revision:     d.Revision - 1,
					Observations: []access.Observation{{Grant: long.ID, Status: access.StatusClosed}},
				})
			if w.size() != start {
				t.Error("an older state in force was taken for the newest")
			}
			w.report(old.Agent.ID, access.Report{Revision: d.Revision})
			if got := w.kinds(start); got != "agent.released" {
				t.Errorf("events are %s", got)
			}
			_, err := w.Machines.AuthenticateAgent(w.ctx, old.Agent.ID, old.Agent.Fingerprint)
			wantCode(t, err, access.KindUnauthenticated, "agentRefused")
		}
		if d := w.desired(fresh.Agent.ID); len(d.Ended) != 1 || d.Ended[0] != short.ID {
			t.Errorf("the new agent is to look for %v", d.Ended)
		}
		w.report(fresh.Agent.ID, closed)
		if g := w.grant(short.ID); g.ClosedAt.IsZero() {
			t.Errorf("everybody has let go, and the grant is %+v", g)
		}
		if g := w.grant(long.ID); g.State != access.GrantActive {
			t.Errorf("the other grant is %+v", g)
		}
	}
}

// TestASilentReplacedAgentHoldsUntilTheEnd proves that without a word of the old agent a grant counts as closed once
// the kernel there has ended it, and not before.
func TestASilentReplacedAgentHoldsUntilTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agents, short, long := w.replaced(1)
	old, fresh := agents[0], agents[1]
	must(w.Requests.Revoke(w.ctx, w.admin, long.ID, "enough"))(t)
	w.clock.advance(time.Second)
	later := must(w.Requests.Submit(w.ctx, w.user("cat", "JIT Access Requester"), ssh("web-1", time.Hour)))(t).Grants[0]
	must(w.Requests.Revoke(w.ctx, w.admin, later.ID, "enough"))(t)
	w.report(fresh.Agent.ID,
		access.Report{Observations: []access.Observation{
			{Grant: long.ID, Status: access.StatusClosed},
			{Grant: later.ID, Status: access.StatusClosed},
		}})
	if g := w.grant(long.ID); !g.ClosedAt.IsZero() {
		t.Errorf("the old host was never heard of, and the grant is %+v", g)
	}
	if g := w.grant(later.ID); g.ClosedAt.IsZero() {
		t.Errorf("the old agent knows nothing of this grant: %+v", g)
	}
	w.clock.advance(short.End.Sub(w.clock.now()))
	w.report(fresh.Agent.ID,
		access.Report{Observations: []access.Observation{{Grant: short.ID, Status: access.StatusClosed}}})
	if g := w.grant(short.ID); g.State != access.GrantExpired || g.ClosedAt.IsZero() {
		t.Errorf("at its end the grant is %+v", g)
	}
	w.clock.advance(time.Hour)
	_, err := w.Machines.AuthenticateAgent(w.ctx, old.Agent.ID, old.Agent.Fingerprint)
	wantCode(t, err, access.KindUnauthenticated, "agentRefused")
	w.report(fresh.Agent.ID, access.Report{})
	if d := w.desired(fresh.Agent.ID); len(d.Ended) != 1 || d.Ended[0] != long.ID {
		t.Errorf("the new agent is to look for %v", d.Ended)
	}
	w.report(fresh.Agent.ID,
		access.Report{Observations: []access.Observation{{Grant: long.ID, Status: access.StatusClosed}}})
	if g := w.grant(long.ID); g.ClosedAt.IsZero() {
		t.Errorf("after its end the grant is %+v", g)
	}
}

// TestAGatewayIsReplaced proves that a gateway is replaced by a token that names it, as a host is: whoever may, at
// once, with all machines behind it, and what it holds open counts as closed once it has let go.
func TestAGatewayIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.enrol("edge-1", access.ModeGateway)
	for i, name := range []string{"plc-1", "plc-2"} {
		must(w.Machines.AddMachine(w.ctx, w.admin,
			machines.AddMachineInput{
				Name: name, Gateway: "edge-1",
				Addresses: addresses(fmt.Sprintf("192.0.2.%d", 50+i)),
			}))(
			t)
		w.guard(name)
	}
	g := must(w.Requests.Submit(w.ctx, w.user("ann", "JIT Access Requester"), ssh("plc-1", time.Hour)))(t).Grants[0]
	w.report(old.Agent.ID, access.Report{Observations: []access.Observation{{Grant: g.ID, Status: access.StatusOpen}}})
	w.clock.advance(time.Minute)

	named := machines.TokenInput{Name: "edge-1", Mode: access.ModeGateway}
	must(w.Roles.PutRole(w.ctx, w.admin, roles.RoleInput{
		Name: "Enroller", Permissions: []rbac.Permission{{Actions: []string{rbac.EnrollmentTokensWrite}}},
		AssignableScopes: []access.ResourceID{access.Root},
	}))(t)
	_, err := w.enrolWith(w.user("eve", "Enroller"), named)
	wantCode(t, err, access.KindForbidden, "forbidden")
	unnamed := must2(w.Machines.MakeEnrollmentToken(w.ctx, w.admin, machines.TokenInput{Mode: access.ModeGateway}))(t)
	_, err = w.Machines.Enroll(w.ctx, office, machines.EnrollInput{Token: unnamed, Name: "edge-1"}, fingerprint)
	wantCode(t, err, access.KindConflict, "agentExists")
	_, err = w.enrolWith(w.admin, machines.TokenInput{Name: "edge-1"})
	wantCode(t, err, access.KindConflict, "agentExists")

	fresh := must(w.enrolWith(w.admin, named))(t)
	for _, name := range []string{"plc-1", "plc-2"} {
		if m := must(w.Machines.Machine(w.ctx, w.admin, name))(t); m.Agent == nil || m.Agent.ID != fresh.Agent.ID {
			t.Errorf("%s is guarded by %+v", name, m.Agent)
		}
	}
	if d := w.desired(fresh.Agent.ID); len(d.Machines) != 2 || len(d.Openings) != 1 {
		t.Errorf("the new gateway is to hold %+v", d)
	}
	d := w.desired(old.Agent.ID)
	if len(d.Machines) != 2 || len(d.Openings) != 0 {
		t.Errorf("the old gateway is to hold %+v", d)
	}
	must(w.Requests.Revoke(w.ctx, w.admin, g.ID, "enough"))(t)
	closed := access.Report{Observations: []access.Observation{{Grant: g.ID, Status: access.StatusClosed}}}
	w.report(fresh.Agent.ID, closed)
	if g := w.grant(g.ID); !g.ClosedAt.IsZero() {
		t.Errorf("the old gateway may hold it open, and the grant is %+v", g)
	}
	w.report(old.Agent.ID, access.Report{Revision: w.desired(old.Agent.ID).Revision})
	_, err = w.Machines.AuthenticateAgent(w.ctx, old.Agent.ID, old.Agent.Fingerprint)
	wantCode(t, err, access.KindUnauthenticated, "agentRefused")
	w.report(fresh.Agent.ID, closed)
	if g := w.grant(g.ID); g.ClosedAt.IsZero() {
		t.Errorf("everybody has let go, and the grant is %+v", g)
	}
	w.tend()
	if a, ok := w.open()[alert.Replaced]; !ok || a.Subject.Agent != old.Agent.ID {
		t.Errorf("alerts are %+v", w.open())
	}
}

// TestAGatewayIsReplacedByRight proves that a token takes the machines of a gateway only where that gateway was there
// when it was made, while its maker may do that, and never those of a host.
func TestAGatewayIsReplacedByRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	named := machines.TokenInput{Name: "edge-1", Mode: access.ModeGateway}
	made := func(by engine.Caller, in machines.TokenInput) string {
		t.Helper()
		return must2(w.Machines.MakeEnrollmentToken(w.ctx, by, in))(t)
	}
	enroll := func(token string) error {
		_, err := w.Machines.Enroll(w.ctx, office, machines.EnrollInput{Token: token, OS: "linux"}, fingerprint)
		return err
	}
	early := made(w.admin, named)
	w.clock.advance(time.Second)
	old := w.enrol("edge-1", access.ModeGateway)
	must(w.Machines.AddMachine(w.ctx, w.admin,
		machines.AddMachineInput{Name: "plc-1", Gateway: "edge-1", Addresses: addresses("192.0.2.50")}))(t)
	w.clock.advance(time.Second)
	wantCode(t, enroll(early), access.KindConflict, "mayNotReplace")

	carl := w.user("carl", "Contributor")
	his := made(carl, named)
	must(w.Roles.PutRole(w.ctx, w.admin, roles.RoleInput{
		Name: "Enroller", Permissions: []rbac.Permission{{Actions: []string{rbac.EnrollmentTokensWrite}}},
		AssignableScopes: []access.ResourceID{access.Root},
	}))(t)
	w.unassign("carl")
	must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: "carl", Role: "Enroller", Scope: access.Root}))(t)
	wantCode(t, enroll(his), access.KindConflict, "mayNotReplace")

	w.host("web-1")
	wantCode(t, enroll(made(w.admin, machines.TokenInput{Name: "web-1", Mode: access.ModeGateway})),
		access.KindConflict, "agentExists")
	for name, want := range map[string]string{"plc-1": "edge-1", "web-1": "web-1"} {
		m := must(w.Machines.Machine(w.ctx, w.admin, name))(t)
		if m.Agent == nil || m.Agent.Name != want || want == "edge-1" && m.Agent.ID != old.Agent.ID {
			t.Errorf("%s is guarded by %+v", name, m.Agent)
		}
	}
}

// TestAGroupIsDeletedWithItsGateways proves that no agent is left in a resource group that is gone, for whoever makes
// it anew.
func TestAGroupIsDeletedWithItsGateways(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	carl := w.resourceGroup("rga", "carl", "Contributor")
	gate := must(w.enrolWith(carl, machines.TokenInput{Name: "gate", Mode: access.ModeGateway, ResourceGroup: "rga"}))(
		t)
	plc := must(w.Machines.AddMachine(w.ctx, w.admin,
		machines.AddMachineInput{Name: "plc-1", Gateway: "gate", Addresses: addresses("192.0.2.50")}))(
		t)
	err := w.Directory.DeleteResourceGroup(w.ctx, w.admin, "rga")
	wantCode(t, err, access.KindConflict, "resourceGroupNotEmpty")
	if err := w.Machines.DeleteMachine(w.ctx, w.admin, string(plc.Machine.ID)); err != nil {
		t.Fatal(err)
	}
	if err := w.Directory.DeleteResourceGroup(w.ctx, w.admin, "rga"); err != nil {
		t.Fatal(err)
	}
	_, err = w.Machines.AuthenticateAgent(w.ctx, gate.Agent.ID, gate.Agent.Fingerprint)
	wantCode(t, err, access.KindUnauthenticated, "agentRefused")
}

// TestAGatewayIsRevokedWithNothingBehindIt proves that a gateway's certificate is ended by itself, by who may place
// machines behind it and write them, and never while something is guarded by it.
func TestAGatewayIsRevokedWithNothingBehindIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gate := w.enrol("gate", access.ModeGateway)
	plc := must(w.Machines.AddMachine(w.ctx, w.admin,
		machines.AddMachineInput{Name: "plc-1", Gateway: "gate", Addresses: addresses("192.0.2.50")}))(t)
	err := w.Machines.RevokeGateway(w.ctx, w.admin, "gate")
	wantCode(t, err, access.KindConflict, "gatewayInUse")
	if e, ok := errors.AsType[*access.Error](err); !ok || len(e.Reasons) != 1 ||
		e.Reasons[0].Message != string(plc.Machine.Resource) {
		t.Errorf("what is behind it is said as %v", err)
	}
	if err := w.Machines.DeleteMachine(w.ctx, w.admin, string(plc.Machine.ID)); err != nil {
		t.Fatal(err)
	}
	for name, actions := range map[string][]string{
		"Looker": {rbac.AgentsRead}, "Joiner": {rbac.AgentsRead, rbac.GatewaysJoin},
	} {
		must(w.Roles.PutRole(w.ctx, w.admin, roles.RoleInput{
			Name: name, Permissions: []rbac.Permission{{Actions: actions}},
			AssignableScopes: []access.ResourceID{access.Root},
		}))(t)
		wantCode(t, w.Machines.RevokeGateway(w.ctx, w.user("a "+name, name), "gate"), access.KindForbidden, "forbidden")
	}
	w.host("web-1")
	wantCode(t, w.Machines.RevokeGateway(w.ctx, w.admin, "web-1"), access.KindInvalid, "notAGateway")
	_, stranger := w.tenant("stranger")
	wantCode(t, w.Machines.RevokeGateway(w.ctx, stranger, string(gate.Agent.ID)), access.KindNotFound, "unknownAgent")

	if err := w.Machines.RevokeGateway(w.ctx, w.admin, "gate"); err != nil {
		t.Fatal(err)
	}
	events := w.events()
	if last := events[len(events)-1]; last.Kind != access.AgentRevoked || last.Agent != gate.Agent.ID {
		t.Errorf("recorded is %+v", last)
	}
	_, err = w.Machines.AuthenticateAgent(w.ctx, gate.Agent.ID, gate.Agent.Fingerprint)
	wantCode(t, err, access.KindUnauthenticated, "agentRefused")
	wantCode(t, w.Machines.RevokeGateway(w.ctx, w.admin, "gate"), access.KindNotFound, "unknownAgent")
}

// TestAGatewayIsJoinedByRight proves that a machine goes behind a gateway of another resource group only by a right
// there, and never under an address that another machine has behind it.
func TestAGatewayIsJoinedByRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gate := w.enrol("gate", access.ModeGateway)
	contrib := w.resourceGroup("rga", "carl", "Contributor")
	add := func(c engine.Caller, name, group, gateway, address string) error {
		_, err := w.Machines.AddMachine(w.ctx, c,
			machines.AddMachineInput{Name: name, Gateway: gateway, ResourceGroup: group, Addresses: addresses(address)})
		return err
	}
	if err := add(w.admin, "plc-1", "", "gate", "192.0.2.50"); err != nil {
		t.Fatal(err)
	}
	before := w.desired(gate.Agent.ID)
	for _, ref := range []string{"gate", string(gate.Agent.ID)} {
		wantCode(t, add(contrib, "mine", "rga", ref, "192.0.2.60"), access.KindNotFound, "unknownAgent")
	}
	for _, address := range []string{"192.0.2.50", "::ffff:192.0.2.50"} {
		wantCode(t, add(w.admin, "plc-2", "rga", "gate", address), access.KindConflict, "addressTaken")
	}
	if after := w.desired(gate.Agent.ID); after.Revision != before.Revision {
		t.Error("what was refused changed what the gateway is to hold")
	}
	scope := gate.Agent.Scope
	must(w.Roles.PutRole(w.ctx, w.admin, roles.RoleInput{
		Name: "Joiner", Permissions: []rbac.Permission{{Actions: []string{"Postern.Access/gateways/join/action"}}},
		AssignableScopes: []access.ResourceID{access.Root},
	}))(t)
	must(w.Roles.AssignRole(w.ctx, w.admin, roles.AssignInput{Principal: "carl", Role: "Joiner", Scope: scope}))(t)
	if err := add(contrib, "mine", "rga", "gate", "192.0.2.60"); err != nil {
		t.Errorf("with the right to join: %v", err)
	}
	if _, err := w.enrolWith(contrib,
		machines.TokenInput{Name: "gate", Mode: access.ModeGateway, ResourceGroup: "rga"}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, add(contrib, "other", "rga", "gate", "192.0.2.61"), access.KindInvalid, "ambiguousAgent")
}
