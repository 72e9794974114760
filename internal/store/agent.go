package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	agentTable = describe("agent", "agents", "a", "id",
		text("id", func(v *access.Agent) *access.AgentID { return &v.ID }),
		text("tenant", func(v *access.Agent) *access.TenantID { return &v.Tenant }),
		text("name", func(v *access.Agent) *string { return &v.Name }),
		derived("name_key", func(v *access.Agent) any { return fold(v.Name) }),
		text("mode", func(v *access.Agent) *access.Mode { return &v.Mode }),
		text("version", func(v *access.Agent) *string { return &v.Version }),
		text("fingerprint", func(v *access.Agent) *string { return &v.Fingerprint }),
		when("enrolled_at", func(v *access.Agent) *time.Time { return &v.EnrolledAt }),
		when("last_seen_at", func(v *access.Agent) *time.Time { return &v.LastSeenAt }),
		number("skew", func(v *access.Agent) *time.Duration { return &v.Skew }),
		number("revision", func(v *access.Agent) *int64 { return &v.Revision }).kept(),
		number("reported", func(v *access.Agent) *int64 { return &v.Reported }),
		when("reported_at", func(v *access.Agent) *time.Time { return &v.ReportedAt }),
		text("problem", func(v *access.Agent) *string { return &v.Problem }),
		truth("revoked", func(v *access.Agent) *bool { return &v.Revoked }),
		listOf("foreign_rules", func(v *access.Agent) *[]access.ForeignRule { return &v.Foreign }),
		text("scope", func(v *access.Agent) *access.ResourceID { return &v.Scope }),
		derived("scope_key", func(v *access.Agent) any { return v.Scope.Fold() }),
		text("successor", func(v *access.Agent) *access.AgentID { return &v.Successor }),
		when("holds_until", func(v *access.Agent) *time.Time { return &v.HoldsUntil }),
		listOf("predecessors", func(v *access.Agent) *[]access.Predecessor { return &v.Predecessors }),
		text("epoch", func(v *access.Agent) *string { return &v.Epoch }).kept(),
		nested("stream", func(v *access.Agent) *access.Stream { return &v.Stream }).kept())

	selectAgent = "select " + agentTable.selected + " from agents a where id = $1 limit 1"
	listAgents  = "select " + agentTable.selected + " from agents a"

	selectAgentsByName = "select " + agentTable.selected + " from agents a where tenant = $1 and name_key = $2 order by " +
		"revoked, id limit 1000"
	selectAgentsIn = "select " + agentTable.selected + " from agents a where tenant = $1 and scope_key = $2 and revoked " +
		"= 0 order by name_key limit 1000"
)

// Agent implements engine.Reader.
func (r *reader) Agent(ctx context.Context, id access.AgentID) (access.Agent, error) {
	return one(ctx, r.q, "agent", agentTable.scan, selectAgent, string(id))
}

// AgentsByName implements engine.Reader.
func (r *reader) AgentsByName(ctx context.Context, tenant access.TenantID, name string) ([]access.Agent, error) {
	return all(ctx, r.q, agentTable.scan, selectAgentsByName, string(tenant), fold(name))
}

// AgentsIn implements engine.Reader.
func (r *reader) AgentsIn(ctx context.Context, tenant access.TenantID,
	scope access.ResourceID,
) ([]access.Agent, error) {
	return all(ctx, r.q, agentTable.scan, selectAgentsIn, string(tenant), fold(string(scope)))
}

// Agents implements engine.Reader.
func (r *reader) Agents(ctx context.Context, p engine.Page) (engine.Listed[access.Agent], error) {
	l := from(listAgents)
	l.after(p.Cursor, false, "name_key, id", cursorText, cursorText)
	return page(ctx, r.q, l, p, "name_key, id", agentTable.scan,
		func(a access.Agent) []any { return []any{fold(a.Name), a.ID} })
}

const (
	bumpAgent  = "update agents set revision = revision + 1 where id = $1"
	saveStream = "update agents set stream = $1 where id = $2"
	startEpoch = "update agents set epoch = $1, revision = case when revision < $2 then $2 else revision end + 1 " +
		"where id = $3"
)

// SaveAgent implements engine.Tx.
func (t *tx) SaveAgent(ctx context.Context, a access.Agent) error {
	return put(ctx, t, agentTable, agentTable.upsert, a)
}

// BumpAgent implements engine.Tx.
func (t *tx) BumpAgent(ctx context.Context, id access.AgentID) error {
	if err := t.exec(ctx, "agent", missing("agent"), bumpAgent, string(id)); err != nil {
		return err
	}
	t.batch.news.agents = append(t.batch.news.agents, id)
	return nil
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
	text, err := agentTable.json("stream", &access.Agent{Stream: s})
	if err != nil {
		return err
	}
	if err := t.exec(ctx, "agent", missing("agent"), saveStream, text, string(id)); err != nil {
		return err
	}
	t.batch.news.agents = append(t.batch.news.agents, id)
	return nil
}
