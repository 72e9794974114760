package engine_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
)

func portsFor(d time.Duration, ports ...uint16) access.MachinePolicy {
	var p access.MachinePolicy
	for _, port := range ports {
		p.Ports = append(p.Ports, access.PortRule{Ports: access.SinglePort(port), Protocol: access.TCP, Max: d})
	}
	return p
}

func (w *world) scopePolicy(in machines.ScopePolicyInput) machines.ScopePolicyDetail {
	w.tb.Helper()
	return must(w.Machines.SetScopePolicy(w.ctx, w.admin, in, nil))(w.tb)
}

// guardedPorts gives the TCP ports that the agent is to guard.
func (w *world) guardedPorts(agent access.AgentID) (ports []uint16) {
	w.tb.Helper()
	for _, p := range w.desired(agent).Protected {
		ports = append(ports, p.Ports.First)
	}
	return ports
}

// TestPoliciesOfScopesGuard holds that a policy of a subscription, of a resource group or of labels guards the machines
// that there are and those that come, and that for each port the first of them counts whole.
func TestPoliciesOfScopesGuard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.host("web-1")
	if m := must(w.Machines.Machine(w.ctx, w.admin, "web-1"))(t); m.Standing != access.NotConfigured {
		t.Fatalf("it is %s", m.Standing)
	}
	all := w.scopePolicy(machines.ScopePolicyInput{Name: "all", Rules: portsFor(time.Hour, 22, 3389)})
	if all.Machines != 1 || all.Policy.Reach() != "the subscription" {
		t.Errorf("it reaches %d machines by %s", all.Machines, all.Policy.Reach())
	}
	w.scopePolicy(machines.ScopePolicyInput{Name: "group", ResourceGroup: "default", Rules: portsFor(2*time.Hour, 22)})
	w.scopePolicy(machines.ScopePolicyInput{
		Name: "prod", Labels: map[string]string{"env": "prod"}, Order: 10, Rules: portsFor(30*time.Minute, 22, 5432),
	})
	second := w.host("web-2") // which comes later
	for _, host := range []machines.Enrolled{first, second} {
		if got := w.guardedPorts(host.Agent.ID); !slices.Equal(got, []uint16{22, 3389}) {
			t.Errorf("%s guards %v", host.Machine.Name, got)
		}
	}
	m := must(w.Machines.Machine(w.ctx, w.admin, "web-2"))(t)
	list := must(w.Machines.Machines(w.ctx, w.admin, engine.MachineFilter{Standing: access.Configured},
		engine.Page{Limit: 10}))(t)
	counts := must(w.Fleet.MachineOverview(w.ctx, w.admin, engine.MachineFilter{}))(t).Counts
	if m.Standing != access.Configured || len(list.Items) != 2 || counts[access.Configured] != 2 {
		t.Errorf("it is %s; %d are listed as configured, %d counted", m.Standing, len(list.Items),
			counts[access.Configured])
	}
	longest := func(port uint16) time.Duration {
		t.Helper()
		for d := 3 * time.Hour; d > 0; d -= 30 * time.Minute {
			x := must(w.Requests.Explain(w.ctx, w.admin, requests.Question{
				Machine: "web-1", Ports: access.SinglePort(port), Protocol: access.TCP, Duration: d,
			}))(t)
			if x.Outcome == requests.ExplainAutomatic {
				return d
			}
		}
		return 0
	}
	want := func(port uint16, d time.Duration) {
		t.Helper()
		if got := longest(port); got != d {
			t.Errorf("port %d opens for %s, want %s", port, got, d)
		}
	}
	want(22, 2*time.Hour)
	want(3389, time.Hour)
	want(5432, 0)
	must(w.Machines.LabelMachine(w.ctx, w.admin, "web-1", map[string]string{"env": "prod"}, nil))(t)
	want(22, 30*time.Minute)
	want(5432, 30*time.Minute)
	if got := w.guardedPorts(first.Agent.ID); !slices.Equal(got, []uint16{22, 3389, 5432}) {
		t.Errorf("it guards %v", got)
	}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", portsFor(3*time.Hour, 22), nil))(t)
	want(22, 3*time.Hour)
	want(3389, time.Hour)
	var names []string
	for _, d := range must(w.Machines.MachinePolicy(w.ctx, w.admin, "web-1"))(t).Guards {
		names = append(names, fmt.Sprintf("%s by %s", d.Policy.Name, d.Policy.Reach))
	}
	if got := fmt.Sprint(names); got != "[default by  prod by label env=prod all by the subscription]" {
		t.Errorf("it is guarded by %s", got)
	}
	if err := w.Machines.DeleteMachinePolicy(w.ctx, w.admin, "web-1", nil); err != nil {
		t.Fatal(err)
	}
	want(22, 30*time.Minute)
	wantCode(t, w.Machines.DeleteMachinePolicy(w.ctx, w.admin, "web-1", nil), access.KindNotFound, "machineNotNamed")
}

