package store

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

var (
	trialTable = describe("trial", "trials", "t", "machine",
		text("machine", func(v *access.Undo) *access.MachineID { return &v.Machine }),
		text("trial", func(v *access.Undo) *string { return &v.Trial }),
		when("until_at", func(v *access.Undo) *time.Time { return &v.Until }),
		when("in_force", func(v *access.Undo) *time.Time { return &v.InForce }),
		truth("named", func(v *access.Undo) *bool { return &v.Named }),
		nested("body", func(v *access.Undo) *access.MachinePolicy { return &v.Former }))

	foundTable = describe("finding", "findings", "f", "agent",
		text("agent", func(v *access.Found) *access.AgentID { return &v.Agent }),
		text("version", func(v *access.Found) *string { return &v.Version }),
		when("at", func(v *access.Found) *time.Time { return &v.At }))

	selectTrial     = "select " + trialTable.selected + " from trials t where t.machine = $1 limit 1"
	selectDueTrials = "select " + trialTable.selected +
		" from trials t where t.until_at <= $1 order by t.until_at, t.machine limit $2"
	selectNextTrial = "select until_at from trials where until_at > $1 order by until_at, machine limit 1"
	selectFound     = "select " + foundTable.selected + " from findings f where f.agent = $1 limit 1"
)

const deleteTrial = "delete from trials where machine = $1"

// TrialOf implements engine.TrialReader.
func (r *reader) TrialOf(ctx context.Context, machine access.MachineID) (access.Undo, error) {
	return one(ctx, r.q, "trial", trialTable.scan, selectTrial, string(machine))
}

// DueTrials implements engine.TrialReader.
func (r *reader) DueTrials(ctx context.Context, now time.Time, limit int) (due []access.Undo, next time.Time,
	err error,
) {
	if err := checkLimit(limit); err != nil {
		return nil, next, err
	}
	at := micros(now)
	if due, err = all(ctx, r.q, trialTable.scan, selectDueTrials, at, int64(limit)); err != nil {
		return nil, next, err
	}
	until, err := one(ctx, r.q, "instant", scanNumber, selectNextTrial, at)
	switch {
	case access.KindOf(err) == access.KindNotFound:
		return due, next, nil
	case err != nil:
		return nil, next, err
	}
	return due, instant(until), nil
}

// FoundBy implements engine.TrialReader.
func (r *reader) FoundBy(ctx context.Context, agent access.AgentID) (access.Found, error) {
	return one(ctx, r.q, "finding", foundTable.scan, selectFound, string(agent))
}

// SaveTrial implements engine.TrialWriter.
func (t *tx) SaveTrial(ctx context.Context, u access.Undo) error {
	return put(ctx, t, trialTable, trialTable.upsert, u)
}

// DeleteTrial implements engine.TrialWriter.
func (t *tx) DeleteTrial(ctx context.Context, machine access.MachineID) error {
	return t.exec(ctx, "trial", nil, deleteTrial, string(machine))
}

// SaveFound implements engine.TrialWriter.
func (t *tx) SaveFound(ctx context.Context, f access.Found) error {
	return put(ctx, t, foundTable, foundTable.upsert, f)
}
