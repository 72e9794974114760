package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/engine"
)

// must gives what a call gave, and ends the test where it failed.
func must[T any](b *border) func(T, error) T {
	return func(v T, err error) T {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
		return v
	}
}

// furnish gives the victim one of everything that can be named.
func (b *border) furnish(victim *api.Client) {
	b.t.Helper()
	ctx := b.t.Context()
	person := must[api.CreatedPrincipal](b)(
		victim.CreatePrincipal(ctx, api.NewPrincipal{Kind: "user", Name: "victor-" + mark}))
	group := must[api.CreatedPrincipal](b)(
		victim.CreatePrincipal(ctx, api.NewPrincipal{Kind: "group", Name: "guild-" + mark}))
	program := must[api.CreatedPrincipal](b)(
		victim.CreatePrincipal(ctx, api.NewPrincipal{Kind: "servicePrincipal", Name: "robot-" + mark}))
	b.known["group"], b.known["member"] = group.Principal.ID, person.Principal.ID
	secret := must[api.CreatedSecret](b)(
		victim.AddSecret(ctx, program.Principal.ID, api.NewSecret{Name: "secret-" + mark}))
	b.known["secret"] = secret.Secret.ID
	_ = must[api.Network](b)(victim.SetNetwork(ctx, "nest-"+mark,
		api.NetworkInput{Prefixes: []string{"203.0.113.0/24"}}, 0))
	b.known["network"] = "nest-" + mark
	role := must[api.Role](b)(victim.CreateRole(ctx,
		api.RoleInput{
			Name: "role-" + mark, Permissions: []api.Permission{{Actions: []string{"*/read"}}},
			AssignableScopes: []string{"/"},
		}))
	assignment := must[api.RoleAssignment](b)(
		victim.AssignRole(ctx, api.NewRoleAssignment{Role: role.ID, Principal: person.Principal.ID, Scope: "/"}))
	b.known["role"], b.known["assignment"] = role.ID, assignment.ID
	token := must[api.CreatedAPIToken](b)(victim.CreateAPIToken(ctx, api.NewAPIToken{Name: "token-" + mark}))
	b.known["token"] = token.ID
	_ = must[api.EnrollmentToken](b)(victim.CreateEnrollmentToken(ctx, api.NewEnrollmentToken{Name: "later-" + mark}))
	waiting := must[[]api.WaitingToken](b)(api.All(victim.EnrollmentTokens(ctx)))

	b.channel(victim)
	b.machine(victim, person.Principal.ID)
	request, grant := b.roles(victim, b.signInAs("victor-"+mark+"@victim-"+mark, person.Password).client,
		person.Principal.ID)
	b.application(victim, person.Principal.ID)
	b.insert()
	b.variants = []variant{
		{name: "of a role", known: map[string]string{"request": request, "grant": grant}},
		{name: "of an enrolment", known: map[string]string{"token": waiting[0].ID}},
		{name: "of a service principal", known: map[string]string{"principal": program.Principal.ID}},
	}

	over := time.Now().Add(patience)
	for {
		sent := must[[]api.Delivery](b)(api.All(victim.Deliveries(ctx, api.DeliveryQuery{State: "dead"})))
		if len(sent) > 0 {
			b.known["delivery"] = sent[0].ID
			break
		}
		if time.Now().After(over) {
			b.t.Fatal("no notification was given up in time")
		}
		time.Sleep(20 * time.Millisecond)
	}
	events := must[[]api.Event](b)(api.All(victim.Events(ctx, api.EventQuery{Kind: string(access.SignedIn)})))
	b.known["seq"], b.known["rule"] = fmt.Sprint(events[0].Seq), string(alert.DeniedRate)
}

// channel makes a channel with a route, whose receiver the server does not call: what goes there is dead at once.
func (b *border) channel(victim *api.Client) {
	b.t.Helper()
	channel := must[api.Channel](b)(victim.CreateChannel(b.t.Context(), api.NewChannel{
		Name: "channel-" + mark, Kind: "webhook", URL: "https://127.0.0.1/",
		Secret: "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32)),
	}))
	route := must[api.Route](b)(victim.CreateRoute(b.t.Context(), api.NewRoute{Channel: channel.ID}))
	b.known["channel"], b.known["route"] = channel.ID, route.ID
}

