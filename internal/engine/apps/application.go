package apps

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// ApplicationDetail is a managed application as one side sees it, with the names that people know.
type ApplicationDetail struct {
	Application app.Application
	Customer    access.Tenant
	Publisher   access.Tenant
	// the caller is of the customer's tenant; else of the publisher's, who is not told of the customer's own affairs
	Ours       bool
	Principals map[access.PrincipalID]access.Principal
	Roles      map[rbac.DefinitionID]rbac.Definition
	Newest     int64          // revision of the definition as it is now; 0: it was deleted
	Live       []access.Grant // activations that have not ended; at most 100
}

// Applications lists the managed applications that the caller may see: those of their tenant, and those that were
// deployed from its definitions.
func (e *Service) Applications(ctx context.Context, c engine.Caller, f engine.ApplicationFilter,
	p engine.Page,
) (list engine.Listed[ApplicationDetail], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.ApplicationsRead, Scope: f.Scope},
		func(r engine.Reader, may engine.Rights) error {
			if _, err := may.Anywhere(rbac.ApplicationsRead, rbac.AppDefinitionsRead); err != nil {
				return err
			}
			list, err = engine.Visible(p,
				func(p engine.Page) (engine.Listed[app.Application], error) { return r.Applications(ctx, f, p) },
				func(a app.Application) (ApplicationDetail, bool, error) {
					if !seesApplication(may, a) {
						return ApplicationDetail{}, false, nil
					}
					d, err := describeApplication(ctx, r, may, a)
					return d, true, err
				})
			return err
		})
	return list, err
}

// seesApplication tells whether the caller may know of an application: by a right to read it, its managed resource
// group or the definition that it was deployed from.
func seesApplication(r engine.Rights, a app.Application) bool {
	return r.May(rbac.ApplicationsRead,
		a.Resource) || r.May(rbac.ApplicationsRead, a.Managed) || r.May(rbac.AppDefinitionsRead, a.Definition)
}

// Application gives one managed application by its resource id or its name.
func (e *Service) Application(ctx context.Context, c engine.Caller, ref string) (d ApplicationDetail, err error) {
	err = e.kernel.Look(ctx, c,
		engine.Attempt{Action: rbac.ApplicationsRead, Details: map[string]string{"application": ref}},
		func(r engine.Reader, may engine.Rights) error {
			a, err := findApplication(ctx, r, may, ref)
			if err != nil {
				return err
			}
			d, err = describeApplication(ctx, r, may, a)
			return err
		})
	return d, err
}

// ApplicationToDecide gives an application whose requests the caller is to decide, by its resource id: to its
// approvers, who need no right to read it, and to who may see it. It is for finding a request, and not to be shown.
func (e *Service) ApplicationToDecide(ctx context.Context, c engine.Caller,
	id access.ResourceID,
) (a app.Application, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.RequestsDecide, Scope: id},
		func(r engine.Reader, may engine.Rights) error {
			a, err = r.Application(ctx, id)
			if err != nil && !engine.IsKind(err, access.KindNotFound) {
				return fmt.Errorf("read application: %w", err)
			}
			if err != nil || !seesApplication(may, a) && !approvesFor(may, a) {
				a = app.Application{}
				return access.Fault(access.KindNotFound, "unknownApplication",
					"there is no managed application %q that you may see, or decide for", engine.Clip(string(id)))
			}
			return nil
		})
	return a, err
}

// approvesFor tells whether the caller is among the approvers of an application.
func approvesFor(r engine.Rights, a app.Application) bool {
	if !r.Caller.Bounds.Cover(rbac.RequestsDecide, a.Managed) {
		return false
	}
	return slices.ContainsFunc(a.Settings.Rule().Cases, func(c access.Case) bool {
		return slices.ContainsFunc(c.Stages, func(s access.Stage) bool {
			return len(policy.EligibleFor(s, r.Caller.Principal, "", engine.People{Dir: r.Dir})) > 0
		})
	})
}

