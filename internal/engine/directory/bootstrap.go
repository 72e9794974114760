package directory

import (
	"context"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// AdminName is the sign-in name of the user that the first start makes.
const AdminName = "admin"

// Bootstrap makes, at the first start, the tenant, the default subscription and resource group, the built-in roles and
// the user "admin", who is Owner of everything, with a random one-time password. hash makes the PHC string of a
// password. On later starts it brings the built-in roles up to date and gives an empty password. Of several replicas
// that start at once, one gives the password. It fails with ErrOtherKey, before it changes anything, where the store
// was sealed with another key, and seals what an older program kept in plain text.
func (e *Service) Bootstrap(ctx context.Context,
	hash func(password string) (string, error),
) (adminPassword string, err error) {
	var tenants []access.Tenant
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		if err := e.kernel.CheckSeal(ctx, r); err != nil {
			return err
		}
		tenants, err = r.Tenants(ctx)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read tenants: %w", err)
	}
	if err := e.records.Recall(ctx); err != nil {
		return "", err
	}
	var password, hashed string
	if len(tenants) == 0 {
		password = OneTimePassword()
		if hashed, err = hash(password); err != nil {
			return "", fmt.Errorf("hash password: %w", err)
		}
	}
	err = e.kernel.Update(ctx, func(tx engine.Tx) error {
		adminPassword = ""
		now := e.kernel.Now()
		tenants, err := tx.Tenants(ctx)
		if err != nil {
			return fmt.Errorf("read tenants: %w", err)
		}
		started := access.Event{At: now, Kind: access.ServerStarted, Outcome: access.Succeeded, Actor: access.System()}
		if len(tenants) > 0 {
			if started.Tenant, err = engine.HomeTenant(ctx, tx); err != nil {
				return err
			}
			if err := saveBuiltIn(ctx, tx, now); err != nil {
				return err
			}
			// again: another replica may have made the first start meanwhile
			if err := e.kernel.CheckSeal(ctx, tx); err != nil {
				return err
			}
			if err := e.kernel.SealPlain(ctx, tx); err != nil {
				return err
			}
			if err := e.records.MakeSigningKey(ctx, tx, started.Tenant); err != nil {
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
	if err := e.kernel.Scrub(ctx); err != nil {
		return "", err
	}
	return adminPassword, nil
}

func (e *Service) firstStart(ctx context.Context, tx engine.Tx, passwordHash string, started access.Event) error {
	d := newTenant(engine.DefaultTenant, AdminName, started.At)
	if err := saveBuiltIn(ctx, tx, started.At); err != nil {
		return fmt.Errorf("save built-in roles: %w", err)
	}
	if err := d.save(ctx, tx, passwordHash, "made at the first start"); err != nil {
		return err
	}
	if err := e.records.MakeSigningKey(ctx, tx, d.Tenant.ID); err != nil {
		return fmt.Errorf("save key of checkpoints: %w", err)
	}
	started.Tenant = d.Tenant.ID
	return tx.Append(ctx, append(d.events(started), started)...)
}

// saveBuiltIn brings the built-in roles up to date, and leaves those alone that are.
func saveBuiltIn(ctx context.Context, tx engine.Tx, now time.Time) error {
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
	return a.Name == b.Name && a.Description == b.Description && a.BuiltIn == b.BuiltIn && fmt.Sprint(
		a.Permissions) == fmt.Sprint(b.Permissions) &&
		fmt.Sprint(a.AssignableScopes) == fmt.Sprint(b.AssignableScopes)
}
