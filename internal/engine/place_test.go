package engine_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/roles"
)

func TestPlaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, boss := w.tenant("other")
	sub := must(w.Directory.CreateSubscription(w.ctx, boss, directory.SubscriptionInput{Name: "production"}))(t)
	if sub.Tenant != boss.Tenant {
		t.Errorf("the subscription is of %s", sub.Tenant)
	}
	_, err := w.Directory.CreateSubscription(w.ctx, boss, directory.SubscriptionInput{Name: "Production"})
	wantCode(t, err, access.KindConflict, "subscriptionExists")
	// names are each tenant's own
	must(w.Directory.CreateSubscription(w.ctx, w.admin, directory.SubscriptionInput{Name: "production"}))(t)

	web := must(w.Directory.CreateResourceGroup(w.ctx, boss,
		directory.ResourceGroupInput{Name: "web", Subscription: "production"}))(
		t)
	if web.Subscription != sub.ID || web.Location != engine.LocalLocation {
		t.Errorf("the group is %+v", web)
	}
	scope := access.ResourceGroupScope(sub.ID, "web")
	for _, ref := range []string{string(sub.ID), string(access.SubscriptionScope(sub.ID))} {
		_, err = w.Directory.CreateResourceGroup(w.ctx, w.admin,
			directory.ResourceGroupInput{Name: "mine", Subscription: ref})
		wantCode(t, err, access.KindNotFound, "unknownSubscription")
	}
	wantCode(t, w.Directory.DeleteResourceGroup(w.ctx, w.admin, string(scope)), access.KindNotFound,
		"unknownResourceGroup")

	// What lies in a group keeps it; roles at it go with it.
	token, made, err := w.Machines.MakeEnrollmentToken(w.ctx, boss,
		machines.TokenInput{Name: "web-1", ResourceGroup: string(scope)})
	if err != nil || token == "" {
		t.Fatal(err)
	}
	wantCode(t, w.Directory.DeleteResourceGroup(w.ctx, boss, "web"), access.KindConflict, "resourceGroupNotEmpty")
	if err := w.Machines.DeleteEnrollmentToken(w.ctx, boss, made.PublicID()); err != nil {
		t.Fatal(err)
	}
	vera := w.userOf(boss, "vera")
	must(w.Roles.AssignRole(w.ctx, boss, roles.AssignInput{Principal: "vera", Role: "Owner", Scope: scope}))(t)
	if err := w.Directory.DeleteResourceGroup(w.ctx, boss, "web"); err != nil {
		t.Fatal(err)
	}
	if list := must(w.Directory.Subscriptions(w.ctx, vera))(t); len(list) != 0 {
		t.Errorf("a role at a group that is gone still shows %v", list)
	}
}

