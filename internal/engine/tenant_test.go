package engine_test

import (
	"slices"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
)

func TestCreateTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := must(w.Directory.Tenant(w.ctx, w.admin))(t)
	d, boss := w.tenant("customer")

	for _, name := range []string{"Customer", "", "a.b", "a@b", "common", "adfs", string(d.Tenant.ID)} {
		_, err := w.Directory.CreateTenant(w.ctx, w.admin, directory.TenantInput{Name: name, PasswordHash: "hash"})
		if k := access.KindOf(err); k != access.KindInvalid && k != access.KindConflict {
			t.Errorf("tenant %q: %v, want invalid or a conflict", name, err)
		}
	}
	_, err := w.Directory.CreateTenant(w.ctx, boss, directory.TenantInput{Name: "mine", PasswordHash: "hash"})
	wantCode(t, err, access.KindForbidden, "forbidden")
	_, err = w.Directory.Tenants(w.ctx, boss)
	wantCode(t, err, access.KindForbidden, "forbidden")
	_, err = w.Directory.TenantNamed(w.ctx, boss, "default")
	wantCode(t, err, access.KindForbidden, "forbidden")
	_, err = w.Directory.TenantNamed(w.ctx, boss, "no-such")
	wantCode(t, err, access.KindForbidden, "forbidden") // whether there is one is not told
	if own := must(w.Directory.TenantNamed(w.ctx, boss, ""))(t); own.ID != d.Tenant.ID {
		t.Errorf("the caller's own tenant is %v", own)
	}
	if all := must(w.Directory.Tenants(w.ctx, w.admin))(t); len(all) != 2 {
		t.Errorf("there are %d tenants, want 2", len(all))
	}

	// Its administrator owns it and nothing else; who made it has no right in it.
	subs := must(w.Directory.Subscriptions(w.ctx, boss))(t)
	if len(subs) != 1 || subs[0].ID != d.Subscription.ID {
		t.Errorf("the administrator sees the subscriptions %v, want that of the tenant alone", subs)
	}
	if subs := must(w.Directory.Subscriptions(w.ctx, w.admin))(t); len(subs) != 1 || subs[0].Tenant != home.ID {
		t.Errorf("who made the tenant sees the subscriptions %v", subs)
	}
	scope := access.SubscriptionScope(d.Subscription.ID)
	if err := w.Directory.Check(w.ctx, boss, "Microsoft.Compute/virtualMachines/write", scope); err != nil {
		t.Errorf("the administrator in their own subscription: %v", err)
	}
	wantCode(t, w.Directory.Check(w.ctx, w.admin, "Microsoft.Compute/virtualMachines/read", scope),
		access.KindForbidden, "forbidden")

	// Both logs tell of it, each what is of its own.
	made := engine.EventFilter{Kind: access.TenantCreated}
	theirs := must(w.Records.Events(w.ctx, boss, made, engine.Page{}))(t)
	if len(theirs.Items) != 1 || theirs.Items[0].Tenant != d.Tenant.ID ||
		theirs.Items[0].Actor.Name != "admin@default" {
		t.Errorf("the log of the new tenant has %+v", theirs.Items)
	}
	ours := must(w.Records.Events(w.ctx, w.admin, made, engine.Page{}))(t)
	if len(ours.Items) != 2 || ours.Items[0].Details["name"] != "customer" {
		t.Errorf("the log of the home tenant has %+v", ours.Items)
	}
}

