package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

// ScopeExists refuses a scope at which there is nothing, as Azure does: what is given there would be found in force by
// whoever makes the thing one day, and a typing error would give somebody nothing and say that it did. Call it with a
// scope at which the caller is authorized.
func ScopeExists(ctx context.Context, r Reader, scope access.ResourceID) error {
	if scope == access.Root {
		return nil
	}
	subscription := scope.InSubscription()
	switch {
	case subscription == "":
		return noSuchScope(scope)
	case scope.Equal(access.SubscriptionScope(subscription)):
		return nil // nobody is authorized at one that does not exist
	}
	name := scope.Segment("resourceGroups")
	group := access.ResourceGroupScope(subscription, name)
	if name == "" || !scope.Within(group) {
		return noSuchScope(scope)
	}
	groups, err := r.ResourceGroups(ctx)
	if err != nil {
		return fmt.Errorf("read resource groups: %w", err)
	}
	if !slices.ContainsFunc(groups, func(g access.ResourceGroup) bool {
		return strings.EqualFold(string(g.Subscription), string(subscription)) && strings.EqualFold(g.Name, name)
	}) {
		return NoSuchGroup(name)
	}
	if scope.Equal(group) {
		return nil
	}
	for _, look := range []func() error{
		func() error { _, err := r.MachineByResource(ctx, scope); return err },
		func() error { _, err := PolicyAt(ctx, r, scope); return err },
		func() error { _, err := r.Application(ctx, scope); return err },
		func() error { _, err := r.ApplicationDefinition(ctx, scope); return err },
	} {
		if err := look(); err == nil {
			return nil
		} else if !IsKind(err, access.KindNotFound) {
			return fmt.Errorf("read what lies at the scope: %w", err)
		}
	}
	return noSuchScope(scope)
}

func noSuchScope(scope access.ResourceID) error {
	return access.Fault(access.KindNotFound, "unknownScope",
		"there is nothing at %s: a role is assigned at the root, at a subscription, a resource group, a machine, a "+
			"policy or a managed application that exists",
		Clip(string(scope)))
}

// NoSuchGroup returns the error of a resource group that is not there, or that the caller may not see.
func NoSuchGroup(name string) error {
	return access.Fault(access.KindNotFound, "unknownResourceGroup", "there is no resource group %q", Clip(name))
}
