package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	principalColumns = "p.id, p.tenant, p.kind, p.name, p.display_name, p.email, p.disabled, p.created_at, " +
		"p.revision"
	selectPrincipal       = "select " + principalColumns + " from principals p where p.id = $1 limit 1"
	selectPrincipalByName = "select " + principalColumns +
		" from principals p where p.tenant = $1 and p.name_key = $2 limit 1"
	listMemberships   = "select group_id, member_id from memberships"
	selectRegroupings = "select principal, group_id, group_name, departed, at from regroupings where principal = $1 " +
		"and at >= $2 order by group_id" + everyRow
	listPrincipals = "select " + principalColumns + " from principals p"
)

func scanPrincipal(row scanner) (p access.Principal, err error) {
	err = row.Scan(&p.ID, &p.Tenant, &p.Kind, &p.Name, &p.DisplayName, &p.Email, flagColumn{&p.Disabled},
		timeColumn{&p.CreatedAt}, &p.Revision)
	return p, err
}

// Principal implements engine.Reader.
func (r *reader) Principal(ctx context.Context, id access.PrincipalID) (access.Principal, error) {
	return one(ctx, r.q, "principal", scanPrincipal, selectPrincipal, string(id))
}

// MembershipsBy implements engine.Reader.
func (r *reader) MembershipsBy(ctx context.Context, by access.PrincipalID, since time.Time,
	of []access.PrincipalID,
) (found []rbac.Membership, err error) {
	for group := range slices.Chunk(of, mostInGroup) {
		args := filled(group)
		l := from(listMemberships)
		l.where("added_by = ? and added_by <> '' and added_at >= ?", string(by), micros(since))
		l.where("member_id in ("+strings.TrimSuffix(strings.Repeat("?, ", len(args)), ", ")+")", args...)
		l.text.WriteString(" order by added_at desc, group_id, member_id" + everyRow)
		some, err := all(ctx, r.q, scanMembership, l.text.String(), l.args...)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return found, nil
}

// Regroupings implements engine.Reader.
func (r *reader) Regroupings(ctx context.Context, principal access.PrincipalID,
	since time.Time,
) ([]engine.Regrouping, error) {
	return all(ctx, r.q, func(row scanner) (g engine.Regrouping, err error) {
		err = row.Scan(&g.Principal, &g.Group, &g.Name, flagColumn{&g.Left}, timeColumn{&g.At})
		return g, err
	}, selectRegroupings, string(principal), micros(since))
}

func scanMembership(row scanner) (m rbac.Membership, err error) {
	err = row.Scan(&m.Group, &m.Member)
	return m, err
}

// PrincipalByName implements engine.Reader.
func (r *reader) PrincipalByName(ctx context.Context, tenant access.TenantID, name string) (access.Principal, error) {
	return one(ctx, r.q, "principal", scanPrincipal, selectPrincipalByName, string(tenant), fold(name))
}

// Principals implements engine.Reader.
func (r *reader) Principals(ctx context.Context, f engine.PrincipalFilter,
	p engine.Page,
) (engine.Listed[access.Principal], error) {
	l := from(listPrincipals)
	equal(l, "p.tenant", f.Tenant)
	equal(l, "p.kind", f.Kind)
	if f.Member != "" {
		l.where("exists (select 1 from memberships m where m.group_id = p.id and m.member_id = ?)", string(f.Member))
	}
	if f.Group != "" {
		l.where("exists (select 1 from memberships m where m.member_id = p.id and m.group_id = ?)", string(f.Group))
	}
	l.after(p.Cursor, false, "p.name_key, p.id", cursorText, cursorText)
	return page(ctx, r.q, l, p, "p.name_key, p.id", scanPrincipal,
		func(v access.Principal) []any { return []any{fold(v.Name), v.ID} })
}

const (
	insertPrincipal = `insert into principals (id, tenant, kind, name, name_key, display_name, email, disabled, created_at, revision)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	updatePrincipal = `update principals set tenant = $2, kind = $3, name = $4, name_key = $5, display_name = $6, email = $7, disabled = $8,
created_at = $9, revision = $10 where id = $1 and revision = $11`
	bumpDirectory    = "update directory set revision = revision + 1 where id = 1"
	insertMembership = "insert into memberships (group_id, member_id, added_by, added_at) values ($1, $2, $3, $4) " +
		"on conflict (group_id, member_id) do nothing"
	saveRegrouping = `insert into regroupings (principal, group_id, group_name, departed, at) values ($1, $2, $3, $4, $5)
on conflict (principal, group_id) do update set group_name = excluded.group_name, departed = excluded.departed, at = excluded.at`
	deleteMembership = "delete from memberships where group_id = $1 and member_id = $2"
	emptyGroup       = "delete from memberships where group_id = $1 or member_id = $1"
	deleteGroup      = "delete from principals where id = $1 and revision = $2 and kind = 'group'"
)

// SavePrincipal implements engine.Tx.
func (t *tx) SavePrincipal(ctx context.Context, p access.Principal, was int64) error {
	args := []any{
		string(p.ID), string(p.Tenant), string(p.Kind), p.Name, fold(p.Name), p.DisplayName, p.Email,
		flag(p.Disabled), micros(p.CreatedAt), p.Revision,
	}
	if err := t.swap(ctx, "principal", p.Revision, was, insertPrincipal, updatePrincipal, args); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}

func (t *tx) bumpDirectory(ctx context.Context) error {
	return t.exec(ctx, "directory", nil, bumpDirectory)
}

// SaveRegrouping implements engine.Tx.
func (t *tx) SaveRegrouping(ctx context.Context, g engine.Regrouping) error {
	return t.exec(ctx, "regrouping", nil, saveRegrouping, string(g.Principal), string(g.Group), g.Name, flag(g.Left),
		micros(g.At))
}

// AddMember implements engine.Tx.
func (t *tx) AddMember(ctx context.Context, group, member, by access.PrincipalID, at time.Time) error {
	if err := t.exec(ctx, "membership", nil, insertMembership, string(group), string(member), string(by),
		micros(at)); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}

// RemoveMember implements engine.Tx.
func (t *tx) RemoveMember(ctx context.Context, group, member access.PrincipalID) error {
	if err := t.exec(ctx, "membership", missing("membership"), deleteMembership, string(group),
		string(member)); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}

// DeleteGroup implements engine.Tx.
func (t *tx) DeleteGroup(ctx context.Context, id access.PrincipalID, was int64) error {
	if err := t.exec(ctx, "membership", nil, emptyGroup, string(id)); err != nil {
		return err
	}
	if err := t.exec(ctx, "group", changed("group"), deleteGroup, string(id), was); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}