// machine makes a machine, with a request that waits, an opening that waits for its review, and a code for emergencies.
func (b *border) machine(victim *api.Client, approver string) {
	b.t.Helper()
	ctx := b.t.Context()
	b.enroll(victim, "vault-"+mark)
	b.known["agent"] = must[[]api.Agent](b)(api.All(victim.Agents(ctx)))[0].ID
	m := must[api.Machine](b)(victim.Machine(ctx, "vault-"+mark))
	policy := must[api.MachinePolicyView](b)(victim.SetMachinePolicy(ctx, m.ID, api.MachinePolicy{
		Ports:      []api.PortRule{{Ports: "22", Protocol: "tcp", MaxSeconds: 3600}},
		Approval:   approvalBy(approver),
		BreakGlass: &api.BreakGlassRule{People: []string{b.known["principal"]}, MaxSeconds: 3600},
	}, 0))
	b.known["machine"], b.known["resource"], b.known["jit"] = m.ID, m.Resource, policy.Policy
	b.known["scopePolicy"] = must[api.ScopePolicy](b)(victim.SetScopePolicy(ctx, "all-"+mark, api.NewScopePolicy{
		MachinePolicy: api.MachinePolicy{Ports: []api.PortRule{{Ports: "3389", MaxSeconds: 3600}}},
	}, 0)).Name
	b.known["accessReview"] = must[api.AccessReview](b)(victim.CreateAccessReview(ctx, api.NewAccessReview{
		Name: "audit-" + mark, Reviewers: []string{approver}, Due: time.Now().Add(48 * time.Hour), Effect: "atEnd",
		Undecided: "keep", Kinds: []string{"breakGlass"},
	})).ID
	ask := api.NewRequest{
		ForSeconds: 3600, Items: []api.NewItem{{Machine: m.ID, Ports: "22"}},
		Justification: "reason-" + mark,
	}
	b.known["request"] = must[api.Request](b)(victim.Submit(ctx, ask, "")).ID
	ask.BreakGlass = true
	b.known["grant"] = must[api.Request](b)(victim.Submit(ctx, ask, "")).Grants[0].ID
	b.known["review"] = must[[]api.Review](b)(api.All(victim.Reviews(ctx, false)))[0].ID
	_ = must[api.GlassCodes](b)(victim.IssueGlassCodes(ctx, m.ID, api.NewGlassCodes{Count: 1}))
	b.known["code"] = must[[]api.GlassCode](b)(victim.GlassCodes(ctx, m.ID))[0].ID
}

// approvalBy is a rule by which one person must agree.
func approvalBy(person string) []api.ApprovalCase {
	return []api.ApprovalCase{{Stages: []api.ApprovalStage{
		{AllOf: []api.Quorum{{Count: 1, People: []string{person}}}},
	}}}
}

// roles makes somebody eligible for two roles: one waits for its approval, the other is active.
func (b *border) roles(victim, person *api.Client, id string) (request, grant string) {
	b.t.Helper()
	ctx := b.t.Context()
	activate := func(role string, terms api.EligibilityTerms) api.Request {
		b.t.Helper()
		e := must[api.Eligibility](b)(victim.CreateEligibility(ctx,
			api.NewEligibility{Principal: id, Role: role, EligibilityTerms: terms}))
		b.known["eligibility"] = e.ID
		return must[api.Request](b)(person.Activate(ctx,
			api.NewActivation{Roles: []api.RoleRef{{Eligibility: e.ID}}, ForSeconds: 3600}, ""))
	}
	grant = activate("Reader", api.EligibilityTerms{}).Grants[0].ID
	return activate("Contributor", api.EligibilityTerms{Approval: approvalBy(b.known["principal"])}).ID, grant
}

// application makes a definition of the victim's and deploys it.
func (b *border) application(victim *api.Client, operator string) {
	b.t.Helper()
	ctx := b.t.Context()
	definition := must[api.ApplicationDefinition](b)(
		victim.SetApplicationDefinition(ctx, "kit-"+mark, api.ApplicationDefinitionInput{
			Authorizations: []api.ApplicationAuthorization{{Principal: operator, Role: "Reader"}},
			JIT:            api.ApplicationOffer{Available: true},
		}, 0))
	application := must[api.Application](b)(
		victim.DeployApplication(ctx, api.NewApplication{Name: "app-" + mark, Definition: definition.ID}))
	denied := must[[]api.DenyAssignment](b)(api.All(victim.DenyAssignments(ctx, "")))
	b.known["definition"], b.known["application"], b.known["deny"] = definition.ID, application.ID, denied[0].ID
}

