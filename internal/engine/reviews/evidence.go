package reviews

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/core/review"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/records"
)

// eventKinds are the kinds of the events of a review.
func eventKinds() []access.EventKind {
	return []access.EventKind{
		access.AccessReviewStarted, access.AccessReviewChanged, access.AccessReviewReminded, access.AccessReviewDecided,
		access.AccessReviewItemChanged, access.AccessReviewCarriedOut, access.AccessReviewEnded,
		access.AccessReviewClosed, access.AccessReviewCanceled,
	}
}

// proofChunk is how many records are proven in one transaction.
const proofChunk = 200

// Evidence writes what proves a review, line by line: its items, and each record about it with the proof that the
// newest signed checkpoint of the activity log covers it. It is for the owner, and for those who may read the log at
// the review's scope.
func (e *Service) Evidence(ctx context.Context, c engine.Caller, ref string, write func(line []byte) error) error {
	a := engine.Attempt{Action: rbac.ActivityLogRead, Details: map[string]string{"review": ref}}
	var p pack
	for range 5 {
		if err := e.records.Seal(ctx); err != nil && !errors.Is(err, records.ErrNotContinued) {
			return err
		}
		err := e.kernel.Look(ctx, c, a, func(r engine.Reader, may engine.Rights) (err error) {
			p, err = gather(ctx, r, may, ref)
			return err
		})
		if err != nil {
			return err
		}
		if n := len(p.seqs); n > 0 && p.seqs[n-1] < p.checkpoint.Size {
			return e.writePack(ctx, p, write)
		}
	}
	return access.Fault(access.KindUnavailable, "checkpointBehind",
		"the newest checkpoint does not cover the review yet: try again")
}

// pack is what evidence is made of.
type pack struct {
	of         review.Review
	checkpoint audit.SignedCheckpoint
	items      [][]byte // lines
	seqs       []int64  // of its events, in order
}

func gather(ctx context.Context, r engine.Reader, may engine.Rights, ref string) (p pack, err error) {
	if p.of, err = find(ctx, r, may, ref); err != nil {
		return p, err
	}
	if !may.Owns(p.of.Owner, rbac.ActivityLogRead, p.of.Scope) {
		if err := may.Require(rbac.ActivityLogRead, p.of.Scope); err != nil {
			return p, err
		}
	}
	if p.of.State == review.Starting {
		return p, access.Fault(access.KindConflict, "accessReviewState",
			"the access review %s is being prepared: try again", p.of.Name)
	}
	if p.checkpoint, err = r.Checkpoint(ctx); err != nil {
		return p, fmt.Errorf("read checkpoint: %w", err)
	}
	err = eachItem(ctx, r, p.of.ID, func(it review.Item) error {
		p.items = append(p.items, review.EvidenceItem(it))
		return nil
	})
	started := false
	for _, kind := range eventKinds() {
		if err != nil {
			return p, err
		}
		f := engine.EventFilter{Tenant: p.of.Tenant, Kind: kind, Since: p.of.CreatedAt, OldestFirst: true}
		err = directory.EachPage(func(page engine.Page) (engine.Listed[access.Event], error) {
			return r.Events(ctx, f, page)
		}, func(event access.Event) error {
			if event.Details["review"] == string(p.of.ID) {
				p.seqs = append(p.seqs, event.Seq)
				started = started || event.Kind == access.AccessReviewStarted
			}
			return nil
		})
	}
	slices.Sort(p.seqs)
	if err == nil && !started {
		return p, access.Fault(access.KindConflict, "accessReviewState",
			"the access review %s was never opened: there is nothing to prove", p.of.Name)
	}
	return p, err
}

func (e *Service) writePack(ctx context.Context, p pack, write func(line []byte) error) error {
	head, err := review.EvidenceHead(p.of.ID, p.checkpoint.Text)
	if err != nil {
		return err
	}
	for _, line := range append([][]byte{head}, p.items...) {
		if err := write(line); err != nil {
			return err
		}
	}
	for some := range slices.Chunk(p.seqs, proofChunk) {
		var lines [][]byte
		err := e.kernel.Store.View(ctx, func(r engine.Reader) error {
			lines = nil
			for _, seq := range some {
				proof, err := audit.ProveInclusion(p.checkpoint.Size, seq, records.Hashes(ctx, r))
				if err != nil {
					return err
				}
				record, err := r.Records(ctx, seq, 1)
				if err != nil || len(record) == 0 {
					return fmt.Errorf("read record %d: %w", seq, err)
				}
				lines = append(lines, review.EvidenceRecord(seq, proof, record[0]))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("prove records: %w", err)
		}
		for _, line := range lines {
			if err := write(line); err != nil {
				return err
			}
		}
	}
	return nil
}
