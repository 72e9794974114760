package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	// Of each agent the first machine by its id stands for all.
	selectSilent = `select a.id, a.tenant, a.name, a.mode, a.version, a.fingerprint, a.enrolled_at, a.last_seen_at, a.skew, a.revision, a.reported, a.reported_at, a.problem,
a.revoked, a.foreign_rules, a.scope, a.successor, a.holds_until, a.predecessors, a.epoch, a.stream,
(select min(m.id) from machines m join grants g on g.machine = m.id where m.agent = a.id and g.ended_at = 0 and g.start_at <= $2 and g.end_at > $2
and g.state <> 'failed') as machine
from agents a where a.tenant = $4 and a.revoked = 0 and a.last_seen_at < $1 and exists (select 1 from machines m join grants g on g.machine = m.id
where m.agent = a.id and g.ended_at = 0 and g.start_at <= $2 and g.end_at > $2 and g.state <> 'failed') order by a.id limit $3`
	selectSkewed   = "select " + agentColumns + " from agents where tenant = $4 and revoked = 0 and (skew >= $1 or skew <= $2) order by id limit $3"
	selectForeign  = "select " + agentColumns + " from agents where tenant = $2 and revoked = 0 and foreign_rules <> '[]' order by name_key, id limit $1"
	selectUnproven = "select " + grantColumns + ` from grants g where g.tenant = $3 and g.closed_at = 0 and g.ended_at <> 0 and g.ended_at <= $1
and exists (select 1 from machines m join agents a on a.id = m.agent where m.id = g.machine and a.revoked = 0) order by g.ended_at, g.id limit $2`
)

// SilentAgents implements engine.AlertReader.
func (r *reader) SilentAgents(ctx context.Context, tenant access.TenantID, since, now time.Time, limit int) ([]engine.AgentOn, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return all(ctx, r.q, func(row scanner) (on engine.AgentOn, err error) {
		on.Agent, err = scanAgent(tailed{row, &on.Machine})
		return on, err
	}, selectSilent, micros(since), micros(now), int64(limit), string(tenant))
}

// tailed scans one column more than it is asked for.
type tailed struct {
	scanner

	last any
}

// Scan implements scanner.
func (t tailed) Scan(into ...any) error { return t.scanner.Scan(append(into, t.last)...) }

// SkewedAgents implements engine.AlertReader.
func (r *reader) SkewedAgents(ctx context.Context, tenant access.TenantID, beyond time.Duration, limit int) ([]access.Agent, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return all(ctx, r.q, scanAgent, selectSkewed, int64(beyond), -int64(beyond), int64(limit), string(tenant))
}

// ForeignAgents implements engine.AlertReader.
func (r *reader) ForeignAgents(ctx context.Context, tenant access.TenantID, limit int) ([]access.Agent, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return all(ctx, r.q, scanAgent, selectForeign, int64(limit), string(tenant))
}

// UnprovenGrants implements engine.AlertReader.
func (r *reader) UnprovenGrants(ctx context.Context, tenant access.TenantID, before time.Time, limit int) ([]access.Grant, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return all(ctx, r.q, scanGrant, selectUnproven, micros(before), int64(limit), string(tenant))
}
