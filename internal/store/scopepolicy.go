package store

import (
	"context"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

var (
	scopePolicyTable = describe("scope policy", "scope_policies", "s", "id",
		text("id", func(v *access.ScopePolicy) *access.PolicyID { return &v.ID }),
		text("resource", func(v *access.ScopePolicy) *access.ResourceID { return &v.Resource }),
		derived("resource_key", func(v *access.ScopePolicy) any { return v.Resource.Fold() }),
		text("tenant", func(v *access.ScopePolicy) *access.TenantID { return &v.Tenant }),
		text("name", func(v *access.ScopePolicy) *string { return &v.Name }),
		text("scope", func(v *access.ScopePolicy) *access.ResourceID { return &v.Scope }),
		derived("scope_key", func(v *access.ScopePolicy) any { return v.Scope.Fold() }),
		nested("labels", func(v *access.ScopePolicy) *map[string]string { return &v.Labels }),
		number("place", func(v *access.ScopePolicy) *int { return &v.Order }),
		nested("body", func(v *access.ScopePolicy) *access.MachinePolicy { return &v.Rules }),
		when("created_at", func(v *access.ScopePolicy) *time.Time { return &v.CreatedAt }),
		when("updated_at", func(v *access.ScopePolicy) *time.Time { return &v.UpdatedAt }),
		number("revision", func(v *access.ScopePolicy) *int64 { return &v.Revision }))

	selectScopePolicy = "select " + scopePolicyTable.selected + " from scope_policies s where s.resource_key = $1 limit 1"
	listScopePolicies = "select " + scopePolicyTable.selected + " from scope_policies s where s.tenant = $1 order by s.id" +
		everyRow
)

const (
	deleteScopePolicy = "delete from scope_policies where id = $1 and revision = $2"
	// It never has a number twice, also where a restore took back numbers that this server has seen.
	bumpScopes        = "update directory set scopes = case when scopes < $1 then $1 else scopes + 1 end where id = 1"
	deleteScopeLabels = "delete from scope_policy_labels where policy = $1"
	insertScopeLabel  = "insert into scope_policy_labels (policy, pair) values ($1, $2)"
	bumpWithin        = "update agents set revision = revision + 1 where id in (" +
		"select m.agent from machines m where " + withinAgents + ")"
	selectAgentsWithin = "select distinct m.agent from machines m where " + withinAgents + everyRow
	withinAgents       = "m.tenant = $1 and m.agent is not null and m.resource_key >= $2 and m.resource_key < $3"
	// reaches is that the policy s of a scope reaches the machine m. A label stands in the JSON of its labels as a pair,
	// and nowhere inside a name or a value, where quotes are escaped; replace, unlike like, minds the case.
	reaches = `s.tenant = m.tenant and m.resource_key >= s.scope_key || '/' and m.resource_key < s.scope_key || '0'
and not exists (select 1 from scope_policy_labels p where p.policy = s.id and replace(m.labels, p.pair, '') = m.labels)`
	reached      = "exists (select 1 from scope_policies s where " + reaches + ")"
	countReached = "select count(*) from scope_policies s join machines m on " + reaches + " where s.id = $1 limit 1"
)

// ScopePolicy implements engine.ScopePolicyReader.
func (r *reader) ScopePolicy(ctx context.Context, id access.ResourceID) (access.ScopePolicy, error) {
	return one(ctx, r.q, "policy", scopePolicyTable.scan, selectScopePolicy, id.Fold())
}

// ScopePolicies implements engine.ScopePolicyReader.
func (r *reader) ScopePolicies(ctx context.Context, tenant access.TenantID) ([]access.ScopePolicy, error) {
	return scoped(ctx, r, &r.scopes.policies, "scope policy", scopePolicyTable.scan, listScopePolicies, tenant)
}

// scoped returns a list of a tenant that changes with the number of the policies of scopes alone.
func scoped[T any](ctx context.Context, r *reader, cache *byTenant[T], noun string, scan func(scanner) (T, error),
	text string, tenant access.TenantID,
) ([]T, error) {
	now, err := r.revisions(ctx)
	if err != nil || now.scopes == 0 {
		return nil, err
	}
	if list, known := cache.get(now.scopes, tenant); known {
		return list, nil
	}
	list, err := remembered(r.memo, noun, string(tenant), func() ([]T, error) {
		return whole(ctx, r.q, scan, text, string(tenant))
	})
	if err == nil && r.memo == nil {
		cache.keep(now.scopes, tenant, list)
	}
	return list, err
}

// MachinesReached implements engine.ScopePolicyReader.
func (r *reader) MachinesReached(ctx context.Context, id access.PolicyID) (int, error) {
	n, err := one(ctx, r.q, "policy", scanNumber, countReached, string(id))
	return int(n), err
}

// scopeCache keeps the policies and the switches of scopes from one transaction to the next, since each change of access
// looks at them. Only a read transaction keeps anything: what it sees is committed, while a revision that a writing one
// sees may come to nothing and its number be given to others.
type scopeCache struct {
	policies byTenant[access.ScopePolicy]
	switches byTenant[access.Switch]
}

// byTenant keeps a list of each tenant, as it was at a revision.
type byTenant[T any] struct {
	mu       sync.Mutex
	revision int64
	of       map[access.TenantID][]T
}

// get returns the list of a tenant as it was at a revision, and reports whether it is known. Whoever gets it changes
// nothing of it.
func (c *byTenant[T]) get(revision int64, tenant access.TenantID) (list []T, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.revision != revision {
		return nil, false
	}
	list, known = c.of[tenant]
	return list, known
}

func (c *byTenant[T]) keep(revision int64, tenant access.TenantID, list []T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.revision != revision { // which is smaller where the database was restored underneath
		c.revision, c.of = revision, map[access.TenantID][]T{}
	}
	c.of[tenant] = list
}

// bumpScopes moves the number of the policies of scopes, to at least that.
func (t *tx) bumpScopes(ctx context.Context, least int64) error {
	return t.exec(ctx, "directory", nil, bumpScopes, least)
}

// SaveScopePolicy implements engine.ScopePolicyWriter.
func (t *tx) SaveScopePolicy(ctx context.Context, p access.ScopePolicy, was int64) error {
	if err := swap(ctx, t, scopePolicyTable, p, p.Revision, was); err != nil {
		return err
	}
	if err := t.exec(ctx, "scope policy", nil, deleteScopeLabels, string(p.ID)); err != nil {
		return err
	}
	for name, value := range p.Labels {
		pair, err := labelPair(name, value)
		if err != nil {
			return err
		}
		if err := t.exec(ctx, "scope policy", nil, insertScopeLabel, string(p.ID), pair); err != nil {
			return err
		}
	}
	return t.bumpScopes(ctx, micros(p.UpdatedAt))
}

// DeleteScopePolicy implements engine.ScopePolicyWriter.
func (t *tx) DeleteScopePolicy(ctx context.Context, id access.PolicyID, was int64) error {
	if err := t.exec(ctx, "scope policy", nil, deleteScopeLabels, string(id)); err != nil {
		return err
	}
	if err := t.exec(ctx, "scope policy", changed("policy"), deleteScopePolicy, string(id), was); err != nil {
		return err
	}
	return t.bumpScopes(ctx, 1)
}

// BumpWithin implements engine.ScopePolicyWriter.
func (t *tx) BumpWithin(ctx context.Context, tenant access.TenantID, scope access.ResourceID) error {
	args := []any{string(tenant), scope.Fold() + "/", scope.Fold() + "0"}
	ids, err := whole(ctx, t.q, scanOne[access.AgentID], selectAgentsWithin, args...)
	if err != nil {
		return err
	}
	if err := t.exec(ctx, "agent", nil, bumpWithin, args...); err != nil {
		return err
	}
	t.batch.news.agents = append(t.batch.news.agents, ids...)
	return nil
}
