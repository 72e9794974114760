package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/api"
)

// unassignEnds says what follows where a role assignment is removed.
func (a *app) unassignEnds(ctx context.Context, cl *api.Client, r api.RoleAssignment) ([]string, error) {
	rest, err := a.restsOn(ctx, cl, r.PrincipalID)
	return append([]string{
		"Removing the role " + r.Role + " of " + r.Principal + " at " + r.Scope + ":",
		"  - takes what the role permits there from " + r.Principal,
	}, rest...), err
}

// roleEnds says what follows where a custom role that somebody has becomes another; nothing where nobody has it, or
// nothing changes.
func (a *app) roleEnds(ctx context.Context, cl *api.Client, was api.Role, will api.RoleInput) ([]string, error) {
	var lines []string
	for _, part := range []struct {
		of       func(api.Permission) []string
		less, in string
	}{
		{func(p api.Permission) []string { return p.Actions }, "no longer permits", "also permits"},
		{func(p api.Permission) []string { return p.NotActions }, "no longer leaves out", "leaves out"},
		{func(p api.Permission) []string { return p.DataActions }, "no longer permits", "also permits"},
		{func(p api.Permission) []string { return p.NotDataActions }, "no longer leaves out", "leaves out"},
	} {
		before, after := flat(was.Permissions, part.of), flat(will.Permissions, part.of)
		if gone := without(before, after); len(gone) > 0 {
			lines = append(lines, "  - "+part.less+" "+some(gone, func(s string) string { return s }))
		}
		if added := without(after, before); len(added) > 0 {
			lines = append(lines, "  - "+part.in+" "+some(added, func(s string) string { return s }))
		}
	}
	if len(lines) == 0 {
		return nil, nil
	}
	var who []string
	for r, err := range cl.RoleAssignments(ctx, api.RoleAssignmentQuery{Role: was.ID}) {
		if err != nil {
			return nil, err
		}
		who = append(who, r.Principal)
	}
	for e, err := range cl.Eligibilities(ctx, api.EligibilityQuery{}) {
		if err != nil && !missing(err) {
			return nil, err
		}
		if err == nil && e.RoleID == was.ID {
			who = append(who, e.Principal+" when activated")
		}
	}
	if len(who) == 0 {
		return nil, nil
	}
	return append([]string{
		fmt.Sprintf("Replacing the role %s, which %s: %s:", was.Name, have(len(who)),
			some(who, func(s string) string { return s })),
	}, append(lines, "  - ends access that rests on what is no longer permitted, at once")...), nil
}

func have(n int) string {
	if n == 1 {
		return "1 principal has"
	}
	return count(n, "principal") + " have"
}

func flat(all []api.Permission, of func(api.Permission) []string) (texts []string) {
	for _, p := range all {
		texts = append(texts, of(p)...)
	}
	return texts
}

// without gives what of a list is not in another, without regard to case.
func without(texts, others []string) (rest []string) {
	for _, text := range texts {
		if !slices.ContainsFunc(others, func(other string) bool { return strings.EqualFold(text, other) }) {
			rest = append(rest, text)
		}
	}
	return rest
}
