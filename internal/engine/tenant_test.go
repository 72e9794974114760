package engine_test

import (
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// TestAnotherTenantSeesNothing gives somebody of another tenant an owner's role at the root, and lets them look and ask.
func TestAnotherTenantSeesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	in := engine.SubmitInput{Items: []engine.ItemInput{{Machine: "web-1", Ports: access.SinglePort(22), Duration: time.Hour}}}
	asked := must(w.Submit(w.ctx, w.admin, in))(t)

	stranger := w.user("mallory", "Owner")
	must(w.Machine(w.ctx, stranger, "web-1"))(t) // of this tenant, it would be allowed
	stranger.Tenant = "another-tenant"
	for _, ref := range []string{"web-1", string(host.Machine.ID), string(host.Machine.Resource)} {
		if _, err := w.Machine(w.ctx, stranger, ref); access.KindOf(err) != access.KindNotFound {
			t.Errorf("machine %q: %v, want not found", ref, err)
		}
	}
	in.Items[0].Machine = string(host.Machine.ID)
	if _, err := w.Submit(w.ctx, stranger, in); access.KindOf(err) != access.KindNotFound {
		t.Errorf("a request for a foreign machine: %v, want not found", err)
	}
	if _, err := w.Revoke(w.ctx, stranger, asked.Grants[0].ID, ""); access.KindOf(err) != access.KindNotFound && access.KindOf(err) != access.KindForbidden {
		t.Errorf("revoking a foreign grant: %v, want not found or forbidden", err)
	}
	page := engine.Page{Limit: 100}
	machines := must(w.Machines(w.ctx, stranger, engine.MachineFilter{}, page))(t)
	requests := must(w.Requests(w.ctx, stranger, engine.RequestFilter{}, page))(t)
	grants := must(w.Grants(w.ctx, stranger, engine.GrantFilter{}, page))(t)
	policies := must(w.Policies(w.ctx, stranger, engine.PolicyFilter{}, page))(t)
	if n := len(machines.Items) + len(requests.Items) + len(grants.Items) + len(policies.Items); n != 0 {
		t.Errorf("a stranger sees %d things of this tenant: %+v %+v %+v %+v", n, machines.Items, requests.Items, grants.Items, policies.Items)
	}
	events, err := w.Events(w.ctx, stranger, engine.EventFilter{}, page)
	for _, e := range events.Items {
		if e.Tenant != stranger.Tenant {
			t.Errorf("a stranger reads of %s: %v, %v", e.Kind, e, err)
		}
	}
}
