package records

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// CheckpointDetail is the newest signed checkpoint and the key to verify it with.
type CheckpointDetail struct {
	Checkpoint audit.SignedCheckpoint
	Key        string // the verifier key, as golang.org/x/mod/sumdb/note writes it
}

// Proof is an RFC 6962 proof.
type Proof struct {
	Hashes []audit.Hash // from the leaf upward
	Record []byte       // the canonical record, in a proof of inclusion
}

const exportChunk = 1000 // records read at once

// Events lists the events of the activity log that the caller may see: those at scopes whose log they may read.
func (e *Service) Events(ctx context.Context, c engine.Caller, f engine.EventFilter,
	p engine.Page,
) (list engine.Listed[access.Event], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.ActivityLogRead},
		func(r engine.Reader, may engine.Rights) error {
			scopes, err := may.Anywhere(rbac.ActivityLogRead)
			if err != nil {
				return err
			}
			f.Tenant, f.Beside = c.Tenant, may.Beside()
			list, err = engine.Visible(p,
				func(p engine.Page) (engine.Listed[access.Event], error) { return r.Events(ctx, f, p) },
				func(event access.Event) (access.Event, bool, error) {
					if !may.Reaches(event.Tenant, event.Scope, scopes) ||
						f.Scope != "" && !event.Scope.Within(f.Scope) {
						return event, false, nil
					}
					event, err := may.Border(r, event.Tenant).Event(ctx, event)
					return event, true, err
				})
			return err
		})
	return list, err
}

// Event gives one event of the activity log by its number.
func (e *Service) Event(ctx context.Context, c engine.Caller, seq int64) (event access.Event, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.ActivityLogRead},
		func(r engine.Reader, may engine.Rights) error {
			scopes, err := may.Anywhere(rbac.ActivityLogRead)
			if err != nil {
				return err
			}
			unknown := access.Fault(access.KindNotFound, "unknownEvent", "there is no event %d that you may see", seq)
			if seq < 0 {
				return unknown
			}
			event, err = r.Event(ctx, seq)
			switch {
			case engine.IsKind(err, access.KindNotFound), err == nil && !may.Reaches(event.Tenant, event.Scope, scopes):
				event = access.Event{}
				return unknown
			case err != nil:
				return fmt.Errorf("read event: %w", err)
			}
			event, err = may.Border(r, event.Tenant).Event(ctx, event)
			return err
		})
	return event, err
}

// authorizeLog fails with access.KindForbidden unless the caller may read the whole log: it is one for all tenants, so
// that is for callers of the tenant that runs the server.
func (e *Service) authorizeLog(ctx context.Context, r engine.Reader, c engine.Caller) error {
	_, err := e.kernel.AuthorizeHome(ctx, r, c, rbac.EventsRead)
	return err
}

// Export writes the canonical records from number from to the end of the newest checkpoint, and gives that checkpoint.
// It reads in pieces and holds no transaction open meanwhile: records do not change.
func (e *Service) Export(ctx context.Context, c engine.Caller, from int64,
	write func(seq int64, record []byte) error,
) (CheckpointDetail, error) {
	d, err := e.Checkpoint(ctx, c)
	if err != nil {
		return CheckpointDetail{}, err
	}
	if from < 0 || from > d.Checkpoint.Size {
		return CheckpointDetail{}, access.Fault(access.KindInvalid, "fromOutOfRange",
			"the activity log has %d events; begin at 0 to %d", d.Checkpoint.Size, d.Checkpoint.Size)
	}
	for next := from; next < d.Checkpoint.Size; {
		var records [][]byte
		err := e.kernel.Store.View(ctx, func(r engine.Reader) error {
			var err error
			records, err = r.Records(ctx, next, int(min(exportChunk, d.Checkpoint.Size-next)))
			return err
		})
		if err != nil {
			return CheckpointDetail{}, fmt.Errorf("read records: %w", err)
		}
		if len(records) == 0 {
			return CheckpointDetail{}, fmt.Errorf("record %d is missing", next)
		}
		for _, record := range records {
			if err := write(next, record); err != nil {
				return CheckpointDetail{}, err
			}
			next++
		}
	}
	return d, nil
}

