package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

var denialTable = describe("deny assignment", "deny_assignments", "d", "id",
	text("id", func(d *rbac.DenyAssignment) *rbac.DenyID { return &d.ID }),
	text("tenant", func(d *rbac.DenyAssignment) *access.TenantID { return &d.Tenant }),
	text("scope", func(d *rbac.DenyAssignment) *access.ResourceID { return &d.Scope }),
	others[rbac.DenyAssignment]("body", parts{}),
	derived("origin_key", func(d *rbac.DenyAssignment) any { return d.Origin.Fold() }),
	when("created_at", func(d *rbac.DenyAssignment) *time.Time { return &d.CreatedAt }))

const (
	deleteDenials = "delete from deny_assignments where origin_key = $1"
	// The origin of a role assignment is compared as it was written: only the application itself writes and deletes by
	// it.
	deleteAssigned  = "delete from role_assignments where origin = $1"
	deleteGroupText = "delete from resource_groups where subscription = $1 and name_key = $2"
	deleteWaiting   = "delete from enrollment_tokens where subscription = $1 and lower(resource_group) = $2 and " +
		"used_at = 0"
)

// SaveDenyAssignment implements engine.ApplicationWriter.
func (t *tx) SaveDenyAssignment(ctx context.Context, d rbac.DenyAssignment) error {
	if err := put(ctx, t, denialTable, denialTable.insert, d); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}

// DeleteMadeFor implements engine.ApplicationWriter.
func (t *tx) DeleteMadeFor(ctx context.Context, origin access.ResourceID) error {
	if origin == "" {
		return access.Fault(access.KindInternal, "noOrigin", "what was made for nothing is not to be deleted")
	}
	if err := t.exec(ctx, "deny assignment", nil, deleteDenials, origin.Fold()); err != nil {
		return err
	}
	if err := t.exec(ctx, "role assignment", nil, deleteAssigned, string(origin)); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}

// DeleteResourceGroup implements engine.ApplicationWriter.
func (t *tx) DeleteResourceGroup(ctx context.Context, subscription access.SubscriptionID, name string) error {
	if err := t.exec(ctx, "enrollment token", nil, deleteWaiting, string(subscription), fold(name)); err != nil {
		return err
	}
	if err := t.dropSwitch(ctx, access.ResourceGroupScope(subscription, name)); err != nil {
		return err
	}
	return t.exec(ctx, "resource group", missing("resource group"), deleteGroupText, string(subscription), fold(name))
}
