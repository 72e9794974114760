package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

const publisherID = access.TenantID("99999999-9999-9999-9999-999999999999")

func wholeDefinition(name string) app.Definition {
	return app.Definition{
		Resource: access.ResourceID("/subscriptions/X/resourceGroups/Catalog/providers/Microsoft.Solutions/applicationDefinitions/" + name),
		Tenant:   publisherID,
		Location: "local", DisplayName: "Shop", Description: "A shop", Version: "1.4.0", Disabled: true, Public: true,
		Audience:       []access.TenantID{"t"},
		Authorizations: []app.Authorization{{Principal: "vendors", Role: rbac.Contributor, Longest: time.Hour}},
		JIT:            app.Offer{Available: true, Required: true, Longest: 2 * time.Hour}, Lock: app.LockReadOnly,
		Unmanaged: true, Allowed: []string{"A.B/c"},
		AllowedData: []string{"A.B/d"}, Endpoint: "https://hooks.example", Form: "{}", Template: `{"a": "ü"}`,
		Package: "https://files.example",
		Tags:    map[string]string{"a": "b"}, CreatedBy: "vic", CreatedAt: day(), UpdatedBy: "vera",
		UpdatedAt: day().Add(time.Second), Revision: 1,
	}
}

func wholeApplication(name string) app.Application {
	return app.Application{
		Resource: access.ResourceID("/subscriptions/Y/resourceGroups/Apps/providers/Microsoft.Solutions/applications/" +
			name),
		Tenant: tenantID, Publisher: publisherID,
		Definition: wholeDefinition("shop").Resource, Terms: wholeDefinition("shop"),
		Managed:  access.ResourceID("/subscriptions/Y/resourceGroups/mrg-" + name),
		Location: "local", Kind: "ServiceCatalog", Parameters: `{"p": 1}`, Tags: map[string]string{"a": "b"},
		Settings: app.Settings{
			JIT: true, Mode: app.Manual, Longest: time.Hour,
			Approvers: []app.Approver{{ID: "ann", Kind: access.User, Name: "Ann"}},
		},
		CreatedBy: "ann", CreatedAt: day(), UpdatedBy: "bea", UpdatedAt: day().Add(time.Second), Revision: 1,
	}
}

func wholeDenial(id rbac.DenyID, origin access.ResourceID) rbac.DenyAssignment {
	return rbac.DenyAssignment{
		ID: id, Tenant: tenantID, Name: "Lock", Description: "locked", Scope: "/subscriptions/Y/resourceGroups/mrg-a",
		Origin: origin, CreatedAt: day(),
		Permissions: []rbac.Permission{{
			Actions: []string{"*"}, NotActions: []string{"*/read"},
			DataActions: []string{"*"}, NotDataActions: []string{"a/b"},
		}},
		Principals: []access.PrincipalID{"x"}, Exclude: []access.PrincipalID{"y"},
	}
}

func TestApplicationsRoundTrip(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		first, second := wholeDefinition(
			"shop"), app.Definition{Resource: "/subscriptions/x/a", Tenant: tenantID, Revision: 1}
		a, b := wholeApplication("a"), app.Application{
			Resource: "/subscriptions/y/b", Tenant: publisherID,
			Publisher: tenantID, Managed: "/subscriptions/y/m", Revision: 1,
		}
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveTenant(ctx, access.Tenant{ID: publisherID, Name: "Vendor", CreatedAt: day()}),
				tx.SaveApplicationDefinition(ctx, first, 0), tx.SaveApplicationDefinition(ctx, second, 0),
				tx.SaveApplication(ctx, a, 0), tx.SaveApplication(ctx, b, 0))
		})
		newer := first
		newer.Revision, newer.Version, newer.UpdatedAt = 2, "1.5.0", day().Add(time.Hour)
		f.update(t,
			func(ctx context.Context, tx engine.Tx) error { return tx.SaveApplicationDefinition(ctx, newer, 1) })
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			d, err1 := r.ApplicationDefinition(ctx, "/SUBSCRIPTIONS"+first.Resource[len("/subscriptions"):])
			same(t, "definition", newer, d)
			history, err2 := r.ApplicationDefinitionRevisions(ctx, first.Resource)
			same(t, "revisions", []app.Definition{newer, first}, history)
			got, err3 := r.Application(ctx, a.Resource)
			same(t, "application", a, got)
			got, err4 := r.ApplicationOfGroup(ctx, "/subscriptions/y/RESOURCEGROUPS/MRG-A")
			same(t, "application of its group", a, got)
			wantKind(t, "another group",
				func() error { _, err := r.ApplicationOfGroup(ctx, "/subscriptions/y"); return err }(),
				access.KindNotFound, "")
			for filter, want := range map[engine.ApplicationFilter]string{
				{}:                            "[/subscriptions/y/b " + string(a.Resource) + "]",
				{Tenant: tenantID}:            "[" + string(a.Resource) + "]",
				{Publisher: publisherID}:      "[" + string(a.Resource) + "]",
				{Definition: first.Resource}:  "[" + string(a.Resource) + "]",
				{Scope: "/subscriptions/Y/b"}: "[/subscriptions/y/b]",
				{Tenant: "other"}:             "[]",
			} {
				list := pages(t, 1,
					func(p engine.Page) (engine.Listed[app.Application], error) {
						return r.Applications(ctx, filter,
							p)
					})
				if got := fmt.Sprint(ids(list,
					func(v app.Application) string { return string(v.Resource) })); got != want {
					t.Errorf("%+v lists %s, want %s", filter, got, want)
				}
			}
			for filter, want := range map[engine.ApplicationFilter]int{
				{}: 2, {Tenant: publisherID}: 1,
				{Scope: "/subscriptions/X/resourceGroups/catalog"}: 1,
			} {
				list := pages(t, 1, func(p engine.Page) (engine.Listed[app.Definition], error) {
					return r.ApplicationDefinitions(ctx, filter, p)
				})
				if len(list) != want {
					t.Errorf("%+v lists %d definitions, want %d", filter, len(list), want)
				}
			}
			return firstOf(err1, err2, err3, err4)
		})
		for what, do := range map[string]func(ctx context.Context, tx engine.Tx) error{
			"a stale change of a definition": func(ctx context.Context,
				tx engine.Tx,
			) error {
				return tx.SaveApplicationDefinition(ctx, newer, 1)
			},
			"a stale deletion of a definition": func(ctx context.Context, tx engine.Tx) error {
				return tx.DeleteApplicationDefinition(ctx, first.Resource, 1)
			},
			"a stale deletion of an application": func(ctx context.Context,
				tx engine.Tx,
			) error {
				return tx.DeleteApplication(ctx, a.Resource, 7)
			},
			"a managed group of two applications": func(ctx context.Context, tx engine.Tx) error {
				c := wholeApplication("c")
				c.Managed = "/subscriptions/y/resourcegroups/MRG-a"
				return tx.SaveApplication(ctx, c, 0)
			},
		} {
			wantKind(t, what, f.try(t, do), access.KindConflict, "")
		}
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.DeleteApplicationDefinition(ctx, first.Resource, 2),
				tx.DeleteApplication(ctx, a.Resource, 1))
		})
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			_, err := r.ApplicationDefinition(ctx, first.Resource)
			wantKind(t, "a deleted definition", err, access.KindNotFound, "")
			_, err = r.Application(ctx, a.Resource)
			wantKind(t, "a deleted application", err, access.KindNotFound, "")
			return nil
		})
	})
}

