package store_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/store"
)

// hold keeps the committer busy until release is called, so that what is begun meanwhile becomes one batch.
func (f *fixture) hold(tb testing.TB) (release func()) {
	tb.Helper()
	started, free := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- f.Update(context.WithoutCancel(tb.Context()), func(engine.Tx) error {
			close(started)
			<-free
			return nil
		})
	}()
	<-started
	return func() {
		close(free)
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	}
}

// has tells whether there is such a setting.
func (f *fixture) has(tb testing.TB, name string) bool {
	tb.Helper()
	err := f.View(tb.Context(), func(r engine.Reader) error {
		_, err := r.Setting(tb.Context(), name)
		return err
	})
	if err != nil && access.KindOf(err) != access.KindNotFound {
		tb.Fatal(err)
	}
	return err == nil
}

// TestOneFailureIsItsOwn runs functions that end in every way in one batch: each is undone whole, and nothing else is.
func TestOneFailureIsItsOwn(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dsn(t))
			ctx := t.Context()
			own := errors.New("own")
			write := func(tx engine.Tx, name string) error {
				return firstOf(tx.SaveSetting(ctx, name, []byte("x")),
					tx.Append(ctx, access.Event{At: day(), Kind: access.EventKind(name)}), tx.BumpAgent(ctx, f.agent))
			}
			ways := map[string]func(tx engine.Tx) error{
				"good": func(tx engine.Tx) error { return write(tx, "good") },
				"error": func(tx engine.Tx) error {
					if err := write(tx, "error"); err != nil {
						return err
					}
					return own
				},
				"conflict": func(tx engine.Tx) error {
					return firstOf(write(tx, "conflict"), tx.SavePrincipal(ctx, person("u2", "ADA"), 0))
				},
				"swallowed": func(tx engine.Tx) error {
					_ = write(tx, "swallowed")
					_ = tx.SavePrincipal(ctx, person("u2", "ADA"), 0)
					return nil
				},
				"read after": func(tx engine.Tx) error {
					_ = write(tx, "read after")
					_ = tx.SavePrincipal(ctx, person("u2", "ADA"), 0)
					_, err := tx.Agent(ctx, f.agent)
					return err
				},
				"missing": func(tx engine.Tx) error {
					_, err := tx.Agent(ctx, "nothing")
					return firstOf(write(tx, "missing"), err)
				},
				"panic":  func(tx engine.Tx) error { _ = write(tx, "panic"); panic("panic") },
				"goexit": func(tx engine.Tx) error { _ = write(tx, "goexit"); runtime.Goexit(); return nil },
				"not found": func(tx engine.Tx) error {
					if _, err := tx.Agent(ctx, "nothing"); err == nil {
						return own
					}
					return write(tx, "not found")
				},
				"empty": func(engine.Tx) error { return nil },
				"last":  func(tx engine.Tx) error { return write(tx, "last") },
			}
			release := f.hold(t)
			var mu sync.Mutex
			errs := map[string]error{}
			var wg sync.WaitGroup
			for name, fn := range ways {
				wg.Go(func() {
					defer func() {
						if r := recover(); r != nil {
							mu.Lock()
							errs[name] = fmt.Errorf("panic: %v", r)
							mu.Unlock()
						}
					}()
					err := f.Update(ctx, fn)
					mu.Lock()
					errs[name] = err
					mu.Unlock()
				})
			}
			time.Sleep(50 * time.Millisecond) // most of them are waiting by now; the outcome does not depend on it
			release()
			wg.Wait()

			for _, name := range []string{"good", "last", "not found", "empty"} {
				if errs[name] != nil {
					t.Errorf("%s: %v", name, errs[name])
				}
			}
			if !errors.Is(errs["error"], own) {
				t.Errorf("error: %v", errs["error"])
			}
			for _, name := range []string{"conflict", "swallowed", "read after"} {
				wantKind(t, name, errs[name], access.KindConflict, "exists")
			}
			wantKind(t, "missing", errs["missing"], access.KindNotFound, "")
			if errs["panic"] == nil || errs["panic"].Error() != "panic: panic" {
				t.Errorf("panic: %v", errs["panic"])
			}
			if _, ended := errs["goexit"]; ended {
				t.Error("goexit: Update returned")
			}
			want := map[string]bool{"good": true, "last": true, "not found": true}
			for name := range ways {
				if ok := f.has(t, name); ok != want[name] {
					t.Errorf("%s: kept is %v, want %v", name, ok, want[name])
				}
			}
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				events, err := r.Events(ctx, engine.EventFilter{OldestFirst: true}, engine.Page{Limit: 100})
				if err != nil {
					return err
				}
				for i, e := range events.Items {
					if e.Seq != int64(i) || !want[string(e.Kind)] {
						t.Errorf("event %d is number %d %s", i, e.Seq, e.Kind)
					}
				}
				a, err := r.Agent(ctx, f.agent)
				if len(events.Items) != 3 || a.Revision != 7+3 {
					t.Errorf("%d events and revision %d, want 3 and 10", len(events.Items), a.Revision)
				}
				return err
			})
			f.checkLog(t)
		})
	}
}

