package rbac

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

// Limits of a role definition and of an assignment.
const (
	maxRoleName    = 512  // bytes
	maxDescription = 2048 // bytes
	maxPattern     = 512  // bytes of one action pattern
	maxPatterns    = 2048 // in one role definition
	maxScopes      = 2000 // assignable ones
)

// ValidateDefinition gives every reason for which d cannot be a role definition; none where it can.
func ValidateDefinition(d Definition) []access.Reason {
	var r reasons
	switch {
	case strings.TrimSpace(d.Name) == "":
		r.add("nameMissing", "name", "a role needs a name")
	case len(d.Name) > maxRoleName:
		r.add("nameTooLong", "name", "the name has %d bytes; %d are allowed", len(d.Name), maxRoleName)
	}
	if len(d.Description) > maxDescription {
		r.add("descriptionTooLong", "description", "the description has %d bytes; %d are allowed", len(d.Description),
			maxDescription)
	}
	given, all := 0, 0
	for i, p := range d.Permissions {
		for _, list := range []struct {
			name     string
			patterns []string
			gives    bool
		}{
			{"actions", p.Actions, true},
			{"notActions", p.NotActions, false},
			{"dataActions", p.DataActions, true},
			{"notDataActions", p.NotDataActions, false},
		} {
			all += len(list.patterns)
			if list.gives {
				given += len(list.patterns)
			}
			for j, text := range list.patterns {
				if why := MalformedPattern(text); why != "" {
					r.add("malformedAction", fmt.Sprintf("permissions[%d].%s[%d]", i, list.name, j),
						"action %q %s; write one such as %s or Microsoft.Compute/*/read", clip(text), why, MachinesRead)
				}
			}
		}
	}
	switch {
	case given == 0:
		r.add("actionsMissing", "permissions", "a role gives at least one action or data action")
	case all > maxPatterns:
		r.add("tooManyActions", "permissions", "the role has %d actions; %d are allowed", all, maxPatterns)
	}
	switch {
	case len(d.AssignableScopes) == 0:
		r.add("assignableScopesMissing", "assignableScopes",
			"a role names at least one scope at which it may be assigned")
	case len(d.AssignableScopes) > maxScopes:
		r.add("tooManyScopes", "assignableScopes", "the role has %d assignable scopes; %d are allowed",
			len(d.AssignableScopes), maxScopes)
	}
	for i, scope := range d.AssignableScopes {
		r.scope(fmt.Sprintf("assignableScopes[%d]", i), scope)
	}
	return r
}

// ValidateAssignment gives every reason for which a cannot be an assignment of role; none where it can.
func ValidateAssignment(a Assignment, role Definition) []access.Reason {
	var r reasons
	if a.Principal == "" {
		r.add("principalMissing", "principal", "an assignment names the principal that gets the role")
	}
	if foldID(a.Definition) != foldID(role.ID) || a.Definition == "" {
		r.add("roleMissing", "role", "an assignment names a role definition that exists")
	}
	if role.Tenant != "" && a.Tenant != role.Tenant {
		r.add("foreignRole", "role", "role %q belongs to another tenant", role.Name)
	}
	if r.scope("scope", a.Scope) && !assignableAt(role, a.Scope) {
		r.add("notAssignableHere", "scope", "role %q may be assigned at %s or below, not at %s", role.Name,
			scopeList(role.AssignableScopes), a.Scope)
	}
	if a.Home != a.Tenant && a.Scope.InSubscription() == "" {
		r.add("guestAtRoot", "scope",
			"the principal is of another tenant: give it a role at a subscription or below, not at %s", a.Scope)
	}
	if !a.Start.IsZero() && !a.End.IsZero() && !a.End.After(a.Start) {
		r.add("endBeforeStart", "end", "the end must lie after the start")
	}
	if len(a.Description) > maxDescription {
		r.add("descriptionTooLong", "description", "the description has %d bytes; %d are allowed", len(a.Description),
			maxDescription)
	}
	return r
}

func assignableAt(role Definition, scope access.ResourceID) bool {
	return slices.ContainsFunc(role.AssignableScopes, scope.Within)
}

type reasons []access.Reason

func (r *reasons) add(code, field, format string, args ...any) {
	*r = append(*r, access.Reason{Code: code, Field: field, Message: fmt.Sprintf(format, args...)})
}

// scope adds the reason for which scope is malformed, and tells whether it is well formed.
func (r *reasons) scope(field string, scope access.ResourceID) bool {
	parsed, err := access.ParseResourceID(string(scope))
	switch {
	case err != nil:
		r.add("malformedScope", field, "%v", err)
	case parsed != scope:
		r.add("malformedScope", field, "scope %q ends in a slash; write %s", clip(string(scope)), clip(string(parsed)))
	}
	return err == nil && parsed == scope
}

// MalformedPattern says what is wrong with an action pattern; empty where nothing is.
func MalformedPattern(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > maxPattern:
		return "is too long"
	case !strings.Contains(s, "/") && !strings.Contains(s, "*"):
		return "has neither a slash nor '*'"
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			continue
		}
		if strings.IndexByte("./*_-", c) < 0 {
			return "has a character that is not allowed"
		}
	}
	return ""
}

func scopeList(scopes []access.ResourceID) string {
	texts := make([]string, len(scopes))
	for i, s := range scopes {
		texts[i] = string(s)
	}
	return strings.Join(texts, ", ")
}

// clip shortens text that came from outside before it goes into a message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
