package reviews

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/core/review"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// survey returns all access of the kinds that a review is about, as one transaction sees it, in the order in which it
// is numbered. Groups are looked into whatever the kinds are, since memberships depend on what groups have.
func (l *look) survey(ctx context.Context) (all []review.Facts, err error) {
	for _, part := range []func(context.Context) ([]review.Facts, error){
		l.surveyAssignments, l.surveyEligibilities, l.surveyScopePolicies, l.surveyMachines,
	} {
		some, err := part(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	members, err := l.surveyMembers(ctx, all)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(append(all, members...),
		func(f review.Facts) bool { return !slices.Contains(l.of.Kinds, f.Kind) })
	kinds := review.Kinds()
	slices.SortFunc(all, func(a, b review.Facts) int {
		return cmp.Or(slices.Index(kinds, a.Kind)-slices.Index(kinds, b.Kind),
			strings.Compare(strings.ToLower(a.PrincipalName), strings.ToLower(b.PrincipalName)),
			strings.Compare(a.Place, b.Place), bytes.Compare(a.Encode(), b.Encode()))
	})
	return all, nil
}

func (l *look) surveyAssignments(ctx context.Context) (all []review.Facts, err error) {
	within := slices.DeleteFunc(l.dir.AssignmentsWithin(l.of.Scope),
		func(a rbac.Assignment) bool { return a.Tenant != l.of.Tenant })
	given, err := roles.Given(ctx, l.r, within)
	if err != nil {
		return nil, err
	}
	for _, a := range given {
		if !a.End.IsZero() && !l.of.CreatedAt.Before(a.End) {
			continue
		}
		f, err := l.assignment(ctx, a)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

func (l *look) surveyEligibilities(ctx context.Context) (all []review.Facts, err error) {
	err = l.eachEligibility(ctx, func(e access.Eligibility) error {
		if !e.End.IsZero() && !l.of.CreatedAt.Before(e.End) {
			return nil
		}
		f, err := l.eligibility(ctx, e)
		if err != nil {
			return err
		}
		named, err := l.eligibilityRule(ctx, e)
		all = append(append(all, f), named...)
		return err
	})
	return all, err
}

func (l *look) surveyScopePolicies(ctx context.Context) (all []review.Facts, err error) {
	policies, err := l.r.ScopePolicies(ctx, l.of.Tenant)
	if err != nil {
		return nil, fmt.Errorf("read policies of scopes: %w", err)
	}
	for _, p := range policies {
		if !p.Resource.Within(l.of.Scope) {
			continue
		}
		named, err := l.scopeRule(ctx, p)
		if err != nil {
			return nil, err
		}
		all = append(all, named...)
	}
	return all, nil
}

func (l *look) surveyMachines(ctx context.Context) (all []review.Facts, err error) {
	err = directory.EachPage(func(p engine.Page) (engine.Listed[engine.PolicyDetail], error) {
		return l.r.Guards(ctx, engine.PolicyFilter{Tenant: l.of.Tenant}, p)
	}, func(d engine.PolicyDetail) error {
		if d.Machine.ID == "" || !d.Machine.Resource.Within(l.of.Scope) {
			return nil
		}
		named, err := l.machineRule(ctx, d.Machine, d.Entry)
		all = append(all, named...)
		return err
	})
	return all, err
}

// surveyMembers describes the memberships of the groups that have some of the access, and of the groups within those.
// Groups of other tenants are theirs to review.
func (l *look) surveyMembers(ctx context.Context, of []review.Facts) (all []review.Facts, err error) {
	if !slices.Contains(l.of.Kinds, review.Membership) {
		return nil, nil
	}
	data, err := l.r.Directory(ctx)
	if err != nil {
		return nil, fmt.Errorf("load directory: %w", err)
	}
	members := map[access.PrincipalID][]access.PrincipalID{}
	for _, m := range data.Memberships {
		members[m.Group] = append(members[m.Group], m.Member)
	}
	var queue []access.PrincipalID
	seen := map[access.PrincipalID]bool{}
	enter := func(id access.PrincipalID) {
		if p := l.people[id]; !seen[id] && (p.Kind == access.Group || len(members[id]) > 0) {
			seen[id] = true
			queue = append(queue, id)
		}
	}
	for _, f := range of {
		enter(f.Principal)
	}
	for ; len(queue) > 0; queue = queue[1:] {
		group, err := l.principal(ctx, queue[0])
		if err != nil {
			return nil, err
		}
		if group.Tenant != l.of.Tenant {
			continue
		}
		for _, m := range members[group.ID] {
			if len(all) > review.MaxItems {
				return all, nil // which is refused
			}
			f, err := l.member(ctx, rbac.Membership{Group: group.ID, Member: m})
			if err != nil {
				return nil, err
			}
			all = append(all, f)
			enter(m)
		}
	}
	return all, nil
}

// own reports whether access is a person's own: theirs, or that of a group that they are in, or of a program that they
// can act as.
func own(dir *rbac.Directory, person, of access.PrincipalID) bool {
	return slices.ContainsFunc(dir.Hands(person),
		func(hand access.PrincipalID) bool { return hand == of || dir.InGroup(hand, of) })
}

// reviewers returns the people who review.
func reviewers(dir *rbac.Directory, of []access.PrincipalID) (people []access.PrincipalID) {
	for _, id := range of {
		if dir.IsPerson(id) {
			people = append(people, id)
		}
		people = append(people, dir.People(id)...)
	}
	slices.Sort(people)
	return slices.Compact(people)
}

// reviewable refuses a review with items that none of its reviewers may decide, since each would be their own.
func reviewable(dir *rbac.Directory, of []access.PrincipalID, all []review.Facts) error {
	people := reviewers(dir, of)
	refusal := access.Fault(access.KindInvalid, "nobodyMayReview",
		"nobody reviews their own access, and there is access that none of the reviewers may decide on: name further "+
			"reviewers")
	decided := map[access.PrincipalID]bool{}
	for _, f := range all {
		may, known := decided[f.Principal]
		if !known {
			may = slices.ContainsFunc(people, func(p access.PrincipalID) bool { return !own(dir, p, f.Principal) })
			decided[f.Principal] = may
		}
		if !may && len(refusal.Reasons) < engine.MaxReasons {
			refusal.Reasons = append(refusal.Reasons, access.Reason{
				Code: "nobodyMayReview", Field: "reviewers",
				Message: fmt.Sprintf("the %s of %s (%s)", f.Kind, f.PrincipalName, f.Place),
			})
		}
	}
	if len(refusal.Reasons) == 0 {
		return nil
	}
	return refusal
}
