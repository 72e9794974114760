package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
)

// names gives names as the transaction has read them so far.
func (w *Work) names() *NameCache { return &NameCache{R: w.Tx, Seen: w.Machines, apps: w.applications} }

// share puts what concerns a publisher on its own log too: what became of the activations of its principals, at the
// definition of the application, where those of its people read it who are no guests of the customer's.
func (w *Work) share(ctx context.Context) error {
	for _, e := range slices.Clone(w.Events) {
		if e.Request == "" {
			continue
		}
		a, err := w.names().applicationAt(ctx, e.Scope)
		if err != nil {
			return err
		}
		if a == nil {
			continue
		}
		request, err := w.Tx.Request(ctx, e.Request)
		if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		requester, err := w.Tx.Principal(ctx, request.Requester)
		if err != nil {
			return fmt.Errorf("read principal: %w", err)
		}
		if requester.Tenant != a.Publisher {
			continue
		}
		event := LifecycleEvent{Event: "JIT", State: "Succeeded", What: string(e.Kind), Principal: requester.ID}
		if err := w.TellProgram(ctx, *a, event, e.Request); err != nil {
			return err
		}
		if a.Publisher == e.Tenant {
			continue
		}
		if e, err = w.Publish(ctx, *a, e); err != nil {
			return err
		}
		e.Details["application"], e.Details["managedResourceGroup"] = string(a.Resource), string(a.Managed)
		w.Events = append(w.Events, e)
	}
	return nil
}

// side is one tenant that a notice is told in, and who is told of it there.
type side struct {
	tenant     access.TenantID
	recipients []access.PrincipalID
	abroad     bool // it is not the tenant whose record it tells of
}

// sides gives where a notice is told. One about an activation is told on both sides of its application: the publisher's
// tells whoever asked, and the customer's who decides, or in automatic mode who could not.
func (w *Work) sides(ctx context.Context, n Notice) ([]side, error) {
	tenant, scope, requester := n.Request.Tenant, access.ResourceID(""), n.Request.Requester
	if n.grant.ID != "" {
		tenant, scope, requester = n.grant.Tenant, n.grant.Place().Scope, n.grant.Principal
	} else if len(n.Request.Items) > 0 {
		scope = n.Request.Items[0].Place().Scope
	}
	a, err := w.names().applicationAt(ctx, scope)
	if err != nil || a == nil {
		return []side{{tenant: tenant, recipients: n.Recipients}}, err
	}
	asked := func(id access.PrincipalID) bool { return id == requester }
	ours := slices.DeleteFunc(slices.Clone(n.Recipients), asked)
	if a.Settings.Mode == app.Automatic && n.Kind != NotifyWillEnd {
		for _, approver := range a.Settings.Approvers {
			ours = append(ours, approver.ID)
		}
	}
	if a.Publisher == tenant {
		theirs := slices.DeleteFunc(slices.Clone(n.Recipients), func(id access.PrincipalID) bool { return !asked(id) })
		return []side{{tenant: tenant, recipients: append(ours, theirs...)}}, nil
	}
	out := []side{{tenant: tenant, recipients: ours}}
	if n.Kind != NotifyNeedsDecision {
		out = append(out, side{tenant: a.Publisher, recipients: []access.PrincipalID{requester}, abroad: true})
	}
	return out, nil
}