// TestIDsThatAreChosen holds that tenants, subscriptions and machines have the ids and the locations that they have in
// Azure, and that nobody takes another's.
func TestIDsThatAreChosen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const tenant, first, second = "72F988BF-86f1-41af-91ab-2d7cd011db47", "6f0c1a52-4a1e-4b8e-9a57-0d6b3c2f9e10", "6f0c1a52-4a1e-4b8e-9a57-0d6b3c2f9e11"
	d := must(w.Directory.CreateTenant(w.ctx, w.admin,
		directory.TenantInput{Name: "contoso", ID: tenant, Subscription: first, PasswordHash: "x"}))(
		t)
	if string(d.Tenant.ID) != strings.ToLower(
		tenant) || d.Subscription.ID != first || d.Subscription.Tenant != d.Tenant.ID || d.Admin.Tenant != d.Tenant.ID {
		t.Fatalf("made %+v", d)
	}
	boss := caller(d.Admin)
	if s := must(w.Directory.CreateSubscription(w.ctx, boss, directory.SubscriptionInput{Name: "more", ID: second}))(
		t); s.ID != second || s.Tenant != d.Tenant.ID {
		t.Errorf("made %+v", s)
	}
	if seen := must(w.Directory.Subscriptions(w.ctx, boss))(t); len(seen) != 2 {
		t.Errorf("its owner sees %v", seen)
	}
	for id, code := range map[string]string{
		first: "idTaken", strings.ToUpper(second): "idTaken", "nonsense": "malformedId",
		"{" + first + "}":                      "malformedId",
		"00000000-0000-0000-0000-000000000000": "malformedId", strings.ReplaceAll(first, "-", ""): "malformedId",
	} {
		_, err := w.Directory.CreateSubscription(w.ctx, w.admin, directory.SubscriptionInput{Name: "again", ID: id})
		if access.CodeOf(err) != code {
			t.Errorf("a subscription %s: %v, want %s", id, err, code)
		}
		if _, err = w.Directory.CreateTenant(w.ctx, w.admin,
			directory.TenantInput{Name: "again", Subscription: id, PasswordHash: "x"}); access.CodeOf(err) != code {
			t.Errorf("a tenant with the subscription %s: %v, want %s", id, err, code)
		}
	}
	_, err := w.Directory.CreateTenant(w.ctx, w.admin,
		directory.TenantInput{Name: "again", ID: strings.ToLower(tenant), PasswordHash: "x"})
	wantCode(t, err, access.KindConflict, "idTaken")

	w.enrol("gate", access.ModeGateway)
	add := machines.AddMachineInput{
		Name: "vm-1", Gateway: "gate",
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.9")}, Location: "northeurope",
	}
	if m := must(w.Machines.AddMachine(w.ctx, w.admin, add))(t); m.Machine.Location != "northeurope" {
		t.Errorf("the machine is in %s", m.Machine.Location)
	}
	if p := w.guard("vm-1"); p.Policy.Location != "northeurope" {
		t.Errorf("its policy is in %s", p.Policy.Location)
	}
	add.Name, add.Location = "vm-2", "north europe"
	_, err = w.Machines.AddMachine(w.ctx, w.admin, add)
	wantCode(t, err, access.KindInvalid, "malformedName")
	sub := must(w.Directory.Subscriptions(w.ctx, w.admin))(t)[0].ID
	if found := must(w.Directory.Locations(w.ctx, w.admin, sub))(
		t); !slices.Equal(found, []string{"local", "northeurope"}) {
		t.Errorf("the locations are %v", found)
	}
}

// TestSignInNames gives two tenants users of the same names.
func TestSignInNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, boss := w.tenant("other")
	w.userOf(boss, "ann@example.org")
	for _, tc := range []struct {
		tenant, name string
		want         access.PrincipalID
	}{
		{"", "admin", w.admin.Principal}, // whatever other tenants call theirs
		{"", "ADMIN@Other", d.Admin.ID},
		{"", "admin@default", w.admin.Principal},
		{"other", "admin", d.Admin.ID},
		{string(d.Tenant.ID), "admin@other", d.Admin.ID},
		{"other", "admin@default", ""},
		{"nowhere", "admin", ""},
		{"", "admin@nowhere", ""},
		{"", "ann@example.org", ""}, // of another tenant, and so not of this one
	} {
		cred, err := w.Directory.Credentials(w.ctx, tc.tenant, tc.name, office)
		if tc.want == "" {
			wantCode(t, err, access.KindNotFound, "unknownPrincipal")
		} else if err != nil || cred.Principal.ID != tc.want {
			t.Errorf("%q in %q is %s, %v; want %s", tc.name, tc.tenant, cred.Principal.ID, err, tc.want)
		}
	}
	if cred := must(w.Directory.Credentials(w.ctx, "other", "ann@example.org", office))(
		t); cred.Principal.Tenant != d.Tenant.ID {
		t.Errorf("ann is of %s", cred.Principal.Tenant)
	}
}

// TestNamesOfOtherTenantsHideNothing proves that a machine is found by its name however many of other tenants, or of
// groups where the caller sees nothing, have the same.
func TestNamesOfOtherTenantsHideNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, other := w.tenant("contoso")
	add := func(c engine.Caller, group string) {
		t.Helper()
		if group != "" {
			must(w.Directory.CreateResourceGroup(w.ctx, c, directory.ResourceGroupInput{Name: group}))(t)
		}
		must(w.enrolWith(c, machines.TokenInput{Name: "db", ResourceGroup: group}))(t)
	}
	for i := range 110 {
		add(other, fmt.Sprint("group", i))
	}
	add(w.admin, "")
	if m := must(w.Machines.Machine(w.ctx, w.admin, "DB"))(t).Machine; m.Tenant != w.admin.Tenant {
		t.Errorf("db is %+v", m)
	}
	_, err := w.Machines.Machine(w.ctx, other, "db")
	wantCode(t, err, access.KindInvalid, "ambiguousMachine")
}
