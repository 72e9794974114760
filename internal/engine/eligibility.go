package engine

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

// EligibilityDetail is an eligibility with the names that people know.
type EligibilityDetail struct {
	Eligibility access.Eligibility
	Principal   access.Principal
	Role        rbac.Definition
	Names       map[access.PrincipalID]string // of the groups and people of its rule
	Active      []access.Grant                // in a list of one's own eligible roles: one's grants by it that have not ended
}

func (d EligibilityDetail) role() access.Role {
	return access.Role{Eligibility: d.Eligibility.ID, ID: d.Role.ID, Name: d.Role.Name, Scope: d.Eligibility.Scope}
}

// Eligibility gives one eligibility that the caller may see: their own or a group's of theirs, or one at a scope whose
// eligibilities they may read.
func (e *Engine) Eligibility(ctx context.Context, c Caller, id access.EligibilityID) (d EligibilityDetail, err error) {
	err = e.look(ctx, c, attempt{action: rbac.EligibilitiesRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		if d, err = findEligibility(ctx, r, may, id); err != nil {
			return err
		}
		d, err = may.eligibility(ctx, r, d)
		return err
	})
	return d, err
}

// Eligibilities lists the eligibilities at the scopes whose eligibilities the caller may read, by id.
func (e *Engine) Eligibilities(ctx context.Context, c Caller, f EligibilityFilter, p Page) (list Listed[EligibilityDetail], err error) {
	err = e.look(ctx, c, attempt{action: rbac.EligibilitiesRead, scope: f.Scope}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		scopes, err := may.anywhere(rbac.EligibilitiesRead)
		if err != nil {
			return err
		}
		f.Tenant, f.Beside = c.Tenant, may.beside()
		list, err = visible(p, func(p Page) (Listed[access.Eligibility], error) { return r.Eligibilities(ctx, f, p) },
			func(one access.Eligibility) (EligibilityDetail, bool, error) {
				if !may.reaches(one.Tenant, one.Scope, scopes) {
					return EligibilityDetail{}, false, nil
				}
				d, err := describeEligibility(ctx, r, may, one)
				if err != nil {
					return d, false, err
				}
				d, err = may.eligibility(ctx, r, d)
				return d, true, err
			})
		return err
	})
	return list, err
}

