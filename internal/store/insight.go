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
	// What was seen open counts from then until it was seen gone. Of what no agent spoke of, its window counts, also
	// where it ended early and nobody saw it gone.
	heldAt = `g.machine = ? and g.created_at <= ? and (g.opened_at <> 0 and g.opened_at <= ? and (g.closed_at = 0 or g.closed_at > ?)
or g.opened_at = 0 and g.state <> 'failed' and g.start_at <= ? and g.end_at > ? and (g.ended_at = 0 or g.ended_at >= g.start_at)
and (g.closed_at = 0 or g.closed_at > ?))`
	// What ended and nobody saw gone may be open: until it was to end, and as long as there is an agent that has yet to
	// say so. What ended before it began never opened.
	notClosed = `g.closed_at = 0 and g.ended_at <> 0 and g.ended_at >= g.start_at and (g.end_at > ? or exists (select 1 from machines x
join agents a on a.id = x.agent where x.id = g.machine and a.revoked = 0))`
)

var (
	useColumns = "u.opened_at, u.over_at, " + requestTable.selected
	listUses   = "select " + useColumns + " from code_uses u join requests r on r.id = u.request"
	insertUse  = "insert into code_uses (request, tenant, machine, opened_at, over_at, created_at) values " +
		"($1, $2, $3, $4, $5, $6)"
	listNeverUsed = "select " + grantTable.selected + " from grants g where g.packets = 0 and g.opened_at <> 0 and " +
		"g.ended_at <> 0 and g.eligibility = ''"
	selectLastRequests = "select requester, max(created_at) from requests where tenant = $1 and created_at >= $2 " +
		"group by requester order by requester" + everyRow
	selectActivations = "select principal, max(created_at) from grants where eligibility = $1 and eligibility <> " +
		"'' and created_at >= $2 group by principal order by principal" + everyRow
)

func scanHeldGrant(row scanner) (h engine.Held, err error) {
	h.Grant, err = scanGrant(row)
	return h, err
}

func scanHeldUse(row scanner) (h engine.Held, err error) {
	h.Use.Request, err = scanRequest(headed{row, []any{timeColumn{&h.Use.Opened}, timeColumn{&h.Use.Over}}})
	return h, err
}

// headed scans columns that stand before those that it is asked for.
type headed struct {
	scanner

	first []any
}

// Scan implements scanner.
func (h headed) Scan(into ...any) error { return h.scanner.Scan(append(h.first, into...)...) }

// SaveCodeUse implements engine.Tx. What else there is to know, its request says.
func (t *tx) SaveCodeUse(ctx context.Context, u engine.CodeUse) error {
	return t.exec(ctx, "use", nil, insertUse, string(u.Request.ID), string(u.Request.Tenant),
		string(u.Request.Items[0].Place().Machine),
		micros(u.Opened), micros(u.Over), micros(u.Request.CreatedAt))
}

// HeldAt implements engine.InsightReader.
func (r *reader) HeldAt(ctx context.Context, machine access.MachineID, at time.Time,
	p engine.Page,
) (engine.Listed[engine.Held], error) {
	t := micros(at)
	grants := from(listGrants)
	grants.where(heldAt, string(machine), t, t, t, t, t, t)
	uses := from(listUses)
	uses.where("u.machine = ? and u.opened_at <= ? and u.over_at > ?", string(machine), t, t)
	return r.held(ctx, p, grants, "g.created_at, g.id", uses, "u.created_at, u.request", func(h engine.Held) time.Time {
		if h.ByCode() {
			return h.Use.Request.CreatedAt
		}
		return h.Grant.CreatedAt
	})
}

// NotClosed implements engine.InsightReader.
func (r *reader) NotClosed(ctx context.Context, f engine.NotClosedFilter,
	p engine.Page,
) (engine.Listed[engine.Held], error) {
	grants := from(listGrants)
	grants.where(notClosed, micros(f.Now))
	grants.tenants("g.tenant", f.Tenant, f.Beside)
	equal(grants, "g.machine", f.Machine)
	equal(grants, "g.principal || ''", f.Principal) // what was not seen closed is little, and has an index of its own
	uses := from(listUses)
	uses.where("u.over_at > ?", micros(f.Now))
	uses.tenants("u.tenant", f.Tenant, f.Beside)
	equal(uses, "u.machine || ''", f.Machine)
	equal(uses, "r.requester || ''", f.Principal)
	return r.held(ctx, p, grants, "g.ended_at, g.id", uses, "u.over_at, u.request", func(h engine.Held) time.Time {
		if h.ByCode() {
			return h.Use.Over
		}
		return h.Grant.EndedAt
	})
}