// TestAnotherTenantSeesNothing lets the owner of another tenant look and ask.
func TestAnotherTenantSeesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	in := requests.SubmitInput{Items: []requests.ItemInput{
		{
			Machine: "web-1",
			Port:    access.PortTarget{Ports: access.SinglePort(22)},
			Item:    access.Item{Duration: time.Hour},
		},
	}}
	asked := must(w.Requests.Submit(w.ctx, w.admin, in))(t)

	_, stranger := w.tenant("another")
	for _, ref := range []string{"web-1", string(host.Machine.ID), string(host.Machine.Resource)} {
		if _, err := w.Machines.Machine(w.ctx, stranger, ref); access.KindOf(err) != access.KindNotFound {
			t.Errorf("machine %q: %v, want not found", ref, err)
		}
	}
	in.Items[0].Machine = string(host.Machine.ID)
	if _, err := w.Requests.Submit(w.ctx, stranger, in); access.KindOf(err) != access.KindNotFound {
		t.Errorf("a request for a foreign machine: %v, want not found", err)
	}
	if _, err := w.Requests.Revoke(w.ctx, stranger, asked.Grants[0].ID, ""); access.KindOf(err) != access.KindNotFound {
		t.Errorf("revoking a foreign grant: %v, want not found", err)
	}
	if _, err := w.Requests.Cancel(w.ctx, stranger, asked.Request.ID, ""); access.KindOf(err) != access.KindNotFound {
		t.Errorf("cancelling a foreign request: %v, want not found", err)
	}
	page := engine.Page{Limit: 100}
	// An attempt at a scope of another tenant is on the stranger's own log, which must not name what lies there.
	attempt := access.Event{
		At: w.clock.now(), Kind: access.AccessRefused, Outcome: access.Refused, Actor: access.Actor{Name: "x"},
		Tenant: stranger.Tenant, Machine: host.Machine.ID, Scope: access.SubscriptionScope(host.Machine.Subscription()),
	}
	if err := w.store.Update(w.ctx, func(tx engine.Tx) error { return tx.Append(w.ctx, attempt) }); err != nil {
		t.Fatal(err)
	}
	for _, d := range must(w.Records.Log(w.ctx, stranger, engine.EventFilter{Kind: access.AccessRefused}, page))(t).Items {
		if d.Event.Machine != "" && (d.Machine != "" || d.Subscription != string(host.Machine.Subscription())) {
			t.Errorf("the stranger's log names %q in %q", d.Machine, d.Subscription)
		}
	}
	hosts := must(w.Machines.Machines(w.ctx, stranger, engine.MachineFilter{}, page))(t)
	seen := must(w.Requests.Requests(w.ctx, stranger, engine.RequestFilter{}, page))(t)
	grants := must(w.Requests.Grants(w.ctx, stranger, engine.GrantFilter{}, page))(t)
	policies := must(w.Machines.Policies(w.ctx, stranger, engine.PolicyFilter{}, page))(t)
	agents := must(w.Machines.Agents(w.ctx, stranger, page))(t)
	if n := len(hosts.Items) + len(seen.Items) + len(grants.Items) + len(policies.Items) + len(agents.Items); n != 0 {
		t.Errorf("a stranger sees %d things of this tenant: %+v %+v %+v %+v", n, hosts.Items, seen.Items, grants.Items,
			policies.Items)
	}
	for _, e := range must(w.Records.Events(w.ctx, stranger, engine.EventFilter{}, page))(t).Items {
		if e.Tenant != stranger.Tenant {
			t.Errorf("a stranger reads of %s: %v", e.Kind, e)
		}
	}
}

