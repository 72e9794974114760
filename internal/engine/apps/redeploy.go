package apps

import (
	"context"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// ApplicationChange changes an application; nil leaves a thing as it is.
type ApplicationChange struct {
	Was        *int64 // the revision that is changed
	Settings   *app.Settings
	Parameters *string
	Tags       *map[string]string
}

// ChangeApplication changes the customer's terms. The publisher cannot. What is active and longer than is allowed now
// ends; what waits for a decision is looked at again, and never loosened.
func (e *Service) ChangeApplication(ctx context.Context, c engine.Caller, ref string,
	change ApplicationChange,
) (d ApplicationDetail, err error) {
	a := engine.Attempt{Action: rbac.ApplicationsWrite, All: true, Details: map[string]string{"application": ref}}
	err = e.changeApplication(ctx, c, a, ref, rbac.ApplicationsWrite,
		func(ctx context.Context, tx engine.Tx, _ engine.Rights, was app.Application) (app.Application, error) {
			next := was
			if change.Was != nil && *change.Was != was.Revision {
				return next, access.Fault(access.KindConflict, "applicationChanged",
					"the application has changed since you read it (revision %d, not %d): read it again", was.Revision,
					*change.Was)
			}
			var reasons []access.Reason
			if change.Settings != nil {
				settings, err := settleSettings(ctx, tx, c.Tenant, *change.Settings, was.Terms.JIT, &reasons)
				if err != nil {
					return next, err
				}
				if err := was.Settings.CheckMove(settings); err != nil {
					return next, err
				}
				next.Settings = settings
			}
			if change.Tags != nil {
				next.Tags = *change.Tags
				reasons = append(reasons, app.ValidateTags(next.Tags)...)
			}
			if change.Parameters != nil {
				next.Parameters = *change.Parameters
			}
			if len(next.Parameters) > app.MaxDocument {
				reasons = append(reasons,
					access.Reason{
						Code: "documentTooLong", Field: "parameters",
						Message: fmt.Sprintf("the parameters have more than %d bytes", app.MaxDocument),
					})
			}
			if len(reasons) > 0 {
				return next, badApplication(reasons)
			}
			return next, nil
		}, &d)
	return d, err
}

// RefreshApplication accepts the definition that has the digest shown; empty, for Azure's clients, which name none, is
// the definition as it is now. It is for the customer alone: what a publisher offers anew is not given to it until the
// customer says so.
func (e *Service) RefreshApplication(ctx context.Context, c engine.Caller,
	ref, shown string,
) (d ApplicationDetail, err error) {
	a := engine.Attempt{Action: rbac.ApplicationsRefresh, All: true, Details: map[string]string{"application": ref}}
	err = e.changeApplication(ctx, c, a, ref, rbac.ApplicationsRefresh,
		func(ctx context.Context, tx engine.Tx, may engine.Rights, was app.Application) (app.Application, error) {
			now, err := tx.ApplicationDefinition(ctx, was.Definition)
			switch {
			case engine.IsKind(err, access.KindNotFound), err == nil && !now.OfferedTo(c.Tenant):
				return was, access.Fault(access.KindConflict, "applicationDefinitionGone",
					"the publisher has withdrawn the definition: the application keeps the terms of version %s",
					was.Terms.Version)
			case err != nil:
				return was, fmt.Errorf("read definition: %w", err)
			}
			if err := stillShown(now, shown); err != nil {
				return was, err
			}
			switch {
			case was.Settings.JIT && !now.JIT.Available:
				return was, access.Fault(access.KindConflict, "jitNotAvailable",
					"version %s no longer offers just-in-time access, which this application was deployed with: the application "+
						"keeps the terms of version %s",
					now.Version, was.Terms.Version)
			case !was.Settings.JIT && now.JIT.Required:
				return was, access.Fault(access.KindConflict, "jitRequired",
					"version %s is offered only with just-in-time access: enable it first", now.Version)
			}
			if err := may.Require(rbac.RoleAssignmentsWrite, was.Resource); err != nil &&
				now.Digest() != was.Terms.Digest() {
				return was, err // it may hand more to the publisher
			}
			now.Form, now.Template = "", ""
			next := was
			next.Terms = now
			return next, nil
		}, &d)
	return d, err
}

// stillShown refuses a definition that is not the one whose digest was shown.
func stillShown(now app.Definition, shown string) error {
	if shown == "" || shown == now.Digest() {
		return nil
	}
	return access.Fault(access.KindConflict, "applicationDefinitionChanged",
		"the publisher has changed the definition since you read it (it has version %s now): read it again",
		now.Version)
}

// changeApplication finds the application, has do change it, and saves what has changed. Only the customer's side may.
func (e *Service) changeApplication(ctx context.Context, c engine.Caller, a engine.Attempt, ref, action string,
	do func(context.Context, engine.Tx, engine.Rights, app.Application) (app.Application, error),
	d *ApplicationDetail,
) error {
	a.Scope = e.scopeOfApplication(ctx, c, ref)
	return e.kernel.Change(ctx, c, a, func(tx engine.Tx, _ engine.Rights) error {
		may, was, err := e.customersApplication(ctx, tx, c, ref, action)
		if err != nil {
			return err
		}
		next, err := do(ctx, tx, may, was)
		if err != nil {
			return err
		}
		if next.Same(was) {
			*d, err = describeApplication(ctx, tx, may, was)
			return err
		}
		w := e.kernel.NewWork(tx, may.Now)
		next.UpdatedBy, next.UpdatedAt, next.Revision = c.Principal, may.Now, was.Revision+1
		if err := saveApplication(ctx, w, next, was.Revision, c.Actor()); err != nil {
			return err
		}
		if *d, err = describeApplication(ctx, tx, may, next); err != nil {
			return err
		}
		if err := applicationBecame(ctx, w, access.ApplicationChanged, action, *d, c.Actor(),
			changedTerms(was, next)); err != nil {
			return err
		}
		return w.Finish(ctx)
	})
}

// changedTerms says what of the terms has changed, for the log.
func changedTerms(was, next app.Application) map[string]string {
	changed := map[string]string{}
	if !was.Settings.Equal(next.Settings) {
		changed["was"] = fmt.Sprintf("jit %t, %s, at most %s, %d approvers", was.Settings.JIT, was.Settings.Mode,
			was.Settings.Longest, len(was.Settings.Approvers))
	}
	if was.Terms.Revision != next.Terms.Revision {
		changed["wasVersion"] = was.Terms.Version
	}
	return changed
}

// scopeOfApplication gives the resource id of the application that ref names, for the record of an attempt; empty where
// there is none that the caller may see.
func (e *Service) scopeOfApplication(ctx context.Context, c engine.Caller, ref string) (scope access.ResourceID) {
	_ = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		may, err := e.kernel.Rights(ctx, r, c)
		if err != nil {
			return err
		}
		a, err := findApplication(ctx, r, may, ref)
		scope = a.Resource
		return err
	})
	return scope
}