// TestAPolicyOfAScopeThatChangesEndsWhatItDoesNotAllow holds that what is open under a policy of a scope ends with what
// that allowed: at a change, at its deletion, and where another policy comes before it; and that nothing else ends.
func TestAPolicyOfAScopeThatChangesEndsWhatItDoesNotAllow(t *testing.T) {
	t.Parallel()
	wide := machines.ScopePolicyInput{Name: "all", Rules: portsFor(3*time.Hour, 22)}
	for name, c := range map[string]struct {
		change func(w *world) error
		want   access.GrantState
	}{
		"the same": {func(w *world) error {
			_, err := w.Machines.SetScopePolicy(w.ctx, w.admin, wide, nil)
			return err
		}, access.GrantOpening},
		"shorter": {func(w *world) error {
			in := wide
			in.Rules = portsFor(time.Hour, 22)
			_, err := w.Machines.SetScopePolicy(w.ctx, w.admin, in, nil)
			return err
		}, access.GrantRevoked},
		"deleted": {func(w *world) error {
			return w.Machines.DeleteScopePolicy(w.ctx, w.admin, "all", nil)
		}, access.GrantRevoked},
		"another before it allows less": {func(w *world) error {
			_, err := w.Machines.SetScopePolicy(w.ctx, w.admin, machines.ScopePolicyInput{
				Name: "group", ResourceGroup: "default", Rules: portsFor(time.Hour, 22),
			}, nil)
			return err
		}, access.GrantRevoked},
		"another before it for other ports": {func(w *world) error {
			_, err := w.Machines.SetScopePolicy(w.ctx, w.admin, machines.ScopePolicyInput{
				Name: "group", ResourceGroup: "default", Rules: portsFor(time.Hour, 80),
			}, nil)
			return err
		}, access.GrantOpening},
		"labels bring the machine under a stricter one": {func(w *world) error {
			w.scopePolicy(machines.ScopePolicyInput{
				Name: "prod", Labels: map[string]string{"env": "prod"}, Order: 1, Rules: portsFor(time.Hour, 22),
			})
			_, err := w.Machines.LabelMachine(w.ctx, w.admin, "web-1", map[string]string{"env": "prod"}, nil)
			return err
		}, access.GrantRevoked},
		"one of labels that the machine does not have": {func(w *world) error {
			_, err := w.Machines.SetScopePolicy(w.ctx, w.admin, machines.ScopePolicyInput{
				Name: "prod", Labels: map[string]string{"env": "prod"}, Order: 1, Rules: portsFor(time.Hour, 22),
			}, nil)
			return err
		}, access.GrantOpening},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			host := w.host("web-1")
			w.scopePolicy(wide)
			d := must(w.Requests.Submit(w.ctx, w.admin, ssh("web-1", 2*time.Hour)))(t)
			before := w.desired(host.Agent.ID).Revision
			if err := c.change(w); err != nil {
				t.Fatal(err)
			}
			if got := w.grant(d.Grants[0].ID).State; got != c.want {
				t.Errorf("the grant is %s, want %s", got, c.want)
			}
			state := w.desired(host.Agent.ID)
			if open := len(state.Openings) > 0; open != (c.want == access.GrantOpening) {
				t.Errorf("open: %t", open)
			}
			if c.want == access.GrantRevoked && state.Revision <= before {
				t.Errorf("the agent is not told: its revision is %d, and was %d", state.Revision, before)
			}
		})
	}
}

// TestAPolicyOfAScopeClosesWhatIsTooManyAtOnce holds that of a great many grants all are closed with the change, and
// each is ended afterwards.
func TestAPolicyOfAScopeClosesWhatIsTooManyAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	rules := access.MachinePolicy{Ports: []access.PortRule{
		{Ports: access.PortRange{First: 1000, Last: 1400}, Protocol: access.TCP, Max: 3 * time.Hour},
	}}
	w.scopePolicy(machines.ScopePolicyInput{Name: "all", Rules: rules})
	const many = 2*engine.ActChunk + 10
	w.openPorts(w.admin, "web-1", 1000, many, 2*time.Hour)
	if got := len(w.desired(host.Agent.ID).Openings); got != many {
		t.Fatalf("%d are open", got)
	}
	rules.Ports = slices.Clone(rules.Ports)
	rules.Ports[0].Max = time.Hour
	w.scopePolicy(machines.ScopePolicyInput{Name: "all", Rules: rules})
	if got := len(w.desired(host.Agent.ID).Openings); got != 0 {
		t.Errorf("%d are open still", got)
	}
	w.reconcile()
	if got := w.standing(w.admin); got != 0 {
		t.Errorf("%d grants stand", got)
	}
}

