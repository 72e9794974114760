package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

func woken(t *testing.T, what string, changed <-chan struct{}) {
	t.Helper()
	select {
	case <-changed:
	case <-time.After(20 * time.Second):
		t.Errorf("%s: nobody was woken", what)
	}
}

func asleep(t *testing.T, what string, changed <-chan struct{}) {
	t.Helper()
	select {
	case <-changed:
		t.Errorf("%s: woken for nothing", what)
	case <-time.After(50 * time.Millisecond):
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.update(t,
			func(ctx context.Context, tx engine.Tx) error { return tx.SaveAgent(ctx, agent("agent-2", "other")) })
		mine, stop := f.Watch(f.agent)
		other, stopOther := f.Watch("agent-2")
		events, stopEvents := f.WatchEvents()
		defer stopEvents()

		_ = f.try(t, func(ctx context.Context, tx engine.Tx) error {
			return errors.Join(tx.BumpAgent(ctx, f.agent), tx.Append(ctx, access.Event{At: day()}),
				errors.New("undone"))
		})
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.SaveSetting(ctx, "x", nil) })
		asleep(t, "after an error", mine)
		asleep(t, "after no event", events)

		for range 3 {
			f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.BumpAgent(ctx, f.agent) })
		}
		woken(t, "bump", mine)
		asleep(t, "three times are one", mine)
		asleep(t, "another agent", other)
		asleep(t, "a bump is no event", events)
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.Append(ctx, access.Event{At: day()}) })
		woken(t, "append", events)

		stop()
		stopOther()
		stop()
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.BumpAgent(ctx, f.agent) })
		asleep(t, "stopped", mine)
	})
}

// TestReplicas lets two servers work on one PostgreSQL: they wake each other, and their changes make one log.
func TestReplicas(t *testing.T) {
	t.Parallel()
	f := newFixture(t, postgresDSN(t))
	second := &fixture{DB: open(t, f.dsn), dsn: f.dsn, agent: f.agent, machine: f.machine, user: f.user}
	second.count.Store(1_000_000)

	changed, stop := second.Watch(f.agent)
	defer stop()
	events, stopEvents := second.WatchEvents()
	defer stopEvents()
	f.update(t, func(ctx context.Context, tx engine.Tx) error { return f.submit(ctx, tx, day()) })
	woken(t, "the other replica's agent", changed)
	woken(t, "the other replica's events", events)

	const callers, each = 10, 15
	var wg sync.WaitGroup
	for _, replica := range []*fixture{f, second} {
		for range callers {
			wg.Go(func() {
				for range each {
					if err := replica.Update(t.Context(),
						func(tx engine.Tx) error { return replica.submit(t.Context(), tx, day()) }); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	if size, want := f.checkLog(t), int64(3+2*3*callers*each); size != want {
		t.Errorf("the log has %d events, want %d", size, want)
	}
	f.view(t, func(ctx context.Context, r engine.Reader) error {
		a, err := r.Agent(ctx, f.agent)
		if want := int64(7 + 1 + 2*callers*each); a.Revision != want {
			t.Errorf("the agent is at revision %d, want %d", a.Revision, want)
		}
		return err
	})

	won := make(chan error, 20)
	for i := range cap(won) {
		replica := []*fixture{f, second}[i%2]
		go func() {
			m := machine(f.machine, "web-1", f.agent)
			m.Revision, m.OS = 2, fmt.Sprint(i)
			won <- replica.Update(t.Context(), func(tx engine.Tx) error { return tx.SaveMachine(t.Context(), m, 1) })
		}()
	}
	winners := 0
	for range cap(won) {
		if err := <-won; err == nil {
			winners++
		} else {
			wantKind(t, "swap", err, access.KindConflict, "changed")
		}
	}
	if winners != 1 {
		t.Errorf("%d of %d won", winners, cap(won))
	}
}

// TestReplicaOutlivesBrokenConnections ends every connection of the store, in the midst of its work.
func TestReplicaOutlivesBrokenConnections(t *testing.T) {
	t.Parallel()
	f := newFixture(t, postgresDSN(t))
	second := open(t, f.dsn)
	changed, stop := second.Watch(f.agent)
	defer stop()
	db := f.raw(t)
	breakAll := func() {
		const kill = `select pg_terminate_backend(pid) from pg_stat_activity a where pid <> pg_backend_pid() and state is not null
and exists (select 1 from pg_locks l where l.pid = a.pid and l.relation = 'audit_head'::regclass)`
		if _, err := db.ExecContext(t.Context(), kill); err != nil {
			t.Error(err)
		}
	}
	const updates = 30
	for i := range updates {
		runs := 0
		err := f.Update(t.Context(), func(tx engine.Tx) error {
			if runs++; i%10 == 3 && runs == 1 {
				breakAll()
			}
			return tx.Append(t.Context(), access.Event{At: day(), Details: map[string]string{"i": fmt.Sprint(i)}})
		})
		if err != nil || (runs > 1) != (i%10 == 3) {
			t.Errorf("update %d ran %d times: %v", i, runs, err)
		}
	}
	if size := f.checkLog(t); size != updates {
		t.Errorf("the log has %d events, and %d were acknowledged", size, updates)
	}
	if _, err := db.ExecContext(t.Context(),
		"select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen \"postern "+
			"'||current_schema()||'\"%'"); err != nil {
		t.Fatal(err)
	}
	woken(t, "after the listening connection broke", changed)
	f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.BumpAgent(ctx, f.agent) })
	woken(t, "after it is back", changed)
}