// customersApplication gives the application that ref names where the caller is of the customer's side and may do
// action.
func (e *Service) customersApplication(ctx context.Context, r engine.Reader, c engine.Caller,
	ref, action string,
) (engine.Rights, app.Application, error) {
	may, err := e.kernel.Rights(ctx, r, c)
	if err != nil {
		return may, app.Application{}, err
	}
	a, err := findApplication(ctx, r, may, ref)
	switch {
	case err != nil:
		return may, a, err
	case a.Tenant != c.Tenant:
		return may, a, access.Fault(access.KindForbidden, "customerOnly",
			"application %q belongs to the customer: only the customer can change its settings or delete it", a.Name())
	}
	return may, a, may.Require(action, a.Resource)
}

// DeleteApplication deletes an application with its managed resource group: the publisher's rights end, and the
// machines in the group are forgotten, with every role and eligibility that somebody was given there. Where activations
// are live it is refused, unless endActivations says to end them. Of many machines some are closed and forgotten in
// each transaction, so that nobody else waits for all of them; where it fails on the way, the application is there with
// the others, and it may be called again.
func (e *Service) DeleteApplication(ctx context.Context, c engine.Caller, ref string, endActivations bool) error {
	a := engine.Attempt{
		Action: rbac.ApplicationsDelete, All: true, Scope: e.scopeOfApplication(ctx, c, ref),
		Details: map[string]string{"application": ref},
	}
	for before := 0; ; {
		left, err := e.deleteApplication(ctx, c, a, ref, endActivations, before)
		if err != nil || left == 0 {
			return err
		}
		before += left
	}
}