// EligibleRoles lists the roles that the caller may activate, themselves or through a group, with what they have active. It
// needs no right: whoever is eligible may know it.
func (e *Engine) EligibleRoles(ctx context.Context, c Caller) (list []EligibilityDetail, err error) {
	err = e.look(ctx, c, attempt{action: rbac.RoleActivate}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		if list, err = eligibleNow(ctx, r, may); err != nil {
			return err
		}
		for i := range list {
			f := GrantFilter{Principal: c.Principal, Eligibility: list[i].Eligibility.ID, States: access.NotEnded()}
			active, err := r.Grants(ctx, f, Page{Limit: maxLimit})
			if err != nil {
				return fmt.Errorf("read grants: %w", err)
			}
			list[i].Active = active.Items
			if list[i], err = may.eligibility(ctx, r, list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// eligibleNow gives the eligibilities by which the caller may activate, of whatever tenant, by scope and role.
func eligibleNow(ctx context.Context, r Reader, may rights) ([]EligibilityDetail, error) {
	me := may.caller.Principal
	var all []EligibilityDetail
	for _, holder := range append(may.dir.GroupsOf(me), me) {
		for p := (Page{Limit: maxLimit}); ; {
			list, err := r.Eligibilities(ctx, EligibilityFilter{Principal: holder}, p)
			if err != nil {
				return nil, fmt.Errorf("read eligibilities: %w", err)
			}
			for _, one := range list.Items {
				if notEligible(may.dir, one, me, may.now) != "" {
					continue
				}
				d, err := describeEligibility(ctx, r, may, one)
				if err != nil {
					return nil, err
				}
				all = append(all, d)
			}
			if p.Cursor = list.Next; p.Cursor == "" {
				break
			}
		}
	}
	slices.SortFunc(all, func(a, b EligibilityDetail) int {
		return strings.Compare(a.Eligibility.Scope.Fold()+" "+a.Role.Name+" "+string(a.Eligibility.ID), b.Eligibility.Scope.Fold()+" "+b.Role.Name+" "+string(b.Eligibility.ID))
	})
	return all, nil
}

// WriteEligibility makes or changes an eligibility. What is in force by it stays, unless it is longer than is allowed now, or
// the eligibility begins later now; what waits for a decision is looked at again when it is decided, and never loosened.
func (e *Engine) WriteEligibility(ctx context.Context, c Caller, in EligibilityInput) (d EligibilityDetail, err error) {
	a := attempt{action: rbac.EligibilitiesWrite, scope: in.Scope, details: map[string]string{"principal": in.Principal, "role": in.Role}}
	err = e.change(ctx, c, a, func(tx Tx) error {
		may, err := e.rights(ctx, tx, c)
		if err != nil {
			return err
		}
		d, err = e.writeEligibility(ctx, tx, may, in)
		return err
	})
	return d, err
}

// writeEligibility authorizes, makes or changes, and records an eligibility.
func (e *Engine) writeEligibility(ctx context.Context, tx Tx, may rights, in EligibilityInput) (d EligibilityDetail, err error) {
	if _, err := may.anywhere(rbac.EligibilitiesWrite); err != nil {
		return d, err
	}
	var was EligibilityDetail
	if in.Was != 0 {
		if was, err = findEligibility(ctx, tx, may, in.ID); err != nil {
			return d, err
		}
		in.Principal = cmp.Or(in.Principal, string(was.Eligibility.Principal))
		in.Role = cmp.Or(in.Role, string(was.Eligibility.Role))
		in.Scope = cmp.Or(in.Scope, was.Eligibility.Scope)
	}
	scope, err := scopeOrDefault(ctx, tx, may.caller, in.Scope)
	if err != nil {
		return d, err
	}
	if err := may.require(rbac.EligibilitiesWrite, scope); err != nil {
		return d, err
	}
	if in.Was == 0 { // what is given already may be cut short and taken away wherever it is
		if err := scopeExists(ctx, tx, scope); err != nil {
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
	w := e.newWork(tx, may.now)
	if err := w.saveEligibility(ctx, was.Eligibility, next, may.actor(next.Tenant)); err != nil {
		return d, err
	}
	if in.Was != 0 && laterEnd(was.Eligibility.End, next.End) {
		if err := w.giveTime(ctx, may, string(next.ID)); err != nil {
			return d, err
		}
	}
	if d, err = describeEligibility(ctx, tx, may, next); err != nil {
		return d, err
	}
	return d, w.finish(ctx)
}

// settleEligibility finds what the input names, and gives everything that is wrong with it.
func (e *Engine) settleEligibility(ctx context.Context, r Reader, may rights, in EligibilityInput, scope access.ResourceID) (access.Eligibility, error) {
	c, tenant := may.caller, may.tenantOf(scope)
	holder, err := findAny(ctx, r, c.Tenant, in.Principal)
	if err != nil {
		return access.Eligibility{}, err
	}
	role, err := findRole(ctx, r, tenant, in.Role)
	if err != nil {
		return access.Eligibility{}, err
	}
	if in.ID == "" {
		in.ID = access.EligibilityID(newID())
	}
	if uuid.Validate(string(in.ID)) != nil {
		return access.Eligibility{}, access.Fault(access.KindInvalid, "malformedEligibilityId", "the id %q of an eligibility must be a GUID", clip(string(in.ID)))
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
		ID: access.EligibilityID(strings.ToLower(string(in.ID))), Tenant: tenant, Principal: holder.ID, Role: role.ID, Scope: scope, Start: access.Instant(in.Start), End: access.Instant(in.End),
		Max: in.Max, Justification: in.Justification, Ticket: in.Ticket, Approval: in.Approval, PendingTimeout: in.PendingTimeout, Gap: in.Gap,
		CreatedBy: c.Principal, CreatedAt: may.now, UpdatedAt: may.now, Revision: 1,
	}
	who := []access.PrincipalID{holder.ID}
	if holder.Kind == access.Group {
		who = may.dir.Members(holder.ID)
	}
	terms, reasons, err := e.settleRules(ctx, r, may, tenant, next.Terms(), askers{what: role.Name, all: slices.Values(who)})
	if err != nil {
		return access.Eligibility{}, err
	}
	next.Approval = terms.Approval
	reasons = append(reasons, policy.ValidateEligibility(next)...)
	reasons = append(reasons, rbac.ValidateAssignment(rbac.Assignment{Tenant: tenant, Principal: holder.ID, Home: holder.Tenant, Definition: role.ID, Scope: scope}, role)...)
	if len(reasons) > 0 {
		refusal := access.Fault(access.KindInvalid, "malformedEligibility", "the eligibility cannot be taken as it is: nothing was changed")
		refusal.Reasons = reasons
		return access.Eligibility{}, refusal
	}
	return next, nil
}

// freeEligibility fails where an id is or was that of an eligibility: requests and grants name it still, and would go on by another.
func freeEligibility(ctx context.Context, r Reader, id access.EligibilityID) error {
	id = access.EligibilityID(strings.ToLower(string(id)))
	spent, err := r.EligibilitySpent(ctx, id)
	if err == nil && !spent {
		_, err = r.Eligibility(ctx, id)
		if isKind(err, access.KindNotFound) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("read eligibility: %w", err)
	}
	return access.Fault(access.KindConflict, "eligibilityIdTaken", "there is or was an eligibility %s: choose another id", id)
}

// eligibilityOf gives the eligibility that a role of a tenant is asked for or held by: one for that role at that scope, whatever else
// has its id. What is not found is access.KindNotFound.
func eligibilityOf(ctx context.Context, r Reader, tenant access.TenantID, role access.Role) (access.Eligibility, error) {
	one, err := r.Eligibility(ctx, role.Eligibility)
	if err != nil {
		return access.Eligibility{}, err
	}
	if one.Tenant != tenant || !strings.EqualFold(string(one.Role), string(role.ID)) || !one.Scope.Equal(role.Scope) {
		return access.Eligibility{}, access.Fault(access.KindNotFound, "unknownEligibility", "there is no eligibility %s for %s", role.Eligibility, role)
	}
	return one, nil
}

// replace gives next as a change of was, whose principal, role and scope stay.
func replace(was, next access.Eligibility, revision int64) (access.Eligibility, error) {
	switch {
	case was.Origin != "":
		return next, managedByApplication(was)
	case was.Revision != revision:
		return next, access.Fault(access.KindConflict, "eligibilityChanged", "the eligibility was changed meanwhile: look again")
	case was.Principal != next.Principal || !strings.EqualFold(string(was.Role), string(next.Role)) || !was.Scope.Equal(next.Scope):
		return next, access.Fault(access.KindConflict, "eligibilityFixed", "principal, role and scope of an eligibility stay as they are: make another one and delete this")
	}
	next.Scope, next.CreatedBy, next.CreatedAt, next.Revision = was.Scope, was.CreatedBy, was.CreatedAt, revision+1
	return next, nil
}

func managedByApplication(e access.Eligibility) error {
	return access.Fault(access.KindConflict, "eligibilityOfApplication", "the eligibility belongs to the application %s: change the application's settings", e.Origin)
}

// DeleteEligibility takes an eligibility away, and with it what is in force by it.
func (e *Engine) DeleteEligibility(ctx context.Context, c Caller, id access.EligibilityID) error {
	a := attempt{action: rbac.EligibilitiesWrite, details: map[string]string{"eligibility": string(id)}}
	return e.change(ctx, c, a, func(tx Tx) error {
		may, err := e.rights(ctx, tx, c)
		if err != nil {
			return err
		}
		return e.deleteEligibility(ctx, tx, may, id)
	})
}

// deleteEligibility authorizes the end of an eligibility, ends and records it.
func (e *Engine) deleteEligibility(ctx context.Context, tx Tx, may rights, id access.EligibilityID) error {
	d, err := findEligibility(ctx, tx, may, id)
	if err != nil {
		return err
	}
	if err := may.require(rbac.EligibilitiesWrite, d.Eligibility.Scope); err != nil {
		return err
	}
	if d.Eligibility.Origin != "" {
		return managedByApplication(d.Eligibility)
	}
	w := e.newWork(tx, may.now)
	if err := w.endEligibility(ctx, d.Eligibility, may.actor(d.Eligibility.Tenant), "the eligibility was taken away"); err != nil {
		return err
	}
	return w.finish(ctx)
}
