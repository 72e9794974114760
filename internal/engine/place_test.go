package engine_test

import (
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

func TestPlaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, boss := w.tenant("other")
	sub := must(w.CreateSubscription(w.ctx, boss, "production"))(t)
	if sub.Tenant != boss.Tenant {
		t.Errorf("the subscription is of %s", sub.Tenant)
	}
	_, err := w.CreateSubscription(w.ctx, boss, "Production")
	wantCode(t, err, access.KindConflict, "subscriptionExists")
	must(w.CreateSubscription(w.ctx, w.admin, "production"))(t) // names are each tenant's own

	web := must(w.CreateResourceGroup(w.ctx, boss, engine.ResourceGroupInput{Name: "web", Subscription: "production"}))(t)
	if web.Subscription != sub.ID || web.Location != engine.LocalLocation {
		t.Errorf("the group is %+v", web)
	}
	scope := access.ResourceGroupScope(sub.ID, "web")
	for _, ref := range []string{string(sub.ID), string(access.SubscriptionScope(sub.ID))} {
		_, err = w.CreateResourceGroup(w.ctx, w.admin, engine.ResourceGroupInput{Name: "mine", Subscription: ref})
		wantCode(t, err, access.KindNotFound, "unknownSubscription")
	}
	wantCode(t, w.DeleteResourceGroup(w.ctx, w.admin, string(scope)), access.KindNotFound, "unknownResourceGroup")

	// What lies in a group keeps it; roles at it go with it.
	token, made, err := w.MakeEnrollmentToken(w.ctx, boss, engine.TokenInput{Name: "web-1", ResourceGroup: string(scope)})
	if err != nil || token == "" {
		t.Fatal(err)
	}
	wantCode(t, w.DeleteResourceGroup(w.ctx, boss, "web"), access.KindConflict, "resourceGroupNotEmpty")
	if err := w.DeleteEnrollmentToken(w.ctx, boss, made.PublicID()); err != nil {
		t.Fatal(err)
	}
	vera := w.userOf(boss, "vera")
	must(w.AssignRole(w.ctx, boss, engine.AssignInput{Principal: "vera", Role: "Owner", Scope: scope}))(t)
	if err := w.DeleteResourceGroup(w.ctx, boss, "web"); err != nil {
		t.Fatal(err)
	}
	if list := must(w.Subscriptions(w.ctx, vera))(t); len(list) != 0 {
		t.Errorf("a role at a group that is gone still shows %v", list)
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
		cred, err := w.Credentials(w.ctx, tc.tenant, tc.name, office)
		if tc.want == "" {
			wantCode(t, err, access.KindNotFound, "unknownPrincipal")
		} else if err != nil || cred.Principal.ID != tc.want {
			t.Errorf("%q in %q is %s, %v; want %s", tc.name, tc.tenant, cred.Principal.ID, err, tc.want)
		}
	}
	if cred := must(w.Credentials(w.ctx, "other", "ann@example.org", office))(t); cred.Principal.Tenant != d.Tenant.ID {
		t.Errorf("ann is of %s", cred.Principal.Tenant)
	}
}
