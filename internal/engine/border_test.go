package engine_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/apps"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// unnamed fails where something that is told in another tenant says who one of people is.
func unnamed(tb testing.TB, face string, told any, people ...engine.Caller) {
	tb.Helper()
	text := string(must(json.Marshal(told))(tb))
	for _, p := range people {
		for _, mark := range []string{string(p.Principal), p.Name, p.Address.String()} {
			if i := strings.Index(text, mark); i >= 0 {
				tb.Errorf("%s tells of %s: …%s…", face, mark, text[max(0, i-200):min(len(text), i+len(mark)+60)])
			}
		}
	}
}

// faces gives everything in which a caller may read of what is another tenant's.
func (m *market) faces(c engine.Caller) map[string]any {
	m.tb.Helper()
	out := map[string]any{}
	read := func(face string, v any, err error) {
		if k := access.KindOf(err); err != nil && k != access.KindForbidden && k != access.KindNotFound {
			m.tb.Fatalf("%s: %v", face, err)
		}
		out[face] = v
		if err != nil {
			out[face] = err.Error()
		}
	}
	all := engine.Page{Limit: 1000}
	events, err := m.Records.Events(m.ctx, c, engine.EventFilter{}, all)
	read("activity log", events, err)
	for _, e := range events.Items {
		one, err := m.Records.Event(m.ctx, c, e.Seq)
		read(fmt.Sprint("event ", e.Seq), one, err)
	}
	asked, err := m.Requests.Requests(m.ctx, c, engine.RequestFilter{}, all)
	read("requests", asked, err)
	for _, d := range asked.Items {
		one, err := m.Requests.Request(m.ctx, c, d.Request.ID)
		read("request "+string(d.Request.ID), one, err)
		if d.Request.Resource != "" {
			one, err = m.Requests.RequestNamed(m.ctx, c, d.Request.Resource)
			read("request "+string(d.Request.Resource), one, err)
		}
	}
	grants, err := m.Requests.Grants(m.ctx, c, engine.GrantFilter{}, all)
	read("grants", grants, err)
	deployed, err := m.Apps.Applications(m.ctx, c, engine.ApplicationFilter{}, all)
	read("applications", deployed, err)
	definitions, err := m.Apps.AppDefinitions(m.ctx, c, "", false, all)
	read("definitions", definitions, err)
	mine, err := m.Roles.EligibleRoles(m.ctx, c)
	read("eligible roles", mine, err)
	for _, d := range mine {
		one, err := m.Roles.Eligibility(m.ctx, c, d.Eligibility.ID)
		read("eligibility", one, err)
	}
	eligible, err := m.Roles.Eligibilities(m.ctx, c, engine.EligibilityFilter{}, all)
	read("eligibilities", eligible, err)
	assigned, err := m.Roles.RoleAssignments(m.ctx, c, roles.AssignmentFilter{}, all)
	read("role assignments", assigned, err)
	denied, err := m.Apps.DenyAssignments(m.ctx, c, "")
	read("deny assignments", denied, err)
	changes, err := m.Roles.RoleChanges(m.ctx, c, engine.RoleChangeFilter{}, all)
	read("role changes", changes, err)
	reviews, err := m.Requests.Reviews(m.ctx, c, engine.ReviewFilter{}, all)
	read("reviews", reviews, err)
	alerts, err := m.Alerts.Alerts(m.ctx, c, engine.AlertFilter{}, all)
	read("alerts", alerts, err)
	policies, err := m.Machines.Policies(m.ctx, c, engine.PolicyFilter{}, all)
	read("policies", policies, err)
	guarded, err := m.Requests.Guarded(m.ctx, c, all)
	read("guarded", guarded, err)
	return out
}

