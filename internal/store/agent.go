package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	agentColumns = `id, tenant, name, mode, version, fingerprint, enrolled_at, last_seen_at, skew, revision, reported, reported_at, problem, revoked, foreign_rules,
scope, successor, holds_until, predecessors, epoch, stream`
	selectAgent = "select " + agentColumns + " from agents where id = $1 limit 1"
	listAgents  = "select " + agentColumns + " from agents"

	selectAgentsByName = "select " + agentColumns + " from agents where tenant = $1 and name_key = $2 order by " +
		"revoked, id limit 1000"
	selectAgentsIn = "select " + agentColumns + " from agents where tenant = $1 and scope_key = $2 and revoked " +
		"= 0 order by name_key limit 1000"
)

func scanAgent(row scanner) (a access.Agent, err error) {
	var skew int64
	var foreign []foreignRecord
	var before []predecessorRecord
	var stream streamRecord
	err = row.Scan(&a.ID, &a.Tenant, &a.Name, &a.Mode, &a.Version, &a.Fingerprint, timeColumn{&a.EnrolledAt},
		timeColumn{&a.LastSeenAt}, &skew, &a.Revision,
		&a.Reported, timeColumn{&a.ReportedAt}, &a.Problem, flagColumn{&a.Revoked}, jsonColumn{&foreign},
		&a.Scope, &a.Successor, timeColumn{&a.HoldsUntil}, jsonColumn{&before}, &a.Epoch, jsonColumn{&stream})
	a.Skew, a.Foreign, a.Predecessors, a.Stream = time.Duration(
		skew), foreignRules(foreign), predecessors(before), stream.stream()
	return a, err
}

// Agent implements engine.Reader.
func (r *reader) Agent(ctx context.Context, id access.AgentID) (access.Agent, error) {
	return one(ctx, r.q, "agent", scanAgent, selectAgent, string(id))
}

// AgentsByName implements engine.Reader.
func (r *reader) AgentsByName(ctx context.Context, tenant access.TenantID, name string) ([]access.Agent, error) {
	return all(ctx, r.q, scanAgent, selectAgentsByName, string(tenant), fold(name))
}

// AgentsIn implements engine.Reader.
func (r *reader) AgentsIn(ctx context.Context, tenant access.TenantID,
	scope access.ResourceID,
) ([]access.Agent, error) {
	return all(ctx, r.q, scanAgent, selectAgentsIn, string(tenant), fold(string(scope)))
}

// Agents implements engine.Reader.
func (r *reader) Agents(ctx context.Context, p engine.Page) (engine.Listed[access.Agent], error) {
	l := from(listAgents)
	l.after(p.Cursor, false, "name_key, id", cursorText, cursorText)
	return page(ctx, r.q, l, p, "name_key, id", scanAgent,
		func(a access.Agent) []any { return []any{fold(a.Name), a.ID} })
}

const (
	upsertAgent = `insert into agents (id, tenant, name, name_key, mode, version, fingerprint, enrolled_at, last_seen_at, skew, revision, reported, reported_at,
problem, revoked, foreign_rules, scope, scope_key, successor, holds_until, predecessors, epoch, stream)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)
on conflict (id) do update set tenant = excluded.tenant, name = excluded.name, name_key = excluded.name_key, mode = excluded.mode, version = excluded.version,
fingerprint = excluded.fingerprint, enrolled_at = excluded.enrolled_at, last_seen_at = excluded.last_seen_at, skew = excluded.skew,
reported = excluded.reported, reported_at = excluded.reported_at, problem = excluded.problem, revoked = excluded.revoked, foreign_rules = excluded.foreign_rules,
scope = excluded.scope, scope_key = excluded.scope_key, successor = excluded.successor, holds_until = excluded.holds_until, predecessors = excluded.predecessors`
	bumpAgent  = "update agents set revision = revision + 1 where id = $1"
	saveStream = "update agents set stream = $1 where id = $2"
	startEpoch = "update agents set epoch = $1, revision = case when revision < $2 then $2 else revision end + 1 " +
		"where id = $3"
)

