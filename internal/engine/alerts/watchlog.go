package alerts

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/records"
)

const newest = 1000 // records that a check of the log derives again

// watchLog derives the newest part of the activity log's tree again and compares it with the last signed checkpoint.
// What does not fit raises an alert, which only people close.
func (e *Service) watchLog(ctx context.Context) error {
	var problem string
	var size int64
	err := e.kernel.Store.View(ctx, func(r engine.Reader) error {
		problem = ""
		c, err := r.Checkpoint(ctx)
		if engine.IsKind(err, access.KindNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read checkpoint: %w", err)
		}
		size = c.Size
		problem, err = e.verify(ctx, r, c)
		return err
	})
	if err != nil || problem == "" {
		return err
	}
	return e.Tampered(ctx, "log", problem, size-1)
}

// Tampered raises an alert that only people close, unless there is one already. The log is the whole server's, so it
// goes to who runs that.
func (e *Service) Tampered(ctx context.Context, key, problem string, evidence int64) error {
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		home, err := engine.HomeTenant(ctx, tx)
		if err != nil || home == "" {
			return err
		}
		k := alert.Key{Tenant: home, Rule: alert.Tampered, Key: key}
		a := e.newAlerting(tx)
		if err := a.load(ctx, k); err != nil {
			return err
		}
		book, err := a.book(ctx, home)
		if err != nil || !book[k.Rule].Enabled || a.alerts[k].ID != "" {
			return err
		}
		if err := a.found(ctx, k,
			alert.Finding{Key: k.Key, Detail: problem, Count: 1, Evidence: []int64{evidence}, At: a.Now}); err != nil {
			return err
		}
		return a.finish(ctx)
	})
}

// verify says what does not fit, or nothing.
func (e *Service) verify(ctx context.Context, r engine.Reader, c audit.SignedCheckpoint) (string, error) {
	verifier, err := e.records.VerifierKey(ctx, r)
	if err != nil {
		return "", err
	}
	signed, err := audit.Open(verifier, c.Text)
	if err != nil {
		return "the last checkpoint is not signed by this server: " + err.Error(), nil //nolint:nilerr // what was found is no fault of ours
	}
	if signed.Size != c.Size || signed.Root != c.Root {
		return "the last checkpoint is not the one that was signed", nil
	}
	have, err := r.AuditSize(ctx)
	if err != nil {
		return "", fmt.Errorf("read size of the log: %w", err)
	}
	if have < signed.Size {
		return fmt.Sprintf("the log has %d records, and %d were signed", have, signed.Size), nil
	}
	from := max(0, signed.Size-newest)
	if signed.Size == 0 {
		return "", nil
	}
	recorded, err := r.Records(ctx, from, int(signed.Size-from))
	if err != nil {
		return "", fmt.Errorf("read records: %w", err)
	}
	if int64(len(recorded)) != signed.Size-from {
		return fmt.Sprintf("records are missing between %d and %d", from, signed.Size), nil
	}
	leaves := make([]int64, len(recorded))
	for i := range recorded {
		leaves[i] = audit.LeafIndex(from + int64(i))
	}
	kept, err := r.AuditHashes(ctx, leaves)
	if err != nil {
		return "", fmt.Errorf("read hashes: %w", err)
	}
	for i, record := range recorded {
		if audit.LeafHash(record) != kept[i] {
			return fmt.Sprintf("record %d is not what was recorded", from+int64(i)), nil
		}
	}
	root, err := audit.RootAt(signed.Size, records.Hashes(ctx, r))
	if err != nil {
		return "", fmt.Errorf("derive the root: %w", err)
	}
	if root != signed.Root {
		return fmt.Sprintf("the root over %d records is not the one that was signed", signed.Size), nil
	}
	return "", nil
}
