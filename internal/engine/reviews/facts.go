package reviews

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/core/review"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// look describes access as one transaction sees it. It reads what several items need once.
type look struct {
	r   engine.Reader
	dir *rbac.Directory
	of  review.Review

	people     map[access.PrincipalID]access.Principal
	assigned   map[access.PrincipalID][]rbac.Assignment // within the scope, by holder; nil until it was needed
	eligible   map[access.PrincipalID][]access.Eligibility
	named      map[access.PrincipalID]bool // whether a rule names a group, as far as it was looked
	membership map[rbac.Membership]bool
}

func newLook(r engine.Reader, dir *rbac.Directory, of review.Review) *look {
	return &look{
		r: r, dir: dir, of: of,
		people: map[access.PrincipalID]access.Principal{}, named: map[access.PrincipalID]bool{},
	}
}

// principal returns a principal, or one with an id alone where it is not there any more.
func (l *look) principal(ctx context.Context, id access.PrincipalID) (access.Principal, error) {
	if p, known := l.people[id]; known {
		return p, nil
	}
	p, err := l.r.Principal(ctx, id)
	if engine.IsKind(err, access.KindNotFound) {
		p, err = access.Principal{ID: id, Name: string(id)}, nil
	}
	if err != nil {
		return p, fmt.Errorf("read principal: %w", err)
	}
	l.people[id] = p
	return p, nil
}

// whose completes facts with who has the access: name@tenant of a guest.
func (l *look) whose(ctx context.Context, f review.Facts, id access.PrincipalID) (review.Facts, error) {
	p, err := l.principal(ctx, id)
	f.Principal, f.PrincipalName, f.PrincipalKind = id, p.Name, p.Kind
	if p.Tenant != "" && p.Tenant != l.of.Tenant {
		f.PrincipalName += "@" + l.dir.TenantName(p.Tenant)
	}
	return f, err
}

func (l *look) role(f review.Facts, id access.RoleID, scope access.ResourceID) review.Facts {
	role, _ := l.dir.Definition(id)
	f.Role, f.RoleName, f.Scope, f.Place = id, role.Name, scope, placeText(scope)
	if !role.BuiltIn {
		f.RoleRevision = fmt.Sprint(role.Revision())
	}
	return f
}

// assignment describes a role assignment.
func (l *look) assignment(ctx context.Context, a rbac.Assignment) (review.Facts, error) {
	role, _ := l.dir.Definition(a.Definition)
	f := l.role(review.Facts{
		Kind: review.Assignment, Ref: string(a.ID), Start: review.Instant(a.Start), End: review.Instant(a.End),
		Gives: powers(role),
	}, a.Definition, a.Scope)
	return l.whose(ctx, f, a.Principal)
}

// eligibility describes an eligibility.
func (l *look) eligibility(ctx context.Context, e access.Eligibility) (review.Facts, error) {
	role, _ := l.dir.Definition(e.Role)
	approval := "without approval"
	if !e.Approval.Automatic() {
		approval = "with approval"
	}
	f := l.role(review.Facts{
		Kind: review.Eligibility, Ref: string(e.ID), Start: review.Instant(e.Start), End: review.Instant(e.End),
		Gives: fmt.Sprintf("activate for up to %s, %s; then: %s", engine.Span(e.Max), approval, powers(role)),
	}, e.Role, e.Scope)
	return l.whose(ctx, f, e.Principal)
}

// member describes a membership, with what the group gives within the scope.
func (l *look) member(ctx context.Context, m rbac.Membership) (review.Facts, error) {
	group, err := l.principal(ctx, m.Group)
	if err != nil {
		return review.Facts{}, err
	}
	gives, err := l.gives(ctx, m.Group)
	if err != nil {
		return review.Facts{}, err
	}
	return l.whose(ctx, review.Facts{
		Kind: review.Membership, Group: m.Group, GroupName: group.Name, Scope: l.of.Scope, Place: placeText(l.of.Scope),
		Gives: gives,
	}, m.Member)
}

// maxGives is how many roles of a group are spelled out.
const maxGives = 10

