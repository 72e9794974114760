package apps

import (
	"context"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/engine"
)

// applicationBecame records what became of an application on both logs, and tells of it: the publisher's program at its
// endpoint, and the people of both sides.
func applicationBecame(ctx context.Context, w *engine.Work, kind access.EventKind, action string, d ApplicationDetail,
	by access.Actor, more map[string]string,
) error {
	if err := applicationEvent(ctx, w, kind, action, d, by, more); err != nil {
		return err
	}
	a := d.Application
	event, s := engine.LifecycleEvent{
		Event: "PUT",
		State: "Succeeded",
	}, engine.Subject{
		Title: a.Name(), Who: d.Customer.Name, Outcome: "deployed",
		Detail: termsInWords(a),
	}
	switch kind { //nolint:exhaustive // the others are of other things
	case access.ApplicationChanged:
		event.Event, s.Outcome = "PATCH", "changed"
	case access.ApplicationDeleted:
		event.Event, event.State, s.Outcome = "DELETE", "Deleted", "deleted"
		s.Detail = fmt.Sprintf("The publisher's access has ended, and the resource group %s is gone with its machines.",
			a.Managed.Name())
	}
	if err := w.TellProgram(ctx, a, event, ""); err != nil {
		return err
	}
	ours, theirs := customersPeople(a), authorized(a.Terms)
	if a.Publisher == a.Tenant {
		ours = append(ours, theirs...)
	} else if err := announce(ctx, w, a, a.Publisher, theirs, s); err != nil {
		return err
	}
	s.By = by.Name // whom the publisher is not told of
	return announce(ctx, w, a, a.Tenant, ours, s)
}

// definitionBecame tells the customers of what was deployed from a definition that there is a new version of it, which
// they may accept, or where next is nil or not offered to them any more, that it was withdrawn.
func definitionBecame(ctx context.Context, w *engine.Work, was app.Definition, next *app.Definition) error {
	for p := (engine.Page{Limit: engine.MaxLimit}); ; {
		list, err := w.Tx.Applications(ctx, engine.ApplicationFilter{Definition: was.Resource}, p)
		if err != nil {
			return fmt.Errorf("list applications: %w", err)
		}
		for _, a := range list.Items {
			if !was.OfferedTo(a.Tenant) {
				continue // they were told
			}
			s := engine.Subject{
				Title: a.Name(), Outcome: "withdrawn",
				Detail: fmt.Sprintf("The publisher has withdrawn %s. The application goes on by the terms of "+
					"version %s.",
					was.Name(), a.Terms.Version),
			}
			if next != nil && next.OfferedTo(a.Tenant) {
				s.Outcome = "newVersion"
				s.Detail = fmt.Sprintf("Version %s of %s is offered. The application goes on by the terms of "+
					"version %s until you accept the new one: postern app refresh %s",
					next.Version, next.Name(), a.Terms.Version, a.Name())
			}
			if err := announce(ctx, w, a, a.Tenant, customersPeople(a), s); err != nil {
				return err
			}
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			return nil
		}
	}
}

// announce tells the people of one tenant something of an application, where it has a channel that could carry it.
func announce(ctx context.Context, w *engine.Work, a app.Application, tenant access.TenantID, to []access.PrincipalID,
	s engine.Subject,
) error {
	heard, err := w.Hears(ctx, tenant)
	if err != nil || !heard {
		return err
	}
	slices.Sort(to)
	err = w.Tx.Enqueue(ctx, engine.Notification{
		ID: engine.NotificationID(engine.NewID()), At: w.Now, Kind: engine.NotifyApplication, Tenant: tenant,
		Recipients: slices.Compact(to), Subject: s,
		Lifecycle: engine.LifecycleEvent{Application: a.Resource, Definition: a.Definition},
	})
	if err != nil {
		return fmt.Errorf("enqueue notification: %w", err)
	}
	return nil
}

// customersPeople gives whom an application concerns on the customer's side: its approvers, and who deployed it.
func customersPeople(a app.Application) []access.PrincipalID {
	people := []access.PrincipalID{a.CreatedBy}
	for _, approver := range a.Settings.Approvers {
		people = append(people, approver.ID)
	}
	return people
}

// authorized gives whom a definition gives rights to, and who wrote it.
func authorized(d app.Definition) []access.PrincipalID {
	people := []access.PrincipalID{d.UpdatedBy}
	for _, given := range d.Authorizations {
		people = append(people, given.Principal)
	}
	return people
}

// termsInWords says what the publisher has by an application.
func termsInWords(a app.Application) string {
	switch {
	case a.Terms.Unmanaged:
		return "The publisher has no access."
	case !a.Settings.JIT:
		return "The publisher's roles are permanent: there is no just-in-time access."
	case a.Settings.Mode == app.Manual:
		return fmt.Sprintf("The publisher's roles are activated for %s at most, each time when an approver agrees.",
			engine.Span(a.Settings.Longest))
	default:
		return fmt.Sprintf("The publisher's roles are activated for %s at most, each time approved at once.",
			engine.Span(a.Settings.Longest))
	}
}
