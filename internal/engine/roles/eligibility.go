package roles

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// EligibilityInput makes or changes an eligibility. Groups and people in its rule may be named.
type EligibilityInput struct {
	ID             access.EligibilityID // of the one to change, or a GUID that is free; empty makes one
	Was            int64                // the revision that is changed; 0: it is new
	Principal      string               // name or id; empty in a change: as it is
	Role           string               // likewise
	Scope          access.ResourceID    // empty: the default subscription, and in a change as it is
	Start, End     time.Time            // zero: unbounded
	Max            time.Duration        // 0: access.DefaultActivation
	Justification  access.JustificationRule
	Ticket         access.TicketRule
	Approval       access.Rule
	PendingTimeout time.Duration
	Gap            time.Duration // 0: access.DefaultGap
}

// Eligibility gives one eligibility that the caller may see: their own or a group's of theirs, or one at a scope whose
// eligibilities they may read.
func (e *Service) Eligibility(ctx context.Context, c engine.Caller,
	id access.EligibilityID,
) (d engine.EligibilityDetail, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.EligibilitiesRead},
		func(r engine.Reader, may engine.Rights) error {
			if d, err = findEligibility(ctx, r, may, id); err != nil {
				return err
			}
			d, err = may.Eligibility(ctx, r, d)
			return err
		})
	return d, err
}

// Eligibilities lists the eligibilities at the scopes whose eligibilities the caller may read, by id.
func (e *Service) Eligibilities(ctx context.Context, c engine.Caller, f engine.EligibilityFilter,
	p engine.Page,
) (list engine.Listed[engine.EligibilityDetail], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.EligibilitiesRead, Scope: f.Scope},
		func(r engine.Reader, may engine.Rights) error {
			scopes, err := may.Anywhere(rbac.EligibilitiesRead)
			if err != nil {
				return err
			}
			f.Tenant, f.Beside = c.Tenant, may.Beside()
			list, err = engine.Visible(p,
				func(p engine.Page) (engine.Listed[access.Eligibility], error) { return r.Eligibilities(ctx, f, p) },
				func(one access.Eligibility) (engine.EligibilityDetail, bool, error) {
					if !may.Reaches(one.Tenant, one.Scope, scopes) {
						return engine.EligibilityDetail{}, false, nil
					}
					d, err := engine.DescribeEligibility(ctx, r, may, one)
					if err != nil {
						return d, false, err
					}
					d, err = may.Eligibility(ctx, r, d)
					return d, true, err
				})
			return err
		})
	return list, err
}

// EligibleRoles lists the roles that the caller may activate, themselves or through a group, with what they have
// active. It needs no right: whoever is eligible may know it.
func (e *Service) EligibleRoles(ctx context.Context, c engine.Caller) (list []engine.EligibilityDetail, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.RoleActivate},
		func(r engine.Reader, may engine.Rights) error {
			if list, err = engine.EligibleNow(ctx, r, may); err != nil {
				return err
			}
			for i := range list {
				f := engine.GrantFilter{
					Principal: c.Principal, Eligibility: list[i].Eligibility.ID,
					States: access.NotEnded(),
				}
				active, err := r.Grants(ctx, f, engine.Page{Limit: engine.MaxLimit})
				if err != nil {
					return fmt.Errorf("read grants: %w", err)
				}
				list[i].Active = active.Items
				if list[i], err = may.Eligibility(ctx, r, list[i]); err != nil {
					return err
				}
			}
			return nil
		})
	return list, err
}

// WriteEligibility makes or changes an eligibility. What is in force by it stays, unless it is longer than is allowed
// now, or the eligibility begins later now; what waits for a decision is looked at again when it is decided, and never
// loosened.
func (e *Service) WriteEligibility(ctx context.Context, c engine.Caller,
	in EligibilityInput,
) (d engine.EligibilityDetail, err error) {
	a := engine.Attempt{
		Action: rbac.EligibilitiesWrite, Scope: in.Scope,
		Details: map[string]string{"principal": in.Principal, "role": in.Role},
	}
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		d, err = e.writeEligibility(ctx, tx, may, in)
		return err
	})
	return d, err
}

