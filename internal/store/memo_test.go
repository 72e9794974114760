package store_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// TestWhatABatchRemembersIsTrue lets changes share one batch: each sees what those before it wrote, and nothing of one
// that was taken back.
func TestWhatABatchRemembersIsTrue(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return tx.SavePolicy(ctx, policy("policy-1", "default", f.machine), 0)
		})
		type seen struct {
			revision, machine, guard int64
			heard                    bool
		}
		look := func(ctx context.Context, r engine.Reader) (s seen) {
			var errs [4]error
			s.revision, errs[0] = r.DirectoryRevision(ctx)
			s.heard, errs[1] = r.HasChannels(ctx, tenantID)
			var machines []access.Machine
			machines, errs[2] = r.MachinesByName(ctx, tenantID, "WEB-1")
			var guard access.Policy
			guard, errs[3] = r.GuardOf(ctx, f.machine)
			if err := firstOf(errs[:]...); err != nil || len(machines) != 1 {
				t.Errorf("%d machines, %v", len(machines), err)
				return s
			}
			s.machine, s.guard = machines[0].Revision, guard.Revision
			machines[0].Name = "spoiled" // a slice of one's own
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
			m, p := machine(f.machine, "web-1", f.agent), policy("policy-1", "default", f.machine)
			m.Revision, p.Revision = 2, 2
			return firstOf(tx.SavePrincipal(ctx, person("memo", "Memo"), 0),
				tx.SaveChannel(ctx, channel("c1", "Mail"), 0),
				tx.SaveMachine(ctx, m, 1), tx.SavePolicy(ctx, p, 1))
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
			time.Sleep(300 * time.Millisecond) // in this order, on a busy machine too
			return ended
		}
		first, second, third := run(regret, write), run(nil, write), run(nil, nil)
		release()
		after := seen{start.revision + 1, 2, 2, true}
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
		read := func(ctx context.Context, r engine.Reader) (machines []access.Machine, guard access.Policy) {
			machines, err := r.MachinesByName(ctx, tenantID, "web-1")
			guard, other := r.GuardOf(ctx, f.machine)
			if err := firstOf(err, other); err != nil {
				t.Error(err)
			}
			return machines, guard
		}
		var machines, ahead []access.Machine
		var guard, guardAhead access.Policy
		f.view(t, func(ctx context.Context, r engine.Reader) error { machines, guard = read(ctx, r); return nil })
		f.update(t, func(ctx context.Context, tx engine.Tx) error { ahead, guardAhead = read(ctx, tx); return nil })
		if !reflect.DeepEqual(machines, ahead) || !reflect.DeepEqual(guard, guardAhead) {
			t.Errorf("in a batch %+v and %+v are read, and else %+v and %+v", ahead, guardAhead, machines, guard)
		}
	})
}
