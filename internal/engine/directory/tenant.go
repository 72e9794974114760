package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// TenantInput is a new tenant.
type TenantInput struct {
	ID           string // a GUID that is free; empty makes one
	Subscription string // id of its subscription, likewise
	Name         string
	Admin        string // sign-in name of its administrator; empty: AdminName
	PasswordHash string // PHC string of the administrator's one-time password
}

// TenantDetail is a tenant with what it was made with.
type TenantDetail struct {
	Tenant       access.Tenant
	Subscription access.Subscription
	Admin        access.Principal
}

const (
	maxTenants    = 10_000
	maxTenantName = 63
)

// MayCreateTenant is Check for CreateTenant.
func (e *Service) MayCreateTenant(ctx context.Context, c engine.Caller) error {
	return e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.TenantsWrite},
		func(r engine.Reader, _ engine.Rights) error {
			_, err := e.kernel.AuthorizeHome(ctx, r, c, rbac.TenantsWrite)
			return err
		})
}

// CreateTenant makes a tenant with a subscription, a resource group and an administrator, who is Owner of it and of
// nothing else. Whoever makes it has no right in it.
func (e *Service) CreateTenant(ctx context.Context, c engine.Caller, in TenantInput) (d TenantDetail, err error) {
	a := engine.Attempt{Action: rbac.TenantsWrite, Details: map[string]string{"tenant": in.Name}}
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, _ engine.Rights) error {
		may, err := e.kernel.AuthorizeHome(ctx, tx, c, rbac.TenantsWrite)
		if err != nil {
			return err
		}
		tenants, err := tx.Tenants(ctx)
		if err != nil {
			return fmt.Errorf("read tenants: %w", err)
		}
		if in, err = in.complete(tenants); err != nil {
			return err
		}
		now := may.Now
		for _, t := range tenants {
			if !now.After(t.CreatedAt) {
				// the oldest runs the server, however the clock was set meanwhile
				now = t.CreatedAt.Add(time.Microsecond)
			}
		}
		d = newTenant(in.Name, in.Admin, now)
		if d, err = d.identified(ctx, tx, in, tenants); err != nil {
			return err
		}
		if err := d.save(ctx, tx, in.PasswordHash, "made with the tenant"); err != nil {
			return err
		}
		events := d.events(access.Event{
			At: may.Now, Outcome: access.Succeeded, Actor: may.Actor(d.Tenant.ID),
			Action: rbac.TenantsWrite,
		})
		known := events[0]
		known.Actor, known.Tenant = c.Actor(), c.Tenant
		known.Details = map[string]string{"name": d.Tenant.Name, "tenant": string(d.Tenant.ID)}
		return tx.Append(ctx, append(events, known)...)
	})
	return d, err
}

// complete checks the input, and fills in what it leaves open.
func (in TenantInput) complete(tenants []access.Tenant) (TenantInput, error) {
	if in.Admin == "" {
		in.Admin = AdminName
	}
	if err := access.CheckName("tenant", in.Name); err != nil {
		return in, err
	}
	if strings.EqualFold(in.Name, "mine") {
		return in, access.Fault(access.KindInvalid, "reservedName",
			"%q stands for the caller's own tenant: choose another name", in.Name)
	}
	if len(in.Name) > maxTenantName || strings.ContainsAny(in.Name, "._") || uuid.Validate(in.Name) == nil {
		return in, access.Fault(access.KindInvalid, "malformedName",
			"tenant name %q is not valid: use 1 to %d letters, digits or '-', and not a GUID", engine.Clip(in.Name),
			maxTenantName)
	}
	if len(tenants) >= maxTenants {
		return in, access.Fault(access.KindConflict, "tooManyTenants",
			"there are %d tenants, the most that are allowed", len(tenants))
	}
	for _, reserved := range []string{"common", "organizations", "consumers", "adfs"} {
		if strings.EqualFold(in.Name, reserved) {
			return in, access.Fault(access.KindInvalid, "reservedName",
				"Azure clients reserve %q: choose another name", in.Name)
		}
	}
	for _, t := range tenants {
		if strings.EqualFold(t.Name, in.Name) {
			return in, access.Fault(access.KindConflict, "tenantExists",
				"there is a tenant %q already: choose another name", t.Name)
		}
	}
	return in, PrincipalInput{Kind: access.User, Name: in.Admin}.check()
}

// identified gives a new tenant with the ids that the input chooses.
func (d TenantDetail) identified(ctx context.Context, r engine.Reader, in TenantInput,
	tenants []access.Tenant,
) (TenantDetail, error) {
	if in.ID != "" {
		id, err := chosenGUID("tenant", in.ID, func(id string) bool {
			return slices.ContainsFunc(tenants,
				func(t access.Tenant) bool { return strings.EqualFold(string(t.ID), id) })
		})
		if err != nil {
			return d, err
		}
		d.Tenant.ID = access.TenantID(id)
		d.Subscription.Tenant, d.Admin.Tenant = d.Tenant.ID, d.Tenant.ID
	}
	id, err := subscriptionGUID(ctx, r, in.Subscription)
	if err == nil && id != "" {
		d.Subscription.ID = id
	}
	return d, err
}