func tokenFor(hash, group string) engine.EnrollmentToken {
	return engine.EnrollmentToken{
		Hash: hash, Tenant: tenantID, Subscription: subID, ResourceGroup: group, Name: "web", Mode: access.ModeHost,
		CreatedBy: "user-1", CreatedAt: day(), ExpiresAt: day().Add(time.Hour),
	}
}

func TestWhatIsMadeForAnApplicationGoesWithIt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		const origin, other = access.ResourceID("/subscriptions/Y/a"), access.ResourceID("/subscriptions/Y/b")
		given := rbac.Assignment{
			ID: "r-1", Tenant: tenantID, Principal: f.user, Home: tenantID, Definition: "role",
			Scope: "/", Origin: origin, CreatedAt: day(),
		}
		kept := given
		kept.ID, kept.Origin = "r-2", ""
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveRoleDefinition(ctx,
				rbac.Definition{ID: "role", Name: "Role", CreatedAt: day(), UpdatedAt: day()}),
				tx.SaveRoleAssignment(ctx, given), tx.SaveRoleAssignment(ctx, kept),
				tx.SaveDenyAssignment(ctx, wholeDenial("d-1", origin)),
				tx.SaveDenyAssignment(ctx, wholeDenial("d-2", other)),
				tx.SaveResourceGroup(ctx, access.ResourceGroup{Subscription: subID, Name: "Mrg", CreatedAt: day()}),
				tx.SaveEnrollmentToken(ctx, tokenFor("gone", "Mrg")),
				tx.SaveEnrollmentToken(ctx, tokenFor("stays", "Mrg2")))
		})
		read := func() (d rbac.Data) {
			f.view(t, func(ctx context.Context, r engine.Reader) (err error) {
				d, err = r.Directory(ctx)
				return err
			})
			return d
		}
		before := read()
		same(t, "deny assignments", []rbac.DenyAssignment{wholeDenial("d-1", origin), wholeDenial("d-2", other)},
			before.Denials)
		same(t, "role assignments", []rbac.Assignment{given, kept}, before.Assignments)
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.DeleteMadeFor(ctx, origin), tx.DeleteResourceGroup(ctx, subID, "MRG"))
		})
		after := read()
		same(t, "deny assignments", []rbac.DenyAssignment{wholeDenial("d-2", other)}, after.Denials)
		same(t, "role assignments", []rbac.Assignment{kept}, after.Assignments)
		if after.Revision == before.Revision {
			t.Error("the directory's revision stays as it was")
		}
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			tokens, err := r.EnrollmentTokens(ctx, tenantID, day())
			same(t, "tokens", []engine.EnrollmentToken{tokenFor("stays", "Mrg2")}, tokens)
			return err
		})
		wantKind(t, "nothing",
			f.try(t, func(ctx context.Context, tx engine.Tx) error { return tx.DeleteMadeFor(ctx, "") }),
			access.KindInternal, "")
		wantKind(t, "a group that is gone",
			f.try(t,
				func(ctx context.Context, tx engine.Tx) error { return tx.DeleteResourceGroup(ctx, subID, "mrg") }),
			access.KindNotFound, "")
	})
}
