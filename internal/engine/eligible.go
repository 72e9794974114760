package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Span writes a duration without the zeros at its end: 3h, 1h30m.
func Span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// AssignmentDetail is a role assignment with the names that people know.
type AssignmentDetail struct {
	Assignment rbac.Assignment
	Principal  access.Principal
	Role       rbac.Definition
}

// DescribeAssignment adds the principal and the role that an assignment names.
func DescribeAssignment(ctx context.Context, r Reader, dir *rbac.Directory,
	a rbac.Assignment,
) (AssignmentDetail, error) {
	p, err := r.Principal(ctx, a.Principal)
	if err != nil {
		return AssignmentDetail{}, fmt.Errorf("read principal: %w", err)
	}
	role, _ := dir.Definition(a.Definition)
	return AssignmentDetail{Assignment: a, Principal: p, Role: role}, nil
}

// Event returns the event of what became of the assignment.
func (d AssignmentDetail) Event(kind access.EventKind, may Rights) access.Event {
	details := map[string]string{
		"assignment": string(d.Assignment.ID), "principal": d.Principal.Name, "principalId": string(d.Principal.ID),
		"role": d.Role.Name, "roleId": string(d.Assignment.Definition),
	}
	if d.Assignment.Home != d.Assignment.Tenant {
		details["tenant"] = may.Dir.TenantName(d.Assignment.Home)
	}
	if !d.Assignment.Start.IsZero() {
		details["start"] = d.Assignment.Start.Format(time.RFC3339)
	}
	if !d.Assignment.End.IsZero() {
		details["end"] = d.Assignment.End.Format(time.RFC3339)
	}
	action := rbac.RoleAssignmentsWrite
	if kind == access.RoleUnassigned {
		action = rbac.RoleAssignmentsDelete
	}
	return access.Event{
		At: may.Now, Kind: kind, Outcome: access.Succeeded, Actor: may.Actor(d.Assignment.Tenant),
		Tenant: d.Assignment.Tenant, Scope: d.Assignment.Scope,
		Action: action, Details: details,
	}
}

// NamesOf gives the names of principals of the caller's tenant; one that is not there, or is of another, stands under
// its id.
func NamesOf(ctx context.Context, r Reader, may Rights,
	ids []access.PrincipalID,
) (map[access.PrincipalID]string, error) {
	names := make(map[access.PrincipalID]string, len(ids))
	for _, id := range ids {
		if _, ok := names[id]; ok {
			continue
		}
		p, err := r.Principal(ctx, id)
		switch {
		case IsKind(err, access.KindNotFound), err == nil && !may.IsHome(p.Tenant):
			names[id] = string(id)
		case err != nil:
			return nil, fmt.Errorf("read principal: %w", err)
		default:
			names[id] = p.Name
		}
	}
	return names, nil
}

// Begins gives the instant before which nothing is active by an eligibility; zero where it has begun.
func Begins(e access.Eligibility, now time.Time) time.Time {
	if now.Before(e.Start) {
		return e.Start
	}
	return time.Time{}
}

// Beyond says where an activation lasts longer than its eligibility allows by now, or begins before that; empty where
// it does not.
func Beyond(e access.Eligibility, g access.Grant, now time.Time) string {
	if g.Start.Before(Begins(e, now)) {
		return "the eligibility was changed: it begins at " + e.Start.UTC().Format(time.RFC3339)
	}
	if g.End.Sub(g.Start) > e.Max || !e.End.IsZero() && g.End.After(e.End) {
		return "the eligibility was changed: it allows " + Span(e.Max) + " at the most"
	}
	return ""
}

// EndEligibility deletes an eligibility, and revokes what is in force by it.
func (w *Work) EndEligibility(ctx context.Context, e access.Eligibility, by access.Actor, reason string) error {
	if err := w.RevokeBy(ctx, e.ID, by, func(access.Grant) (string, bool) { return reason, true }); err != nil {
		return err
	}
	if err := w.Tx.DeleteActivationsBy(ctx, e.ID); err != nil {
		return fmt.Errorf("delete role assignments: %w", err)
	}
	if err := w.Tx.DeleteEligibility(ctx, e.ID, e.Revision); err != nil {
		return fmt.Errorf("delete eligibility: %w", err)
	}
	w.Event(EligibilityEvent(access.EligibilityDeleted, e, by))
	return nil
}

// RevokeBy ends the grants by an eligibility that which picks, what is in force first. Of a great many the others end
// within seconds: EndUnheld finds that their holders have lost the right. Whoever calls it takes their assignments away
// at once.
func (w *Work) RevokeBy(ctx context.Context, id access.EligibilityID, by access.Actor,
	which func(access.Grant) (string, bool),
) error {
	standing, err := w.Tx.Standing(ctx, StandingFilter{Eligibility: id}, ActChunk)
	if err != nil {
		return fmt.Errorf("read grants: %w", err)
	}
	for _, g := range standing {
		reason, end := which(g)
		if !end {
			continue
		}
		if _, err := w.EndGrant(ctx, g, by, reason); err != nil {
			return err
		}
	}
	return nil
}