func newTenant(name, admin string, now time.Time) TenantDetail {
	// Azure's clients know tenants and subscriptions as random GUIDs, so these do not tell their age.
	tenant := access.Tenant{ID: access.TenantID(uuid.NewString()), Name: name, CreatedAt: now}
	return TenantDetail{
		Tenant: tenant,
		Subscription: access.Subscription{
			ID: access.SubscriptionID(uuid.NewString()), Tenant: tenant.ID,
			Name: engine.DefaultSubscription, CreatedAt: now,
		},
		Admin: access.Principal{
			ID: access.PrincipalID(engine.NewID()), Tenant: tenant.ID, Kind: access.User, Name: admin,
			DisplayName: "Administrator", CreatedAt: now, Revision: 1,
		},
	}
}

// save writes a new tenant with everything in it.
func (d TenantDetail) save(ctx context.Context, tx engine.Tx, passwordHash, why string) error {
	now := d.Tenant.CreatedAt
	steps := []struct {
		what string
		do   func() error
	}{
		{"tenant", func() error { return tx.SaveTenant(ctx, d.Tenant) }},
		{"subscription", func() error { return tx.SaveSubscription(ctx, d.Subscription) }},
		{"resource group", func() error {
			return tx.SaveResourceGroup(ctx,
				access.ResourceGroup{
					Subscription: d.Subscription.ID, Name: engine.DefaultResourceGroup,
					Location: engine.LocalLocation, CreatedAt: now,
				})
		}},
		{"administrator", func() error { return tx.SavePrincipal(ctx, d.Admin, 0) }},
		{"password", func() error {
			return tx.SavePassword(ctx,
				engine.Password{Principal: d.Admin.ID, Hash: passwordHash, MustChange: true, ChangedAt: now})
		}},
		{"role assignment", func() error {
			return tx.SaveRoleAssignment(ctx, rbac.Assignment{
				ID: rbac.AssignmentID(engine.NewID()), Tenant: d.Tenant.ID, Principal: d.Admin.ID,
				Definition: rbac.Owner,
				Scope:      access.Root, Description: why, CreatedAt: now,
			})
		}},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("save %s: %w", step.what, err)
		}
	}
	return nil
}

// events tells of a new tenant, its administrator and their role; base says when, and who made it.
func (d TenantDetail) events(base access.Event) []access.Event {
	base.Tenant = d.Tenant.ID
	created, principal, role := base, base, base
	created.Kind = access.TenantCreated
	created.Details = map[string]string{"name": d.Tenant.Name, "subscription": string(d.Subscription.ID)}
	principal.Kind = access.PrincipalCreated
	principal.Details = map[string]string{
		"principal": string(d.Admin.ID), "name": d.Admin.Name,
		"kind": string(d.Admin.Kind),
	}
	role.Kind, role.Scope = access.RoleAssigned, access.Root
	role.Details = map[string]string{
		"principal": d.Admin.Name, "principalId": string(d.Admin.ID), "role": "Owner",
		"roleId": string(rbac.Owner),
	}
	return []access.Event{created, principal, role}
}

// Tenants lists the tenants by name.
func (e *Service) Tenants(ctx context.Context, c engine.Caller) (list []access.Tenant, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.TenantsRead}, func(r engine.Reader, _ engine.Rights) error {
		if _, err := e.kernel.AuthorizeHome(ctx, r, c, rbac.TenantsRead); err != nil {
			return err
		}
		list, err = r.Tenants(ctx)
		return err
	})
	return list, err
}

// TenantNamed gives a tenant by its name or id: the caller's own, also where ref is empty, or any for who may read
// them.
func (e *Service) TenantNamed(ctx context.Context, c engine.Caller, ref string) (t access.Tenant, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.TenantsRead, Details: map[string]string{"tenant": ref}},
		func(r engine.Reader, _ engine.Rights) error {
			if c.Principal == "" || c.Tenant == "" {
				return access.Fault(access.KindUnauthenticated, "notSignedIn", "sign in first")
			}
			tenants, err := r.Tenants(ctx)
			if err != nil {
				return fmt.Errorf("read tenants: %w", err)
			}
			if ref == "" {
				ref = string(c.Tenant)
			}
			found, err := tenantNamed(tenants, ref)
			if err != nil || found.ID != c.Tenant {
				if _, refusal := e.kernel.AuthorizeHome(ctx, r, c, rbac.TenantsRead); refusal != nil {
					return refusal
				}
			}
			t = found
			return err
		})
	return t, err
}

// tenantNamed gives the tenant that ref names by its id or name.
func tenantNamed(tenants []access.Tenant, ref string) (access.Tenant, error) {
	for _, t := range tenants {
		if strings.EqualFold(string(t.ID), ref) || strings.EqualFold(t.Name, ref) {
			return t, nil
		}
	}
	return access.Tenant{}, access.Fault(access.KindNotFound, "unknownTenant", "there is no tenant %q",
		engine.Clip(ref))
}
