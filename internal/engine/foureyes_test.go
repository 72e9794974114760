package engine_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// loosenedUses gives the alerts that somebody used a policy which they loosened.
func (w *world) loosenedUses() int {
	w.tb.Helper()
	w.tend()
	list := must(w.Alerts.Alerts(w.ctx, w.admin, engine.AlertFilter{}, engine.Page{Limit: 100}))(w.tb)
	n := 0
	for _, a := range list.Items {
		if a.Rule == alert.LoosenedUse {
			n++
		}
	}
	return n
}

// TestWhoLoosensAPolicyAndUsesItIsSeen holds that nobody takes the four eyes of a policy away for themselves unseen,
// however they do it.
func TestWhoLoosensAPolicyAndUsesItIsSeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		loosen func(w *approvable, writer engine.Caller)
		by     string // who asks then
		after  time.Duration
		want   int
	}{
		"in place": {func(w *approvable, writer engine.Caller) {
			must(w.Machines.SetMachinePolicy(w.ctx, writer, "web-1", sshPolicy(), nil))(w.tb)
		}, "eve", time.Minute, 1},
		"deleted and set anew": {func(w *approvable, writer engine.Caller) {
			if err := w.Machines.DeleteMachinePolicy(w.ctx, writer, "web-1", nil); err != nil {
				w.tb.Fatal(err)
			}
			must(w.Machines.SetMachinePolicy(w.ctx, writer, "web-1", sshPolicy(), nil))(w.tb)
		}, "eve", time.Minute, 1},
		"and touched by another since": {func(w *approvable, writer engine.Caller) {
			must(w.Machines.SetMachinePolicy(w.ctx, writer, "web-1", sshPolicy(), nil))(w.tb)
			p := sshPolicy()
			p.PendingTimeout = time.Hour
			must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(w.tb)
		}, "eve", time.Minute, 1},
		"used by another": {func(w *approvable, writer engine.Caller) {
			must(w.Machines.SetMachinePolicy(w.ctx, writer, "web-1", sshPolicy(), nil))(w.tb)
		}, "ann", time.Minute, 0},
		"long ago": {func(w *approvable, writer engine.Caller) {
			must(w.Machines.SetMachinePolicy(w.ctx, writer, "web-1", sshPolicy(), nil))(w.tb)
		}, "eve", access.LoosenedFor, 0},
		"made stricter": {func(w *approvable, writer engine.Caller) {
			p := twoOfOps(w.ops)
			p.Ports[0].Max = time.Hour
			must(w.Machines.SetMachinePolicy(w.ctx, writer, "web-1", p, nil))(w.tb)
		}, "eve", time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newApprovable(t, twoOfOps)
			people := map[string]engine.Caller{"eve": w.bystander, "ann": w.ann}
			c.loosen(w, w.bystander)
			w.clock.advance(c.after)
			must(w.Requests.Submit(w.ctx, people[c.by], ssh("web-1", time.Hour)))(t)
			if got := w.loosenedUses(); got != c.want {
				t.Errorf("%d alerts, want %d", got, c.want)
			}
		})
	}
}