// deleteApplication is one transaction of it: the last, where it gives 0; else so many machines have left.
func (e *Service) deleteApplication(ctx context.Context, c engine.Caller, a engine.Attempt, ref string,
	endActivations bool, before int,
) (left int, err error) {
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, _ engine.Rights) error {
		left = 0
		may, gone, err := e.customersApplication(ctx, tx, c, ref, rbac.ApplicationsDelete)
		if err != nil {
			return err
		}
		d, err := describeApplication(ctx, tx, may, gone)
		if err != nil {
			return err
		}
		if len(d.Live) > 0 && !endActivations {
			return stillActive(d)
		}
		w := e.kernel.NewWork(tx, may.Now)
		if some, err := leaveSome(ctx, w, gone, c.Actor()); err != nil || len(some) > 0 {
			if err != nil {
				return err
			}
			left = len(some)
			return forget(ctx, w, some)
		}
		if err := saveEligible(ctx, w, gone, nil, c.Actor()); err != nil {
			return err
		}
		if err := tx.DeleteMadeFor(ctx, gone.Resource); err != nil {
			return fmt.Errorf("take away what was given: %w", err)
		}
		machines, err := leaveGroup(ctx, w, gone, c.Actor())
		if err != nil {
			return err
		}
		gonePlaces := []access.ResourceID{gone.Managed, gone.Resource}
		for _, place := range gonePlaces {
			if err := directory.EndEligibleWithin(ctx, w, gone.Tenant, place, c.Actor(),
				"its managed application was deleted"); err != nil {
				return err
			}
		}
		more := map[string]string{"machines": fmt.Sprint(before + len(machines)), "ended": fmt.Sprint(len(d.Live))}
		if err := applicationBecame(ctx, w, access.ApplicationDeleted, rbac.ApplicationsDelete, d, c.Actor(),
			more); err != nil {
			return err
		}
		if err := directory.RetireIn(ctx, w, gone.Tenant, gone.Managed); err != nil {
			return err
		}
		if err := forget(ctx, w, machines); err != nil {
			return err
		}
		if err := e.directory.UnassignWithin(ctx, tx, may, gonePlaces...); err != nil {
			return err
		}
		if err := tx.DeleteApplication(ctx, gone.Resource, gone.Revision); err != nil {
			return fmt.Errorf("delete application: %w", err)
		}
		if err := tx.DeleteResourceGroup(ctx, access.SubscriptionID(gone.Managed.Segment("subscriptions")),
			gone.Managed.Name()); err != nil {
			return fmt.Errorf("delete resource group: %w", err)
		}
		return nil
	})
	return left, err
}

// Where a managed resource group has more machines than leaveTogether, some of them leave in a transaction of their
// own: until as many events are written, or a page of them has left.
const (
	leaveTogether = 20
	leaveEvents   = 2 * engine.ActChunk
)

// leaveSome has machines closed that are more than one transaction closes, and gives them; none where all that are left
// may leave at once.
func leaveSome(ctx context.Context, w *engine.Work, a app.Application,
	by access.Actor,
) (some []access.MachineID, err error) {
	list, err := w.Tx.Machines(ctx, engine.MachineFilter{Tenant: a.Tenant, Scope: a.Managed},
		engine.Page{Limit: engine.ActChunk})
	if err != nil {
		return nil, fmt.Errorf("list machines: %w", err)
	}
	if len(list.Items) <= leaveTogether {
		return nil, nil
	}
	for _, m := range list.Items {
		if err := machines.Leave(ctx, w, m, by, "its managed application is being deleted"); err != nil {
			return nil, err
		}
		if some = append(some, m.ID); len(w.Events) >= leaveEvents {
			break
		}
	}
	return some, nil
}

// forget writes what became of machines that have left, and deletes them.
func forget(ctx context.Context, w *engine.Work, gone []access.MachineID) error {
	if err := w.Finish(ctx); err != nil {
		return err
	}
	for _, m := range gone {
		if err := w.Tx.DeleteMachine(ctx, m); err != nil {
			return fmt.Errorf("delete machine: %w", err)
		}
	}
	return nil
}

// stillActive refuses a deletion, and names what is active.
func stillActive(d ApplicationDetail) error {
	refusal := access.Fault(access.KindConflict, "activationsLive",
		"%d activations of %q have not ended: revoke them, or say that they are to end with it", len(d.Live),
		d.Application.Name())
	for _, g := range d.Live[:min(len(d.Live), 10)] {
		refusal.Reasons = append(refusal.Reasons, access.Reason{
			Code: "activationLive",
			Message: fmt.Sprintf("%s of %s is %s until %s", g.Target.Title(), g.PrincipalName, g.State,
				g.End.UTC().Format(time.RFC3339)),
		})
	}
	return refusal
}

// leaveGroup has the machines in the managed resource group closed and forgotten, and gives them: they are to be
// deleted once the events are written. Enrollment tokens for the group are withdrawn.
func leaveGroup(ctx context.Context, w *engine.Work, a app.Application, by access.Actor) ([]access.MachineID, error) {
	var gone []access.MachineID
	for p := (engine.Page{Limit: engine.MaxLimit}); ; {
		list, err := w.Tx.Machines(ctx, engine.MachineFilter{Tenant: a.Tenant, Scope: a.Managed}, p)
		if err != nil {
			return nil, fmt.Errorf("list machines: %w", err)
		}
		for _, m := range list.Items {
			if err := machines.Leave(ctx, w, m, by, "its managed application was deleted"); err != nil {
				return nil, err
			}
			gone = append(gone, m.ID)
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			break
		}
	}
	if err := machines.ForgetScopes(ctx, w, a.Tenant, a.Managed, by); err != nil {
		return nil, err
	}
	tokens, err := w.Tx.EnrollmentTokens(ctx, a.Tenant, w.Now)
	if err != nil {
		return nil, fmt.Errorf("read enrollment tokens: %w", err)
	}
	for _, t := range tokens {
		if !t.Scope().Equal(a.Managed) {
			continue
		}
		if err := directory.WithdrawToken(ctx, w, t, rbac.ApplicationsDelete, by); err != nil {
			return nil, err
		}
	}
	return gone, nil
}