// SaveAgent implements engine.Tx.
func (t *tx) SaveAgent(ctx context.Context, a access.Agent) error {
	foreign, err := toJSON(foreignRecords(a.Foreign))
	if err != nil {
		return err
	}
	before, err := toJSON(predecessorRecords(a.Predecessors))
	if err != nil {
		return err
	}
	stream, err := toJSON(streamRecordOf(a.Stream))
	if err != nil {
		return err
	}
	return t.exec(ctx, "agent", nil, upsertAgent, string(a.ID), string(a.Tenant), a.Name, fold(a.Name), string(a.Mode),
		a.Version, a.Fingerprint, micros(a.EnrolledAt),
		micros(a.LastSeenAt), int64(a.Skew), a.Revision, a.Reported, micros(a.ReportedAt), a.Problem, flag(a.Revoked),
		foreign,
		string(a.Scope), fold(string(a.Scope)), string(a.Successor), micros(a.HoldsUntil), before, a.Epoch, stream)
}

// BumpAgent implements engine.Tx.
func (t *tx) BumpAgent(ctx context.Context, id access.AgentID) error {
	if err := t.exec(ctx, "agent", missing("agent"), bumpAgent, string(id)); err != nil {
		return err
	}
	t.batch.news.agents = append(t.batch.news.agents, id)
	return nil
}

// predecessorRecord is an agent that was replaced, in the row of the one that took its place.
type predecessorRecord struct {
	Agent access.AgentID `json:"agent"`
	Since int64          `json:"since"`
	Until int64          `json:"until"`
}

func predecessorRecords(list []access.Predecessor) []predecessorRecord {
	records := make([]predecessorRecord, 0, len(list))
	for _, p := range list {
		records = append(records, predecessorRecord{p.Agent, micros(p.Since), micros(p.Until)})
	}
	return records
}

func predecessors(records []predecessorRecord) []access.Predecessor {
	var list []access.Predecessor
	for _, r := range records {
		list = append(list, access.Predecessor{Agent: r.Agent, Since: instant(r.Since), Until: instant(r.Until)})
	}
	return list
}

// StartEpoch implements engine.Tx.
func (t *tx) StartEpoch(ctx context.Context, id access.AgentID, epoch string, beyond int64) error {
	if err := t.exec(ctx, "agent", missing("agent"), startEpoch, epoch, beyond, string(id)); err != nil {
		return err
	}
	t.batch.news.agents = append(t.batch.news.agents, id)
	return nil
}

// SaveStream implements engine.Tx.
func (t *tx) SaveStream(ctx context.Context, id access.AgentID, s access.Stream) error {
	text, err := toJSON(streamRecordOf(s))
	if err != nil {
		return err
	}
	if err := t.exec(ctx, "agent", missing("agent"), saveStream, text, string(id)); err != nil {
		return err
	}
	t.batch.news.agents = append(t.batch.news.agents, id)
	return nil
}

// streamRecord is who follows an agent's desired state, in the row of the agent.
type streamRecord struct {
	ID         string `json:"id,omitempty"`
	Instance   string `json:"instance,omitempty"`
	From       string `json:"from,omitempty"`
	Since      int64  `json:"since,omitempty"`
	AskedBy    string `json:"askedBy,omitempty"`
	AskedFrom  string `json:"askedFrom,omitempty"`
	AskedAt    int64  `json:"askedAt,omitempty"`
	AnsweredAt int64  `json:"answeredAt,omitempty"`
	ToldAt     int64  `json:"toldAt,omitempty"`
}

func streamRecordOf(s access.Stream) streamRecord {
	return streamRecord{
		s.ID, s.Instance, s.From, micros(s.Since), s.AskedBy, s.AskedFrom, micros(s.AskedAt),
		micros(s.AnsweredAt), micros(s.ToldAt),
	}
}

func (r streamRecord) stream() access.Stream {
	return access.Stream{
		ID: r.ID, Instance: r.Instance, From: r.From, Since: instant(r.Since),
		AskedBy: r.AskedBy, AskedFrom: r.AskedFrom, AskedAt: instant(r.AskedAt), AnsweredAt: instant(r.AnsweredAt),
		ToldAt: instant(r.ToldAt),
	}
}
