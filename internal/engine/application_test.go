package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/apps"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/notices"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/services"
)

// market is a world with a customer, whose administrator is the world's, and a publisher of another tenant: vera is its
// administrator, vic is in its group vendors, and the definition "shop" offers vendors Contributor for four hours at
// most.
type market struct {
	*world
	vera, vic, ann engine.Caller // ann is the customer's, and approves
	publisher      access.Tenant
	definition     apps.AppDefinitionDetail
}

func newMarket(tb testing.TB, change func(*apps.AppDefinitionInput)) *market {
	tb.Helper()
	w := newWorld(tb)
	m := &market{world: w, ann: w.user("ann", "")}
	m.publisher = access.Tenant{
		ID: access.TenantID(uuid.NewString()), Name: "vendor",
		CreatedAt: w.clock.now().Add(time.Second),
	}
	sub := access.Subscription{
		ID: access.SubscriptionID(uuid.NewString()), Tenant: m.publisher.ID, Name: "vendor",
		CreatedAt: w.clock.now(),
	}
	person := func(name string, kind access.PrincipalKind) access.Principal {
		return access.Principal{
			ID: access.PrincipalID(uuid.NewString()), Tenant: m.publisher.ID, Kind: kind,
			Name: name, CreatedAt: w.clock.now(), Revision: 1,
		}
	}
	vera, vic, vendors := person("vera", access.User), person("vic", access.User), person("vendors", access.Group)
	err := w.store.Update(w.ctx, func(tx engine.Tx) error {
		for _, err := range []error{
			tx.SaveTenant(w.ctx, m.publisher), tx.SaveSubscription(w.ctx, sub),
			tx.SaveResourceGroup(w.ctx,
				access.ResourceGroup{
					Subscription: sub.ID, Name: engine.DefaultResourceGroup,
					Location: engine.LocalLocation, CreatedAt: w.clock.now(),
				}),
			tx.SavePrincipal(w.ctx, vera, 0), tx.SavePrincipal(w.ctx, vic, 0), tx.SavePrincipal(w.ctx, vendors, 0),
			tx.AddMember(w.ctx, vendors.ID, vic.ID, "", w.clock.now()),
			tx.SaveRoleAssignment(w.ctx,
				rbac.Assignment{
					ID: "vera", Tenant: m.publisher.ID, Principal: vera.ID, Definition: rbac.Owner,
					Scope: access.Root, CreatedAt: w.clock.now(),
				}),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	m.vera, m.vic = caller(vera), caller(vic)
	in := shopOffer(func(in *apps.AppDefinitionInput) { in.Public = true })
	if change != nil {
		change(&in)
	}
	d, _, err := w.Apps.WriteAppDefinition(w.ctx, m.vera, in)
	if err != nil {
		tb.Fatal(err)
	}
	m.definition = d
	return m
}

func manual() *app.Settings {
	return &app.Settings{JIT: true, Mode: app.Manual, Longest: 2 * time.Hour, Approvers: []app.Approver{{ID: "ann"}}}
}

func (m *market) deploy(settings *app.Settings) apps.ApplicationDetail {
	m.tb.Helper()
	return must(m.Apps.DeployApplication(m.ctx, m.admin,
		apps.ApplicationInput{Name: "shop", Definition: "vendor/shop", Settings: settings}))(
		m.tb)
}

// since gives the kinds of the events from number start on, those of the publisher's log marked.
func (m *market) since(start int) string {
	m.tb.Helper()
	var kinds []string
	err := m.store.View(m.ctx, func(r engine.Reader) error {
		list, err := r.Events(m.ctx, engine.EventFilter{OldestFirst: true}, engine.Page{Limit: 1000})
		for _, e := range list.Items[start:] {
			kind := string(e.Kind)
			if e.Tenant == m.publisher.ID {
				kind = "vendor:" + kind
			}
			kinds = append(kinds, kind)
		}
		return err
	})
	if err != nil {
		m.tb.Fatal(err)
	}
	return strings.Join(kinds, " ")
}

func (m *market) may(c engine.Caller, action string, scope access.ResourceID) bool {
	return m.Directory.Check(m.ctx, c, action, scope) == nil
}

func (m *market) activate(d time.Duration) requests.ActivateInput {
	return requests.ActivateInput{
		Roles: []requests.EligibleRole{{Role: "Contributor"}}, Duration: d,
		Justification: "upgrade",
	}
}

func TestDeployedWithJITThePublisherReads(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	start := m.size()
	d := m.deploy(manual())
	a := d.Application
	if !strings.HasSuffix(string(a.Managed),
		"/resourceGroups/mrg-shop") || a.Publisher != m.publisher.ID || !d.Ours || d.Newest != 1 {
		t.Fatalf("deployed is %+v", d)
	}
	if got := m.since(start); got != "eligibility.written application.created vendor:application.created" {
		t.Errorf("events are %q", got)
	}
	for action, want := range map[string]map[string]bool{
		rbac.MachinesRead:  {"vic": true, "admin": true, "ann": false},
		rbac.MachinesWrite: {"vic": false, "admin": false, "ann": false},
		rbac.GrantsRevoke:  {"vic": false, "admin": true, "ann": false},
	} {
		for who, c := range map[string]engine.Caller{"vic": m.vic, "admin": m.admin, "ann": m.ann} {
			if got := m.may(c, action, a.Managed); got != want[who] {
				t.Errorf("%s: %s may: %v", action, who, got)
			}
		}
	}
	if list := must(m.Roles.EligibleRoles(m.ctx, m.vic))(
		t); len(list) != 1 || list[0].Eligibility.Max != 2*time.Hour || list[0].Eligibility.Origin != a.Resource {
		t.Errorf("vic is eligible for %+v", list)
	}
	if denials := must(m.Apps.DenyAssignments(m.ctx, m.admin, a.Managed))(t); len(denials) != 3 {
		t.Errorf("%d deny assignments stand", len(denials))
	}
}

func TestActivationOfAnApplication(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	a := m.deploy(manual()).Application
	asked := must(m.Requests.Activate(m.ctx, m.vic, m.activate(time.Hour)))(t)
	if asked.Request.State != access.RequestPending || m.may(m.vic, rbac.PoliciesWrite, a.Managed) {
		t.Fatalf("the request is %s", asked.Request.State)
	}
	unnamed := func(d requests.RequestDetail, who string, named bool) {
		t.Helper()
		whole := fmt.Sprintf("%+v %+v %+v", d.Progress, d.Decisions, d.Names)
		if got := strings.Contains(whole, string(m.ann.Principal)); got != named || len(d.Progress) != 1 {
			t.Errorf("that %s learns who approves is %t: %s", who, got, whole)
		}
		if stage := d.Progress[0].Case.Stages[0]; len(stage.AllOf) != 1 || stage.AllOf[0].Count != 1 {
			t.Errorf("%s does not learn how many have to agree: %+v", who, stage)
		}
	}
	unnamed(asked, "who asked", false)
	unnamed(must(m.Requests.Request(m.ctx, m.vic, asked.Request.ID))(t), "who asked", false)
	unnamed(must(m.Requests.Request(m.ctx, m.ann, asked.Request.ID))(t), "the approver", true)
	for name, c := range map[string]engine.Caller{"requester": m.vic, "publisher": m.vera, "customer's owner": m.admin} {
		if _, err := m.Requests.Decide(m.ctx, c, asked.Request.ID, true, "", asked.Request.Digest); err == nil {
			t.Errorf("the %s decided", name)
		}
	}
	must(m.Requests.Decide(m.ctx, m.ann, asked.Request.ID, true, "go on", asked.Request.Digest))(t)
	unnamed(must(m.Requests.Request(m.ctx, m.vic, asked.Request.ID))(t), "who asked", false)
	if got := m.since(0); strings.Count(got,
		"vendor:request.approved") != 1 || strings.Count(got, "vendor:grant.opened") != 1 {
		t.Errorf("the publisher's log does not tell of the activation: %q", got)
	}
	if !m.may(m.vic, rbac.PoliciesWrite,
		a.Managed) || m.may(m.vic, rbac.RoleAssignmentsWrite,
		a.Managed) || m.may(m.vic, rbac.PoliciesWrite,
		"/subscriptions/"+access.ResourceID(a.Managed.Segment("subscriptions"))) {
		t.Error("what is active is not Contributor of the managed group and no more")
	}
	_, err := m.Requests.Activate(m.ctx, m.vic, m.activate(3*time.Hour))
	wantCode(t, err, access.KindInvalid, "durationTooLong")
	_, err = m.Requests.Activate(m.ctx, m.vera, m.activate(time.Hour))
	wantCode(t, err, access.KindForbidden, "notEligible")

	// Shorter terms end what is longer; what is left of the role goes with the application.
	err = m.Apps.DeleteApplication(m.ctx, m.admin, "shop", false)
	wantCode(t, err, access.KindConflict, "activationsLive")
	short := manual()
	short.Longest = 30 * time.Minute
	must(m.Apps.ChangeApplication(m.ctx, m.admin, "shop", apps.ApplicationChange{Settings: short}))(t)
	if m.may(m.vic, rbac.PoliciesWrite, a.Managed) {
		t.Error("what is longer than is allowed now goes on")
	}
	again := must(m.Requests.Activate(m.ctx, m.vic, m.activate(20*time.Minute)))(t)
	must(m.Requests.Decide(m.ctx, m.ann, again.Request.ID, true, "", again.Request.Digest))(t)
	waiting := must(m.Requests.Activate(m.ctx, m.vic, m.activate(10*time.Minute)))(t)
	if err := m.Apps.DeleteApplication(m.ctx, m.admin, string(a.Resource), true); err != nil {
		t.Fatal(err)
	}
	if m.may(m.vic, rbac.MachinesRead, a.Managed) || len(must(m.Roles.EligibleRoles(m.ctx, m.vic))(t)) != 0 {
		t.Error("something is left of the application")
	}
	if _, err := m.Requests.Decide(m.ctx, m.ann, waiting.Request.ID, true, "",
		waiting.Request.Digest); err == nil || m.may(m.vic, rbac.PoliciesWrite, a.Managed) {
		t.Error("what waited was approved after the application's end")
	}
	_, err = m.Apps.Application(m.ctx, m.admin, "shop")
	wantCode(t, err, access.KindNotFound, "unknownApplication")
	m.deploy(manual()) // the name and the group are free again
}

func TestDeployedWithoutJITTheRolesArePermanent(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	a := m.deploy(&app.Settings{}).Application
	if !m.may(m.vic, rbac.PoliciesWrite, a.Managed) || len(must(m.Roles.EligibleRoles(m.ctx, m.vic))(t)) != 0 {
		t.Fatal("the role is not permanent")
	}
	// Turned on later, what was permanent is gone at once and is to be activated.
	must(m.Apps.ChangeApplication(m.ctx, m.admin, "shop", apps.ApplicationChange{Settings: &app.Settings{JIT: true}}))(
		t)
	if m.may(m.vic, rbac.PoliciesWrite, a.Managed) || len(must(m.Roles.EligibleRoles(m.ctx, m.vic))(t)) != 1 {
		t.Error("just-in-time access was turned on, and the role is permanent still")
	}
	must(m.Requests.Activate(m.ctx, m.vic, m.activate(time.Hour)))(t)
	if !m.may(m.vic, rbac.PoliciesWrite, a.Managed) {
		t.Error("an automatic activation is not in force at once")
	}
	_, err := m.Apps.ChangeApplication(m.ctx, m.admin, "shop", apps.ApplicationChange{Settings: &app.Settings{}})
	wantCode(t, err, access.KindConflict, "jitCannotBeTurnedOff")
}

func TestDeploymentIsRefused(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	contributor := m.user("carl", "Contributor")
	for name, c := range map[string]struct {
		who    engine.Caller
		change func(*apps.ApplicationInput)
		kind   access.Kind
		code   string
	}{
		"who gives no roles": {contributor, nil, access.KindForbidden, "forbidden"},
		"nobody":             {m.ann, nil, access.KindForbidden, "forbidden"},
		"definition": {
			m.admin, func(in *apps.ApplicationInput) { in.Definition = "vendor/other" },
			access.KindNotFound, "unknownApplicationDefinition",
		},
		"a group that is there": {
			m.admin, func(in *apps.ApplicationInput) { in.Managed = engine.DefaultResourceGroup },
			access.KindConflict, "managedGroupExists",
		},
		"another's group": {m.admin, func(in *apps.ApplicationInput) {
			in.Managed = "/subscriptions/" + m.definition.Definition.Resource.Segment(
				"subscriptions") + "/resourceGroups/x"
		}, access.KindNotFound, "unknownSubscription"},
		"approver of the publisher": {m.admin, func(in *apps.ApplicationInput) {
			in.Settings.Approvers = []app.Approver{{ID: m.vera.Principal, Kind: access.User}}
		}, access.KindInvalid, "unknownApprover"},
		"nobody approves": {
			m.admin, func(in *apps.ApplicationInput) { in.Settings.Approvers = nil },
			access.KindInvalid, "approversMissing",
		},
		"over the offer": {
			m.admin, func(in *apps.ApplicationInput) { in.Settings.Longest = 5 * time.Hour },
			access.KindInvalid, "durationOutOfRange",
		},
		"name": {
			m.admin, func(in *apps.ApplicationInput) { in.Name = "x" }, access.KindInvalid,
			"malformedName",
		},
	} {
		in := apps.ApplicationInput{Name: "shop", Definition: "vendor/shop", Settings: manual()}
		if c.change != nil {
			c.change(&in)
		}
		_, err := m.Apps.DeployApplication(m.ctx, c.who, in)
		if access.KindOf(err) != c.kind || access.CodeOf(err) != c.code {
			t.Errorf("%s: got %v (%s), want %s", name, err, access.CodeOf(err), c.code)
		}
	}
	if list := must(m.Apps.Applications(m.ctx, m.admin, engine.ApplicationFilter{}, engine.Page{}))(
		t); len(list.Items) != 0 {
		t.Errorf("something was deployed: %+v", list.Items)
	}
	groups := must(m.Directory.ResourceGroups(m.ctx, m.admin,
		must(m.Directory.Subscriptions(m.ctx, m.admin))(t)[0].ID))(
		t)
	if len(groups) != 1 {
		t.Errorf("something is left of what was refused: %+v", groups)
	}
	m.deploy(manual())
	_, err := m.Apps.DeployApplication(m.ctx, m.admin,
		apps.ApplicationInput{Name: "shop", Definition: "vendor/shop", Managed: "elsewhere", Settings: manual()})
	wantCode(t, err, access.KindConflict, "applicationExists")
}

func TestDefinitionChangesUnderAnApplication(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	a := m.deploy(manual()).Application
	owner := shopOffer(func(in *apps.AppDefinitionInput) {
		in.Public, in.Authorizations = true, []app.Authorization{{Principal: "vendors", Role: "Owner"}}
	})
	if _, _, err := m.Apps.WriteAppDefinition(m.ctx, m.vera, owner); err != nil {
		t.Fatal(err)
	}
	if d := must(m.Apps.Application(m.ctx, m.admin, "shop"))(t); d.Newest != 2 || d.Application.Terms.Revision != 1 {
		t.Errorf("the newest is %d, the terms are of %d", d.Newest, d.Application.Terms.Revision)
	}
	if list := must(m.Roles.EligibleRoles(m.ctx, m.vic))(t); len(list) != 1 || list[0].Role.Name != "Contributor" {
		t.Errorf("a change of the definition gave the publisher %+v", list)
	}
	_, err := m.Apps.RefreshApplication(m.ctx, m.vic, string(a.Resource), "")
	wantCode(t, err, access.KindForbidden, "customerOnly")
	_, err = m.Apps.ChangeApplication(m.ctx, m.vic, string(a.Resource),
		apps.ApplicationChange{Settings: &app.Settings{JIT: true, Mode: app.Automatic}})
	wantCode(t, err, access.KindForbidden, "customerOnly")
	err = m.Apps.DeleteApplication(m.ctx, m.vic, string(a.Resource), true)
	wantCode(t, err, access.KindForbidden, "customerOnly")
	must(m.Apps.RefreshApplication(m.ctx, m.admin, "shop", ""))(t)
	if list := must(m.Roles.EligibleRoles(m.ctx, m.vic))(t); len(list) != 1 || list[0].Role.Name != "Owner" {
		t.Errorf("after the customer accepted it the publisher is eligible for %+v", list)
	}
	if n, err := m.Apps.DeleteAppDefinition(m.ctx, m.vera, "shop"); err != nil || n != 1 {
		t.Errorf("the publisher withdraws a definition with %d applications: %v", n, err)
	}
	_, err = m.Apps.RefreshApplication(m.ctx, m.admin, "shop", "")
	wantCode(t, err, access.KindConflict, "applicationDefinitionGone")
	d := must(m.Apps.Application(m.ctx, m.admin, "shop"))(t)
	if d.Newest != 0 || len(must(m.Roles.EligibleRoles(m.ctx, m.vic))(t)) != 1 {
		t.Errorf("the application does not outlive its definition: %+v", d)
	}
}

func TestEachSideSeesWhatIsShared(t *testing.T) {
	t.Parallel()
	m := newMarket(t,
		func(in *apps.AppDefinitionInput) {
			in.Audience, in.Public = []access.TenantID{engine.DefaultTenant}, false
		})
	in := apps.ApplicationInput{
		Name: "shop", Definition: "shop", Settings: manual(), Parameters: `{"secret": 1}`,
		Tags: map[string]string{"cost": "7"},
	}
	must(m.Apps.DeployApplication(m.ctx, m.admin, in))(t)
	seen := must(m.Apps.AppDefinition(m.ctx, m.admin, "shop"))(t)
	if seen.Definition.Endpoint != "" || seen.Deployed != 0 ||
		seen.Principals[m.definition.Definition.Authorizations[0].Principal].Name != "vendors" {
		t.Errorf("the customer sees %+v", seen)
	}
	_, err := m.Apps.DeployApplication(m.ctx, m.admin, in)
	wantCode(t, err, access.KindConflict, "applicationExists")
	for name, c := range map[string]engine.Caller{"administrator": m.vera, "member": m.vic} {
		d := must(m.Apps.Application(m.ctx, c, "shop"))(t)
		a := d.Application
		if d.Ours || a.Parameters != "" || a.Tags != nil || a.Settings.Approvers != nil || a.CreatedBy != "" ||
			a.Settings.Longest != 2*time.Hour {
			t.Errorf("the publisher's %s sees %+v", name, a)
		}
	}
	_, stranger := m.tenant("another")
	_, err = m.Apps.Application(m.ctx, stranger, "shop")
	wantCode(t, err, access.KindNotFound, "unknownApplication")
	_, err = m.Apps.AppDefinition(m.ctx, stranger, string(m.definition.Definition.Resource))
	wantCode(t, err, access.KindNotFound, "unknownApplicationDefinition")
	var kinds []string
	for _, e := range must(m.Records.Events(m.ctx, m.vera, engine.EventFilter{}, engine.Page{}))(t).Items {
		kinds = append(kinds, string(e.Kind))
		for name, text := range e.Details {
			if strings.Contains(text, "ann") && strings.HasPrefix(name, "approver") {
				t.Errorf("the publisher's log names an approver: %s", text)
			}
		}
	}
	if got := strings.Join(kinds, " "); got != "application.created applicationDefinition.written" {
		t.Errorf("the publisher's log has %q", got)
	}
}

// TestPublishersProgramIsTold has a definition with an endpoint: each step enqueues one event for its channel.
func TestPublishersProgramIsTold(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	seal := func(_ engine.ChannelID, _ engine.ChannelKind, text string) (engine.ChannelSecret, error) {
		return engine.ChannelSecret{Sealed: []byte(text)}, nil
	}
	m.Services = m.another(func(c *services.Config) { c.SealSecret = seal })
	if _, _, err := m.Apps.WriteAppDefinition(m.ctx, m.vera,
		shopOffer(func(in *apps.AppDefinitionInput) { in.Public, in.Description = true, "told" })); err != nil {
		t.Fatal(err)
	}
	m.deploy(&app.Settings{JIT: true})
	must(m.Requests.Activate(m.ctx, m.vic, m.activate(time.Hour)))(t)
	if err := m.Apps.DeleteApplication(m.ctx, m.admin, "shop", true); err != nil {
		t.Fatal(err)
	}
	var told []string
	err := m.store.View(m.ctx, func(r engine.Reader) error {
		list, err := r.Unrouted(m.ctx, 100)
		for _, n := range list {
			if n.Kind == engine.NotifyLifecycle && n.Tenant == m.publisher.ID && n.Lifecycle.Channel != "" {
				told = append(told, strings.Trim(n.Lifecycle.Event+" "+n.Lifecycle.What, " "))
			}
		}
		return err
	})
	if got, want := strings.Join(told,
		", "), "PUT, JIT request.submitted, JIT request.approved, JIT grant.created, JIT grant.opened, JIT "+
		"grant.revoked, JIT grant.closed, DELETE"; err != nil || !sameWords(
		got, want) {
		t.Errorf("told is %q %v, want %q", got, err, want)
	}
}

// TestEndpointsOfDefinitionsKeepNoChannelsOut fills a resource group with definitions that have an endpoint each, as
// somebody may who has no right anywhere else.
func TestEndpointsOfDefinitionsKeepNoChannelsOut(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	m.Services = m.another(func(c *services.Config) {
		c.SealSecret = func(_ engine.ChannelID, _ engine.ChannelKind, text string) (engine.ChannelSecret, error) {
			return engine.ChannelSecret{Sealed: []byte(text)}, nil
		}
	})
	hook := func(name string) notices.ChannelInput {
		url, key := "https://hooks.example.com/"+name, "a key to sign with, as long as it has to be"
		return notices.ChannelInput{Name: &name, Kind: engine.Webhook, URL: &url, Secret: &key}
	}
	must(m.Notices.CreateChannel(m.ctx, m.vera, hook("hooks")))(t)
	write := func(n int) error {
		_, _, err := m.Apps.WriteAppDefinition(m.ctx, m.vera,
			shopOffer(func(in *apps.AppDefinitionInput) { in.Name = fmt.Sprintf("shop-%03d", n) }))
		return err
	}
	for i := range 101 {
		if err := write(i); err != nil {
			t.Fatal(err)
		}
	}
	if c := must(m.Notices.Channel(m.ctx, m.vera, "HOOKS"))(t); c.Name != "hooks" {
		t.Errorf("found is %q", c.Name)
	}
	must(m.Notices.CreateChannel(m.ctx, m.vera, hook("more")))(t)
	_, err := m.Notices.CreateChannel(m.ctx, m.vera, hook("Hooks"))
	wantCode(t, err, access.KindConflict, "channelExists")
	_, err = m.Notices.Channel(m.ctx, m.vera, "")
	wantCode(t, err, access.KindNotFound, "unknownChannel")
	for i := 2; i < 100; i++ {
		must(m.Notices.CreateChannel(m.ctx, m.vera, hook(fmt.Sprint("hook-", i))))(t)
	}
	_, err = m.Notices.CreateChannel(m.ctx, m.vera, hook("one-too-many"))
	wantCode(t, err, access.KindConflict, "tooManyChannels")

	// Definitions are bounded by themselves, in each group.
	err = m.store.Update(m.ctx, func(tx engine.Tx) error {
		one := m.definition.Definition
		base := strings.TrimSuffix(string(one.Resource), "/"+one.Resource.Name())
		for i := 102; i < 800; i++ { // "shop" is one, too
			one.Resource, one.Revision = access.ResourceID(fmt.Sprintf("%s/shop-%03d", base, i)), 1
			if err := tx.SaveApplicationDefinition(m.ctx, one, 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, write(800), access.KindConflict, "tooManyApplicationDefinitions")
	must(m.Apps.DeleteAppDefinition(m.ctx, m.vera, "shop-500"))(t)
	if err := write(800); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}

// TestNobodyEnrolsIntoAGroupThatIsGone has a token for a managed resource group when it goes.
func TestNobodyEnrolsIntoAGroupThatIsGone(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	m.deploy(manual())
	token, made, err := m.Machines.MakeEnrollmentToken(m.ctx, m.admin,
		machines.TokenInput{Name: "web-9", ResourceGroup: "mrg-shop"})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Apps.DeleteApplication(m.ctx, m.admin, "shop", false); err != nil {
		t.Fatal(err)
	}
	list := must(m.Records.Events(m.ctx, m.admin, engine.EventFilter{Kind: access.AgentTokenDeleted}, engine.Page{}))(
		t).Items
	if len(list) != 1 || list[0].Details["token"] != made.PublicID() || list[0].Action != rbac.ApplicationsDelete {
		t.Errorf("the log says of the token %+v", list)
	}
	enrol := func(want string) {
		t.Helper()
		_, err := m.Machines.Enroll(m.ctx, office,
			machines.EnrollInput{Token: token, Name: "web-9", OS: "linux", Version: "test"}, fingerprint)
		wantCode(t, err, access.KindUnauthenticated, want)
	}
	enrol("tokenUnknown")
	keep := func(tx engine.Tx) error { return tx.SaveEnrollmentToken(m.ctx, made) }
	if err := m.store.Update(m.ctx, keep); err != nil {
		t.Fatal(err)
	}
	enrol("tokenWithoutGroup")
}

// TestBothSidesAreToldOfAnApplication has a channel on each side: each step is told to the people whom it concerns
// there.
func TestBothSidesAreToldOfAnApplication(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	m.listen(m.admin.Tenant, m.publisher.ID)
	m.deploy(manual())
	must(m.Apps.ChangeApplication(m.ctx, m.admin, "shop",
		apps.ApplicationChange{Settings: &app.Settings{JIT: true, Mode: app.Automatic, Longest: time.Hour}}))(
		t)
	newer := shopOffer(func(in *apps.AppDefinitionInput) { in.Public, in.Description = true, "told" })
	if _, _, err := m.Apps.WriteAppDefinition(m.ctx, m.vera, newer); err != nil {
		t.Fatal(err)
	}
	must(m.Apps.RefreshApplication(m.ctx, m.admin, "shop", ""))(t)
	must(m.Apps.DeleteAppDefinition(m.ctx, m.vera, "shop"))(t)
	if err := m.Apps.DeleteApplication(m.ctx, m.admin, "shop", false); err != nil {
		t.Fatal(err)
	}
	names := map[access.PrincipalID]string{
		m.admin.Principal: "admin", m.ann.Principal: "ann", m.vera.Principal: "vera",
		m.definition.Definition.Authorizations[0].Principal: "vendors",
	}
	var got []string
	for _, n := range m.told() {
		var who []string
		for _, id := range n.Recipients {
			who = append(who, names[id])
		}
		slices.Sort(who)
		side := "customer"
		if n.Tenant == m.publisher.ID {
			side = "vendor"
		}
		if by := n.Subject.By; side == "vendor" && by != "" {
			t.Errorf("the publisher is told that %s did it", by)
		}
		if n.Kind != engine.NotifyApplication || n.Subject.Title != "shop" || n.Subject.Detail == "" {
			t.Errorf("told is %+v", n)
		}
		got = append(got, side+" "+strings.Join(who, "+")+" "+n.Subject.Outcome)
	}
	want := []string{
		"vendor vendors+vera deployed", "customer admin+ann deployed", "vendor vendors+vera changed",
		"customer admin changed", "customer admin newVersion",
		"vendor vendors+vera changed", "customer admin changed", "customer admin withdrawn",
		"vendor vendors+vera deleted", "customer admin deleted",
	}
	if !slices.Equal(got, want) {
		t.Errorf("told\n%q, want\n%q", got, want)
	}
}

// sameWords compares lists whose order the outbox decides.
func sameWords(a, b string) bool {
	x, y := strings.Split(a, ", "), strings.Split(b, ", ")
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}
