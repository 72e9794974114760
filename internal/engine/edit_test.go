package engine_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/fleet"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// TestSeveralPoliciesAreEditedTogether holds that a preview tells for each machine what would change and what would
// end, and changes nothing; that each is saved only as it was seen; and that what was shown is what becomes of it.
func TestSeveralPoliciesAreEditedTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"web-1", "web-2", "web-3"} {
		w.host(name)
	}
	w.guard("web-1")
	w.scopePolicy(machines.ScopePolicyInput{Name: "all", Rules: portsFor(time.Hour, 22, 3389)})
	long := must(w.Requests.Submit(w.ctx, w.admin, ssh("web-1", 2*time.Hour)))(t).Grants[0].ID
	short := must(w.Requests.Submit(w.ctx, w.admin, ssh("web-1", 20*time.Minute)))(t).Grants[0].ID

	next, since := portsFor(30*time.Minute, 22, 443), w.size()
	list := must(w.Fleet.PreviewPolicies(w.ctx, w.admin, []string{"web-1", "web-2", "nowhere", "web-1"}, next))(t)
	if w.size() != since {
		t.Errorf("a preview leaves %s", w.kinds(since))
	}
	said := func(o fleet.Outcome) string {
		var b strings.Builder
		for _, c := range o.Change.Ports {
			was, will := time.Duration(0), time.Duration(0)
			if c.Was != nil {
				was = c.Was.Max
			}
			if c.Will != nil {
				will = c.Will.Max
			}
			fmt.Fprintf(&b, "%s/%s %s→%s ", c.Ports, c.Protocol, was, will)
		}
		for _, g := range o.Change.Ends {
			fmt.Fprintf(&b, "ends %s ", g.Grant.End.Sub(g.Grant.Start))
		}
		if o.Refused != nil {
			b.WriteString(o.Refused.Code)
		}
		return b.String()
	}
	for i, want := range []string{
		"22/tcp 3h0m0s→30m0s 443/tcp 0s→30m0s ends 2h0m0s ", "22/tcp 1h0m0s→30m0s 443/tcp 0s→30m0s ", "unknownMachine",
		"22/tcp 3h0m0s→30m0s 443/tcp 0s→30m0s ends 2h0m0s machineTwice",
	} {
		if got := said(list[i]); got != want {
			t.Errorf("of %s it is said: %s, want %s", list[i].Machine, got, want)
		}
	}
	if list[0].Change.Revision == 0 || list[1].Change.Revision != 0 || len(list[0].Change.Was) != 2 {
		t.Errorf("the revisions are %d and %d, and %d guard web-1", list[0].Change.Revision, list[1].Change.Revision,
			len(list[0].Change.Was))
	}

	// Somebody else edits web-1 meanwhile.
	mine := []fleet.Edited{
		{Machine: "web-1", Revision: list[0].Change.Revision}, {Machine: "web-2"}, {Machine: "web-3"},
	}
	other := must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", portsFor(3*time.Hour, 22, 80), nil))(t)
	since = w.size()
	_, err := w.Fleet.SavePolicies(w.ctx, w.admin, mine, next, true)
	wantCode(t, err, access.KindConflict, "policyChanged")
	if got := w.kinds(since); got != "" {
		t.Errorf("nothing half done, but %s", got)
	}
	if d := must(w.Machines.MachinePolicy(w.ctx, w.admin, "web-2"))(t); d.Guards[0].Policy.Reach == "" {
		t.Error("web-2 has a policy of its own")
	}
	out := must(w.Fleet.SavePolicies(w.ctx, w.admin, mine, next, false))(t)
	if out[0].Refused == nil || out[0].Refused.Code != "policyChanged" || out[1].Refused != nil || out[2].Refused != nil {
		t.Errorf("of each for itself becomes %+v", out)
	}
	if g := w.grant(long); g.State.Ended() {
		t.Errorf("on web-1 it is %s", g.State)
	}
	mine = []fleet.Edited{{Machine: "web-1", Revision: other.Entry.Revision}}
	for _, o := range out[1:] {
		mine = append(mine, fleet.Edited{Machine: o.Machine, Revision: o.Saved.Entry.Revision})
	}
	must(w.Fleet.SavePolicies(w.ctx, w.admin, mine, next, true))(t)
	if a, b := w.grant(short), w.grant(long); a.State.Ended() || b.State != access.GrantRevoked {
		t.Errorf("what was said to stay is %s, and what was said to end %s", a.State, b.State)
	}
}

// TestOfManyMachinesSomeMayNotBeEdited holds that of 300 machines of which ten may not be edited the ten are named: the
// others are changed where each is for itself, and none where all are together.
func TestOfManyMachinesSomeMayNotBeEdited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := must(w.Directory.CreateResourceGroup(w.ctx, w.admin, directory.ResourceGroupInput{Name: "mine"}))(t)
	gateway := w.enrol("edge", access.ModeGateway)
	ann := w.user("ann", "Reader")
	must(w.Roles.AssignRole(w.ctx, w.admin, roles.AssignInput{
		Principal: "ann", Role: "Contributor", Scope: access.ResourceGroupScope(group.Subscription, group.Name),
	}))(t)
	var list []fleet.Edited
	for i := range 300 {
		in := machines.AddMachineInput{
			Name: fmt.Sprintf("m-%03d", i), Gateway: gateway.Agent.Name, Addresses: addressNumber(i), ResourceGroup: "mine",
		}
		if i%30 == 7 {
			in.ResourceGroup = "default"
		}
		must(w.Machines.AddMachine(w.ctx, w.admin, in))(t)
		list = append(list, fleet.Edited{Machine: in.Name})
	}
	_, err := w.Fleet.SavePolicies(w.ctx, ann, list, portsFor(time.Hour, 22), true)
	var refusal *access.Error
	if !engine.AsError(err, &refusal) || refusal.Kind != access.KindForbidden || len(refusal.Reasons) != 10 ||
		refusal.Reasons[1].Field != "machines[37]" || !strings.HasPrefix(refusal.Reasons[1].Message, "m-037: ") {
		t.Fatalf("all together: %v %+v", err, refusal)
	}
	names := make([]string, len(list))
	for i, m := range list {
		names[i] = m.Machine
	}
	preview := must(w.Fleet.PreviewPolicies(w.ctx, ann, names, portsFor(time.Hour, 22)))(t)
	out := must(w.Fleet.SavePolicies(w.ctx, ann, list, portsFor(time.Hour, 22), false))(t)
	for i := range list {
		if refused := i%30 == 7; (out[i].Refused != nil) != refused || (preview[i].Refused != nil) != refused {
			t.Errorf("%s: shown %v, saved %v", names[i], preview[i].Refused, out[i].Refused)
		}
	}
	_, err = w.Fleet.PreviewPolicies(w.ctx, ann, slices.Repeat(names, 2), portsFor(time.Hour, 22))
	wantCode(t, err, access.KindInvalid, "tooManyMachines")
}

func addressNumber(i int) []netip.Addr {
	return []netip.Addr{netip.AddrFrom4([4]byte{10, 9, byte(i / 250), byte(i%250 + 1)})}
}
