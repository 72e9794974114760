package store

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// grantRow is a grant as its row holds it.
type grantRow struct {
	access.Grant

	Of targetRow
}

var (
	grantTable = describe("grant", "grants", "g", "id",
		text("id", func(v *grantRow) *access.GrantID { return &v.ID }),
		text("request", func(v *grantRow) *access.RequestID { return &v.Request }),
		text("tenant", func(v *grantRow) *access.TenantID { return &v.Tenant }),
		text("principal", func(v *grantRow) *access.PrincipalID { return &v.Principal }),
		text("principal_name", func(v *grantRow) *string { return &v.PrincipalName }),
		text("machine", func(v *grantRow) *access.MachineID { return &v.Of.Machine }),
		text("policy", func(v *grantRow) *access.PolicyID { return &v.Of.Policy }),
		number("first_port", func(v *grantRow) *uint16 { return &v.Of.Ports.First }),
		number("last_port", func(v *grantRow) *uint16 { return &v.Of.Ports.Last }),
		text("protocol", func(v *grantRow) *access.Protocol { return &v.Of.Protocol }),
		nested("sources", func(v *grantRow) *[]netip.Prefix { return &v.Of.Sources }),
		when("start_at", func(v *grantRow) *time.Time { return &v.Start }),
		when("end_at", func(v *grantRow) *time.Time { return &v.End }),
		oneOf("state", func(v *grantRow) *access.GrantState { return &v.State }, access.GrantScheduled,
			access.GrantOpening, access.GrantActive, access.GrantExpired, access.GrantRevoked, access.GrantSuperseded,
			access.GrantFailed),
		text("reason", func(v *grantRow) *string { return &v.Reason }),
		when("created_at", func(v *grantRow) *time.Time { return &v.CreatedAt }),
		when("opened_at", func(v *grantRow) *time.Time { return &v.OpenedAt }),
		when("ended_at", func(v *grantRow) *time.Time { return &v.EndedAt }),
		when("closed_at", func(v *grantRow) *time.Time { return &v.ClosedAt }),
		when("warned_at", func(v *grantRow) *time.Time { return &v.WarnedAt }),
		number("packets", func(v *grantRow) *uint64 { return &v.Packets }),
		number("bytes", func(v *grantRow) *uint64 { return &v.Bytes }),
		number("revision", func(v *grantRow) *int64 { return &v.Revision }),
		derived("warn_at", func(v *grantRow) any { return micros(v.WarnAt()) }),
		text("eligibility", func(v *grantRow) *access.EligibilityID { return &v.Of.Role.Eligibility }),
		text("role", func(v *grantRow) *access.RoleID { return &v.Of.Role.ID }),
		text("role_name", func(v *grantRow) *string { return &v.Of.Role.Name }),
		text("role_scope", func(v *grantRow) *access.ResourceID { return &v.Of.Role.Scope }),
		derived("role_scope_key", func(v *grantRow) any { return v.Of.Role.Scope.Fold() }),
		text("moved", func(v *grantRow) *access.GrantID { return &v.Moved }),
		when("since_at", func(v *grantRow) *time.Time { return &v.Since }),
		truth("decided", func(v *grantRow) *bool { return &v.Decided }),
		derived("site", func(v *grantRow) any { return v.Target.Site() }),
		derived("over_at", func(v *grantRow) any { return micros(v.Over()) }))

	selectGrant           = "select " + grantTable.selected + " from grants g where g.id = $1 limit 1"
	selectGrantsOfRequest = "select " + grantTable.selected + " from grants g where g.request = $1 order by g.id" + everyRow
	selectUnended         = "select count(*) from grants g where g.request = $1 and g.ended_at = 0 limit 1"
	// The index has the beginning of the sources, since its entries are bounded.
	selectLike = "select " + grantTable.selected + ` from grants g where g.principal = $1 and g.machine = $2 and g.first_port = $3
and substr(g.sources, 1, 80) = substr($4, 1, 80) and g.end_at <= $5 and g.last_port = $6 and g.protocol = $7 and g.sources = $4 and g.ended_at = 0
order by g.end_at limit $8`
	selectLastEnd = "select coalesce(max(g.end_at), 0) from grants g where g.machine = $1 and g.closed_at = 0 and " +
		"g.start_at <= $2 limit 1"
	selectLastEndOf = `select coalesce(max(g.end_at), 0) from grants g join machines m on m.id = g.machine
where m.agent = $1 and g.closed_at = 0 and g.start_at <= $2 limit 1`
	listGrants = "select " + grantTable.selected + " from grants g"
)

func scanGrant(row scanner) (access.Grant, error) {
	g, err := grantTable.scan(row)
	if err == nil {
		g.Target, err = g.Of.target()
	}
	if err != nil {
		return access.Grant{}, fmt.Errorf("grant %s: %w", g.ID, err)
	}
	return g.Grant, nil
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
	of := rowOf(g.Target)
	sources, err := grantTable.json("sources", &grantRow{Of: of})
	if err != nil {
		return nil, err
	}
	return all(ctx, r.q, scanGrant, selectLike, string(g.Principal), string(of.Machine), int64(of.Ports.First), sources,
		micros(g.End), int64(of.Ports.Last), string(of.Protocol), int64(limit))
}

// LiveGrants implements engine.Reader.
func (r *reader) LiveGrants(ctx context.Context, machines []access.MachineID, now time.Time) ([]access.Grant, error) {
	grants, err := grouped(machines, func(marks string, args []any) ([]access.Grant, error) {
		// In the index what is scheduled lies behind what has begun, and is not read.
		text := fmt.Sprintf(`select %s from (select g.*, row_number() over (partition by g.machine order by g.start_at, g.id) place from grants g
where g.closed_at = 0 and g.state in ('opening', 'active') and g.machine in (%s) and g.start_at <= $%d) g where g.place <= 100 limit 10000`,
			grantTable.selected, marks, len(args)+1)
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

// SaveGrant implements engine.Tx.
func (t *tx) SaveGrant(ctx context.Context, g access.Grant, was int64) error {
	return swap(ctx, t, grantTable, grantRow{g, rowOf(g.Target)}, g.Revision, was)
}
