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

var (
	principalTable = describe("principal", "principals", "p", "id",
		text("id", func(p *access.Principal) *access.PrincipalID { return &p.ID }),
		text("tenant", func(p *access.Principal) *access.TenantID { return &p.Tenant }),
		text("kind", func(p *access.Principal) *access.PrincipalKind { return &p.Kind }),
		text("name", func(p *access.Principal) *string { return &p.Name }),
		derived("name_key", func(p *access.Principal) any { return fold(p.Name) }),
		text("display_name", func(p *access.Principal) *string { return &p.DisplayName }),
		text("email", func(p *access.Principal) *string { return &p.Email }),
		truth("disabled", func(p *access.Principal) *bool { return &p.Disabled }),
		when("created_at", func(p *access.Principal) *time.Time { return &p.CreatedAt }),
		number("revision", func(p *access.Principal) *int64 { return &p.Revision }))

	regroupingTable = describe("regrouping", "regroupings", "r", "principal, group_id",
		text("principal", func(g *engine.Regrouping) *access.PrincipalID { return &g.Principal }),
		text("group_id", func(g *engine.Regrouping) *access.PrincipalID { return &g.Group }),
		text("group_name", func(g *engine.Regrouping) *string { return &g.Name }),
		truth("departed", func(g *engine.Regrouping) *bool { return &g.Left }),
		when("at", func(g *engine.Regrouping) *time.Time { return &g.At }))

	selectPrincipal       = "select " + principalTable.selected + " from principals p where p.id = $1 limit 1"
	selectPrincipalByName = "select " + principalTable.selected +
		" from principals p where p.tenant = $1 and p.name_key = $2 limit 1"
	listMemberships   = "select group_id, member_id from memberships"
	selectRegroupings = "select " + regroupingTable.selected +
		" from regroupings r where r.principal = $1 and r.at >= $2 order by r.group_id" + everyRow
	listPrincipals = "select " + principalTable.selected + " from principals p"
)

// Principal implements engine.Reader.
func (r *reader) Principal(ctx context.Context, id access.PrincipalID) (access.Principal, error) {
	return one(ctx, r.q, "principal", principalTable.scan, selectPrincipal, string(id))
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
	return all(ctx, r.q, regroupingTable.scan, selectRegroupings, string(principal), micros(since))
}

func scanMembership(row scanner) (m rbac.Membership, err error) {
	err = row.Scan(&m.Group, &m.Member)
	return m, err
}

// PrincipalByName implements engine.Reader.
func (r *reader) PrincipalByName(ctx context.Context, tenant access.TenantID, name string) (access.Principal, error) {
	return one(ctx, r.q, "principal", principalTable.scan, selectPrincipalByName, string(tenant), fold(name))
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
	return page(ctx, r.q, l, p, "p.name_key, p.id", principalTable.scan,
		func(v access.Principal) []any { return []any{fold(v.Name), v.ID} })
}

const (
	bumpDirectory    = "update directory set revision = revision + 1 where id = 1"
	insertMembership = "insert into memberships (group_id, member_id, added_by, added_at) values ($1, $2, $3, $4) " +
		"on conflict (group_id, member_id) do nothing"
	deleteMembership = "delete from memberships where group_id = $1 and member_id = $2"
	emptyGroup       = "delete from memberships where group_id = $1 or member_id = $1"
	deleteGroup      = "delete from principals where id = $1 and revision = $2 and kind = 'group'"
)

// SavePrincipal implements engine.Tx.
func (t *tx) SavePrincipal(ctx context.Context, p access.Principal, was int64) error {
	if err := swap(ctx, t, principalTable, p, p.Revision, was); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}

func (t *tx) bumpDirectory(ctx context.Context) error {
	return t.exec(ctx, "directory", nil, bumpDirectory)
}

// SaveRegrouping implements engine.Tx.
func (t *tx) SaveRegrouping(ctx context.Context, g engine.Regrouping) error {
	return put(ctx, t, regroupingTable, regroupingTable.upsert, g)
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