// Checkpoint gives the newest signed checkpoint, after making one where there is something new.
func (e *Service) Checkpoint(ctx context.Context, c engine.Caller) (CheckpointDetail, error) {
	if err := e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.EventsRead},
		func(r engine.Reader, _ engine.Rights) error { return e.authorizeLog(ctx, r, c) }); err != nil {
		return CheckpointDetail{}, err
	}
	// then the one that was signed last shows where the log is broken
	if err := e.Seal(ctx); err != nil && !errors.Is(err, ErrNotContinued) {
		return CheckpointDetail{}, err
	}
	return e.newestCheckpoint(ctx)
}

// Checkpoints lists the signed checkpoints with the key to verify them with, the newest first.
func (e *Service) Checkpoints(ctx context.Context, c engine.Caller,
	p engine.Page,
) (list engine.Listed[CheckpointDetail], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.EventsRead}, func(r engine.Reader, _ engine.Rights) error {
		if err := e.authorizeLog(ctx, r, c); err != nil {
			return err
		}
		page, err := engine.CheckPage(p)
		if err != nil {
			return err
		}
		signed, err := r.Checkpoints(ctx, page)
		if err != nil {
			return err
		}
		key, err := e.VerifierKey(ctx, r)
		list = engine.Listed[CheckpointDetail]{Next: signed.Next}
		for _, one := range signed.Items {
			list.Items = append(list.Items, CheckpointDetail{Checkpoint: one, Key: key})
		}
		return err
	})
	return list, err
}

// InclusionProof proves that record seq is in the tree of size records; size 0 is that of the newest checkpoint.
func (e *Service) InclusionProof(ctx context.Context, c engine.Caller, seq, size int64) (p Proof, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.EventsRead}, func(r engine.Reader, _ engine.Rights) error {
		if err := e.authorizeLog(ctx, r, c); err != nil {
			return err
		}
		if size, err = treeSize(ctx, r, size); err != nil {
			return err
		}
		if seq < 0 || seq >= size {
			return access.Fault(access.KindNotFound, "unknownEvent", "there is no event %d in the first %d", seq, size)
		}
		if p.Hashes, err = audit.ProveInclusion(size, seq, Hashes(ctx, r)); err != nil {
			return err
		}
		records, err := r.Records(ctx, seq, 1)
		if err != nil || len(records) == 0 {
			return fmt.Errorf("read record %d: %w", seq, err)
		}
		p.Record = records[0]
		return nil
	})
	return p, err
}

// ConsistencyProof proves that the tree of from records is a beginning of the tree of to records; to 0 is that of the
// newest checkpoint.
func (e *Service) ConsistencyProof(ctx context.Context, c engine.Caller, from, to int64) (p Proof, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.EventsRead}, func(r engine.Reader, _ engine.Rights) error {
		if err := e.authorizeLog(ctx, r, c); err != nil {
			return err
		}
		if to, err = treeSize(ctx, r, to); err != nil {
			return err
		}
		if from < 0 || from > to {
			return access.Fault(access.KindInvalid, "fromOutOfRange", "a log of %d events cannot begin one of %d", from,
				to)
		}
		p.Hashes, err = audit.ProveConsistency(from, to, Hashes(ctx, r))
		return err
	})
	return p, err
}

// treeSize gives the size that is meant: 0 is that of the newest checkpoint.
func treeSize(ctx context.Context, r engine.Reader, size int64) (int64, error) {
	if size == 0 {
		newest, err := r.Checkpoint(ctx)
		if err != nil {
			return 0, fmt.Errorf("read checkpoint: %w", err)
		}
		return newest.Size, nil
	}
	all, err := r.AuditSize(ctx)
	if err != nil {
		return 0, fmt.Errorf("read size of the log: %w", err)
	}
	if size < 0 || size > all {
		return 0, access.Fault(access.KindInvalid, "sizeOutOfRange", "the activity log has %d events, not %d", all,
			size)
	}
	return size, nil
}

