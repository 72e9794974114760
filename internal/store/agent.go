package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	agentColumns = `id, tenant, name, mode, version, fingerprint, enrolled_at, last_seen_at, skew, revision, reported, reported_at, problem, revoked, foreign_rules`
	selectAgent  = "select " + agentColumns + " from agents where id = $1 limit 1"
	listAgents   = "select " + agentColumns + " from agents"

	selectAgentsByName = "select " + agentColumns + " from agents where name_key = $1 order by revoked, id limit 100"
)

func scanAgent(row scanner) (a access.Agent, err error) {
	var skew int64
	var foreign []foreignRecord
	err = row.Scan(&a.ID, &a.Tenant, &a.Name, &a.Mode, &a.Version, &a.Fingerprint, timeColumn{&a.EnrolledAt}, timeColumn{&a.LastSeenAt}, &skew, &a.Revision,
		&a.Reported, timeColumn{&a.ReportedAt}, &a.Problem, flagColumn{&a.Revoked}, jsonColumn{&foreign})
	a.Skew, a.Foreign = time.Duration(skew), foreignRules(foreign)
	return a, err
}

// Agent implements engine.Reader.
func (r *reader) Agent(ctx context.Context, id access.AgentID) (access.Agent, error) {
	return one(ctx, r.q, "agent", scanAgent, selectAgent, string(id))
}

// AgentsByName implements engine.Reader.
func (r *reader) AgentsByName(ctx context.Context, name string) ([]access.Agent, error) {
	return all(ctx, r.q, scanAgent, selectAgentsByName, fold(name))
}

// Agents implements engine.Reader.
func (r *reader) Agents(ctx context.Context, p engine.Page) (engine.Listed[access.Agent], error) {
	l := from(listAgents)
	l.after(p.Cursor, false, "name_key, id", cursorText, cursorText)
	return page(ctx, r.q, l, p, "name_key, id", scanAgent, func(a access.Agent) []any { return []any{fold(a.Name), a.ID} })
}

const (
	upsertAgent = `insert into agents (id, tenant, name, name_key, mode, version, fingerprint, enrolled_at, last_seen_at, skew, revision, reported, reported_at,
problem, revoked, foreign_rules) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
on conflict (id) do update set tenant = excluded.tenant, name = excluded.name, name_key = excluded.name_key, mode = excluded.mode, version = excluded.version,
fingerprint = excluded.fingerprint, enrolled_at = excluded.enrolled_at, last_seen_at = excluded.last_seen_at, skew = excluded.skew,
reported = excluded.reported, reported_at = excluded.reported_at, problem = excluded.problem, revoked = excluded.revoked, foreign_rules = excluded.foreign_rules`
	bumpAgent = "update agents set revision = revision + 1 where id = $1"
)

// SaveAgent implements engine.Tx.
func (t *tx) SaveAgent(ctx context.Context, a access.Agent) error {
	foreign, err := toJSON(foreignRecords(a.Foreign))
	if err != nil {
		return err
	}
	return t.exec(ctx, "agent", nil, upsertAgent, string(a.ID), string(a.Tenant), a.Name, fold(a.Name), string(a.Mode), a.Version, a.Fingerprint, micros(a.EnrolledAt),
		micros(a.LastSeenAt), int64(a.Skew), a.Revision, a.Reported, micros(a.ReportedAt), a.Problem, flag(a.Revoked), foreign)
}

// BumpAgent implements engine.Tx.
func (t *tx) BumpAgent(ctx context.Context, id access.AgentID) error {
	if err := t.exec(ctx, "agent", missing("agent"), bumpAgent, string(id)); err != nil {
		return err
	}
	t.batch.news.agents = append(t.batch.news.agents, id)
	return nil
}