// checkLog derives the tree again from the records and compares all that the store says of it.
func (f *fixture) checkLog(tb testing.TB) (size int64) {
	tb.Helper()
	f.view(tb, func(ctx context.Context, r engine.Reader) error {
		var err error
		if size, err = r.AuditSize(ctx); err != nil {
			return err
		}
		var tree audit.Tree
		for tree.Size < size {
			records, err := r.Records(ctx, tree.Size, 1000)
			if err != nil {
				return err
			}
			if len(records) == 0 {
				return fmt.Errorf("the log has %d records, and its head says %d", tree.Size, size)
			}
			for _, record := range records {
				tree, _ = tree.Append(audit.LeafHash(record))
			}
		}
		if more, err := r.Records(ctx, size, 1); err != nil || len(more) > 0 {
			return fmt.Errorf("there are records behind the head: %w", err)
		}
		root, err := audit.RootAt(size,
			func(indexes []int64) ([]audit.Hash, error) { return r.AuditHashes(ctx, indexes) })
		if err == nil && root != tree.Root() {
			tb.Error("what is kept of the tree does not give its root")
		}
		return err
	})
	return size
}

func TestConcurrentUpdates(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		const callers, each = 20, 20
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range each {
					if err := f.Update(t.Context(),
						func(tx engine.Tx) error { return f.submit(t.Context(), tx, day()) }); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if size := f.checkLog(t); size != 3*callers*each {
			t.Errorf("the log has %d events", size)
		}
	})
}

func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			if err := firstOf(tx.BumpAgent(ctx, f.agent), tx.SaveSetting(ctx, "a", []byte("1")),
				tx.Append(ctx, access.Event{At: day()})); err != nil {
				return err
			}
			a, err := tx.Agent(ctx, f.agent)
			if err != nil || a.Revision != 8 {
				t.Errorf("revision %d, want 8: %v", a.Revision, err)
			}
			v, err := tx.Setting(ctx, "a")
			if err != nil || string(v) != "1" {
				t.Errorf("setting %q: %v", v, err)
			}
			size, err := tx.AuditSize(ctx)
			if size != 0 {
				t.Errorf("the log has %d events before the commit", size)
			}
			return err
		})
	})
}

func TestViewIsRolledBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			if _, ok := r.(engine.Tx); ok {
				t.Error("a reader can write")
			}
			before, err := r.Agent(ctx, f.agent)
			if err != nil {
				return err
			}
			f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.BumpAgent(ctx, f.agent) }) //nolint:contextcheck // it takes the context of the test
			after, err := r.Agent(ctx, f.agent)
			if before.Revision != after.Revision {
				t.Errorf("one View saw revisions %d and %d", before.Revision, after.Revision)
			}
			return err
		})
		own := errors.New("own")
		if err := f.View(t.Context(), func(engine.Reader) error { return own }); !errors.Is(err, own) {
			t.Errorf("got %v", err)
		}
		for range 20 { // a panic gives its connection back
			func() {
				defer func() { _ = recover() }()
				_ = f.View(t.Context(), func(engine.Reader) error { panic("view") })
			}()
		}
		f.view(t, func(ctx context.Context, r engine.Reader) error { _, err := r.Tenants(ctx); return err })
	})
}

func TestCanceledWaiterIsSkipped(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		release := f.hold(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Update(ctx, func(engine.Tx) error { t.Error("it ran"); return nil }) }()
		time.Sleep(20 * time.Millisecond)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		release()
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.SaveSetting(ctx, "x", nil) })
	})
}

func TestCancelInsideIsItsOwn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		release := f.hold(t)
		ctx, cancel := context.WithCancel(t.Context())
		canceled, good := make(chan error, 1), make(chan error, 1)
		go func() {
			canceled <- f.Update(ctx, func(tx engine.Tx) error {
				if err := tx.SaveSetting(ctx, "canceled", nil); err != nil {
					return err
				}
				cancel()
				_, err := tx.Agent(ctx, f.agent)
				return err
			})
		}()
		go func() {
			good <- f.Update(t.Context(), func(tx engine.Tx) error { return tx.SaveSetting(t.Context(), "good", nil) })
		}()
		time.Sleep(20 * time.Millisecond)
		release()
		if err := <-canceled; !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
		if err := <-good; err != nil {
			t.Errorf("good: %v", err)
		}
		if f.has(t, "canceled") {
			t.Error("what was canceled is kept")
		}
	})
}

func TestTransactionIsOverAfterItsFunction(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		var kept engine.Tx
		f.update(t, func(_ context.Context, tx engine.Tx) error { kept = tx; return nil })
		wantKind(t, "write", kept.SaveSetting(t.Context(), "x", nil), access.KindInternal, "transactionOver")
		_, err := kept.Agent(t.Context(), f.agent)
		wantKind(t, "read", err, access.KindInternal, "transactionOver")
	})
}

func TestClosedStore(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dsn(t))
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Errorf("a second time: %v", err)
			}
			if err := f.try(t,
				func(context.Context, engine.Tx) error { return nil }); access.KindOf(err) != access.KindUnavailable {
				t.Errorf("update: %v", err)
			}
			if err := f.View(t.Context(), func(engine.Reader) error { return nil }); err == nil {
				t.Error("it can be read")
			}
			again := open(t, f.dsn)
			if err := again.View(t.Context(),
				func(r engine.Reader) error { _, err := r.Agent(t.Context(), f.agent); return err }); err != nil {
				t.Errorf("opened again: %v", err)
			}
		})
	}
}

var _ engine.Store = (*store.DB)(nil)