// insert saves what only a browser's authenticator or the passing of time makes.
func (b *border) insert() {
	b.t.Helper()
	now := time.Now()
	b.known["credential"] = "passkey-" + mark
	b.known["passkey"], b.known["alert"] = "passkey-"+mark, "01a221d2-c6d6-7ec0-b8c9-91a02c43338c"
	b.known["roleChange"] = "01a221d2-c6d6-7ec0-b8c9-91a02c43338d"
	err := b.inside.Store.Update(b.t.Context(), func(tx engine.Tx) error {
		err := tx.SavePasskey(b.t.Context(), engine.Passkey{
			ID: b.known["passkey"], Principal: access.PrincipalID(b.known["principal"]), Name: "key-" + mark,
			Body: "{}", CreatedAt: now, Revision: 1,
		}, 0)
		if err != nil {
			return err
		}
		err = tx.SaveRoleChange(b.t.Context(), access.RoleChange{
			ID: access.RoleChangeID(b.known["roleChange"]), Tenant: access.TenantID(b.known["tenant"]),
			Of: access.OfAssignment, Kind: access.RoleChangeAskExtend,
			Target: b.known["assignment"], Principal: access.PrincipalID(b.known["member"]),
			PrincipalName: "victor-" + mark, PrincipalKind: access.User, Role: "role",
			RoleName: "role-" + mark, Scope: access.ResourceID(b.known["scope"]),
			Requester: access.PrincipalID(b.known["member"]), Justification: "reason-" + mark,
			State: access.RoleChangeWaiting, CreatedAt: now, Revision: 1,
		}, 0)
		if err != nil {
			return err
		}
		return tx.SaveAlert(b.t.Context(), alert.Alert{
			ID: alert.ID(b.known["alert"]), Tenant: access.TenantID(b.known["tenant"]), Rule: alert.DeniedRate,
			Key: mark, State: alert.Open,
			Severity: alert.Warning, Title: "alert-" + mark, FirstSeen: now, LastSeen: now, Revision: 1,
		}, 0)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// snapshot gives what the victim sees of its own.
func (b *border) snapshot(victim *api.Client) string {
	b.t.Helper()
	var out strings.Builder
	show := func(v any, err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
		text, err := json.Marshal(v)
		if err != nil {
			b.t.Fatal(err)
		}
		out.Write(text)
		out.WriteByte('\n')
	}
	ctx := b.t.Context()
	show(victim.MachinePolicy(ctx, b.known["machine"]))
	show(victim.GlassCodes(ctx, b.known["machine"]))
	show(api.All(victim.Requests(ctx, api.RequestQuery{})))
	show(api.All(victim.Grants(ctx, api.GrantQuery{})))
	show(api.All(victim.Reviews(ctx, false)))
	show(api.All(victim.Principals(ctx, api.PrincipalQuery{})))
	show(api.All(victim.Networks(ctx)))
	show(api.All(victim.Channels(ctx)))
	show(api.All(victim.Routes(ctx, "")))
	sent, err := api.All(victim.Deliveries(ctx, api.DeliveryQuery{}))
	// others may still be on their way
	show(slices.DeleteFunc(sent, func(d api.Delivery) bool { return d.ID != b.known["delivery"] }), err)
	show(api.All(victim.Alerts(ctx, api.AlertQuery{})))
	show(api.All(victim.AlertRules(ctx)))
	show(api.All(victim.APITokens(ctx)))
	show(api.All(victim.EnrollmentTokens(ctx)))
	show(api.All(victim.Eligibilities(ctx, api.EligibilityQuery{})))
	show(api.All(victim.Applications(ctx)))
	show(api.All(victim.ApplicationDefinitions(ctx)))
	show(b.inside.Engine.Roles.RoleChanges(ctx, engine.Caller{
		Principal: access.PrincipalID(b.known["principal"]), Tenant: access.TenantID(b.known["tenant"]),
	}, engine.RoleChangeFilter{}, engine.Page{}))
	// That somebody tried to sign in to the tenant is the tenant's to know.
	events, err := api.All(victim.Events(ctx, api.EventQuery{}))
	show(slices.DeleteFunc(events, func(e api.Event) bool { return e.Kind == "session.refused" }), err)
	return out.String()
}
