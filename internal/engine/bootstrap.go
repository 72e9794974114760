package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// AdminName is the sign-in name of the user that the first start makes.
const AdminName = "admin"

// The names that the first start gives, and the location of everything that is not in a cloud.
const (
	DefaultTenant        = "default"
	DefaultSubscription  = "default"
	DefaultResourceGroup = "default"
	LocalLocation        = "local"
	DefaultPolicy        = "default"
)

// Bootstrap makes, at the first start, the tenant, the default subscription and resource group, the built-in roles and the
// user "admin", who is Owner of everything, with a random one-time password. hash makes the PHC string of a password. On
// later starts it brings the built-in roles up to date and gives an empty password. Of several replicas that start at once,
// one gives the password.
func (e *Engine) Bootstrap(ctx context.Context, hash func(password string) (string, error)) (adminPassword string, err error) {
	var tenants []access.Tenant
	err = e.store.View(ctx, func(r Reader) error {
		tenants, err = r.Tenants(ctx)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read tenants: %w", err)
	}
	var password, hashed string
	if len(tenants) == 0 {
		password = OneTimePassword()
		if hashed, err = hash(password); err != nil {
			return "", fmt.Errorf("hash password: %w", err)
		}
	}
	err = e.update(ctx, func(tx Tx) error {
		adminPassword = ""
		now := e.now()
		tenants, err := tx.Tenants(ctx)
		if err != nil {
			return fmt.Errorf("read tenants: %w", err)
		}
		started := access.Event{At: now, Kind: access.ServerStarted, Outcome: access.Succeeded, Actor: access.System()}
		if len(tenants) > 0 {
			if started.Tenant, err = homeTenant(ctx, tx); err != nil {
				return err
			}
			if err := saveBuiltIn(ctx, tx, now); err != nil {
				return err
			}
			if err := e.makeSigningKey(ctx, tx, started.Tenant); err != nil {
				return fmt.Errorf("make the key of checkpoints: %w", err)
			}
			return tx.Append(ctx, started)
		}
		adminPassword = password
		return e.firstStart(ctx, tx, hashed, started)
	})
	if err != nil {
		return "", err
	}
	return adminPassword, nil
}

func (e *Engine) firstStart(ctx context.Context, tx Tx, passwordHash string, started access.Event) error {
	now := started.At
	// Azure's clients know tenants and subscriptions as random GUIDs, so these do not tell their age.
	tenant := access.Tenant{ID: access.TenantID(uuid.NewString()), Name: DefaultTenant, CreatedAt: now}
	subscription := access.Subscription{ID: access.SubscriptionID(uuid.NewString()), Tenant: tenant.ID, Name: DefaultSubscription, CreatedAt: now}
	admin := access.Principal{ID: access.PrincipalID(newID()), Tenant: tenant.ID, Kind: access.User, Name: AdminName, DisplayName: "Administrator", CreatedAt: now, Revision: 1}
	steps := []struct {
		what string
		do   func() error
	}{
		{"tenant", func() error { return tx.SaveTenant(ctx, tenant) }},
		{"subscription", func() error { return tx.SaveSubscription(ctx, subscription) }},
		{"resource group", func() error {
			return tx.SaveResourceGroup(ctx, access.ResourceGroup{Subscription: subscription.ID, Name: DefaultResourceGroup, Location: LocalLocation, CreatedAt: now})
		}},
		{"built-in roles", func() error { return saveBuiltIn(ctx, tx, now) }},
		{"administrator", func() error { return tx.SavePrincipal(ctx, admin, 0) }},
		{"password", func() error {
			return tx.SavePassword(ctx, Password{Principal: admin.ID, Hash: passwordHash, MustChange: true, ChangedAt: now})
		}},
		{"role assignment", func() error {
			return tx.SaveRoleAssignment(ctx, rbac.Assignment{
				ID: rbac.AssignmentID(newID()), Tenant: tenant.ID, Principal: admin.ID, Definition: rbac.Owner,
				Scope: access.Root, Description: "made at the first start", CreatedAt: now,
			})
		}},
		{"key of checkpoints", func() error { return e.makeSigningKey(ctx, tx, tenant.ID) }},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("save %s: %w", step.what, err)
		}
	}
	started.Tenant = tenant.ID
	created, principal, role := started, started, started
	created.Kind = access.TenantCreated
	created.Details = map[string]string{"name": tenant.Name, "subscription": string(subscription.ID)}
	principal.Kind = access.PrincipalCreated
	principal.Details = map[string]string{"principal": string(admin.ID), "name": admin.Name, "kind": string(admin.Kind)}
	role.Kind, role.Scope = access.RoleAssigned, access.Root
	role.Details = map[string]string{"principal": admin.Name, "principalId": string(admin.ID), "role": "Owner", "roleId": string(rbac.Owner)}
	return tx.Append(ctx, created, principal, role, started)
}

// saveBuiltIn brings the built-in roles up to date, and leaves those alone that are.
func saveBuiltIn(ctx context.Context, tx Tx, now time.Time) error {
	data, err := tx.Directory(ctx)
	if err != nil {
		return fmt.Errorf("load directory: %w", err)
	}
	stored := make(map[rbac.DefinitionID]rbac.Definition, len(data.Definitions))
	for _, d := range data.Definitions {
		stored[d.ID] = d
	}
	for _, d := range rbac.BuiltIn() {
		old, ok := stored[d.ID]
		d.CreatedAt, d.UpdatedAt = now, now
		if ok {
			d.CreatedAt = old.CreatedAt
			if sameRole(old, d) {
				continue
			}
		}
		if err := tx.SaveRoleDefinition(ctx, d); err != nil {
			return fmt.Errorf("save role %s: %w", d.Name, err)
		}
	}
	return nil
}

// sameRole compares all but the times.
func sameRole(a, b rbac.Definition) bool {
	return a.Name == b.Name && a.Description == b.Description && a.BuiltIn == b.BuiltIn && fmt.Sprint(a.Permissions) == fmt.Sprint(b.Permissions) &&
		fmt.Sprint(a.AssignableScopes) == fmt.Sprint(b.AssignableScopes)
}