// Hashes reads hashes of the Merkle tree as r sees it.
func Hashes(ctx context.Context, r engine.Reader) audit.HashReader {
	return func(indexes []int64) ([]audit.Hash, error) { return r.AuditHashes(ctx, indexes) }
}

// Seal signs a checkpoint over everything that is recorded, where the newest is not of that size already. A log that
// does not continue the newest checkpoint is not signed, which would make a rewritten one right: that is an alert, and
// ErrNotContinued. One that does not continue what this server signed last, of which the store knows nothing any more,
// is an alert too, once, and is signed: somebody may have restored the database.
func (e *Service) Seal(ctx context.Context) error {
	var signed audit.SignedCheckpoint
	var lost, broken rupture
	last := e.sealed.Load()
	err := e.kernel.Store.View(ctx, func(r engine.Reader) (err error) {
		signed, lost, broken = audit.SignedCheckpoint{}, rupture{}, rupture{}
		size, err := r.AuditSize(ctx)
		if err != nil {
			return fmt.Errorf("read size of the log: %w", err)
		}
		newest, err := r.Checkpoint(ctx)
		if err != nil && !engine.IsKind(err, access.KindNotFound) {
			return fmt.Errorf("read checkpoint: %w", err)
		}
		if size == newest.Size {
			return nil
		}
		key, err := e.signingKey(ctx, r)
		if err != nil {
			return err
		}
		verifier, err := audit.VerifierKey(key)
		if err != nil {
			return err
		}
		if last != nil && *last != newest.Text {
			if lost.problem, lost.evidence, err = continues(ctx, r, verifier, *last); err != nil {
				return err
			}
		}
		if newest.Text != "" {
			if broken.problem, broken.evidence, err = continues(ctx, r, verifier,
				newest.Text); err != nil || broken.problem != "" {
				return err
			}
		}
		root, err := audit.RootAt(size, Hashes(ctx, r))
		if err != nil {
			return err
		}
		signed, err = audit.Sign(key, size, root, e.kernel.Now())
		return err
	})
	for _, found := range []rupture{lost, broken} {
		if err == nil && found.problem != "" {
			err = e.tampered(ctx, "log", found.problem, found.evidence)
		}
	}
	switch {
	case err != nil:
		return err
	case broken.problem != "":
		return fmt.Errorf("%w: %s", ErrNotContinued, broken.problem)
	case signed.Size == 0:
		return nil
	}
	// Another replica may sign the same size, and which of the two is kept does not matter.
	err = e.kernel.Store.Update(ctx, func(tx engine.Tx) error { return tx.SaveCheckpoint(ctx, signed) })
	if err == nil {
		e.sealed.Store(&signed.Text)
	}
	if engine.IsKind(err, access.KindConflict) {
		return nil
	}
	return err
}

// rupture is where a log does not continue a checkpoint; its zero value is none.
type rupture struct {
	problem  string
	evidence int64
}

func (e *Service) signingKey(ctx context.Context, r engine.Reader) (string, error) {
	key, err := e.kernel.SecretSetting(ctx, r, engine.CheckpointKeySetting)
	if err != nil {
		return "", fmt.Errorf("read the key of checkpoints: %w", err)
	}
	return string(key), nil
}

// VerifierKey gives the public part of the signing key.
func (e *Service) VerifierKey(ctx context.Context, r engine.Reader) (string, error) {
	key, err := e.signingKey(ctx, r)
	if err != nil {
		return "", err
	}
	return audit.VerifierKey(key)
}

// MakeSigningKey makes the key of checkpoints where there is none.
func (e *Service) MakeSigningKey(ctx context.Context, tx engine.Tx, tenant access.TenantID) error {
	_, err := tx.Setting(ctx, engine.CheckpointKeySetting)
	if err == nil || !engine.IsKind(err, access.KindNotFound) {
		return err
	}
	key, _, err := audit.GenerateKey(rand.Reader, string(tenant))
	if err != nil {
		return err
	}
	return e.kernel.SaveSecretSetting(ctx, tx, engine.CheckpointKeySetting, []byte(key))
}
