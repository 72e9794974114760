package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	grantColumns = `g.id, g.request, g.tenant, g.principal, g.principal_name, g.machine, g.policy, g.first_port, g.last_port, g.protocol, g.sources,
g.start_at, g.end_at, g.state, g.reason, g.created_at, g.opened_at, g.ended_at, g.closed_at, g.warned_at, g.packets, g.bytes, g.revision,
g.eligibility, g.role, g.role_name, g.role_scope, g.decided`
	selectGrant           = "select " + grantColumns + " from grants g where g.id = $1 limit 1"
	selectGrantsOfRequest = "select " + grantColumns + " from grants g where g.request = $1 order by g.id" + everyRow
	selectUnended         = "select count(*) from grants g where g.request = $1 and g.ended_at = 0 limit 1"
	// The index has the beginning of the sources, since its entries are bounded.
	selectLike = "select " + grantColumns + ` from grants g where g.principal = $1 and g.machine = $2 and g.first_port = $3
and substr(g.sources, 1, 80) = substr($4, 1, 80) and g.end_at <= $5 and g.last_port = $6 and g.protocol = $7 and g.sources = $4 and g.ended_at = 0
order by g.end_at limit $8`
	selectLastEnd = "select coalesce(max(g.end_at), 0) from grants g where g.machine = $1 and g.closed_at = 0 and " +
		"g.start_at <= $2 limit 1"
	selectLastEndOf = `select coalesce(max(g.end_at), 0) from grants g join machines m on m.id = g.machine
where m.agent = $1 and g.closed_at = 0 and g.start_at <= $2 limit 1`
	listGrants = "select " + grantColumns + " from grants g"
)

func scanGrant(row scanner) (g access.Grant, err error) {
	var packets, bytes int64
	var f targetFields
	err = row.Scan(&g.ID, &g.Request, &g.Tenant, &g.Principal, &g.PrincipalName, &f.machine, &f.policy, &f.ports.First,
		&f.ports.Last, &f.protocol, jsonColumn{&f.sources},
		timeColumn{&g.Start}, timeColumn{&g.End}, &g.State, &g.Reason, timeColumn{&g.CreatedAt},
		timeColumn{&g.OpenedAt}, timeColumn{&g.EndedAt}, timeColumn{&g.ClosedAt},
		timeColumn{&g.WarnedAt}, &packets, &bytes, &g.Revision,
		&f.role.Eligibility, &f.role.ID, &f.role.Name, &f.role.Scope, flagColumn{&g.Decided})
	if err != nil {
		return g, err
	}
	g.Packets, g.Bytes = uint64(packets), uint64(bytes) //nolint:gosec // the same 64 bits that were written
	if g.Target, err = f.target(); err != nil {
		return g, fmt.Errorf("grant %s: %w", g.ID, err)
	}
	return g, nil
}

// Grant implements engine.Reader.
func (r *reader) Grant(ctx context.Context, id access.GrantID) (access.Grant, error) {
	return one(ctx, r.q, "grant", scanGrant, selectGrant, string(id))
}

// GrantsOfRequest implements engine.Reader.
func (r *reader) GrantsOfRequest(ctx context.Context, id access.RequestID) ([]access.Grant, error) {
	return whole(ctx, r.q, scanGrant, selectGrantsOfRequest, string(id))
}

// Grants implements engine.Reader.
func (r *reader) Grants(ctx context.Context, f engine.GrantFilter, p engine.Page) (engine.Listed[access.Grant], error) {
	const columns = "g.created_at, g.id"
	l := from(listGrants)
	notEnded := len(f.States) > 0 && !slices.ContainsFunc(f.States, access.GrantState.Ended)
	if notEnded {
		// There are few of these, and SQLite would go through all grants of the tenant, or of the principal, for them,
		// were those indexes of use here.
		l.tenants("g.tenant || ''", f.Tenant, f.Beside)
		equal(l, "g.principal || ''", f.Principal)
	} else {
		l.tenants("g.tenant", f.Tenant, f.Beside)
		equal(l, "g.principal", f.Principal)
	}
	equal(l, "g.machine", f.Machine)
	equal(l, "g.eligibility", f.Eligibility)
	if f.Roles {
		l.where("g.role_scope_key <> ''")
	}
	if f.RoleScope != "" {
		l.where("g.role_scope_key = ?", f.RoleScope.Fold())
	}
	if len(f.States) > 0 {
		if notEnded {
			l.where("g.ended_at = 0") // there are few of these, and they have indexes of their own
		}
		l.where("g.state in ("+strings.TrimSuffix(strings.Repeat("?, ", len(f.States)), ", ")+")", texts(f.States)...)
	}
	l.after(p.Cursor, true, columns, cursorNumber, cursorText)
	return page(ctx, r.q, l, p, descending(columns), scanGrant,
		func(v access.Grant) []any { return []any{micros(v.CreatedAt), v.ID} })
}

// Unended implements engine.Reader.
func (r *reader) Unended(ctx context.Context, id access.RequestID) (int, error) {
	n, err := one(ctx, r.q, "count", scanNumber, selectUnended, string(id))
	return int(n), err
}

