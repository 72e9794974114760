package records

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine"
)

// Anchor keeps checkpoints outside of the store and of the server's own reach, as far as the operator can arrange that.
// Whoever has the store, the server and all of its keys cannot change what was kept there.
type Anchor interface {
	// Name says in a word or two where that is, for messages.
	Name() string
	// Newest gives the signed note that was kept last; empty where there is none, or where it cannot be read back.
	Newest(ctx context.Context) (note string, err error)
	// Keep keeps a checkpoint.
	Keep(ctx context.Context, d CheckpointDetail) error
}

// Memory keeps one signed note where a restart finds it, and where whoever can write the store cannot.
type Memory interface {
	// Newest gives what was kept last; empty where there is none.
	Newest(ctx context.Context) (note string, err error)
	// Keep keeps a note instead of the one before.
	Keep(ctx context.Context, note string) error
}

// ErrNotContinued is what AnchorNow and Seal fail with where the log is not the one that was anchored or signed.
var ErrNotContinued = errors.New("the activity log does not continue the checkpoint that was kept last")

// AnchorLoop anchors the log now and then until ctx ends.
func (e *Service) AnchorLoop(ctx context.Context) {
	for ctx.Err() == nil {
		if err := e.AnchorNow(ctx); err != nil && ctx.Err() == nil {
			e.kernel.Log.ErrorContext(ctx, "anchor the activity log", "error", err)
		}
		engine.Pause(ctx, e.anchorEvery, nil)
	}
}

// AnchorNow has each anchor keep the newest checkpoint. Where the log does not continue what an anchor kept last, that
// is an alert, and the anchor is given nothing more: what it holds is the evidence.
func (e *Service) AnchorNow(ctx context.Context) error {
	sealed := e.Seal(ctx)
	if sealed != nil && !errors.Is(sealed, ErrNotContinued) {
		return sealed
	}
	errs := []error{sealed, e.Remember(ctx)}
	if len(e.anchors) == 0 {
		return errors.Join(errs...)
	}
	d, err := e.newestCheckpoint(ctx)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, a := range e.anchors {
		if err := e.anchor(ctx, a, d); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", a.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// Remember keeps what this process signed last, so that the next one compares with it.
func (e *Service) Remember(ctx context.Context) error {
	last := e.sealed.Load()
	if e.signed == nil || last == nil {
		return nil
	}
	if err := e.signed.Keep(ctx, *last); err != nil {
		return fmt.Errorf("keep the checkpoint that was signed last: %w", err)
	}
	return nil
}

// Recall takes up what the process before this one signed last.
func (e *Service) Recall(ctx context.Context) error {
	if e.signed == nil {
		return nil
	}
	note, err := e.signed.Newest(ctx)
	if err != nil {
		return fmt.Errorf("read the checkpoint that was signed last: %w", err)
	}
	if note != "" {
		e.sealed.CompareAndSwap(nil, &note)
	}
	return nil
}

func (e *Service) newestCheckpoint(ctx context.Context) (d CheckpointDetail, err error) {
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		if d.Checkpoint, err = r.Checkpoint(ctx); err != nil {
			return fmt.Errorf("read checkpoint: %w", err)
		}
		d.Key, err = e.VerifierKey(ctx, r)
		return err
	})
	return d, err
}

func (e *Service) anchor(ctx context.Context, a Anchor, d CheckpointDetail) error {
	note, err := a.Newest(ctx)
	if err != nil {
		return err
	}
	if note == d.Checkpoint.Text {
		return nil
	}
	if note != "" {
		problem, evidence, err := e.compare(ctx, d.Key, note)
		if err != nil {
			return err
		}
		if problem != "" {
			if err := e.tampered(ctx, "anchor "+a.Name(), problem, evidence); err != nil {
				return err
			}
			return fmt.Errorf("%w: %s", ErrNotContinued, problem)
		}
	}
	return a.Keep(ctx, d)
}

// compare says why the log does not continue the checkpoint of a note, or nothing.
func (e *Service) compare(ctx context.Context, verifier, note string) (problem string, evidence int64, err error) {
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		problem, evidence, err = continues(ctx, r, verifier, note)
		return err
	})
	return problem, evidence, err
}

// continues is compare, as r sees the log.
func continues(ctx context.Context, r engine.Reader, verifier,
	note string,
) (problem string, evidence int64, err error) {
	c, err := audit.Open(verifier, note)
	if err != nil {
		return "what was kept last is no checkpoint of this log: " + err.Error(), 0, nil //nolint:nilerr // what was found is no fault of ours
	}
	have, err := r.AuditSize(ctx)
	switch {
	case err != nil:
		return "", 0, fmt.Errorf("read size of the log: %w", err)
	case have < c.Size:
		return fmt.Sprintf("the log has %d records, and the checkpoint that was kept at %s has %d", have,
				c.At.Format(time.RFC3339), c.Size),
			max(0, have-1), nil
	}
	root, err := audit.RootAt(c.Size, Hashes(ctx, r))
	if err != nil {
		return "", 0, fmt.Errorf("derive the root: %w", err)
	}
	if root != c.Root {
		return fmt.Sprintf("one of the first %d records is not what it was when a checkpoint was kept at %s", c.Size,
				c.At.Format(time.RFC3339)),
			c.Size - 1, nil
	}
	return "", 0, nil
}