// TestWhoLoosensAnEligibilityAndUsesItIsSeen holds the same for roles: whoever may say who is eligible, and under which
// rule, does not become eligible by their own hand unseen.
func TestWhoLoosensAnEligibilityAndUsesItIsSeen(t *testing.T) {
	t.Parallel()
	guarded := func(v *vendor) engine.EligibilityDetail {
		return v.eligible(func(in *roles.EligibilityInput) { in.Principal, in.Approval = "vic", v.opsDecide() })
	}
	change := func(v *vendor, d engine.EligibilityDetail, change func(*roles.EligibilityInput)) {
		e := d.Eligibility
		in := roles.EligibilityInput{
			ID: e.ID, Was: e.Revision, Max: e.Max, Approval: e.Approval, Start: e.Start,
			End: e.End,
		}
		change(&in)
		must(v.Roles.WriteEligibility(v.ctx, v.vic, in))(v.tb)
	}
	automatic := func(in *roles.EligibilityInput) { in.Approval = access.Rule{} }
	for name, c := range map[string]struct {
		loosen func(v *vendor)
		after  time.Duration
		want   int
	}{
		"in place": {func(v *vendor) { change(v, guarded(v), automatic) }, time.Minute, 1},
		"longer": {func(v *vendor) {
			change(v, v.eligible(func(in *roles.EligibilityInput) { in.Principal = "vic" }),
				func(in *roles.EligibilityInput) { in.Max = 5 * time.Hour })
		}, time.Minute, 1},
		"deleted and made anew": {func(v *vendor) {
			if err := v.Roles.DeleteEligibility(v.ctx, v.vic, guarded(v).Eligibility.ID); err != nil {
				v.tb.Fatal(err)
			}
			must(v.Roles.WriteEligibility(v.ctx, v.vic,
				roles.EligibilityInput{Principal: "vic", Role: "Contributor", Scope: v.scope}))(
				v.tb)
		}, time.Minute, 1},
		"by a change of roles": {func(v *vendor) {
			must(v.Roles.ChangeRole(v.ctx, v.vic, roles.RoleChangeInput{
				ID: access.RoleChangeID(uuid.NewString()), Of: access.OfEligibility, Kind: access.RoleChangeAssign,
				Principal: "vic", Role: "Contributor", Scope: v.scope,
			}))(v.tb)
		}, time.Minute, 1},
		"long ago": {func(v *vendor) { change(v, guarded(v), automatic) }, access.LoosenedFor, 0},
		"by another": {
			func(v *vendor) { v.eligible(func(in *roles.EligibilityInput) { in.Principal = "vic" }) },
			time.Minute, 0,
		},
		"made shorter": {func(v *vendor) {
			change(v, v.eligible(func(in *roles.EligibilityInput) { in.Principal = "vic" }),
				func(in *roles.EligibilityInput) { in.Max = 3 * time.Hour })
		}, time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t)
			must(v.Roles.AssignRole(v.ctx, v.admin,
				roles.AssignInput{Principal: "vic", Role: "User Access Administrator", Scope: v.scope}))(
				t)
			c.loosen(v)
			v.clock.advance(c.after)
			must(v.Requests.Activate(v.ctx, v.vic, contributor(time.Hour)))(t)
			if got := v.loosenedUses(); got != c.want {
				t.Errorf("%d alerts, want %d", got, c.want)
			}
		})
	}
}

// TestPortsAloneKeepTheApprovalRule holds that a client that knows of ports alone cannot take a rule away by taking the
// machine out and putting it back, nor by deleting the policy in between.
func TestPortsAloneKeepTheApprovalRule(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(w *approvable, id access.ResourceID){
		"the machine was taken out": func(w *approvable, id access.ResourceID) {
			w.world.host("web-2")
			other := must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-2", sshPolicy(), nil))(w.tb)
			must2(w.Machines.PutPolicy(w.ctx, w.admin,
				machines.PolicyInput{
					Resource: id, PortsOnly: true,
					Machines: []access.MachinePolicy{{Machine: other.Machine.ID, Ports: sshPolicy().Ports}},
				},
				nil))(
				w.tb)
		},
		"the policy was deleted": func(w *approvable, id access.ResourceID) {
			if err := w.Machines.DeletePolicy(w.ctx, w.admin, id, nil); err != nil {
				w.tb.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newApprovable(t, twoOfOps)
			was := must(w.Machines.MachinePolicy(w.ctx, w.admin, "web-1"))(t).Guards[0]
			away(w, was.Policy.Resource)
			if _, err := w.Machines.MachinePolicy(w.ctx, w.admin, "web-1"); access.KindOf(err) != access.KindNotFound {
				t.Fatalf("the machine is guarded still: %v", err)
			}
			back := machines.PolicyInput{
				Resource: was.Policy.Resource, PortsOnly: true,
				Machines: []access.MachinePolicy{{Machine: was.Machine.ID, Ports: sshPolicy().Ports}},
			}
			must2(w.Machines.PutPolicy(w.ctx, w.admin, back, nil))(t)
			if now := must(w.Machines.MachinePolicy(w.ctx, w.admin, "web-1"))(t).Guards[0]; now.Entry.Approval.Automatic() {
				t.Error("its approval rule is gone")
			}
			w.ask()
		})
	}
}