// TestThePublisherIsToldOfNobody leads activations through everything that may become of them, and an application from
// its deployment to its end. Nowhere is any of the publisher's people told who of the customer's did what.
func TestThePublisherIsToldOfNobody(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	quentin, quorra := m.user("quentin-deploys", "Owner"), m.user("quorra-approves", "")
	quentin.Address, quorra.Address = netip.MustParseAddr("203.0.113.71"), netip.MustParseAddr("2001:db8::7172")
	people := []engine.Caller{quentin, quorra}
	m.listen(m.admin.Tenant, m.publisher.ID)
	settings := func(longest time.Duration) *app.Settings {
		return &app.Settings{
			JIT: true, Mode: app.Manual, Longest: longest,
			Approvers: []app.Approver{{ID: quorra.Principal}},
		}
	}
	must(m.Apps.DeployApplication(m.ctx, quentin,
		apps.ApplicationInput{
			Name: "shop", Definition: "vendor/shop", Settings: settings(2 * time.Hour),
			Parameters: `{"by": "quentin-deploys"}`,
		}))(
		t)
	must(m.Apps.ChangeApplication(m.ctx, quentin, "shop", apps.ApplicationChange{Settings: settings(time.Hour)}))(t)
	walk := func(when string) {
		t.Helper()
		for name, c := range map[string]engine.Caller{"vic": m.vic, "vera": m.vera} {
			for face, told := range m.faces(c) {
				unnamed(t, when+", "+name+", "+face, told, people...)
			}
		}
		for _, n := range m.told() {
			if n.Tenant == m.publisher.ID {
				unnamed(t, when+", notice "+string(n.Kind), n, people...)
			}
		}
	}
	ask := func(in requests.ActivateInput) access.Request {
		t.Helper()
		d := must(m.Requests.Activate(m.ctx, m.vic, in))(t)
		unnamed(t, "what is answered to who asks", d, people...)
		return d.Request
	}
	decide := func(r access.Request, approve bool) access.GrantID {
		t.Helper()
		d := must(m.Requests.Decide(m.ctx, quorra, r.ID, approve, "go on", r.Digest))(t)
		if !approve {
			return ""
		}
		return d.Grants[0].ID
	}
	named := m.activate(time.Hour)
	named.Resource = "/subscriptions/x/resourceGroups/y/providers/Microsoft.Solutions/jitRequests/first"
	open := decide(ask(named), true)
	walk("active")
	must(m.Requests.Revoke(m.ctx, quorra, open, "enough"))(t)
	decide(ask(m.activate(30*time.Minute)), false)
	must(m.Requests.Cancel(m.ctx, quentin, ask(m.activate(20*time.Minute)).ID, "not today"))(t)
	later := m.activate(time.Hour)
	later.Start = m.clock.now().Add(time.Hour)
	lapses := decide(ask(later), true)
	waits := ask(m.activate(10 * time.Minute))
	walk("waiting")
	must(m.Directory.ChangePrincipal(m.ctx, m.admin, "quorra-approves",
		directory.PrincipalChange{Disabled: new(true)}))(
		t)
	m.clock.advance(time.Hour)
	m.reconcile()
	if g := m.grant(lapses); g.State != access.GrantRevoked || !strings.Contains(g.Reason, "approval no longer holds") {
		t.Fatalf("what nobody agrees to any more is %s: %s", g.State, g.Reason)
	}
	must(m.Directory.ChangePrincipal(m.ctx, m.admin, "quorra-approves",
		directory.PrincipalChange{Disabled: new(false)}))(
		t)
	_, err := m.Requests.Decide(m.ctx, m.vic, waits.ID, true, "", waits.Digest)
	unnamed(t, "a refusal", fmt.Sprint(err), people...)
	decide(waits, true)
	walk("lapsed")
	if err := m.Apps.DeleteApplication(m.ctx, quentin, "shop", true); err != nil {
		t.Fatal(err)
	}
	walk("deleted")
	var got []string
	for _, e := range must(m.Records.Events(m.ctx, m.vera, engine.EventFilter{}, engine.Page{Limit: 1000}))(t).Items {
		got = append(got, string(e.Kind)+" by "+e.Actor.Name)
	}
	for _, want := range []string{
		"application.created by default", "application.changed by default", "application.deleted by default",
		"request.submitted by vic@vendor",
		"decision.made by default", "request.approved by default", "request.denied by default",
		"request.canceled by default", "grant.opened by postern", "grant.revoked by default",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("the publisher's log has no %s: %q", want, got)
		}
	}
}

// TestGuestsAreNotToldWhomRulesName has a reader of another tenant at a resource group with a machine.
func TestGuestsAreNotToldWhomRulesName(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	quorra := m.user("quorra-approves", "")
	quorra.Address = netip.MustParseAddr("2001:db8::7172")
	m.host("web-1")
	entry := portsPolicy(22, 22)
	entry.Approval = access.Rule{Cases: []access.Case{
		{Stages: []access.Stage{{AllOf: []access.Quorum{{Count: 1, People: []access.PrincipalID{quorra.Principal}}}}}},
	}}
	entry.BreakGlass = &access.BreakGlass{People: []access.PrincipalID{quorra.Principal}, Max: time.Hour}
	must(m.Machines.SetMachinePolicy(m.ctx, m.admin, "web-1", entry, nil))(t)
	scope := must(m.Machines.Machine(m.ctx, m.admin, "web-1"))(t).Machine.Resource
	give := func(role rbac.DefinitionID) {
		err := m.store.Update(m.ctx, func(tx engine.Tx) error {
			return tx.SaveRoleAssignment(m.ctx, rbac.Assignment{
				ID: "guest-" + rbac.AssignmentID(role), Tenant: m.admin.Tenant, Principal: m.vic.Principal,
				Definition: role, CreatedBy: quorra.Principal, CreatedAt: m.clock.now(),
				Scope: access.ResourceGroupScope(scope.InSubscription(), scope.Segment("resourceGroups")),
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	give(rbac.Reader)
	read := func() map[string]any {
		out := m.faces(m.vic)
		out["policy of the machine"] = must(m.Machines.MachinePolicy(m.ctx, m.vic, "web-1"))(t).Guards[0]
		out["explanation"] = must(m.Requests.Explain(m.ctx, m.vic,
			requests.Question{Machine: "web-1", Ports: access.SinglePort(22), Protocol: access.TCP}))(
			t)
		return out
	}
	for face, told := range read() {
		unnamed(t, face, told, quorra)
	}
	if d := must(m.Machines.MachinePolicy(m.ctx, m.vic, "web-1"))(
		t).Guards[0]; d.Entry.Approval.Cases[0].Stages[0].AllOf[0].Count != 1 {
		t.Errorf("how many have to agree is not told: %+v", d.Entry.Approval)
	}
	give(rbac.Contributor) // who may write it has to know what it says, or would write it without
	if d := must(m.Machines.MachinePolicy(m.ctx, m.vic, "web-1"))(
		t).Guards[0]; !slices.Contains(d.Entry.Approval.Cases[0].Stages[0].AllOf[0].People, quorra.Principal) {
		t.Errorf("who may write the policy reads %+v", d.Entry.Approval)
	}
}