// gives says what a group gives to its members within the scope, itself and by the groups that it is in.
func (l *look) gives(ctx context.Context, group access.PrincipalID) (string, error) {
	if err := l.load(ctx); err != nil {
		return "", err
	}
	var texts []string
	for _, g := range append([]access.PrincipalID{group}, l.dir.GroupsOf(group)...) {
		for _, a := range l.assigned[g] {
			role, _ := l.dir.Definition(a.Definition)
			texts = append(texts, role.Name+" at "+placeText(a.Scope))
		}
		for _, e := range l.eligible[g] {
			role, _ := l.dir.Definition(e.Role)
			texts = append(texts, "may activate "+role.Name+" at "+placeText(e.Scope))
		}
		named, err := l.isNamed(ctx, g)
		if err != nil {
			return "", err
		}
		if p := l.people[g]; named {
			texts = append(texts, "what rules give to "+p.Name)
		}
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	if more := len(texts) - maxGives; more > 0 {
		texts = append(texts[:maxGives], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, "; "), nil
}

// load reads what is given within the scope, by who has it.
func (l *look) load(ctx context.Context) error {
	if l.assigned != nil {
		return nil
	}
	l.assigned, l.eligible = map[access.PrincipalID][]rbac.Assignment{}, map[access.PrincipalID][]access.Eligibility{}
	for _, a := range l.dir.AssignmentsWithin(l.of.Scope) {
		if a.Tenant == l.of.Tenant && a.Origin == "" && a.Through == "" {
			l.assigned[a.Principal] = append(l.assigned[a.Principal], a)
		}
	}
	return l.eachEligibility(ctx, func(e access.Eligibility) error {
		l.eligible[e.Principal] = append(l.eligible[e.Principal], e)
		return nil
	})
}

func (l *look) eachEligibility(ctx context.Context, do func(access.Eligibility) error) error {
	f := engine.EligibilityFilter{Tenant: l.of.Tenant, Scope: l.of.Scope}
	return directory.EachPage(func(p engine.Page) (engine.Listed[access.Eligibility], error) {
		return l.r.Eligibilities(ctx, f, p)
	}, func(e access.Eligibility) error {
		if e.Origin != "" || !e.Scope.Within(l.of.Scope) {
			return nil
		}
		return do(e)
	})
}

// isNamed reports whether a rule of the tenant names a group.
func (l *look) isNamed(ctx context.Context, group access.PrincipalID) (bool, error) {
	if named, known := l.named[group]; known {
		return named, nil
	}
	if _, err := l.principal(ctx, group); err != nil {
		return false, err
	}
	found := false
	err := directory.EachEntryWith(ctx, l.r, l.of.Tenant, string(group),
		func(_ string, entry access.MachinePolicy) (bool, error) {
			found = slices.Contains(engine.NamedInPolicy(entry), group)
			return !found, nil
		})
	for _, all := range l.eligible {
		found = found || slices.ContainsFunc(all, func(e access.Eligibility) bool {
			return slices.Contains(engine.NamedInPolicy(e.Terms()), group)
		})
	}
	l.named[group] = found
	return found, err
}

// rule describes that a principal is named by the rules of a policy or an eligibility: as an approver, and as somebody
// for break-glass.
func (l *look) rule(ctx context.Context, holder review.Holder, ref string, scope access.ResourceID, place string,
	terms access.MachinePolicy,
) (all []review.Facts, err error) {
	add := func(kind review.Kind, id access.PrincipalID, gives string) error {
		f, err := l.whose(ctx, review.Facts{
			Kind: kind, Holder: holder, Ref: ref, Scope: scope, Place: place, Gives: gives,
		}, id)
		all = append(all, f)
		return err
	}
	approvers := map[access.PrincipalID][]string{}
	for i, c := range terms.Approval.Cases {
		for k, s := range c.Stages {
			for _, q := range slices.Concat(s.AllOf, s.AnyOf) {
				for _, id := range slices.Concat(q.Groups, q.People) {
					approvers[id] = append(approvers[id], fmt.Sprintf("case %d, stage %d, %d needed", i+1, k+1, q.Count))
				}
			}
		}
	}
	for id, where := range approvers {
		if err := add(review.Approver, id, "approve: "+strings.Join(where, "; ")); err != nil {
			return nil, err
		}
	}
	if glass := terms.BreakGlass; glass != nil {
		for _, id := range slices.Concat(glass.Groups, glass.People) {
			if err := add(review.BreakGlass, id, "open without approval for up to "+engine.Span(glass.Max)); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// now describes the access that facts are of, as it is now; gone where it is not there any more.
func (l *look) now(ctx context.Context, f review.Facts) (now review.Facts, gone bool, err error) {
	switch f.Kind {
	case review.Assignment:
		a, there := l.dir.Assignment(rbac.AssignmentID(f.Ref))
		if !there {
			return f, true, nil
		}
		now, err = l.assignment(ctx, a)
	case review.Eligibility:
		e, missing := l.r.Eligibility(ctx, access.EligibilityID(f.Ref))
		if engine.IsKind(missing, access.KindNotFound) {
			return f, true, nil
		} else if missing != nil {
			return f, false, fmt.Errorf("read eligibility: %w", missing)
		}
		now, err = l.eligibility(ctx, e)
	case review.Membership:
		is, failed := l.isMember(ctx, rbac.Membership{Group: f.Group, Member: f.Principal})
		if failed != nil || !is {
			return f, failed == nil, failed
		}
		now, err = l.member(ctx, rbac.Membership{Group: f.Group, Member: f.Principal})
	case review.Approver, review.BreakGlass:
		all, failed := l.ruleOf(ctx, f)
		i := slices.IndexFunc(all,
			func(one review.Facts) bool { return one.Kind == f.Kind && one.Principal == f.Principal })
		if failed != nil || i < 0 {
			return f, failed == nil, failed
		}
		now = all[i]
	}
	return now, err == nil && !now.Same(f), err
}

func (l *look) isMember(ctx context.Context, m rbac.Membership) (bool, error) {
	if l.membership == nil {
		data, err := l.r.Directory(ctx)
		if err != nil {
			return false, fmt.Errorf("load directory: %w", err)
		}
		l.membership = make(map[rbac.Membership]bool, len(data.Memberships))
		for _, one := range data.Memberships {
			l.membership[one] = true
		}
	}
	return l.membership[m], nil
}

// ruleOf describes whom the rules name in which facts are; nothing where they are gone.
func (l *look) ruleOf(ctx context.Context, f review.Facts) (all []review.Facts, err error) {
	switch f.Holder {
	case review.OfMachine:
		var m access.Machine
		var p access.Policy
		if m, err = l.r.Machine(ctx, access.MachineID(f.Ref)); err != nil {
			break
		}
		if p, err = l.r.GuardOf(ctx, m.ID); err != nil {
			break
		}
		entry, _ := p.Of(m.ID)
		return l.machineRule(ctx, m, entry)
	case review.OfScopePolicy:
		var p access.ScopePolicy
		if p, err = l.r.ScopePolicy(ctx, access.ResourceID(f.Ref)); err != nil {
			break
		}
		return l.scopeRule(ctx, p)
	case review.OfEligibility:
		var e access.Eligibility
		if e, err = l.r.Eligibility(ctx, access.EligibilityID(f.Ref)); err != nil {
			break
		}
		return l.eligibilityRule(ctx, e)
	}
	if engine.IsKind(err, access.KindNotFound) {
		return nil, nil
	}
	return nil, fmt.Errorf("read what names an approver: %w", err)
}

func (l *look) machineRule(ctx context.Context, m access.Machine, entry access.MachinePolicy) ([]review.Facts, error) {
	return l.rule(ctx, review.OfMachine, string(m.ID), m.Resource, "policy of "+m.Name, entry)
}

func (l *look) scopeRule(ctx context.Context, p access.ScopePolicy) ([]review.Facts, error) {
	return l.rule(ctx, review.OfScopePolicy, string(p.Resource), p.Resource, "scope policy "+p.Name, p.Rules)
}

func (l *look) eligibilityRule(ctx context.Context, e access.Eligibility) ([]review.Facts, error) {
	role, _ := l.dir.Definition(e.Role)
	holder, err := l.principal(ctx, e.Principal)
	if err != nil {
		return nil, err
	}
	place := fmt.Sprintf("eligibility of %s for %s at %s", holder.Name, role.Name, placeText(e.Scope))
	return l.rule(ctx, review.OfEligibility, string(e.ID), e.Scope, place, e.Terms())
}

// placeText names a scope shortly.
func placeText(scope access.ResourceID) string {
	if scope == access.Root {
		return "/"
	}
	return string(scope)
}

// powers says in words what of a role is about access: requesting, approving, administering.
func powers(role rbac.Definition) string {
	var words []string
	for _, p := range []struct {
		word    string
		actions []string
	}{
		{"request access", []string{rbac.PoliciesInitiate}},
		{"approve requests", []string{rbac.RequestsDecide}},
		{"change policies", []string{rbac.PoliciesWrite}},
		{"end grants", []string{rbac.GrantsRevoke}},
		{"assign roles", []string{rbac.RoleAssignmentsWrite, rbac.EligibilitiesWrite}},
		{"manage principals", []string{rbac.PrincipalsWrite}},
	} {
		if slices.ContainsFunc(p.actions, role.Gives) {
			words = append(words, p.word)
		}
	}
	if len(words) == 0 {
		return "nothing about access"
	}
	return strings.Join(words, ", ")
}