// TestWhoMadeASecretDoesNotDecideForIt holds that nobody asks as a service principal and agrees as themselves.
func TestWhoMadeASecretDoesNotDecideForIt(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	robot := must(w.Directory.CreatePrincipal(w.ctx, w.admin,
		directory.PrincipalInput{Kind: access.ServicePrincipal, Name: "robot"}))(
		t)
	must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: "robot", Role: "JIT Access Requester", Scope: access.Root}))(
		t)
	must(w.Roles.AssignRole(w.ctx, w.admin, roles.AssignInput{Principal: "bob", Role: "Owner", Scope: access.Root}))(t)
	_, secret, err := w.Directory.AddSecret(w.ctx, w.bob, "robot", directory.SecretInput{Name: "s"})
	if err != nil {
		t.Fatal(err)
	}
	d := must(w.Requests.Submit(w.ctx, caller(robot), ssh("web-1", time.Hour)))(t)
	for _, deleted := range []bool{false, true} {
		if deleted { // which does not make it unknown to bob
			if err := w.Directory.DeleteSecret(w.ctx, w.bob, "robot", secret.ID); err != nil {
				t.Fatal(err)
			}
		}
		_, err := w.decide(w.bob, d, true)
		wantCode(t, err, access.KindForbidden, "notAnApprover")
	}
	if d = must(w.decide(w.cy, d, true))(t); d.Request.State != access.RequestApproved {
		t.Errorf("approved by another, the request is %s", d.Request.State)
	}
}

// TestWhoLabelsAMachineAndUsesItIsSeen holds that nobody moves a machine into an easier case of its rule for themselves
// unseen.
func TestWhoLabelsAMachineAndUsesItIsSeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		when string
		want int
	}{
		"the rule looks at labels": {`machine.labels["env"] == "dev"`, 1},
		"the rule looks elsewhere": {`machine.name == "web-1"`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newApprovable(t, func(ops access.PrincipalID) access.MachinePolicy {
				p := oneOfOps(ops)
				p.Approval.Cases = append([]access.Case{{Name: "easy", When: c.when}}, p.Approval.Cases...)
				return p
			})
			guard := must(w.Machines.MachinePolicy(w.ctx, w.admin, "web-1"))(t).Guards[0].Entry.Revision
			must(w.Machines.LabelMachine(w.ctx, w.admin, "web-1", map[string]string{"env": "prod"}, nil))(t)
			must(w.Machines.LabelMachine(w.ctx, w.bystander, "web-1", map[string]string{"env": "dev"}, nil))(t)
			if got := must(w.Machines.MachinePolicy(w.ctx, w.admin, "web-1"))(t).Guards[0].Entry.Revision; got != guard {
				t.Errorf("what the policy says of the machine is of revision %d, and was of %d", got, guard)
			}
			if d := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", time.Hour)))(
				t); d.Request.State != access.RequestApproved {
				t.Fatalf("it is %s", d.Request.State)
			}
			if got := w.loosenedUses(); got != 0 {
				t.Errorf("%d alerts of somebody who labeled nothing", got)
			}
			must(w.Requests.Submit(w.ctx, w.bystander, ssh("web-1", time.Hour)))(t)
			if got := w.loosenedUses(); got != c.want {
				t.Errorf("%d alerts, want %d", got, c.want)
			}
		})
	}
}

// TestWhoWidensANetworkAndUsesItIsSeen holds that nobody makes a name in a policy stand for more addresses for
// themselves unseen.
func TestWhoWidensANetworkAndUsesItIsSeen(t *testing.T) {
	t.Parallel()
	const wide = "0.0.0.0/0"
	for name, c := range map[string]struct {
		prefix string // that eve gives it
		named  string // by the policy of web-1
		by     string // who asks then
		after  time.Duration
		want   int
	}{
		"widened":                    {prefix: wide, named: "office", by: "eve", after: time.Minute, want: 1},
		"by another name":            {prefix: wide, named: "Office", by: "eve", after: time.Minute, want: 1},
		"long ago":                   {prefix: wide, named: "office", by: "eve", after: access.LoosenedFor},
		"used by another":            {prefix: wide, named: "office", by: "ann", after: time.Minute},
		"narrowed":                   {prefix: "203.0.113.0/28", named: "office", by: "eve", after: time.Minute},
		"not what the policy names":  {prefix: wide, named: "elsewhere", by: "eve", after: time.Minute},
		"made, and named by another": {prefix: wide, named: "new", by: "eve", after: time.Minute, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newApprovable(t, func(access.PrincipalID) access.MachinePolicy { return sshPolicy() })
			set := func(by engine.Caller, name, prefix string) {
				must(w.Machines.SetNetwork(w.ctx, by, name, []netip.Prefix{netip.MustParsePrefix(prefix)}, nil))(t)
			}
			set(w.admin, "office", "203.0.113.0/24")
			set(w.admin, "elsewhere", "203.0.113.0/24")
			if c.named == "new" {
				set(w.bystander, "new", c.prefix)
			}
			p := sshPolicy()
			p.Ports[0].Networks = []string{c.named}
			must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
			if c.named != "new" {
				set(w.bystander, "office", c.prefix)
			}
			set(w.admin, "office", c.prefix) // which changes nothing, and hides nothing
			w.clock.advance(c.after)
			people := map[string]engine.Caller{"eve": w.bystander, "ann": w.ann}
			must(w.Requests.Submit(w.ctx, people[c.by], ssh("web-1", time.Hour)))(t)
			if got := w.loosenedUses(); got != c.want {
				t.Errorf("%d alerts, want %d", got, c.want)
			}
			if saved := must(w.Machines.MachinePolicy(w.ctx, w.admin, "web-1"))(t).Guards[0].Entry; len(saved.Loosened) != 0 {
				t.Errorf("what is remembered of the network is written to the machine: %+v", saved.Loosened)
			}
		})
	}
}

