package store

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	selectEvent   = "select seq, body from events where seq = $1 limit 1"
	selectRecords = "select body from events where seq >= $1 order by seq limit $2"
	listEvents    = "select seq, body from events"
	selectFrom    = "select seq from events where high >= $1 order by high, seq limit 1"
)

func scanEvent(row scanner) (access.Event, error) {
	var seq int64
	var body []byte
	if err := row.Scan(&seq, &body); err != nil {
		return access.Event{}, err
	}
	e, err := audit.Decode(body)
	if err != nil {
		return access.Event{}, fmt.Errorf("event %d: %w", seq, err)
	}
	e.Seq = seq
	return e, nil
}

// Event implements engine.Reader.
func (r *reader) Event(ctx context.Context, seq int64) (access.Event, error) {
	return one(ctx, r.q, "event", scanEvent, selectEvent, seq)
}

// Records implements engine.Reader.
func (r *reader) Records(ctx context.Context, from int64, limit int) ([][]byte, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return all(ctx, r.q, func(row scanner) (body []byte, err error) {
		err = row.Scan(&body)
		return body, err
	}, selectRecords, from, int64(limit))
}

// Events implements engine.Reader.
func (r *reader) Events(ctx context.Context, f engine.EventFilter, p engine.Page) (engine.Listed[access.Event], error) {
	l := from(listEvents)
	if err := r.between(ctx, l, f); err != nil {
		return engine.Listed[access.Event]{}, err
	}
	l.tenants("tenant", f.Tenant, f.Beside)
	equal(l, "kind", f.Kind)
	if f.Actor != "" {
		l.where("actor <> '' and actor = ?", string(f.Actor))
	}
	if f.Machine != "" {
		l.where("machine <> '' and machine = ?", string(f.Machine))
	}
	if f.Request != "" {
		l.where("request <> '' and request = ?", string(f.Request))
	}
	if f.Outcome != "" && f.Outcome != access.Succeeded {
		l.where("outcome <> 'succeeded'")
	}
	equal(l, "outcome", f.Outcome)
	order := "seq desc"
	if f.OldestFirst {
		order = "seq"
	}
	l.after(p.Cursor, !f.OldestFirst, "seq", cursorNumber)
	return page(ctx, r.q, l, p, order, scanEvent, func(e access.Event) []any { return []any{e.Seq} })
}

// between narrows by time. The log is in order of its numbers, and clocks of several servers differ; but high never
// falls, and no event lies further behind it than the head's disorder. So the first number that can lie in the span,
// and the first that cannot any more, are found by an index.
func (r *reader) between(ctx context.Context, l *list, f engine.EventFilter) error {
	if !f.Since.IsZero() {
		first, err := r.firstSince(ctx, micros(f.Since))
		if err != nil {
			return err
		}
		l.where("seq >= ? and at >= ?", first, micros(f.Since))
	}
	if !f.Before.IsZero() {
		h, err := one(ctx, r.q, "activity log", scanHead, selectHead)
		if err != nil {
			return err
		}
		behind, err := r.firstSince(ctx, micros(f.Before)+h.disorder)
		if err != nil {
			return err
		}
		l.where("seq < ? and at < ?", behind, micros(f.Before))
	}
	return nil
}

// firstSince gives the number of the first event whose high is not below at.
func (r *reader) firstSince(ctx context.Context, at int64) (int64, error) {
	seq, err := one(ctx, r.q, "event", scanNumber, selectFrom, at)
	if access.KindOf(err) == access.KindNotFound {
		return math.MaxInt64, nil
	}
	return seq, err
}

// AuditSize implements engine.Reader.
func (r *reader) AuditSize(ctx context.Context) (int64, error) {
	h, err := one(ctx, r.q, "activity log", scanHead, selectHead)
	return h.tree.Size, err
}

const (
	selectLeaves = "select hash from events where seq >= $1 and seq < $2 order by seq limit 1000"
	selectNodes  = "select hash from audit_nodes where level = $1 and idx >= $2 and idx < $3 order by level, " +
		"idx limit 1000"
)

var (
	checkpointTable = describe("checkpoint", "checkpoints", "c", "size",
		number("size", func(v *audit.SignedCheckpoint) *int64 { return &v.Size }),
		field("root", "''", func(v *audit.SignedCheckpoint) *audit.Hash { return &v.Root },
			func(p *audit.Hash) any { return hashColumn{p} }, func(v audit.Hash) any { return v[:] }),
		when("at", func(v *audit.SignedCheckpoint) *time.Time { return &v.At }),
		text("text", func(v *audit.SignedCheckpoint) *string { return &v.Text }))

	listCheckpoints  = "select " + checkpointTable.selected + " from checkpoints c"
	selectCheckpoint = listCheckpoints + " order by c.size desc limit 1"
)

// AuditHashes implements engine.Reader.
func (r *reader) AuditHashes(ctx context.Context, indexes []int64) ([]audit.Hash, error) {
	hashes := make([]audit.Hash, len(indexes))
	for i, index := range indexes {
		span, err := audit.SpanOf(index)
		if err != nil {
			return nil, access.Fault(access.KindInvalid, "malformedIndex", "node %d is not in any tree", index)
		}
		var nodes []audit.Hash
		if span.Level == 0 {
			nodes, err = all(ctx, r.q, scanHash, selectLeaves, span.First, span.First+span.Count)
		} else {
			nodes, err = all(ctx, r.q, scanHash, selectNodes, int64(span.Level), span.First, span.First+span.Count)
		}
		if err != nil {
			return nil, err
		}
		if int64(len(nodes)) != span.Count {
			return nil, missing("node of the activity log's tree")
		}
		if hashes[i], err = audit.Fold(nodes); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

func scanHash(row scanner) (h audit.Hash, err error) {
	err = row.Scan(hashColumn{&h})
	return h, err
}

// hashColumn scans a hash.
type hashColumn struct{ to *audit.Hash }

// Scan implements sql.Scanner.
func (c hashColumn) Scan(value any) error {
	raw, ok := value.([]byte)
	if !ok || len(raw) != len(c.to) {
		return fmt.Errorf("a hash has %d bytes", len(raw))
	}
	*c.to = audit.Hash(raw)
	return nil
}

// Checkpoint implements engine.Reader.
func (r *reader) Checkpoint(ctx context.Context) (audit.SignedCheckpoint, error) {
	return one(ctx, r.q, "checkpoint", checkpointTable.scan, selectCheckpoint)
}

// Checkpoints implements engine.Reader.
func (r *reader) Checkpoints(ctx context.Context, p engine.Page) (engine.Listed[audit.SignedCheckpoint], error) {
	l := from(listCheckpoints)
	l.after(p.Cursor, true, "size", cursorNumber)
	return page(ctx, r.q, l, p, "size desc", checkpointTable.scan,
		func(c audit.SignedCheckpoint) []any { return []any{c.Size} })
}

// SaveCheckpoint implements engine.Tx.
func (t *tx) SaveCheckpoint(ctx context.Context, c audit.SignedCheckpoint) error {
	return put(ctx, t, checkpointTable, checkpointTable.upsert, c)
}
