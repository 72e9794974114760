package access_test

import (
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// TestARecallOfAScopeCoversWhatIsInIt holds that a recall without a person or a machine covers what was made until then
// on the machines of the resource group, or the subscription, that its scope is or lies in; and of a deleted machine.
func TestARecallOfAScopeCoversWhatIsInIt(t *testing.T) {
	t.Parallel()
	made := access.Grant{Tenant: "t", CreatedAt: noon(), Target: access.PortTarget{Machine: "m1"}}
	in := func(group string) access.ResourceID { return access.MachineResource("x", group, "web-1") }
	policy := access.ScopePolicyResource(access.ResourceGroupScope("x", "web"), "prod")
	for _, c := range []struct {
		scope, site access.ResourceID
		want        bool
	}{
		{access.ResourceGroupScope("x", "web"), in("WEB"), true},
		{access.ResourceGroupScope("x", "web"), in("web-2"), false},
		{policy, in("web"), true},
		{policy, in("db"), false},
		{policy, "", true},
		{access.SubscriptionScope("x"), in("db"), true},
		{access.SubscriptionScope("y"), in("db"), false},
		{access.ScopePolicyResource(access.SubscriptionScope("x"), "all"), in("db"), true},
	} {
		r := access.Recall{Tenant: "t", Scope: c.scope, At: noon()}
		if got := r.Covers(made, c.site); got != c.want {
			t.Errorf("a recall at %s covers a grant at %q: %t", c.scope, c.site, got)
		}
		later, elsewhere, role := made, made, made
		later.CreatedAt, elsewhere.Tenant = noon().Add(time.Second), "other"
		role.Target = access.RoleTarget{Scope: c.site}
		for what, g := range map[string]access.Grant{"later": later, "of another tenant": elsewhere, "of a role": role} {
			if r.Covers(g, c.site) {
				t.Errorf("a recall at %s covers a grant %s at %q", c.scope, what, c.site)
			}
		}
	}
}

func TestWhatARecallCovers(t *testing.T) {
	t.Parallel()
	at := noon()
	grant := access.Grant{Tenant: "t", Principal: "ann", Target: access.PortTarget{Machine: "m"}, CreatedAt: at}
	later, elsewhere := grant, grant
	later.CreatedAt = at.Add(time.Microsecond)
	elsewhere.Tenant = "another"
	for name, c := range map[string]struct {
		recall access.Recall
		grant  access.Grant
		want   bool
	}{
		"of the person":            {access.Recall{Principal: "ann"}, grant, true},
		"of the person, elsewhere": {access.Recall{Principal: "ann"}, elsewhere, true},
		"of another person":        {access.Recall{Principal: "bob"}, grant, false},
		"of the machine":           {access.Recall{Machine: "m"}, grant, true},
		"of another machine":       {access.Recall{Machine: "n"}, grant, false},
		"of what came later":       {access.Recall{Principal: "ann"}, later, false},
	} {
		if c.recall.At = at; c.recall.Covers(c.grant, "") != c.want {
			t.Errorf("%s: %+v covers %+v: %t", name, c.recall, c.grant, !c.want)
		}
	}
}