// TestGuest gives somebody of another tenant a role in one resource group, and looks at what that opens, on both sides.
func TestGuest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	group := access.ResourceGroupScope(host.Machine.Subscription(), host.Machine.ResourceGroup())
	_, boss := w.tenant("publisher")
	vera := w.userOf(boss, "vera")

	// A guest is named by the id alone, and gets nothing at the root.
	_, err := w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: "vera", Role: "Contributor", Scope: group})
	wantCode(t, err, access.KindNotFound, "unknownPrincipal")
	_, err = w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: string(vera.Principal), Role: "Contributor", Scope: access.Root})
	wantCode(t, err, access.KindInvalid, "guestAtRoot")
	_, err = w.Machines.Machine(w.ctx, vera, "web-1")
	wantCode(t, err, access.KindForbidden, "forbidden")
	given := must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: string(vera.Principal), Role: "Contributor", Scope: group}))(
		t)
	if given.Principal.Name != "vera" || given.Assignment.Home != boss.Tenant ||
		given.Assignment.Tenant != w.admin.Tenant {
		t.Errorf("the assignment is %+v", given)
	}

	// She does there what the role allows, under her name and tenant.
	must(w.Machines.SetMachinePolicy(w.ctx, vera, "web-1", sshPolicy(), nil))(t)
	asked := must(w.Requests.Submit(w.ctx, vera, ssh("web-1", time.Hour)))(t)
	if asked.Request.Tenant != w.admin.Tenant || asked.Request.RequesterName != "vera@publisher" || len(
		asked.Grants) != 1 {
		t.Fatalf("her request is %+v", asked.Request)
	}
	page := engine.Page{Limit: 100}
	if list := must(w.Machines.Machines(w.ctx, vera, engine.MachineFilter{}, page))(t); len(list.Items) != 1 {
		t.Errorf("she sees %d machines, want 1", len(list.Items))
	}
	if list := must(w.Directory.Subscriptions(w.ctx, vera))(
		t); len(list) != 1 || list[0].ID != host.Machine.Subscription() {
		t.Errorf("she sees the subscriptions %v, want that of the customer alone", list)
	}
	seen := must(w.Requests.Requests(w.ctx, w.admin, engine.RequestFilter{}, page))(t)
	if !slices.ContainsFunc(seen.Items, func(d requests.RequestDetail) bool { return d.Request.ID == asked.Request.ID }) {
		t.Error("the customer does not see her request")
	}
	if list := must(w.Requests.Requests(w.ctx, boss, engine.RequestFilter{}, page))(t); len(list.Items) != 0 {
		t.Errorf("her own tenant's administrator sees %d requests of the customer", len(list.Items))
	}

	// Nothing beyond the scope, and nothing at the root.
	_, err = w.Directory.Principals(w.ctx, vera, engine.PrincipalFilter{}, page)
	wantCode(t, err, access.KindForbidden, "forbidden")
	_, err = w.Roles.AssignRole(w.ctx, vera,
		roles.AssignInput{Principal: string(vera.Principal), Role: "Owner", Scope: group})
	wantCode(t, err, access.KindForbidden, "forbidden")
	wantCode(t,
		w.Directory.Check(w.ctx, vera, "Microsoft.Compute/virtualMachines/read",
			access.SubscriptionScope(host.Machine.Subscription())),
		access.KindForbidden, "forbidden")
	for _, e := range must(w.Records.Events(w.ctx, vera, engine.EventFilter{}, page))(t).Items {
		if e.Tenant != w.admin.Tenant || !e.Scope.Within(group) {
			t.Errorf("she reads of %s at %q of tenant %s", e.Kind, e.Scope, e.Tenant)
		}
	}

	// What is refused to a guest is on both logs.
	_, err = w.Roles.RoleAssignments(w.ctx, vera, roles.AssignmentFilter{Scope: group}, page)
	if err != nil {
		t.Errorf("Contributor reads assignments: %v", err)
	}
	wantCode(t, w.Directory.Check(w.ctx, vera, "Microsoft.Authorization/roleAssignments/write", group),
		access.KindForbidden, "forbidden")
	refused := engine.EventFilter{Kind: access.AccessRefused}
	for _, side := range []engine.Caller{w.admin, boss} {
		list := must(w.Records.Events(w.ctx, side, refused, page))(t)
		if !slices.ContainsFunc(list.Items,
			func(e access.Event) bool { return e.Actor.ID == vera.Principal && e.Scope == group }) {
			t.Errorf("tenant %s does not know of the refusal: %v", side.Tenant, list.Items)
		}
	}

	// The role ends, and what rested on it with it.
	if err := w.Roles.UnassignRole(w.ctx, w.admin, given.Assignment.ID); err != nil {
		t.Fatal(err)
	}
	w.reconcile()
	if g := w.grant(asked.Grants[0].ID); g.State != access.GrantRevoked {
		t.Errorf("the grant is %s after the role has ended", g.State)
	}
	_, err = w.Machines.Machine(w.ctx, vera, "web-1")
	wantCode(t, err, access.KindForbidden, "forbidden")
	if own := must(w.Requests.Requests(w.ctx, vera, engine.RequestFilter{Requester: vera.Principal}, page))(
		t); len(own.Items) != 0 {
		t.Errorf("she lists %d requests of a tenant where she is no guest any more", len(own.Items))
	}
	must(w.Requests.Request(w.ctx, vera, asked.Request.ID))(t) // her own, which she may look at by its id
}