// TestWhoListsPoliciesOfScopesLeavesThemInOrder holds that what the store shares stays as it is: lists are by another
// order than the store's.
func TestWhoListsPoliciesOfScopesLeavesThemInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.scopePolicy(machines.ScopePolicyInput{Name: "all", Rules: portsFor(time.Hour, 22)})
	w.scopePolicy(machines.ScopePolicyInput{
		Name: "prod", Labels: map[string]string{"env": "prod"}, Order: 1, Rules: portsFor(time.Hour, 22),
	})
	for range 2 { // the second is what the store keeps
		list := must(w.Machines.ScopePolicies(w.ctx, w.admin))(t)
		if len(list) != 2 || list[0].Policy.Name != "prod" {
			t.Fatalf("they are listed as %+v", list)
		}
		err := w.store.View(w.ctx, func(r engine.Reader) error {
			kept, err := r.ScopePolicies(w.ctx, w.admin.Tenant)
			if err == nil && kept[0].Name != "all" {
				t.Errorf("the store has %s first", kept[0].Name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestAPolicyOfAScopeIsOneOfItsKind holds what may not stand beside one another, and who may write one.
func TestAPolicyOfAScopeIsOneOfItsKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	set := func(c engine.Caller, in machines.ScopePolicyInput, revision *int64) error {
		if in.Rules.Ports == nil {
			in.Rules = portsFor(time.Hour, 22)
		}
		_, err := w.Machines.SetScopePolicy(w.ctx, c, in, revision)
		return err
	}
	prod := map[string]string{"env": "prod"}
	if err := set(w.admin, machines.ScopePolicyInput{Name: "prod", Labels: prod, Order: 5}, nil); err != nil {
		t.Fatal(err)
	}
	if err := set(w.admin, machines.ScopePolicyInput{Name: "all"}, nil); err != nil {
		t.Fatal(err)
	}
	stale, none := int64(7), int64(0)
	reader := w.user("rita", "Reader")
	for name, c := range map[string]struct {
		by       engine.Caller
		in       machines.ScopePolicyInput
		revision *int64
		kind     access.Kind
		code     string
	}{
		"two with one order": {
			w.admin,
			machines.ScopePolicyInput{Name: "db", Labels: map[string]string{"role": "db"}, Order: 5},
			nil,
			access.KindConflict, "policyOrderTaken",
		},
		"two of one subscription": {
			w.admin, machines.ScopePolicyInput{Name: "every"}, nil, access.KindConflict, "scopeHasPolicy",
		},
		"one name at two scopes": {
			w.admin,
			machines.ScopePolicyInput{Name: "all", ResourceGroup: "default"},
			nil, access.KindConflict,
			"policyNameTaken",
		},
		"an order without labels": {
			w.admin,
			machines.ScopePolicyInput{Name: "g", ResourceGroup: "default", Order: 3},
			nil, access.KindInvalid,
			"malformedPolicy",
		},
		"labels without an order": {
			w.admin,
			machines.ScopePolicyInput{Name: "g", Labels: map[string]string{"a": "b"}},
			nil, access.KindInvalid,
			"malformedPolicy",
		},
		"an order that is too large": {
			w.admin,
			machines.ScopePolicyInput{Name: "g", Labels: map[string]string{"a": "b"}, Order: 10_001},
			nil,
			access.KindInvalid, "malformedPolicy",
		},
		"no such group": {
			w.admin,
			machines.ScopePolicyInput{Name: "g", ResourceGroup: "nowhere"},
			nil, access.KindNotFound,
			"unknownResourceGroup",
		},
		"an old revision": {
			w.admin, machines.ScopePolicyInput{Name: "all"}, &stale, access.KindConflict, "policyChanged",
		},
		"new, and it is there": {
			w.admin, machines.ScopePolicyInput{Name: "all"}, &none, access.KindConflict, "policyChanged",
		},
		"without the right": {
			reader, machines.ScopePolicyInput{Name: "all"}, nil, access.KindForbidden, "forbidden",
		},
		"no ports": {
			w.admin, machines.ScopePolicyInput{
				Name: "g", ResourceGroup: "default", Rules: access.MachinePolicy{Ports: []access.PortRule{}},
			}, nil, access.KindInvalid, "malformedPolicy",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantCode(t, set(c.by, c.in, c.revision), c.kind, c.code)
		})
	}
	wantCode(t, w.Machines.DeleteScopePolicy(w.ctx, reader, "all", nil), access.KindForbidden, "forbidden")
	wantCode(t, w.Machines.DeleteScopePolicy(w.ctx, w.admin, "nothing", nil), access.KindNotFound, "unknownScopePolicy")
	_, other := w.tenant("acme")
	wantCode(t, w.Machines.DeleteScopePolicy(w.ctx, other, "all", nil), access.KindNotFound, "unknownScopePolicy")
	if list := must(w.Machines.ScopePolicies(w.ctx, other))(t); len(list) != 0 {
		t.Errorf("another tenant sees %d of them", len(list))
	}
	if list := must(w.Machines.ScopePolicies(w.ctx, reader))(t); len(list) != 2 || list[0].Policy.Name != "prod" {
		t.Errorf("they are %+v", list)
	}
}

// TestWhoLetsAnEasierPolicyReachAMachineIsSeen holds that nobody makes a machine easier for themselves unseen by what
// reaches it: by a policy before a stricter one, by deleting that, or by labels, which take the right to write
// policies.
func TestWhoLetsAnEasierPolicyReachAMachineIsSeen(t *testing.T) {
	t.Parallel()
	strict := portsFor(time.Hour, 22)
	strict.Justification = access.JustificationRule{Required: true, MinLength: 3}
	for name, change := range map[string]func(w *world, by engine.Caller) error{
		"an easier one before it": func(w *world, by engine.Caller) error {
			_, err := w.Machines.SetScopePolicy(w.ctx, by, machines.ScopePolicyInput{
				Name: "easy", Labels: map[string]string{"env": "prod"}, Order: 1, Rules: portsFor(3*time.Hour, 22),
			}, nil)
			return err
		},
		"the stricter one deleted": func(w *world, by engine.Caller) error {
			return w.Machines.DeleteScopePolicy(w.ctx, by, "group", nil)
		},
		"an easier one of the machine": func(w *world, by engine.Caller) error {
			_, err := w.Machines.SetMachinePolicy(w.ctx, by, "web-1", portsFor(3*time.Hour, 22), nil)
			return err
		},
		"the port left out of a stricter one of the machine": func(w *world, by engine.Caller) error {
			must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", portsFor(time.Minute, 22, 80), nil))(w.tb)
			_, err := w.Machines.SetMachinePolicy(w.ctx, by, "web-1", portsFor(time.Minute, 80), nil)
			return err
		},
		"the port left out of the stricter one": func(w *world, by engine.Caller) error {
			_, err := w.Machines.SetScopePolicy(w.ctx, by, machines.ScopePolicyInput{
				Name: "group", ResourceGroup: "default", Rules: portsFor(time.Hour, 80),
			}, nil)
			return err
		},
		"the stricter one behind an easier one": func(w *world, by engine.Caller) error {
			in := machines.ScopePolicyInput{
				Name: "strict", Labels: map[string]string{"env": "prod"}, Order: 1, Rules: portsFor(time.Minute, 22),
			}
			w.scopePolicy(in)
			w.scopePolicy(machines.ScopePolicyInput{
				Name: "easy", Labels: map[string]string{"env": "prod"}, Order: 2, Rules: portsFor(3*time.Hour, 22),
			})
			in.Order = 3
			_, err := w.Machines.SetScopePolicy(w.ctx, by, in, nil)
			return err
		},
		"labels that bring it under an easier one": func(w *world, by engine.Caller) error {
			w.scopePolicy(machines.ScopePolicyInput{
				Name: "easy", Labels: map[string]string{"env": "dev"}, Order: 2, Rules: portsFor(3*time.Hour, 22),
			})
			_, err := w.Machines.LabelMachine(w.ctx, by, "web-1", map[string]string{"env": "dev"}, nil)
			return err
		},
		"the stricter one of the machine deleted": func(w *world, by engine.Caller) error {
			must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", portsFor(time.Minute, 22), nil))(w.tb)
			return w.Machines.DeleteMachinePolicy(w.ctx, by, "web-1", nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.host("web-1")
			must(w.Machines.LabelMachine(w.ctx, w.admin, "web-1", map[string]string{"env": "prod"}, nil))(t)
			w.scopePolicy(machines.ScopePolicyInput{Name: "all", Rules: portsFor(3*time.Hour, 22)})
			w.scopePolicy(machines.ScopePolicyInput{Name: "group", ResourceGroup: "default", Rules: strict})
			eve, ann := w.user("eve", "Owner"), w.user("ann", "Owner")
			if err := change(w, eve); err != nil {
				t.Fatal(err)
			}
			must(w.Requests.Submit(w.ctx, ann, ssh("web-1", 10*time.Minute)))(t)
			if got := w.loosenedUses(); got != 0 {
				t.Errorf("%d alerts of somebody who changed nothing", got)
			}
			must(w.Requests.Submit(w.ctx, eve, ssh("web-1", 10*time.Minute)))(t)
			if got := w.loosenedUses(); got != 1 {
				t.Errorf("%d alerts, want 1", got)
			}
		})
	}
	w := newWorld(t)
	w.host("web-1")
	w.scopePolicy(machines.ScopePolicyInput{
		Name: "easy", Labels: map[string]string{"env": "dev"}, Order: 1, Rules: portsFor(3*time.Hour, 22),
	})
	must(w.Roles.PutRole(w.ctx, w.admin, roles.RoleInput{
		Name: "Labels", Permissions: []rbac.Permission{{Actions: []string{rbac.MachinesRead, rbac.MachinesWrite}}},
		AssignableScopes: []access.ResourceID{access.Root},
	}))(t)
	labeler := w.user("lea", "Labels")
	if _, err := w.Machines.LabelMachine(w.ctx, labeler, "web-1", map[string]string{"role": "web"}, nil); err != nil {
		t.Fatal(err)
	}
	_, err := w.Machines.LabelMachine(w.ctx, labeler, "web-1", map[string]string{"env": "dev"}, nil)
	wantCode(t, err, access.KindForbidden, "forbidden")
}

// TestAMachineIsAddedWithLabelsByWhoMayWritePolicies holds that a machine which is added anew does not come under an
// easier policy by labels that whoever adds it could not give it.
func TestAMachineIsAddedWithLabelsByWhoMayWritePolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol("gate", access.ModeGateway)
	w.scopePolicy(machines.ScopePolicyInput{
		Name: "easy", Labels: map[string]string{"env": "dev"}, Order: 1, Rules: portsFor(3*time.Hour, 22),
	})
	must(w.Roles.PutRole(w.ctx, w.admin, roles.RoleInput{
		Name: "Adds", AssignableScopes: []access.ResourceID{access.Root}, Permissions: []rbac.Permission{{
			Actions: []string{rbac.MachinesRead, rbac.MachinesWrite, rbac.GatewaysJoin},
		}},
	}))(t)
	lea := w.user("lea", "Adds")
	add := func(c engine.Caller, name string, labels map[string]string) error {
		_, err := w.Machines.AddMachine(w.ctx, c, machines.AddMachineInput{
			Name: name, Gateway: "gate", Labels: labels,
			Addresses: []netip.Addr{netip.MustParseAddr("192.0.2." + name[len(name)-1:])},
		})
		return err
	}
	if err := add(lea, "plc-1", map[string]string{"env": "prod"}); err != nil {
		t.Error(err)
	}
	wantCode(t, add(lea, "plc-2", map[string]string{"env": "dev"}), access.KindForbidden, "forbidden")
	if err := add(w.admin, "plc-2", map[string]string{"env": "dev"}); err != nil {
		t.Error(err)
	}
}

// TestADeletedMachineLeavesNoTraceInWhatGuardsOthers holds that nobody is remembered as having loosened a policy of a
// scope by deleting a machine whose own policy was stricter.
func TestADeletedMachineLeavesNoTraceInWhatGuardsOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	w.host("web-2")
	w.scopePolicy(machines.ScopePolicyInput{Name: "all", Rules: portsFor(3*time.Hour, 22)})
	for _, name := range []string{"web-1", "web-2"} {
		must(w.Machines.SetMachinePolicy(w.ctx, w.admin, name, portsFor(time.Hour, 22), nil))(t)
	}
	loosened := func() int {
		return len(must(w.Machines.ScopePolicy(w.ctx, w.admin, "all"))(t).Policy.Rules.Loosened)
	}
	before := loosened()
	if err := w.Machines.DeleteMachine(w.ctx, w.admin, "web-1"); err != nil {
		t.Fatal(err)
	}
	if n := loosened() - before; n != 0 {
		t.Errorf("the deletion of a machine is remembered %d times", n)
	}
	if err := w.Machines.DeleteMachinePolicy(w.ctx, w.admin, "web-2", nil); err != nil {
		t.Fatal(err)
	}
	if n := loosened() - before; n != 1 {
		t.Errorf("the deletion of a stricter policy is remembered %d times", n)
	}
}