// TestWhoJoinsAGroupAndUsesItIsSeen holds that nobody falls under an easier case, or becomes eligible, by a place in a
// group that they gave themselves, unseen.
func TestWhoJoinsAGroupAndUsesItIsSeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		join  func(w *approvable) error
		when  string
		after time.Duration
		ports int // alerts of a request for a port
		named int // events of what names the group: an eligibility, and who may break the glass
	}{
		"by themselves": {
			func(w *approvable) error { return w.Directory.AddMember(w.ctx, w.bystander, "fast", "eve") },
			`"fast" in requester.groups`, time.Minute, 1, 1,
		},
		"by a group that they are in": {
			func(w *approvable) error { return w.Directory.AddMember(w.ctx, w.bystander, "fast", "team") },
			`"fast" in requester.groups`, time.Minute, 1, 1,
		},
		"by another": {
			func(w *approvable) error { return w.Directory.AddMember(w.ctx, w.admin, "fast", "eve") },
			`"fast" in requester.groups`, time.Minute, 0, 0,
		},
		"long ago": {
			func(w *approvable) error { return w.Directory.AddMember(w.ctx, w.bystander, "fast", "eve") },
			`"fast" in requester.groups`, access.LoosenedFor + time.Minute, 0, 0,
		},
		"the rule looks elsewhere": {
			func(w *approvable) error { return w.Directory.AddMember(w.ctx, w.bystander, "fast", "eve") },
			`machine.name == "web-1"`, time.Minute, 0, 1,
		},
		"somebody else": {func(w *approvable) error {
			if err := w.Directory.AddMember(w.ctx, w.bystander, "fast", "ann"); err != nil {
				return err
			}
			return w.Directory.AddMember(w.ctx, w.admin, "fast", "eve")
		}, `"fast" in requester.groups`, time.Minute, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newApprovable(t, fastTrack(c.when))
			fast := w.group("fast")
			w.group("team", w.bystander)
			must(w.Roles.WriteEligibility(w.ctx, w.admin,
				roles.EligibilityInput{Principal: "fast", Role: "Contributor", Max: time.Hour}))(
				t)
			if err := c.join(w); err != nil {
				t.Fatal(err)
			}
			w.clock.advance(c.after)
			if d := must(w.Requests.Submit(w.ctx, w.bystander, ssh("web-1", time.Hour)))(
				t); d.Request.State != access.RequestApproved {
				t.Fatalf("it is %s", d.Request.State)
			}
			if got := w.loosenedUses(); got != c.ports {
				t.Errorf("%d alerts of a port, want %d", got, c.ports)
			}
			before := w.size()
			must(w.Requests.Activate(w.ctx, w.bystander, contributor(time.Hour)))(t)
			if got := strings.Count(w.kinds(before), string(access.PolicyExploited)); got != c.named {
				t.Errorf("%d events of a role, want %d", got, c.named)
			}
			p := oneOfOps(w.ops)
			p.BreakGlass = &access.BreakGlass{Groups: []access.PrincipalID{fast}, Max: time.Hour}
			must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
			before = w.size()
			in := ssh("web-1", time.Hour)
			in.BreakGlass = true
			must(w.Requests.Submit(w.ctx, w.bystander, in))(t)
			if got := strings.Count(w.kinds(before), string(access.PolicyExploited)); got != c.named {
				t.Errorf("%d events of broken glass, want %d", got, c.named)
			}
		})
	}
}
