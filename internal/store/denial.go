package store

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

const (
	insertDenial = "insert into deny_assignments (id, tenant, scope, body, origin_key, created_at) values ($1, $2, " +
		"$3, $4, $5, $6)"
	// The origin of a role assignment is compared as it was written: only the application itself writes and deletes by
	// it.
	deleteDenials   = "delete from deny_assignments where origin_key = $1"
	deleteAssigned  = "delete from role_assignments where origin = $1"
	deleteGroupText = "delete from resource_groups where subscription = $1 and name_key = $2"
	deleteWaiting   = "delete from enrollment_tokens where subscription = $1 and lower(resource_group) = $2 and " +
		"used_at = 0"
)

type denialRecord struct {
	Name        string               `json:"name"`
	Description string               `json:"description,omitempty"`
	Permissions []permissionRecord   `json:"permissions"`
	Principals  []access.PrincipalID `json:"principals,omitempty"`
	Exclude     []access.PrincipalID `json:"exclude,omitempty"`
	Origin      access.ResourceID    `json:"origin,omitempty"`
}

func scanDenial(row scanner) (d rbac.DenyAssignment, err error) {
	var body denialRecord
	err = row.Scan(&d.ID, &d.Tenant, &d.Scope, jsonColumn{&body}, timeColumn{&d.CreatedAt})
	d.Name, d.Description, d.Principals, d.Exclude, d.Origin = body.Name, body.Description, body.Principals, body.Exclude, body.Origin
	for _, p := range body.Permissions {
		d.Permissions = append(d.Permissions, rbac.Permission(p))
	}
	return d, err
}

// SaveDenyAssignment implements engine.ApplicationWriter.
func (t *tx) SaveDenyAssignment(ctx context.Context, d rbac.DenyAssignment) error {
	body := denialRecord{
		Name: d.Name, Description: d.Description, Principals: d.Principals, Exclude: d.Exclude,
		Origin: d.Origin,
	}
	for _, p := range d.Permissions {
		body.Permissions = append(body.Permissions, permissionRecord(p))
	}
	text, err := toJSON(body)
	if err != nil {
		return err
	}
	if err := t.exec(ctx, "deny assignment", nil, insertDenial, string(d.ID), string(d.Tenant), string(d.Scope), text,
		d.Origin.Fold(), micros(d.CreatedAt)); err != nil {
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
	return t.exec(ctx, "resource group", missing("resource group"), deleteGroupText, string(subscription), fold(name))
}
