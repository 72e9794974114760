package engine_test

import (
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// TestASubscriptionIsNamedToWhoeverIsEligible holds that who may activate a role in a subscription is told its name,
// and sees it in no list before, as in Azure; that the root of one tenant is none of another's; and that nobody else is
// told.
func TestASubscriptionIsNamedToWhoeverIsEligible(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	other := must(v.Directory.CreateTenant(v.ctx, v.admin, directory.TenantInput{Name: "contoso", PasswordHash: "x"}))(
		t)
	own := v.host.Machine.Subscription()
	name := must(v.Directory.Subscription(v.ctx, v.admin, own))(t).Name
	told := func(c engine.Caller, id access.SubscriptionID) string {
		t.Helper()
		got, err := v.Directory.SubscriptionName(v.ctx, c, id)
		if err != nil {
			wantCode(t, err, access.KindNotFound, "unknownSubscription")
		}
		return got
	}
	if got := told(v.vic, own); got != "" {
		t.Errorf("who has nothing there is told %q", got)
	}
	for _, scope := range []access.ResourceID{v.scope, access.SubscriptionScope(own), access.Root} {
		d := v.eligible(func(in *roles.EligibilityInput) { in.Scope = scope })
		if got := told(v.vic, own); got != name {
			t.Errorf("eligible at %s: told %q, want %q", scope, got, name)
		}
		if got := told(v.vic, other.Subscription.ID); got != "" {
			t.Errorf("eligible at %s: told of another tenant's %q", scope, got)
		}
		if got := told(v.cleo, own); got != "" {
			t.Errorf("who is not eligible is told %q", got)
		}
		if list := must(v.Directory.Subscriptions(v.ctx, v.vic))(t); len(list) != 0 {
			t.Errorf("eligible at %s: the list has %v", scope, list)
		}
		if err := v.Roles.DeleteEligibility(v.ctx, v.admin, d.Eligibility.ID); err != nil {
			t.Fatal(err)
		}
	}
	if got := told(v.admin, own); got != name {
		t.Errorf("the administrator is told %q", got)
	}
}