// writeEligibility authorizes, makes or changes, and records an eligibility.
func (e *Service) writeEligibility(ctx context.Context, tx engine.Tx, may engine.Rights,
	in EligibilityInput,
) (d engine.EligibilityDetail, err error) {
	if _, err := may.Anywhere(rbac.EligibilitiesWrite); err != nil {
		return d, err
	}
	var was engine.EligibilityDetail
	if in.Was != 0 {
		if was, err = findEligibility(ctx, tx, may, in.ID); err != nil {
			return d, err
		}
		in.Principal = cmp.Or(in.Principal, string(was.Eligibility.Principal))
		in.Role = cmp.Or(in.Role, string(was.Eligibility.Role))
		in.Scope = cmp.Or(in.Scope, was.Eligibility.Scope)
	}
	scope, err := scopeOrDefault(ctx, tx, may.Caller, in.Scope)
	if err != nil {
		return d, err
	}
	if err := may.Require(rbac.EligibilitiesWrite, scope); err != nil {
		return d, err
	}
	if in.Was == 0 { // what is given already may be cut short and taken away wherever it is
		if err := engine.ScopeExists(ctx, tx, scope); err != nil {
			return d, err
		}
	}
	next, err := e.settleEligibility(ctx, tx, may, in, scope)
	if err != nil {
		return d, err
	}
	if in.Was != 0 {
		if next, err = replace(was.Eligibility, next, in.Was); err != nil {
			return d, err
		}
	}
	w := e.kernel.NewWork(tx, may.Now)
	if err := SaveEligibility(ctx, w, was.Eligibility, next, may.Actor(next.Tenant)); err != nil {
		return d, err
	}
	if in.Was != 0 && laterEnd(was.Eligibility.End, next.End) {
		if err := giveTime(ctx, w, may, string(next.ID)); err != nil {
			return d, err
		}
	}
	if d, err = engine.DescribeEligibility(ctx, tx, may, next); err != nil {
		return d, err
	}
	return d, w.Finish(ctx)
}

// settleEligibility finds what the input names, and gives everything that is wrong with it.
func (e *Service) settleEligibility(ctx context.Context, r engine.Reader, may engine.Rights, in EligibilityInput,
	scope access.ResourceID,
) (access.Eligibility, error) {
	c, tenant := may.Caller, may.TenantOf(scope)
	holder, err := directory.FindAny(ctx, r, c.Tenant, in.Principal)
	if err != nil {
		return access.Eligibility{}, err
	}
	role, err := FindRole(ctx, r, tenant, in.Role)
	if err != nil {
		return access.Eligibility{}, err
	}
	if in.ID == "" {
		in.ID = access.EligibilityID(engine.NewID())
	}
	if uuid.Validate(string(in.ID)) != nil {
		return access.Eligibility{}, access.Fault(access.KindInvalid, "malformedEligibilityId",
			"the id %q of an eligibility must be a GUID", engine.Clip(string(in.ID)))
	}
	if in.Was == 0 {
		if err := freeEligibility(ctx, r, in.ID); err != nil {
			return access.Eligibility{}, err
		}
	}
	if in.Max == 0 {
		in.Max = access.DefaultActivation
	}
	next := access.Eligibility{
		ID: access.EligibilityID(strings.ToLower(string(in.ID))), Tenant: tenant, Principal: holder.ID, Role: role.ID,
		Scope: scope, Start: access.Instant(in.Start), End: access.Instant(in.End),
		Max: in.Max, Justification: in.Justification, Ticket: in.Ticket, Approval: in.Approval,
		PendingTimeout: in.PendingTimeout, Gap: in.Gap,
		CreatedBy: c.Principal, CreatedAt: may.Now, UpdatedAt: may.Now, Revision: 1,
	}
	who := []access.PrincipalID{holder.ID}
	if holder.Kind == access.Group {
		who = may.Dir.Members(holder.ID)
	}
	terms, reasons, err := e.machines.SettleRules(ctx, r, may, tenant, next.Terms(),
		machines.Askers{What: role.Name, All: slices.Values(who)})
	if err != nil {
		return access.Eligibility{}, err
	}
	next.Approval = terms.Approval
	reasons = append(reasons, policy.ValidateEligibility(next)...)
	reasons = append(reasons,
		rbac.ValidateAssignment(rbac.Assignment{
			Tenant: tenant, Principal: holder.ID, Home: holder.Tenant,
			Definition: role.ID, Scope: scope,
		},
			role)...)
	if len(reasons) > 0 {
		refusal := access.Fault(access.KindInvalid, "malformedEligibility",
			"the eligibility is not valid: nothing was changed")
		refusal.Reasons = reasons
		return access.Eligibility{}, refusal
	}
	return next, nil
}

