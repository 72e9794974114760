package store

import (
	"context"
	"math"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var (
	recallTable = describe("recall", "recalls", "c", "id",
		text("id", func(v *access.Recall) *access.RecallID { return &v.ID }),
		text("tenant", func(v *access.Recall) *access.TenantID { return &v.Tenant }),
		text("principal", func(v *access.Recall) *access.PrincipalID { return &v.Principal }),
		text("machine", func(v *access.Recall) *access.MachineID { return &v.Machine }),
		text("scope", func(v *access.Recall) *access.ResourceID { return &v.Scope }),
		truth("judge", func(v *access.Recall) *bool { return &v.Judge }),
		nested("actor", func(v *access.Recall) *access.Actor { return &v.By }),
		text("reason", func(v *access.Recall) *string { return &v.Reason }),
		when("at", func(v *access.Recall) *time.Time { return &v.At }),
		when("after_start", func(v *access.Recall) *time.Time { return &v.AfterStart }),
		text("after_grant", func(v *access.Recall) *access.GrantID { return &v.AfterGrant }),
		number("revision", func(v *access.Recall) *int64 { return &v.Revision }))

	selectRecall  = "select " + recallTable.selected + " from recalls c where c.id = $1 limit 1"
	selectRecalls = "select " + recallTable.selected + " from recalls c order by c.id" + everyRow
	listStanding  = "select " + grantTable.selected + " from grants g where g.ended_at = 0"
	// A person has roles at and asks for machines; the machine of a grant may be deleted.
	selectSites = `select distinct coalesce(m.id, ''), coalesce(m.resource, g.role_scope), coalesce(m.tenant, g.tenant)
from grants g left join machines m on m.id = g.machine where g.principal = $1 and g.ended_at = 0` + everyRow
	selectAgentsOpen = `select distinct m.agent from grants g join machines m on m.id = g.machine
where g.principal = $1 and g.ended_at = 0 and g.state <> 'scheduled' and m.agent is not null` + everyRow
)

// Recall implements engine.RecallReader.
func (r *reader) Recall(ctx context.Context, id access.RecallID) (access.Recall, error) {
	return one(ctx, r.q, "recall", recallTable.scan, selectRecall, string(id))
}

// Recalls implements engine.RecallReader.
func (r *reader) Recalls(ctx context.Context) ([]access.Recall, error) {
	return remembered(r.memo, "recall", "all", func() ([]access.Recall, error) {
		return whole(ctx, r.q, recallTable.scan, selectRecalls)
	})
}

// Standing implements engine.RecallReader.
func (r *reader) Standing(ctx context.Context, f engine.StandingFilter, limit int) ([]access.Grant, error) {
	l := from(listStanding)
	l.standing(f)
	if !f.Made.IsZero() {
		l.where("g.created_at <= ?", micros(f.Made))
	}
	if f.AfterGrant != "" {
		l.where("(g.start_at, g.id) > (?, ?)", micros(f.AfterStart), string(f.AfterGrant))
	}
	listed, err := page(ctx, r.q, l, engine.Page{Limit: limit}, "g.start_at, g.id", scanGrant,
		func(access.Grant) []any { return nil })
	return listed.Items, err
}

// NewestStanding implements engine.RecallReader.
func (r *reader) NewestStanding(ctx context.Context, f engine.StandingFilter) (time.Time, error) {
	l := from(listStanding)
	l.standing(f)
	listed, err := page(ctx, r.q, l, engine.Page{Limit: 1}, "g.created_at desc, g.id desc", scanGrant,
		func(access.Grant) []any { return nil })
	if err != nil || len(listed.Items) == 0 {
		return time.Time{}, err
	}
	return listed.Items[0].CreatedAt, nil
}

// standing narrows a list to whom or what a filter names.
func (l *list) standing(f engine.StandingFilter) {
	equal(l, "g.principal", f.Principal)
	equal(l, "g.eligibility", f.Eligibility)
	if f.Tenant != "" {
		l.where("g.tenant = ? and g.machine <> ''", string(f.Tenant))
		l.where("exists (select 1 from machines m where m.id = g.machine and m.resource_key >= ? and m.resource_key < ?)",
			f.Within.Fold()+"/", f.Within.Fold()+"0")
	}
	if f.Machine != "" {
		l.where("g.machine = ? and g.closed_at = 0", string(f.Machine)) // which has an index
	}
}

// SitesHeld implements engine.RecallReader.
func (r *reader) SitesHeld(ctx context.Context, principal access.PrincipalID) ([]access.Machine, error) {
	return whole(ctx, r.q, func(row scanner) (m access.Machine, err error) {
		err = row.Scan(&m.ID, &m.Resource, &m.Tenant)
		return m, err
	}, selectSites, string(principal))
}

// AgentsOpenFor implements engine.RecallReader.
func (r *reader) AgentsOpenFor(ctx context.Context, principal access.PrincipalID) ([]access.AgentID, error) {
	return whole(ctx, r.q, func(row scanner) (id access.AgentID, err error) {
		err = row.Scan(&id)
		return id, err
	}, selectAgentsOpen, string(principal))
}

const (
	deleteRecall = "delete from recalls where id = $1 and revision = $2"
	// The grants themselves are ended one by one.
	deleteActivationsOf = `delete from role_assignments where id in
(select g.id from grants g where g.principal = $1 and g.ended_at = 0 and g.role_scope_key <> '')`
	deleteActivationsBy = `delete from role_assignments where id in
(select g.id from grants g where g.eligibility = $1 and g.eligibility <> '' and g.ended_at = 0)`
	deleteActivationsBeyond = `delete from role_assignments where id in
(select g.id from grants g where g.eligibility = $1 and g.eligibility <> '' and g.ended_at = 0 and (g.end_at - g.start_at > $2 or g.end_at > $3 or g.start_at < $4))`
	deleteActivation = "delete from role_assignments where id = $1"
)

// SaveRecall implements engine.RecallWriter.
func (t *tx) SaveRecall(ctx context.Context, c access.Recall, was int64) error {
	return swap(ctx, t, recallTable, c, c.Revision, was)
}

// DeleteRecall implements engine.RecallWriter.
func (t *tx) DeleteRecall(ctx context.Context, id access.RecallID, was int64) error {
	return t.exec(ctx, "recall", changed("recall"), deleteRecall, string(id), was)
}

// DeleteActivation implements engine.RecallWriter.
func (t *tx) DeleteActivation(ctx context.Context, id access.GrantID) error {
	return t.deactivate(ctx, deleteActivation, string(id))
}

// DeleteActivationsOf implements engine.RecallWriter.
func (t *tx) DeleteActivationsOf(ctx context.Context, principal access.PrincipalID) error {
	return t.deactivate(ctx, deleteActivationsOf, string(principal))
}

// DeleteActivationsBy implements engine.RecallWriter.
func (t *tx) DeleteActivationsBy(ctx context.Context, eligibility access.EligibilityID) error {
	return t.deactivate(ctx, deleteActivationsBy, string(eligibility))
}

// DeleteActivationsBeyond implements engine.RecallWriter.
func (t *tx) DeleteActivationsBeyond(ctx context.Context, eligibility access.EligibilityID, most time.Duration,
	start, end time.Time,
) error {
	first, last := int64(math.MinInt64), int64(math.MaxInt64)
	if !start.IsZero() {
		first = micros(start)
	}
	if !end.IsZero() {
		last = micros(end)
	}
	return t.deactivate(ctx, deleteActivationsBeyond, string(eligibility), most.Microseconds(), last, first)
}

func (t *tx) deactivate(ctx context.Context, text string, args ...any) error {
	if err := t.exec(ctx, "role assignment", nil, text, args...); err != nil {
		return err
	}
	return t.bumpDirectory(ctx)
}
