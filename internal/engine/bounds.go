package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Bounds narrow what an API token may be used for; it never may more than the principal that made it. Nil bounds bound
// nothing.
type Bounds struct {
	Scope   access.ResourceID // the token is good here and below; empty: everywhere
	Actions []string          // patterns; the token is good for actions that one of them matches; none: for all
}

const maxBoundActions = 100

// Cover tells whether action at scope lies within the bounds.
func (b *Bounds) Cover(action string, scope access.ResourceID) bool {
	return b == nil || (b.Scope == "" || scope.Within(b.Scope)) && b.Allow(action)
}

// Allow reports whether the bounds name an action; no bounds allow every one.
func (b *Bounds) Allow(action string) bool {
	return b == nil || len(b.Actions) == 0 || slices.ContainsFunc(b.Actions,
		func(p string) bool { return rbac.Match(p, action) })
}

// narrow gives the parts of scopes that lie within the bounds.
func (b *Bounds) narrow(action string, scopes []access.ResourceID) []access.ResourceID {
	switch {
	case b == nil:
		return scopes
	case !b.Allow(action):
		return nil
	case b.Scope == "":
		return scopes
	}
	var within []access.ResourceID
	for _, s := range scopes {
		switch {
		case s.Within(b.Scope):
			within = append(within, s)
		case Covered(b.Scope, []access.ResourceID{s}):
			return []access.ResourceID{b.Scope}
		}
	}
	return within
}

// admit refuses a use case whose action the bounds leave out, whatever its subject: also one's own things, for which no
// role is needed. One without an action is about the caller, and changes nothing.
func (b *Bounds) admit(a Attempt) error {
	if b == nil || a.Action == "" || b.Allow(a.Action) {
		return nil
	}
	return OutOfBounds(a.Action, OrRoot(a.Scope))
}

// OrRoot returns a scope, or the root where there is none.
func OrRoot(scope access.ResourceID) access.ResourceID {
	if scope == "" {
		return access.Root
	}
	return scope
}

// OutOfBounds returns the refusal of what an API token was not made for.
func OutOfBounds(action string, scope access.ResourceID) *access.Error {
	e := access.Fault(access.KindForbidden, "tokenBounds",
		"this API token was not made for this, or your roles do not allow it: make one with the action %s", action)
	e.Reasons = []access.Reason{{
		Code:    "tokenBounds",
		Message: fmt.Sprintf("%s at %s is outside of what the token may be used for", action, scope),
	}}
	return e
}

// Check refuses bounds that cannot be understood, and puts them into their one form.
func (b *Bounds) Check() error {
	if b.Scope != "" {
		scope, err := access.ParseResourceID(string(b.Scope))
		if err != nil {
			return err
		}
		b.Scope = scope
	}
	if len(b.Actions) > maxBoundActions {
		return access.Fault(access.KindInvalid, "tooManyActions", "the token names %d actions; %d are allowed",
			len(b.Actions), maxBoundActions)
	}
	for i, pattern := range b.Actions {
		known := slices.ContainsFunc(rbac.Actions(), func(a string) bool { return rbac.Match(pattern, a) })
		if !known || len(pattern) > MaxDetail || strings.TrimSpace(pattern) != pattern {
			return access.Fault(access.KindInvalid, "unknownAction",
				"actions[%d]: no action that there is matches %q; write one such as %s, or a pattern such as */read", i,
				Clip(pattern), rbac.PoliciesInitiate)
		}
	}
	return nil
}
