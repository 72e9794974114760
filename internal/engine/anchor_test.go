package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/records"
	"github.com/postern-dev/postern/internal/engine/services"
)

// shelf is an anchor in memory.
type shelf struct {
	kept  []records.CheckpointDetail
	fails error
}

func (*shelf) Name() string { return "shelf" }

func (s *shelf) Newest(context.Context) (string, error) {
	if len(s.kept) == 0 {
		return "", nil
	}
	return s.kept[len(s.kept)-1].Checkpoint.Text, nil
}

func (s *shelf) Keep(_ context.Context, d records.CheckpointDetail) error {
	if s.fails == nil {
		s.kept = append(s.kept, d)
	}
	return s.fails
}

func (w *world) anchored(anchors ...records.Anchor) *services.Services {
	w.tb.Helper()
	return w.another(func(c *services.Config) { c.Anchors = anchors })
}

// TestAnchors proves that each anchor gets the newest checkpoint, that one which fails keeps nothing from the others,
// and that a log which does not continue what was kept is an alert and is not anchored.
func TestAnchors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	broken, good := &shelf{fails: errors.New("disk full")}, &shelf{}
	e := w.anchored(broken, good)
	if err := e.Records.AnchorNow(w.ctx); !errors.Is(err, broken.fails) {
		t.Errorf("the anchor that fails says %v", err)
	}
	broken.fails = nil
	w.user("ann", "")
	if err := e.Records.AnchorNow(w.ctx); err != nil {
		t.Fatal(err)
	}
	if len(broken.kept) != 1 || len(good.kept) != 2 {
		t.Fatalf("%d and %d were kept", len(broken.kept), len(good.kept))
	}
	last := good.kept[1]
	if c, err := audit.Open(last.Key, last.Checkpoint.Text); err != nil || c.Size != int64(w.size()) {
		t.Errorf("kept: %+v, %v; the log has %d", c, err, w.size())
	}
	if err := e.Records.AnchorNow(w.ctx); err != nil || len(good.kept) != 2 {
		t.Errorf("without news: %v, and %d were kept", err, len(good.kept))
	}
	if open := w.open(); len(open) != 0 {
		t.Errorf("alerts without a cause: %v", open)
	}

	// The log of another world under the same key, as somebody would have it who wrote the database anew: first shorter
	// than what was kept, then as long and different.
	other := newWorld(t)
	key := must(w.rawSetting("audit/checkpointKey"))(t)
	other.setting("audit/checkpointKey", key)
	rewritten := other.anchored(good)
	for _, name := range []string{"bob", "carl"} {
		if err := rewritten.Records.AnchorNow(other.ctx); !errors.Is(err, records.ErrNotContinued) {
			t.Errorf("another log is anchored: %v", err)
		}
		other.user(name, "")
	}
	if len(good.kept) != 2 {
		t.Error("what was kept is not left alone")
	}
	if a := other.open()[alert.Tampered]; a.Severity != alert.Critical {
		t.Errorf("open: %v", other.open())
	}
}

func (w *world) rawSetting(name string) (value []byte, err error) {
	err = w.store.View(w.ctx, func(r engine.Reader) (err error) {
		value, err = r.Setting(w.ctx, name)
		return err
	})
	return value, err
}

// elsewhere is a store that turns into another one, as a database does that somebody writes anew.
type elsewhere struct{ engine.Store }

// TestARewrittenLogIsNotSigned proves that the server does not make a rewritten log right by signing it: where the log
// does not continue the newest checkpoint that is signature for signature its own, it is not signed, what was signed
// stays to be compared with, and there is an alert; where somebody took the checkpoints away too, the running server
// remembers.
func TestARewrittenLogIsNotSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user("ann", "")
	signed := must(w.Records.Checkpoint(w.ctx, w.admin))(t).Checkpoint
	key := must(w.rawSetting("audit/checkpointKey"))(t)
	for what, recorded := range map[string]int{"cut": 0, "changed": 2} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			rewritten := newWorld(t)
			rewritten.setting("audit/checkpointKey", key)
			for n := range recorded {
				rewritten.user(fmt.Sprintf("bob %d", n), "")
			}
			rewritten.save(func(tx engine.Tx) error { return tx.SaveCheckpoint(w.ctx, signed) })
			if err := rewritten.Records.Seal(w.ctx); !errors.Is(err, records.ErrNotContinued) {
				t.Errorf("another log is signed: %v", err)
			}
			if a := rewritten.open()[alert.Tampered]; a.Severity != alert.Critical {
				t.Errorf("open: %v", rewritten.open())
			}
			if d := must(rewritten.Records.Checkpoint(w.ctx, rewritten.admin))(t); d.Checkpoint.Text != signed.Text {
				t.Errorf("the newest checkpoint is %+v", d.Checkpoint)
			}
		})
	}
	t.Run("forgotten", func(t *testing.T) {
		t.Parallel()
		before, after := newWorld(t), newWorld(t)
		before.user("ann", "")
		after.setting("audit/checkpointKey", must(before.rawSetting("audit/checkpointKey"))(t))
		after.user("bob", "")
		store := &elsewhere{before.store}
		e := before.another(func(c *services.Config) { c.Store = store })
		if err := e.Records.Seal(w.ctx); err != nil {
			t.Fatal(err)
		}
		store.Store = after.store
		if err := e.Records.Seal(w.ctx); err != nil {
			t.Errorf("a database that was restored is not signed: %v", err)
		}
		if a := after.open()[alert.Tampered]; a.Severity != alert.Critical {
			t.Errorf("open: %v", after.open())
		}
		if err := e.Records.Seal(w.ctx); err != nil {
			t.Error(err)
		}
	})
}