// findApplication gives the application that ref names among those that the caller may see.
func findApplication(ctx context.Context, r engine.Reader, may engine.Rights, ref string) (app.Application, error) {
	unknown := access.Fault(access.KindNotFound, "unknownApplication",
		"there is no managed application %q that you may see", engine.Clip(ref))
	if strings.HasPrefix(ref, "/") {
		id, err := access.ParseResourceID(ref)
		if err != nil {
			return app.Application{}, err
		}
		a, err := r.Application(ctx, id)
		switch {
		case engine.IsKind(err, access.KindNotFound) || err == nil && !seesApplication(may, a):
			return app.Application{}, unknown
		case err != nil:
			return app.Application{}, fmt.Errorf("read application: %w", err)
		}
		return a, nil
	}
	var found []app.Application
	for p := (engine.Page{Limit: engine.MaxLimit}); ; {
		list, err := r.Applications(ctx, engine.ApplicationFilter{}, p)
		if err != nil {
			return app.Application{}, fmt.Errorf("list applications: %w", err)
		}
		for _, a := range list.Items {
			if strings.EqualFold(a.Name(), ref) && seesApplication(may, a) {
				found = append(found, a)
			}
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			break
		}
	}
	switch len(found) {
	case 0:
		return app.Application{}, unknown
	case 1:
		return found[0], nil
	}
	refusal := access.Fault(access.KindInvalid, "ambiguousApplication",
		"there are %d managed applications %q: name one by its resource id", len(found), engine.Clip(ref))
	for _, a := range found[:min(len(found), 10)] {
		refusal.Reasons = append(refusal.Reasons, access.Reason{Code: "candidate", Message: string(a.Resource)})
	}
	return app.Application{}, refusal
}

func describeApplication(ctx context.Context, r engine.Reader, may engine.Rights,
	a app.Application,
) (ApplicationDetail, error) {
	d := ApplicationDetail{
		Application: a, Ours: may.Caller.Tenant == a.Tenant, Principals: map[access.PrincipalID]access.Principal{},
		Roles: map[rbac.DefinitionID]rbac.Definition{},
	}
	tenants, err := r.Tenants(ctx)
	if err != nil {
		return d, fmt.Errorf("read tenants: %w", err)
	}
	for _, t := range tenants {
		if t.ID == a.Tenant {
			d.Customer = t
		}
		if t.ID == a.Publisher {
			d.Publisher = t
		}
	}
	for _, given := range a.Terms.Authorizations {
		p, err := r.Principal(ctx, given.Principal)
		if err != nil {
			return d, fmt.Errorf("read principal: %w", err)
		}
		d.Principals[given.Principal] = p
		d.Roles[given.Role], _ = may.Dir.Definition(given.Role)
	}
	d.Application.Terms.Endpoint = ""
	if !d.Ours {
		d.Application.Settings.Approvers, d.Application.Parameters, d.Application.Tags = nil, "", nil
		d.Application.CreatedBy, d.Application.UpdatedBy = "", ""
	}
	now, err := r.ApplicationDefinition(ctx, a.Definition)
	if err != nil && !engine.IsKind(err, access.KindNotFound) {
		return d, fmt.Errorf("read definition: %w", err)
	}
	if now.CreatedAt.Equal(a.Terms.CreatedAt) { // one that was deleted and made again is another one
		d.Newest = now.Revision
	}
	d.Live, err = liveActivations(ctx, r, a)
	return d, err
}

// liveActivations gives the activations of an application that have not ended, scheduled ones among them; at most 100.
func liveActivations(ctx context.Context, r engine.Reader, a app.Application) ([]access.Grant, error) {
	eligible, err := eligibilitiesOf(ctx, r, a)
	if err != nil {
		return nil, err
	}
	var live []access.Grant
	for _, one := range eligible { // each by itself: what the customer's own people have active there is none of them
		f := engine.GrantFilter{Tenant: a.Tenant, Eligibility: one.ID, States: access.NotEnded()}
		list, err := r.Grants(ctx, f, engine.Page{Limit: engine.DefaultLimit - len(live)})
		if err != nil {
			return nil, fmt.Errorf("list activations: %w", err)
		}
		if live = append(live, list.Items...); len(live) == engine.DefaultLimit {
			break
		}
	}
	return live, nil
}

// eligibilitiesOf gives the eligibilities that an application made.
func eligibilitiesOf(ctx context.Context, r engine.Reader, a app.Application) ([]access.Eligibility, error) {
	list, err := r.Eligibilities(ctx, engine.EligibilityFilter{Tenant: a.Tenant, Origin: a.Resource},
		engine.Page{Limit: engine.MaxLimit})
	if err != nil {
		return nil, fmt.Errorf("read eligibilities: %w", err)
	}
	return list.Items, nil
}

// DenyAssignments lists the deny assignments at, above or below a scope that the caller may see, by id.
func (e *Service) DenyAssignments(ctx context.Context, c engine.Caller,
	scope access.ResourceID,
) (list []rbac.DenyAssignment, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.DenyAssignmentsRead, Scope: scope},
		func(_ engine.Reader, may engine.Rights) error {
			scopes, err := may.Anywhere(rbac.DenyAssignmentsRead)
			if err != nil {
				return err
			}
			for _, d := range may.Dir.Denials() {
				if engine.Covered(d.Scope, scopes) && (scope == "" || d.Scope.Within(scope) || scope.Within(d.Scope)) {
					list = append(list, d)
				}
			}
			return nil
		})
	return list, err
}
