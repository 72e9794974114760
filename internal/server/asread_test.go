package server_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/postern-dev/postern/api"
)

// Of two people who read the same state of an object and replace it whole, the second one is refused, and so is who has
// read it before it was deleted and made anew.
func TestObjectsAreReplacedAsTheyWereRead(t *testing.T) {
	t.Parallel()
	r, ctx := start(t), t.Context()
	admin := r.admin()
	role := func(actions ...string) api.RoleInput {
		return api.RoleInput{
			Name: "on-call", Permissions: []api.Permission{{Actions: actions}}, AssignableScopes: []string{"/"},
		}
	}
	for what, kind := range map[string]struct {
		create  func(context.Context) (int64, error)
		replace func(ctx context.Context, with string, revision int64) (int64, error)
		read    func(context.Context) (string, int64, error)
		remove  func(context.Context) error // nil: what is made anew has another id
		with    [2]string
	}{
		"role": {
			create: func(ctx context.Context) (int64, error) {
				made, err := admin.CreateRole(ctx, role("*/read", "*/delete"))
				return made.Revision, err
			},
			replace: func(ctx context.Context, action string, revision int64) (int64, error) {
				now, err := admin.UpdateRole(ctx, "on-call", role(action), revision)
				return now.Revision, err
			},
			read: func(ctx context.Context) (string, int64, error) {
				now, err := admin.Role(ctx, "on-call")
				if err != nil {
					return "", 0, err
				}
				return now.Permissions[0].Actions[0], now.Revision, nil
			},
			remove: func(ctx context.Context) error { return admin.DeleteRole(ctx, "on-call") },
			with:   [2]string{"*/read", "*/write"},
		},
		"network": {
			create: func(ctx context.Context) (int64, error) {
				made, err := admin.SetNetwork(ctx, "office", api.NetworkInput{Prefixes: []string{"192.0.2.0/25"}}, 0)
				return made.Revision, err
			},
			replace: func(ctx context.Context, prefix string, revision int64) (int64, error) {
				now, err := admin.SetNetwork(ctx, "office", api.NetworkInput{Prefixes: []string{prefix}}, revision)
				return now.Revision, err
			},
			read: func(ctx context.Context) (string, int64, error) {
				for n, err := range admin.Networks(ctx) {
					return n.Prefixes[0], n.Revision, err
				}
				return "", 0, errors.New("there is no network")
			},
			remove: func(ctx context.Context) error { return admin.DeleteNetwork(ctx, "office") },
			with:   [2]string{"192.0.2.0/26", "0.0.0.0/0"},
		},
		"definition": {
			create: func(ctx context.Context) (int64, error) {
				made, err := admin.SetApplicationDefinition(ctx, "shop",
					api.ApplicationDefinitionInput{LockLevel: "None", Unmanaged: true}, 0)
				return made.Revision, err
			},
			replace: func(ctx context.Context, lock string, revision int64) (int64, error) {
				now, err := admin.SetApplicationDefinition(ctx, "shop",
					api.ApplicationDefinitionInput{LockLevel: lock, Unmanaged: true}, revision)
				return now.Revision, err
			},
			read: func(ctx context.Context) (string, int64, error) {
				now, err := admin.ApplicationDefinition(ctx, "shop")
				return now.LockLevel, now.Revision, err
			},
			with: [2]string{"ReadOnly", "CanNotDelete"},
		},
	} {
		first, err := kind.create(ctx)
		if err != nil {
			t.Fatal(err)
		}
		second, err := kind.replace(ctx, kind.with[0], first)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		refused := func(why string) {
			t.Helper()
			_, err := kind.replace(ctx, kind.with[1], first)
			if problem, ok := errors.AsType[*api.Problem](err); !ok || problem.Status != http.StatusConflict {
				t.Errorf("%s: %s gives %v", what, why, err)
			}
		}
		refused("a second change from one reading")
		if now, revision, err := kind.read(ctx); err != nil || now != kind.with[0] || revision != second {
			t.Errorf("%s: it has become %s, revision %d, %v", what, now, revision, err)
		}
		if kind.remove != nil {
			if err := kind.remove(ctx); err != nil {
				t.Fatal(err)
			}
			again, err := kind.create(ctx)
			if err != nil || again <= second {
				t.Errorf("%s: made anew it has revision %d after %d, %v", what, again, second, err)
			}
			refused("a change of what was deleted and made anew")
		}
		if _, err := kind.replace(ctx, kind.with[1], 0); err != nil {
			t.Errorf("%s: a change that names no revision gives %v", what, err)
		}
	}
}