// GrantsByID implements engine.Reader.
func (r *reader) GrantsByID(ctx context.Context, ids []access.GrantID) (grants []access.Grant, err error) {
	for group := range slices.Chunk(ids, mostInGroup) {
		args := filled(group)
		l := from(listGrants)
		l.where("g.id in ("+strings.TrimSuffix(strings.Repeat("?, ", len(args)), ", ")+")", args...)
		l.text.WriteString(" limit 100")
		found, err := all(ctx, r.q, scanGrant, l.text.String(), l.args...)
		if err != nil {
			return nil, err
		}
		grants = append(grants, found...)
	}
	return grants, nil
}

// GrantsLike implements engine.Reader.
func (r *reader) GrantsLike(ctx context.Context, g access.Grant, limit int) ([]access.Grant, error) {
	f := fieldsOf(g.Target)
	sources, err := toJSON(f.sources)
	if err != nil {
		return nil, err
	}
	return all(ctx, r.q, scanGrant, selectLike, string(g.Principal), string(f.machine), int64(f.ports.First), sources,
		micros(g.End), int64(f.ports.Last),
		string(f.protocol), int64(limit))
}

// LiveGrants implements engine.Reader.
func (r *reader) LiveGrants(ctx context.Context, machines []access.MachineID, now time.Time) ([]access.Grant, error) {
	grants, err := grouped(machines, func(marks string, args []any) ([]access.Grant, error) {
		// In the index what is scheduled lies behind what has begun, and is not read.
		text := fmt.Sprintf(`select %s from (select g.*, row_number() over (partition by g.machine order by g.start_at, g.id) place from grants g
where g.closed_at = 0 and g.state in ('opening', 'active') and g.machine in (%s) and g.start_at <= $%d) g where g.place <= 100 limit 10000`,
			grantColumns, marks, len(args)+1)
		return all(ctx, r.q, scanGrant, text, append(args, micros(now))...)
	})
	slices.SortFunc(grants,
		func(a, b access.Grant) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID)) })
	return grants, err
}

// LastEnd implements engine.Reader.
func (r *reader) LastEnd(ctx context.Context, machine access.MachineID, began time.Time) (time.Time, error) {
	return r.lastEnd(ctx, selectLastEnd, string(machine), began)
}

// LastEndOf implements engine.Reader.
func (r *reader) LastEndOf(ctx context.Context, agent access.AgentID, began time.Time) (time.Time, error) {
	return r.lastEnd(ctx, selectLastEndOf, string(agent), began)
}

func (r *reader) lastEnd(ctx context.Context, statement, of string, began time.Time) (time.Time, error) {
	end, err := one(ctx, r.q, "instant", scanNumber, statement, of, micros(began))
	if err != nil || end == 0 {
		return time.Time{}, err
	}
	return instant(end), nil
}

// texts gives the values as arguments.
func texts[T ~string](values []T) []any {
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = string(v)
	}
	return args
}

// descending gives an order by all columns, downwards.
func descending(columns string) string { return strings.ReplaceAll(columns, ",", " desc,") + " desc" }

const (
	insertGrant = `insert into grants (id, request, tenant, principal, principal_name, machine, policy, first_port, last_port, protocol, sources,
start_at, end_at, state, reason, created_at, opened_at, ended_at, closed_at, warned_at, packets, bytes, revision, warn_at,
eligibility, role, role_name, role_scope, role_scope_key, decided, site, over_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
$25, $26, $27, $28, $29, $30, $31, $32)`
	updateGrant = `update grants set request = $2, tenant = $3, principal = $4, principal_name = $5, machine = $6, policy = $7, first_port = $8, last_port = $9,
protocol = $10, sources = $11, start_at = $12, end_at = $13, state = $14, reason = $15, created_at = $16, opened_at = $17, ended_at = $18, closed_at = $19,
warned_at = $20, packets = $21, bytes = $22, revision = $23, warn_at = $24, eligibility = $25,
role = $26, role_name = $27, role_scope = $28, role_scope_key = $29, decided = $30, site = $31,
over_at = $32 where id = $1 and revision = $33`
)

// SaveGrant implements engine.Tx.
func (t *tx) SaveGrant(ctx context.Context, g access.Grant, was int64) error {
	f := fieldsOf(g.Target)
	sources, err := toJSON(f.sources)
	if err != nil {
		return err
	}
	return t.swap(ctx, "grant", g.Revision, was, insertGrant, updateGrant, []any{
		string(g.ID), string(g.Request), string(g.Tenant), string(g.Principal), g.PrincipalName,
		string(f.machine), string(f.policy), int64(f.ports.First), int64(f.ports.Last), string(f.protocol), sources,
		micros(g.Start), micros(g.End), string(g.State), g.Reason,
		micros(g.CreatedAt), micros(g.OpenedAt), micros(g.EndedAt), micros(g.ClosedAt), micros(g.WarnedAt), int64(g.Packets), int64(g.Bytes), g.Revision, //nolint:gosec // the same 64 bits
		micros(g.WarnAt()), string(f.role.Eligibility), string(f.role.ID), f.role.Name, string(f.role.Scope),
		f.role.Scope.Fold(), flag(g.Decided), g.Target.Site(), micros(g.Over()),
	})
}
