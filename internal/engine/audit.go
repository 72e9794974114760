package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/core/rbac"
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
func (e *Engine) Events(ctx context.Context, c Caller, f EventFilter, p Page) (list Listed[access.Event], err error) {
	err = e.look(ctx, c, attempt{action: rbac.ActivityLogRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		scopes, err := may.anywhere(rbac.ActivityLogRead)
		if err != nil {
			return err
		}
		f.Tenant, f.Beside = c.Tenant, may.beside()
		list, err = visible(p, func(p Page) (Listed[access.Event], error) { return r.Events(ctx, f, p) },
			func(event access.Event) (access.Event, bool, error) {
				if !may.reaches(event.Tenant, event.Scope, scopes) || f.Scope != "" && !event.Scope.Within(f.Scope) {
					return event, false, nil
				}
				event, err := may.border(r, event.Tenant).event(ctx, event)
				return event, true, err
			})
		return err
	})
	return list, err
}

// Event gives one event of the activity log by its number.
func (e *Engine) Event(ctx context.Context, c Caller, seq int64) (event access.Event, err error) {
	err = e.look(ctx, c, attempt{action: rbac.ActivityLogRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		scopes, err := may.anywhere(rbac.ActivityLogRead)
		if err != nil {
			return err
		}
		unknown := access.Fault(access.KindNotFound, "unknownEvent", "there is no event %d that you may see", seq)
		if seq < 0 {
			return unknown
		}
		event, err = r.Event(ctx, seq)
		switch {
		case isKind(err, access.KindNotFound), err == nil && !may.reaches(event.Tenant, event.Scope, scopes):
			event = access.Event{}
			return unknown
		case err != nil:
			return fmt.Errorf("read event: %w", err)
		}
		event, err = may.border(r, event.Tenant).event(ctx, event)
		return err
	})
	return event, err
}

// authorizeLog fails with access.KindForbidden unless the caller may read the whole log: it is one for all tenants, so that
// is for callers of the tenant that runs the server.
func (e *Engine) authorizeLog(ctx context.Context, r Reader, c Caller) error {
	_, err := e.authorizeHome(ctx, r, c, rbac.EventsRead)
	return err
}

