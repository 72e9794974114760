package engine_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
)

func TestPolicyOfAMachine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.host("web-2")
	_, err := w.Machines.MachinePolicy(w.ctx, w.admin, "web-1")
	wantCode(t, err, access.KindNotFound, "machineNotConfigured")
	first := w.guard("web-1")
	second := w.guard("web-2")
	if first.Policy.Name != engine.DefaultPolicy || second.Policy.ID != first.Policy.ID ||
		second.Policy.Revision != 2 ||
		second.Entry.Revision != 2 {
		t.Errorf("policies are %+v and %+v", first.Policy, second.Policy)
	}
	if d := must(w.Machines.MachinePolicy(w.ctx, w.admin, "web-1"))(
		t).Guards[0]; d.Policy.Revision != 2 || d.Entry.Machine != host.Machine.ID || d.Entry.Revision != 1 {
		t.Errorf("the policy is %+v", d)
	}
	w.guard("web-1")
	stale := int64(1)
	_, err = w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", sshPolicy(), &stale)
	wantCode(t, err, access.KindConflict, "policyChanged")
	wantCode(t, w.Machines.DeleteMachinePolicy(w.ctx, w.admin, "web-1", &stale), access.KindConflict, "policyChanged")
	none := int64(0)
	_, err = w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", sshPolicy(), &none)
	wantCode(t, err, access.KindConflict, "policyChanged")
	_, err = w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", access.MachinePolicy{}, nil)
	wantCode(t, err, access.KindInvalid, "malformedPolicy")
	bad := sshPolicy()
	bad.Ports[0].Max = 0
	_, err = w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", bad, nil)
	wantCode(t, err, access.KindInvalid, "malformedPolicy")
	if err := w.Machines.DeleteMachinePolicy(w.ctx, w.admin, "web-1", nil); err != nil {
		t.Fatal(err)
	}
	if state := w.desired(host.Agent.ID); len(state.Protected) != 0 {
		t.Errorf("guarded still: %+v", state.Protected)
	}
	if m := must(w.Machines.Machine(w.ctx, w.admin, "web-2"))(t); m.Standing != access.Configured {
		t.Errorf("the other machine is %s", m.Standing)
	}
}

func TestAPolicyThatNoLongerAllowsAGrantRevokesIt(t *testing.T) {
	t.Parallel()
	long := netip.MustParsePrefix("203.0.113.0/24")
	for name, c := range map[string]struct {
		change func(*access.MachinePolicy)
		want   access.GrantState
	}{
		"wider":          {func(p *access.MachinePolicy) { p.Ports[0].Max = 5 * time.Hour }, access.GrantOpening},
		"other sessions": {func(p *access.MachinePolicy) { p.Sessions = access.SessionsKeep }, access.GrantOpening},
		"justification since": {func(p *access.MachinePolicy) {
			p.Justification = access.JustificationRule{Required: true, MinLength: 50}
		}, access.GrantOpening},
		"source still inside": {
			func(p *access.MachinePolicy) { p.Ports[0].Sources = []netip.Prefix{long} },
			access.GrantOpening,
		},
		"shorter": {func(p *access.MachinePolicy) { p.Ports[0].Max = time.Hour }, access.GrantRevoked},
		"source outside": {func(p *access.MachinePolicy) {
			p.Ports[0].Sources = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}, access.GrantRevoked},
		"port no longer guards": {
			func(p *access.MachinePolicy) { p.Ports[0].Ports = access.SinglePort(80) },
			access.GrantRevoked,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			host := w.host("web-1")
			w.guard("web-1")
			ann := w.user("ann", "JIT Access Requester")
			g := must(w.Requests.Submit(w.ctx, ann, ssh("web-1", 2*time.Hour)))(t).Grants[0]
			w.clock.advance(90 * time.Minute) // what is left would fit into an hour
			p := sshPolicy()
			c.change(&p)
			revision := w.desired(host.Agent.ID).Revision
			must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
			got := w.grant(g.ID)
			if got.State != c.want {
				t.Errorf("the grant is %s (%s), want %s", got.State, got.Reason, c.want)
			}
			if c.want == access.GrantRevoked && !strings.HasPrefix(got.Reason, "the policy was changed: ") {
				t.Errorf("the reason is %q", got.Reason)
			}
			if after := w.desired(host.Agent.ID); after.Revision <= revision {
				t.Error("the agent was not told")
			}
		})
	}
}

func TestWholePolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host, other := w.host("web-1"), w.host("web-2")
	sub := host.Machine.Subscription()
	id := access.PolicyResource(sub, "default", "local", "mine")
	entry := sshPolicy()
	entry.Machine = host.Machine.ID
	p, created, err := w.Machines.PutPolicy(w.ctx, w.admin,
		machines.PolicyInput{Resource: id, Machines: []access.MachinePolicy{entry}}, nil)
	if err != nil || !created || p.Revision != 1 || p.Name != "mine" {
		t.Fatalf("made %+v, %t, %v", p, created, err)
	}
	g := must(w.Requests.Submit(w.ctx, w.user("ann", "JIT Access Requester"), ssh("web-1", time.Hour)))(t).Grants[0]
	entry.Machine = other.Machine.ID
	p, created, err = w.Machines.PutPolicy(w.ctx, w.admin,
		machines.PolicyInput{
			Resource: access.ResourceID(strings.ToUpper(string(id))),
			Machines: []access.MachinePolicy{entry},
		},
		&p.Revision)
	if err != nil || created || p.Revision != 2 || p.Resource != id {
		t.Fatalf("replaced it with %+v, %t, %v", p, created, err)
	}
	if got := w.grant(g.ID); got.State != access.GrantRevoked {
		t.Errorf("the grant of the machine that is not guarded any more is %s", got.State)
	}
	written := must(w.Records.Events(w.ctx, w.admin, engine.EventFilter{Kind: access.PolicyWritten},
		engine.Page{Limit: 1}))(
		t).Items[0]
	if written.Details["removed.0"] != "web-1" {
		t.Errorf("the event does not name the machine that is not guarded any more: %v", written.Details)
	}
	must(w.Directory.CreateResourceGroup(w.ctx, w.admin,
		directory.ResourceGroupInput{Name: "abroad", Location: "westeurope"}))(
		t)
	token := must2(w.Machines.MakeEnrollmentToken(w.ctx, w.admin,
		machines.TokenInput{Name: "web-3", ResourceGroup: "abroad"}))(
		t)
	abroad := must(w.Machines.Enroll(w.ctx, office, machines.EnrollInput{Token: token, Name: "web-3"}, fingerprint))(
		t).Machine
	if abroad.Location != "westeurope" {
		t.Errorf("a host enrolls in the location %q, and its resource group is in westeurope", abroad.Location)
	}
	far := sshPolicy()
	far.Machine = abroad.ID
	for _, at := range []access.ResourceID{
		id, access.PolicyResource(sub, "abroad", "local", "mine"),
		access.PolicyResource(sub, "default", "westeurope", "mine"),
	} {
		_, _, err := w.Machines.PutPolicy(w.ctx, w.admin,
			machines.PolicyInput{Resource: at, Machines: []access.MachinePolicy{far}}, nil)
		wantCode(t, err, access.KindInvalid, "machineElsewhere")
	}
	must2(w.Machines.PutPolicy(w.ctx, w.admin,
		machines.PolicyInput{
			Resource: access.PolicyResource(sub, "ABROAD", "WestEurope", "mine"),
			Machines: []access.MachinePolicy{far},
		},
		nil))(
		t)
	for code, in := range map[string]machines.PolicyInput{
		"machineGuarded":       {Resource: id + "2", Machines: []access.MachinePolicy{entry}},
		"malformedPolicy":      {Resource: id, Machines: []access.MachinePolicy{entry, entry}},
		"unknownMachine":       {Resource: id, Machines: []access.MachinePolicy{{Machine: "nix"}}},
		"malformedResourceId":  {Resource: access.ResourceGroupScope(sub, "default") + "/nonsense"},
		"unknownResourceGroup": {Resource: access.PolicyResource(sub, "nix", "local", "mine")},
	} {
		if _, _, err := w.Machines.PutPolicy(w.ctx, w.admin, in, nil); access.CodeOf(err) != code {
			t.Errorf("got %v, want %s", err, code)
		}
	}
	if err := w.Machines.DeletePolicy(w.ctx, w.admin, id, nil); err != nil {
		t.Fatal(err)
	}
	_, err = w.Machines.PolicyByResource(w.ctx, w.admin, id)
	wantCode(t, err, access.KindNotFound, "unknownPolicy")
}