// TestGuestsDecideNothing lets a guest who is Owner of everything there try to approve.
func TestGuestsDecideNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	ben := w.user("ben", "")
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", decidedBy(ben.Principal), nil))(t)
	_, boss := w.tenant("publisher")
	vera, otto := w.userOf(boss, "vera"), w.userOf(boss, "otto")
	scope := access.SubscriptionScope(host.Machine.Subscription())
	for _, guest := range []engine.Caller{vera, otto} {
		must(w.Roles.AssignRole(w.ctx, w.admin,
			roles.AssignInput{Principal: string(guest.Principal), Role: "Owner", Scope: scope}))(
			t)
	}
	asked := must(w.Requests.Submit(w.ctx, vera, ssh("web-1", time.Hour)))(t)
	if asked.Request.State != access.RequestPending {
		t.Fatalf("the request is %s", asked.Request.State)
	}
	for id, name := range asked.Names {
		if name != string(id) {
			t.Errorf("a guest learns the name %q of an approver", name)
		}
	}
	_, err := w.Requests.Decide(w.ctx, otto, asked.Request.ID, true, "", asked.Request.Digest)
	wantCode(t, err, access.KindForbidden, "guestsDecideNothing")

	// Nor may a policy name a guest as an approver.
	_, err = w.Machines.SetMachinePolicy(w.ctx, otto, "web-1", decidedBy(otto.Principal), nil)
	wantCode(t, err, access.KindInvalid, "malformedPolicy")
	d := must(w.Requests.Decide(w.ctx, ben, asked.Request.ID, true, "", asked.Request.Digest))(t)
	if d.Request.State != access.RequestApproved {
		t.Errorf("the request is %s after the customer's approver agreed", d.Request.State)
	}
}

// TestNamesMeanOnesOwn gives two tenants a machine of one name.
func TestNamesMeanOnesOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mine := w.host("web-1")
	d, boss := w.tenant("other")
	token, _, err := w.Machines.MakeEnrollmentToken(w.ctx, boss, machines.TokenInput{Name: "web-1"})
	if err != nil {
		t.Fatal(err)
	}
	theirs := must(w.Machines.Enroll(w.ctx, office,
		machines.EnrollInput{Token: token, Name: "x", OS: "linux", Version: "test"}, fingerprint))(
		t)
	if theirs.Machine.Tenant != d.Tenant.ID || theirs.Machine.Subscription() != d.Subscription.ID {
		t.Fatalf("the machine lies at %s", theirs.Machine.Resource)
	}
	must(w.Roles.AssignRole(w.ctx, boss, roles.AssignInput{Principal: string(w.admin.Principal), Role: "Owner"}))(t)
	if got := must(w.Machines.Machine(w.ctx, w.admin, "web-1"))(t); got.Machine.ID != mine.Machine.ID {
		t.Errorf("web-1 means %s", got.Machine.Resource)
	}
	if got := must(w.Machines.Machine(w.ctx, w.admin, string(theirs.Machine.Resource)))(
		t); got.Machine.ID != theirs.Machine.ID {
		t.Errorf("the resource id means %s", got.Machine.Resource)
	}
	both := requests.SubmitInput{Items: slices.Concat(ssh(string(mine.Machine.ID), time.Hour).Items,
		ssh(string(theirs.Machine.ID), time.Hour).Items)}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, string(mine.Machine.ID), sshPolicy(), nil))(t)
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, string(theirs.Machine.ID), sshPolicy(), nil))(t)
	_, err = w.Requests.Submit(w.ctx, w.admin, both)
	wantCode(t, err, access.KindInvalid, "severalTenants")
}

// decidedBy is the policy of most tests, with one approver.
func decidedBy(person access.PrincipalID) access.MachinePolicy {
	p := sshPolicy()
	p.Approval = asks(access.Stage{AllOf: []access.Quorum{{Count: 1, People: []access.PrincipalID{person}}}})
	return p
}
