package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	// Of each agent the first machine by its id stands for all.
	selectSilent = "select " + agentTable.selected + `,
(select min(m.id) from machines m join grants g on g.machine = m.id where m.agent = a.id and g.ended_at = 0 and g.start_at <= $2 and g.end_at > $2
and g.state <> 'failed') as machine
from agents a where a.tenant = $4 and a.revoked = 0 and a.last_seen_at < $1 and exists (select 1 from machines m join grants g on g.machine = m.id
where m.agent = a.id and g.ended_at = 0 and g.start_at <= $2 and g.end_at > $2 and g.state <> 'failed') and a.id > $5 order by a.id limit $3`
	selectSkewed = "select " + agentTable.selected + ` from agents a where tenant = $4 and revoked = 0 and (skew >= $1 or skew <= $2) and id > $5
order by id limit $3`
	selectForeign = "select " + agentTable.selected + " from agents a where tenant = $2 and revoked = 0 and foreign_rules <> " +
		"'[]' and id > $3 order by id limit $1"

	// It goes from machine to machine in the index, and takes one grant of each: a host that nobody will hear of again
	// may have any number of them.
	selectUnproven = `with recursive o (machine) as (
select min(g.machine) from grants g where g.tenant = $1 and g.closed_at = 0 and g.ended_at <> 0 and g.machine > $3
union all select (select min(g.machine) from grants g where g.tenant = $1 and g.closed_at = 0 and g.ended_at <> 0 and g.machine > o.machine)
from o where o.machine is not null)
select ` + grantTable.selected + ` from o join grants g on g.id = (select x.id from grants x where x.tenant = $1 and x.machine = o.machine and x.closed_at = 0
and x.ended_at <> 0 and x.ended_at <= $2 order by x.ended_at, x.id limit 1)
where exists (select 1 from machines m join agents a on a.id = m.agent where m.id = g.machine and a.revoked = 0) order by g.machine limit $4`
)

// SilentAgents implements engine.AlertReader.
func (r *reader) SilentAgents(ctx context.Context, tenant access.TenantID, since, now time.Time, after access.AgentID,
	limit int,
) ([]engine.AgentOn, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return all(ctx, r.q, func(row scanner) (on engine.AgentOn, err error) {
		on.Agent, err = agentTable.scan(tailed{row, &on.Machine})
		return on, err
	}, selectSilent, micros(since), micros(now), int64(limit), string(tenant), string(after))
}

// tailed scans one column more than it is asked for.
type tailed struct {
	scanner

	last any
}

// Scan implements scanner.
func (t tailed) Scan(into ...any) error { return t.scanner.Scan(append(into, t.last)...) }

// SkewedAgents implements engine.AlertReader.
func (r *reader) SkewedAgents(ctx context.Context, tenant access.TenantID, beyond time.Duration, after access.AgentID,
	limit int,
) ([]access.Agent, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return all(ctx, r.q, agentTable.scan, selectSkewed, int64(beyond), -int64(beyond), int64(limit), string(tenant),
		string(after))
}

// ForeignAgents implements engine.AlertReader.
func (r *reader) ForeignAgents(ctx context.Context, tenant access.TenantID, after access.AgentID,
	limit int,
) ([]access.Agent, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return all(ctx, r.q, agentTable.scan, selectForeign, int64(limit), string(tenant), string(after))
}

// UnprovenGrants implements engine.AlertReader.
func (r *reader) UnprovenGrants(ctx context.Context, tenant access.TenantID, before time.Time, after access.MachineID,
	limit int,
) ([]access.Grant, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return all(ctx, r.q, scanGrant, selectUnproven, string(tenant), micros(before), string(after), int64(limit))
}