// Export writes the canonical records from number from to the end of the newest checkpoint, and gives that checkpoint. It
// reads in pieces and holds no transaction open meanwhile: records do not change.
func (e *Engine) Export(ctx context.Context, c Caller, from int64, write func(seq int64, record []byte) error) (CheckpointDetail, error) {
	d, err := e.Checkpoint(ctx, c)
	if err != nil {
		return CheckpointDetail{}, err
	}
	if from < 0 || from > d.Checkpoint.Size {
		return CheckpointDetail{}, access.Fault(access.KindInvalid, "fromOutOfRange", "the activity log has %d events; begin at 0 to %d", d.Checkpoint.Size, d.Checkpoint.Size)
	}
	for next := from; next < d.Checkpoint.Size; {
		var records [][]byte
		err := e.store.View(ctx, func(r Reader) error {
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
func (e *Engine) Checkpoint(ctx context.Context, c Caller) (CheckpointDetail, error) {
	if err := e.look(ctx, c, attempt{action: rbac.EventsRead}, func(r Reader) error { return e.authorizeLog(ctx, r, c) }); err != nil {
		return CheckpointDetail{}, err
	}
	if err := e.Seal(ctx); err != nil && !errors.Is(err, ErrNotContinued) { // then the one that was signed last shows where the log is broken
		return CheckpointDetail{}, err
	}
	return e.newestCheckpoint(ctx)
}

// Checkpoints lists the signed checkpoints with the key to verify them with, the newest first.
func (e *Engine) Checkpoints(ctx context.Context, c Caller, p Page) (list Listed[CheckpointDetail], err error) {
	err = e.look(ctx, c, attempt{action: rbac.EventsRead}, func(r Reader) error {
		if err := e.authorizeLog(ctx, r, c); err != nil {
			return err
		}
		page, err := checkPage(p)
		if err != nil {
			return err
		}
		signed, err := r.Checkpoints(ctx, page)
		if err != nil {
			return err
		}
		key, err := e.verifierKey(ctx, r)
		list = Listed[CheckpointDetail]{Next: signed.Next}
		for _, one := range signed.Items {
			list.Items = append(list.Items, CheckpointDetail{Checkpoint: one, Key: key})
		}
		return err
	})
	return list, err
}

// InclusionProof proves that record seq is in the tree of size records; size 0 is that of the newest checkpoint.
func (e *Engine) InclusionProof(ctx context.Context, c Caller, seq, size int64) (p Proof, err error) {
	err = e.look(ctx, c, attempt{action: rbac.EventsRead}, func(r Reader) error {
		if err := e.authorizeLog(ctx, r, c); err != nil {
			return err
		}
		if size, err = treeSize(ctx, r, size); err != nil {
			return err
		}
		if seq < 0 || seq >= size {
			return access.Fault(access.KindNotFound, "unknownEvent", "there is no event %d in the first %d", seq, size)
		}
		if p.Hashes, err = audit.ProveInclusion(size, seq, hashes(ctx, r)); err != nil {
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
func (e *Engine) ConsistencyProof(ctx context.Context, c Caller, from, to int64) (p Proof, err error) {
	err = e.look(ctx, c, attempt{action: rbac.EventsRead}, func(r Reader) error {
		if err := e.authorizeLog(ctx, r, c); err != nil {
			return err
		}
		if to, err = treeSize(ctx, r, to); err != nil {
			return err
		}
		if from < 0 || from > to {
			return access.Fault(access.KindInvalid, "fromOutOfRange", "a log of %d events cannot begin one of %d", from, to)
		}
		p.Hashes, err = audit.ProveConsistency(from, to, hashes(ctx, r))
		return err
	})
	return p, err
}

// treeSize gives the size that is meant: 0 is that of the newest checkpoint.
func treeSize(ctx context.Context, r Reader, size int64) (int64, error) {
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
		return 0, access.Fault(access.KindInvalid, "sizeOutOfRange", "the activity log has %d events, not %d", all, size)
	}
	return size, nil
}

func hashes(ctx context.Context, r Reader) audit.HashReader {
	return func(indexes []int64) ([]audit.Hash, error) { return r.AuditHashes(ctx, indexes) }
}

// checkpointKeySetting names the setting that holds the private key of checkpoints, sealed.
const checkpointKeySetting = "audit/checkpointKey"

// Seal signs a checkpoint over everything that is recorded, where the newest is not of that size already. A log that does not
// continue the newest checkpoint is not signed, which would make a rewritten one right: that is an alert, and ErrNotContinued.
// One that does not continue what this server signed last, of which the store knows nothing any more, is an alert too, once,
// and is signed: somebody may have restored the database.
func (e *Engine) Seal(ctx context.Context) error {
	var signed audit.SignedCheckpoint
	var lost, broken rupture
	last := e.sealed.Load()
	err := e.store.View(ctx, func(r Reader) (err error) {
		signed, lost, broken = audit.SignedCheckpoint{}, rupture{}, rupture{}
		size, err := r.AuditSize(ctx)
		if err != nil {
			return fmt.Errorf("read size of the log: %w", err)
		}
		newest, err := r.Checkpoint(ctx)
		if err != nil && !isKind(err, access.KindNotFound) {
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
			if broken.problem, broken.evidence, err = continues(ctx, r, verifier, newest.Text); err != nil || broken.problem != "" {
				return err
			}
		}
		root, err := audit.RootAt(size, hashes(ctx, r))
		if err != nil {
			return err
		}
		signed, err = audit.Sign(key, size, root, e.now())
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
	err = e.store.Update(ctx, func(tx Tx) error { return tx.SaveCheckpoint(ctx, signed) })
	if err == nil {
		e.sealed.Store(&signed.Text)
	}
	if isKind(err, access.KindConflict) {
		return nil
	}
	return err
}

// rupture is where a log does not continue a checkpoint; its zero value is none.
type rupture struct {
	problem  string
	evidence int64
}

func (e *Engine) signingKey(ctx context.Context, r Reader) (string, error) {
	key, err := e.secretSetting(ctx, r, checkpointKeySetting)
	if err != nil {
		return "", fmt.Errorf("read the key of checkpoints: %w", err)
	}
	return string(key), nil
}

// verifierKey gives the public part of the signing key.
func (e *Engine) verifierKey(ctx context.Context, r Reader) (string, error) {
	key, err := e.signingKey(ctx, r)
	if err != nil {
		return "", err
	}
	return audit.VerifierKey(key)
}

// makeSigningKey makes the key of checkpoints where there is none.
func (e *Engine) makeSigningKey(ctx context.Context, tx Tx, tenant access.TenantID) error {
	_, err := tx.Setting(ctx, checkpointKeySetting)
	if err == nil || !isKind(err, access.KindNotFound) {
		return err
	}
	key, _, err := audit.GenerateKey(rand.Reader, string(tenant))
	if err != nil {
		return err
	}
	return e.saveSecretSetting(ctx, tx, checkpointKeySetting, []byte(key))
}