// freeEligibility fails where an id is or was that of an eligibility: requests and grants name it still, and would go
// on by another.
func freeEligibility(ctx context.Context, r engine.Reader, id access.EligibilityID) error {
	id = access.EligibilityID(strings.ToLower(string(id)))
	spent, err := r.EligibilitySpent(ctx, id)
	if err == nil && !spent {
		_, err = r.Eligibility(ctx, id)
		if engine.IsKind(err, access.KindNotFound) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("read eligibility: %w", err)
	}
	return access.Fault(access.KindConflict, "eligibilityIdTaken",
		"the id %s is or was that of another eligibility: choose another id", id)
}

// replace gives next as a change of was, whose principal, role and scope stay.
func replace(was, next access.Eligibility, revision int64) (access.Eligibility, error) {
	switch {
	case was.Origin != "":
		return next, managedByApplication(was)
	case was.Revision != revision:
		return next, access.Fault(access.KindConflict, "eligibilityChanged",
			"the eligibility was changed in the meantime: look again")
	case was.Principal != next.Principal || !strings.EqualFold(string(was.Role),
		string(next.Role)) || !was.Scope.Equal(next.Scope):
		return next, access.Fault(access.KindConflict, "eligibilityFixed",
			"the principal, role and scope of an eligibility cannot be changed: create another and delete this one")
	}
	next.Scope, next.CreatedBy, next.CreatedAt, next.Revision = was.Scope, was.CreatedBy, was.CreatedAt, revision+1
	return next, nil
}

func managedByApplication(e access.Eligibility) error {
	return access.Fault(access.KindConflict, "eligibilityOfApplication",
		"the eligibility belongs to the application %s: change the application's settings", e.Origin)
}

// DeleteEligibility takes an eligibility away, and with it what is in force by it.
func (e *Service) DeleteEligibility(ctx context.Context, c engine.Caller, id access.EligibilityID) error {
	a := engine.Attempt{Action: rbac.EligibilitiesWrite, Details: map[string]string{"eligibility": string(id)}}
	return e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		return e.EndEligible(ctx, tx, may, id)
	})
}

// EndEligible authorizes the end of an eligibility, ends and records it.
func (e *Service) EndEligible(ctx context.Context, tx engine.Tx, may engine.Rights,
	id access.EligibilityID,
) error {
	d, err := findEligibility(ctx, tx, may, id)
	if err != nil {
		return err
	}
	if err := may.Require(rbac.EligibilitiesWrite, d.Eligibility.Scope); err != nil {
		return err
	}
	if d.Eligibility.Origin != "" {
		return managedByApplication(d.Eligibility)
	}
	w := e.kernel.NewWork(tx, may.Now)
	if err := w.EndEligibility(ctx, d.Eligibility, may.Actor(d.Eligibility.Tenant),
		"the eligibility was taken away"); err != nil {
		return err
	}
	return w.Finish(ctx)
}
