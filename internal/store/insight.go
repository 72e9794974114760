package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	// What was seen open counts from then until it was seen gone; of what no agent spoke of, its window counts.
	selectGrantsAt = "select " + grantColumns + ` from grants g where g.machine = $1 and g.created_at <= $2
and (g.opened_at <> 0 and g.opened_at <= $2 and (g.closed_at = 0 or g.closed_at > $2)
or g.opened_at = 0 and g.state <> 'failed' and g.start_at <= $2 and g.end_at > $2 and (g.ended_at = 0 or g.ended_at > $2))
order by g.created_at desc, g.id desc limit $3`
	listNeverUsed      = "select " + grantColumns + " from grants g where g.packets = 0 and g.opened_at <> 0 and g.ended_at <> 0 and g.eligibility = ''"
	selectLastRequests = "select requester, max(created_at) from requests where tenant = $1 and created_at >= $2 group by requester order by requester" + everyRow
	selectActivations  = "select principal, max(created_at) from grants where eligibility = $1 and eligibility <> '' and created_at >= $2 group by principal order by principal" + everyRow
)

// GrantsAt implements engine.InsightReader.
func (r *reader) GrantsAt(ctx context.Context, machine access.MachineID, t time.Time, limit int) ([]access.Grant, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return all(ctx, r.q, scanGrant, selectGrantsAt, string(machine), micros(t), int64(limit))
}

// NeverUsedGrants implements engine.InsightReader.
func (r *reader) NeverUsedGrants(ctx context.Context, tenant access.TenantID, since time.Time, p engine.Page) (engine.Listed[access.Grant], error) {
	const columns = "g.created_at, g.id"
	l := from(listNeverUsed)
	l.where("g.tenant = ?", string(tenant))
	l.where("g.created_at >= ?", micros(since))
	l.after(p.Cursor, true, columns, cursorNumber, cursorText)
	return page(ctx, r.q, l, p, descending(columns), scanGrant, func(g access.Grant) []any { return []any{micros(g.CreatedAt), g.ID} })
}

// LastRequests implements engine.InsightReader.
func (r *reader) LastRequests(ctx context.Context, tenant access.TenantID, since time.Time) (map[access.PrincipalID]time.Time, error) {
	return r.lastOf(ctx, selectLastRequests, string(tenant), micros(since))
}

// LastActivations implements engine.InsightReader.
func (r *reader) LastActivations(ctx context.Context, id access.EligibilityID, since time.Time) (map[access.PrincipalID]time.Time, error) {
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