// EligibilityEvent returns the event of what became of an eligibility.
func EligibilityEvent(kind access.EventKind, e access.Eligibility, by access.Actor) access.Event {
	details := map[string]string{
		"eligibility": string(e.ID), "principalId": string(e.Principal), "roleId": string(e.Role),
		"max":   e.Max.String(),
		"rules": strings.TrimPrefix(DescribeRules(e.Terms()), "; "),
	}
	if !e.Start.IsZero() {
		details["start"] = e.Start.Format(time.RFC3339)
	}
	if !e.End.IsZero() {
		details["end"] = e.End.Format(time.RFC3339)
	}
	if e.Origin != "" {
		details["application"] = string(e.Origin)
	}
	return access.Event{
		Kind: kind, Actor: by, Tenant: e.Tenant, Scope: e.Scope, Action: rbac.EligibilitiesWrite,
		Details: details,
	}
}

// DescribeEligibility adds the principal, the role and the approvers that an eligibility names.
func DescribeEligibility(ctx context.Context, r Reader, may Rights, e access.Eligibility) (EligibilityDetail, error) {
	p, err := r.Principal(ctx, e.Principal)
	if err != nil {
		return EligibilityDetail{}, fmt.Errorf("read principal: %w", err)
	}
	role, _ := may.Dir.Definition(e.Role)
	names, err := NamesOf(ctx, r, may, NamedInPolicy(e.Terms()))
	return EligibilityDetail{Eligibility: e, Principal: p, Role: role, Names: names}, err
}

// NotEligible says why a principal may not activate by an eligibility now; empty where it may.
func NotEligible(dir *rbac.Directory, e access.Eligibility, principal access.PrincipalID, now time.Time) string {
	switch {
	case dir.Disabled(principal):
		return "the principal is disabled"
	case e.Principal != principal && !dir.InGroup(principal, e.Principal):
		return "it is not in the group that is eligible"
	case !e.End.IsZero() && !now.Before(e.End):
		return "the eligibility has ended"
	}
	return ""
}

// EligibilityDetail is an eligibility with the names that people know.
type EligibilityDetail struct {
	Eligibility access.Eligibility
	Principal   access.Principal
	Role        rbac.Definition
	Names       map[access.PrincipalID]string // of the groups and people of its rule
	// in a list of one's own eligible roles: one's grants by it that have not ended
	Active []access.Grant
}

// AsRole returns the role as requests and grants name it.
func (d EligibilityDetail) AsRole() access.RoleTarget {
	return access.RoleTarget{
		Eligibility: d.Eligibility.ID, ID: d.Role.ID, Name: d.Role.Name, Scope: d.Eligibility.Scope,
	}
}

// EligibleNow gives the eligibilities by which the caller may activate, of whatever tenant, by scope and role.
func EligibleNow(ctx context.Context, r Reader, may Rights) ([]EligibilityDetail, error) {
	me := may.Caller.Principal
	var all []EligibilityDetail
	for _, holder := range append(may.Dir.GroupsOf(me), me) {
		for p := (Page{Limit: MaxLimit}); ; {
			list, err := r.Eligibilities(ctx, EligibilityFilter{Principal: holder}, p)
			if err != nil {
				return nil, fmt.Errorf("read eligibilities: %w", err)
			}
			for _, one := range list.Items {
				if NotEligible(may.Dir, one, me, may.Now) != "" {
					continue
				}
				d, err := DescribeEligibility(ctx, r, may, one)
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
		return strings.Compare(a.Eligibility.Scope.Fold()+" "+a.Role.Name+" "+string(a.Eligibility.ID),
			b.Eligibility.Scope.Fold()+" "+b.Role.Name+" "+string(b.Eligibility.ID))
	})
	return all, nil
}

// EligibilityOf gives the eligibility that a role of a tenant is asked for or held by: one for that role at that scope,
// whatever else has its id. What is not found is access.KindNotFound.
func EligibilityOf(ctx context.Context, r Reader, tenant access.TenantID,
	role access.RoleTarget,
) (access.Eligibility, error) {
	one, err := r.Eligibility(ctx, role.Eligibility)
	if err != nil {
		return access.Eligibility{}, err
	}
	if one.Tenant != tenant || !strings.EqualFold(string(one.Role), string(role.ID)) || !one.Scope.Equal(role.Scope) {
		return access.Eligibility{}, access.Fault(access.KindNotFound, "unknownEligibility",
			"there is no eligibility %s for %s", role.Eligibility, role)
	}
	return one, nil
}
