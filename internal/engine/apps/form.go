package apps

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// FormState is the form of a definition with the answers that are there. Nothing of it is kept.
type FormState struct {
	app.Shown

	Digest   string       // of the definition that the form belongs to; empty: it is a draft's
	Offer    app.Offer    // of that definition
	Settings app.Settings // as they would be
}

// AppForm evaluates a definition's form with the answers so far, for whoever may deploy it. What it shows as ready is
// what a deployment takes: where the application has a name already, everything that a deployment would be refused for
// is among the problems.
func (e *Service) AppForm(ctx context.Context, c engine.Caller, in ApplicationInput) (s FormState, err error) {
	a := engine.Attempt{Action: rbac.ApplicationsWrite, Details: map[string]string{"definition": in.Definition}}
	err = e.kernel.Look(ctx, c, a, func(r engine.Reader, may engine.Rights) error {
		if _, err := may.Anywhere(rbac.ApplicationsWrite); err != nil {
			return err
		}
		definition, err := findDefinition(ctx, r, may, in.Definition)
		if err != nil {
			return err
		}
		if err := stillShown(definition, in.Shown); err != nil {
			return err
		}
		s.Digest = definition.Digest()
		if err := s.evaluate(ctx, r, may, definition, in); err != nil {
			return err
		}
		if in.Name != "" {
			_, err := in.settle(ctx, r, may)
			return s.refuse(err)
		}
		return nil
	})
	return s, err
}

// AppFormDraft evaluates a form that is not published yet, as those see it who are offered it, for whoever may write
// definitions. mistakes is everything for which it cannot be published; nothing is evaluated then.
func (e *Service) AppFormDraft(ctx context.Context, c engine.Caller, draft app.Definition,
	in ApplicationInput,
) (s FormState, mistakes []access.Reason, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.AppDefinitionsWrite},
		func(r engine.Reader, may engine.Rights) error {
			if _, err := may.Anywhere(rbac.AppDefinitionsWrite); err != nil {
				return err
			}
			if draft.Form != "" {
				if _, mistakes = app.ParseForm(draft.Form); len(mistakes) > 0 {
					return nil
				}
			}
			return s.evaluate(ctx, r, may, draft, in)
		})
	return s, mistakes, err
}

// evaluate shows the form of a definition.
func (s *FormState) evaluate(ctx context.Context, r engine.Reader, may engine.Rights, d app.Definition,
	in ApplicationInput,
) error {
	group, err := engine.FindGroup(ctx, r, may, in.Group)
	if err != nil {
		return err
	}
	settings := app.DefaultSettings(d.JIT)
	if in.Settings != nil {
		settings = *in.Settings
	}
	var reasons []access.Reason
	if s.Settings, err = settleSettings(ctx, r, may.Caller.Tenant, settings, d.JIT, &reasons); err != nil {
		return err
	}
	form := app.Form{}
	if d.Form != "" {
		form, _ = app.ParseForm(d.Form)
	}
	if d.JIT.Available {
		form = form.WithJIT()
	}
	location := in.Location
	if location == "" {
		location = engine.LocalLocation
	}
	s.Offer = d.JIT
	s.Shown = form.Show(in.Answers, s.Settings, formValues(may, location, group.Subscription, group.Group.Name, in.Seed))
	s.add(reasons...)
	return nil
}

// refuse puts what a deployment would be refused for among the problems. It returns what is no refusal.
func (s *FormState) refuse(err error) error {
	refusal, ok := errors.AsType[*access.Error](err)
	switch {
	case err == nil:
		return nil
	case !ok || refusal.Kind == access.KindInternal:
		return err
	case len(refusal.Reasons) > 0:
		s.add(refusal.Reasons...)
		return nil
	}
	field := "name"
	if strings.HasPrefix(refusal.Code, "managedGroup") || refusal.Code == "malformedManagedGroup" {
		field = "managedResourceGroup"
	}
	s.add(access.Reason{Code: refusal.Code, Field: field, Message: refusal.Message})
	return nil
}

// add puts reasons among the problems, but for those that a field has already.
func (s *FormState) add(reasons ...access.Reason) {
	for _, r := range reasons {
		ofForm := strings.HasPrefix(r.Field, "basics.") || strings.HasPrefix(r.Field, "steps.")
		if s.Ready = false; !ofForm && !slices.Contains(s.Problems, r) {
			s.Problems = append(s.Problems, r)
		}
	}
}

// formValues are what the expressions of a form refer to beside its answers.
func formValues(may engine.Rights, location string, subscription access.Subscription,
	group, seed string,
) app.Values {
	if seed == "" {
		seed = uuid.NewString()
	}
	return app.Values{
		Location: location, Now: may.Now, Seed: seed,
		ResourceGroup: map[string]any{
			"mode": "Existing", "name": group, "location": location,
			"id": string(access.ResourceGroupScope(subscription.ID, group)),
		},
		Subscription: map[string]any{
			"id": string(access.SubscriptionScope(subscription.ID)), "subscriptionId": string(subscription.ID),
			"tenantId": string(may.Caller.Tenant), "displayName": subscription.Name,
		},
	}
}