// held gives a page of two lists as one, those last that come first by their columns: an instant, which at gives too,
// and an id.
func (r *reader) held(ctx context.Context, p engine.Page, grants *list, byGrant string, uses *list, byUse string,
	at func(engine.Held) time.Time,
) (both engine.Listed[engine.Held], err error) {
	place := func(h engine.Held) []any {
		return []any{micros(at(h)), cmp.Or(string(h.Grant.ID), string(h.Use.Request.ID))}
	}
	add := func(l *list, columns string, scan func(scanner) (engine.Held, error)) {
		l.after(p.Cursor, true, columns, cursorNumber, cursorText)
		more, failed := page(ctx, r.q, l, p, descending(columns), scan, place)
		both.Items, both.Next, err = append(both.Items,
			more.Items...), cmp.Or(both.Next, more.Next), cmp.Or(err, failed)
	}
	add(grants, byGrant, scanHeldGrant)
	add(uses, byUse, scanHeldUse)
	if err != nil {
		return engine.Listed[engine.Held]{}, err
	}
	slices.SortFunc(both.Items, func(a, b engine.Held) int {
		x, y := place(a), place(b)
		return cmp.Or(cmp.Compare(y[0].(int64), x[0].(int64)), cmp.Compare(y[1].(string), x[1].(string))) //nolint:forcetypeassert // made above
	})
	if len(both.Items) > p.Limit || both.Next != "" {
		both.Items = both.Items[:min(len(both.Items), p.Limit)]
		both.Next = makeCursor(place(both.Items[len(both.Items)-1]))
	}
	return both, nil
}

// NotClosedOn implements engine.InsightReader.
func (r *reader) NotClosedOn(ctx context.Context, machines []access.MachineID, now time.Time) ([]engine.Held, error) {
	ended, err := grouped(machines, func(marks string, args []any) ([]engine.Held, error) {
		// In the index what is scheduled lies behind what has begun, and is not read.
		n := fmt.Sprint("$", len(args)+1)
		text := "select " + grantTable.selected + ` from (select g.*, row_number() over (partition by g.machine order by g.start_at, g.id) place from grants g
where g.machine in (` + marks + ") and g.start_at <= " + n + " and " + strings.ReplaceAll(notClosed, "?",
			n) + ") g where g.place <= 100 limit 10000"
		return all(ctx, r.q, scanHeldGrant, text, append(args, micros(now))...)
	})
	if err != nil {
		return nil, err
	}
	uses, err := grouped(machines, func(marks string, args []any) ([]engine.Held, error) {
		text := "select " + useColumns + ` from (select u.*, row_number() over (partition by u.machine order by u.created_at desc, u.request) place from code_uses u
where u.machine in (` + marks + fmt.Sprintf(
			") and u.over_at > $%d) u join requests r on r.id = u.request where u.place <= 100 limit 10000",
			len(args)+1)
		return all(ctx, r.q, scanHeldUse, text, append(args, micros(now))...)
	})
	return append(ended, uses...), err
}

// NeverUsedGrants implements engine.InsightReader.
func (r *reader) NeverUsedGrants(ctx context.Context, tenant access.TenantID, since time.Time,
	p engine.Page,
) (engine.Listed[access.Grant], error) {
	const columns = "g.created_at, g.id"
	l := from(listNeverUsed)
	l.where("g.tenant = ?", string(tenant))
	l.where("g.created_at >= ?", micros(since))
	l.after(p.Cursor, true, columns, cursorNumber, cursorText)
	return page(ctx, r.q, l, p, descending(columns), scanGrant,
		func(g access.Grant) []any { return []any{micros(g.CreatedAt), g.ID} })
}

// LastRequests implements engine.InsightReader.
func (r *reader) LastRequests(ctx context.Context, tenant access.TenantID,
	since time.Time,
) (map[access.PrincipalID]time.Time, error) {
	return r.lastOf(ctx, selectLastRequests, string(tenant), micros(since))
}

// LastActivations implements engine.InsightReader.
func (r *reader) LastActivations(ctx context.Context, id access.EligibilityID,
	since time.Time,
) (map[access.PrincipalID]time.Time, error) {
	return r.lastOf(ctx, selectActivations, string(id), micros(since))
}

func (r *reader) lastOf(ctx context.Context, query string, args ...any) (map[access.PrincipalID]time.Time, error) {
	type last struct {
		who access.PrincipalID
		at  time.Time
	}
	list, err := whole(ctx, r.q, func(row scanner) (l last, err error) {
		err = row.Scan(&l.who, timeColumn{&l.at})
		return l, err
	}, query, args...)
	found := make(map[access.PrincipalID]time.Time, len(list))
	for _, l := range list {
		found[l.who] = l.at
	}
	return found, err
}
