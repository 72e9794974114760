package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/engine"
)

// TestWhatABatchRemembersIsTrue lets changes share one batch: each sees what those before it wrote, and nothing of one
// that was taken back.
func TestWhatABatchRemembersIsTrue(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dsn(t))
			type seen struct {
				revision int64
				heard    bool
			}
			look := func(ctx context.Context, r engine.Reader) (s seen) {
				var err, other error
				s.revision, err = r.DirectoryRevision(ctx)
				s.heard, other = r.HasChannels(ctx, tenantID)
				if err := firstOf(err, other); err != nil {
					t.Error(err)
				}
				return s
			}
			var start seen
			f.view(t, func(ctx context.Context, r engine.Reader) error { start = look(ctx, r); return nil })
			if start.heard {
				t.Fatal("there is a channel already")
			}
			release := f.hold(t) // so that what follows waits, and shares the next batch
			regret := errors.New("taken back")
			got := make(chan [2]seen, 3)
			write := func(ctx context.Context, tx engine.Tx) error {
				return firstOf(tx.SavePrincipal(ctx, person("memo", "Memo"), 0), tx.SaveChannel(ctx, channel("c1", "Mail"), 0))
			}
			run := func(then error, change func(context.Context, engine.Tx) error) chan error {
				ended := make(chan error, 1)
				go func() {
					ended <- f.Update(t.Context(), func(tx engine.Tx) error {
						before := look(t.Context(), tx)
						if change != nil {
							if err := change(t.Context(), tx); err != nil {
								return err
							}
						}
						got <- [2]seen{before, look(t.Context(), tx)}
						return then
					})
				}()
				time.Sleep(50 * time.Millisecond) // in this order
				return ended
			}
			first, second, third := run(regret, write), run(nil, write), run(nil, nil)
			release()
			after := seen{start.revision + 1, true}
			for i, want := range [][2]seen{{start, after}, {start, after}, {after, after}} {
				if s := <-got; s != want {
					t.Errorf("change %d saw %+v before and after, want %+v", i+1, s, want)
				}
			}
			if err := <-first; !errors.Is(err, regret) {
				t.Errorf("the first ended with %v", err)
			}
			if err := firstOf(<-second, <-third); err != nil {
				t.Error(err)
			}
		})
	}
}
