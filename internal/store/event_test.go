package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine"
)

// raw opens the same database behind the store's back.
func (f *fixture) raw(tb testing.TB) *sql.DB {
	tb.Helper()
	driver, dsn := "sqlite", "file:"+f.dsn+"?_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)"
	if strings.HasPrefix(f.dsn, "postgres") {
		_ = stdlib.GetDefaultDriver()
		driver, dsn = "pgx", f.dsn
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

func TestEventsAreAppendOnly(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dsn(t))
			f.update(t,
				func(ctx context.Context, tx engine.Tx) error { return tx.Append(ctx, access.Event{At: day()}) })
			db := f.raw(t)
			statements := []string{
				"update events set kind = 'x'", "delete from events",
				"insert into events select * from events",
			}
			if strings.HasPrefix(f.dsn, "postgres") {
				statements = append(statements, "truncate events")
			}
			for _, statement := range statements {
				if _, err := db.ExecContext(t.Context(), statement); err == nil {
					t.Errorf("%s: it is done", statement)
				}
			}
			if size := f.checkLog(t); size != 1 {
				t.Errorf("the log has %d events", size)
			}
		})
	}
}

func TestTamperedLogIsSeen(t *testing.T) {
	t.Parallel()
	f := newFixture(t, t.TempDir()+"/postern.db")
	f.update(t, func(ctx context.Context, tx engine.Tx) error {
		return tx.Append(ctx, access.Event{At: day(), Action: "a"}, access.Event{At: day(), Action: "b"})
	})
	if _, err := f.raw(t).ExecContext(t.Context(),
		"drop trigger events_no_update; update events set body = replace(body, '\"b\"', '\"c\"') where seq = 1"); err != nil {
		t.Fatal(err)
	}
	f.view(t, func(ctx context.Context, r engine.Reader) error {
		records, err := r.Records(ctx, 1, 1)
		if err != nil {
			return err
		}
		read := func(indexes []int64) ([]audit.Hash, error) { return r.AuditHashes(ctx, indexes) }
		root, err := audit.RootAt(2, read)
		if err != nil {
			return err
		}
		proof, err := audit.ProveInclusion(2, 1, read)
		if err != nil {
			return err
		}
		if err := audit.CheckInclusion(proof, 2, root, 1, records[0]); err == nil {
			t.Error("a changed record is proven")
		}
		return nil
	})
}

func TestEventLists(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		var events []access.Event
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			for i := range 60 {
				e := access.Event{
					At: day().Add(time.Duration(i) * time.Second), Kind: access.GrantOpened, Outcome: access.Succeeded,
					Tenant: tenantID,
					Actor:  access.Actor{ID: f.user, Name: "Ada"}, Details: map[string]string{"n": fmt.Sprint(i)},
				}
				if i%7 == 0 {
					e.At = e.At.Add(-20 * time.Second) // the clock of another server
				}
				if i%2 == 0 {
					e.Kind, e.Machine = access.SignedIn, f.machine
				}
				if i%3 == 0 {
					e.Actor, e.Request, e.Tenant = access.System(), "request-1", "other"
				}
				if i%5 == 0 {
					e.Outcome = access.Refused
				}
				if err := tx.Append(ctx, e); err != nil {
					return err
				}
				e.Seq = int64(i)
				events = append(events, e)
			}
			return nil
		})
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			for seq, want := range events {
				got, err := r.Event(ctx, int64(seq))
				if err != nil {
					return err
				}
				same(t, fmt.Sprint("event ", seq), want, got)
			}
			rapid.Check(t, func(rt *rapid.T) {
				at := func(label string) time.Time {
					n := rapid.IntRange(-40, 80).Draw(rt, label)
					if n < -30 {
						return time.Time{}
					}
					return day().Add(time.Duration(n) * time.Second)
				}
				ef := engine.EventFilter{
					Since: at("since"), Before: at("before"), OldestFirst: rapid.Bool().Draw(rt, "oldest"),
					Tenant:  rapid.SampledFrom([]access.TenantID{"", tenantID, "other"}).Draw(rt, "tenant"),
					Kind:    rapid.SampledFrom([]access.EventKind{"", access.SignedIn}).Draw(rt, "kind"),
					Actor:   rapid.SampledFrom([]access.PrincipalID{"", f.user}).Draw(rt, "actor"),
					Machine: rapid.SampledFrom([]access.MachineID{"", f.machine}).Draw(rt, "machine"),
					Request: rapid.SampledFrom([]access.RequestID{"", "request-1"}).Draw(rt, "request"),
					Outcome: rapid.SampledFrom([]access.Outcome{"", access.Succeeded, access.Refused}).Draw(rt,
						"outcome"),
				}
				var want []int64
				for _, e := range events {
					if (ef.Since.IsZero() || !e.At.Before(
						ef.Since)) && (ef.Before.IsZero() || e.At.Before(
						ef.Before)) && (ef.Tenant == "" || e.Tenant == ef.Tenant) &&
						(ef.Kind == "" || e.Kind == ef.Kind) && (ef.Actor == "" || e.Actor.ID == ef.Actor) &&
						(ef.Machine == "" || e.Machine == ef.Machine) &&
						(ef.Request == "" || e.Request == ef.Request) && (ef.Outcome == "" || e.Outcome == ef.Outcome) {
						want = append(want, e.Seq)
					}
				}
				if !ef.OldestFirst {
					slices.Reverse(want)
				}
				var got []int64
				for _, e := range pages(t, 9,
					func(p engine.Page) (engine.Listed[access.Event], error) { return r.Events(ctx, ef, p) }) {
					got = append(got, e.Seq)
				}
				if !slices.Equal(got, want) {
					rt.Fatalf("%+v: got %v, want %v", ef, got, want)
				}
			})
			return nil
		})
	})
}

// TestProofs grows the log over the borders of tiles, and proves each kind of thing from what is stored.
func TestProofs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		for _, n := range []int{1, 254, 1, 1, 300, 700} {
			f.update(t, func(ctx context.Context, tx engine.Tx) error {
				events := make([]access.Event, n)
				for i := range events {
					events[i] = access.Event{At: day(), Details: map[string]string{"i": fmt.Sprint(n, i)}}
				}
				return tx.Append(ctx, events...)
			})
		}
		size := f.checkLog(t)
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			read := func(indexes []int64) ([]audit.Hash, error) { return r.AuditHashes(ctx, indexes) }
			root, err := audit.RootAt(size, read)
			if err != nil {
				return err
			}
			for _, seq := range []int64{0, 255, 256, 511, 512, 1000, size - 1} {
				records, err := r.Records(ctx, seq, 1)
				if err != nil {
					return err
				}
				proof, err := audit.ProveInclusion(size, seq, read)
				if err != nil {
					return err
				}
				if err := audit.CheckInclusion(proof, size, root, seq, records[0]); err != nil {
					t.Error(err)
				}
				from, err := audit.RootAt(seq, read)
				if err != nil {
					return err
				}
				if proof, err = audit.ProveConsistency(seq, size, read); err != nil {
					return err
				}
				if err := audit.CheckConsistency(proof, seq, from, size, root); err != nil {
					t.Error(err)
				}
			}
			_, err = r.AuditHashes(ctx, []int64{-1})
			wantKind(t, "index -1", err, access.KindInvalid, "")
			_, err = r.AuditHashes(ctx, []int64{1 << 40})
			wantKind(t, "index behind the log", err, access.KindNotFound, "")
			return nil
		})
	})
}

func TestHugeEventIsRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		err := f.try(t, func(ctx context.Context, tx engine.Tx) error {
			return tx.Append(ctx, access.Event{Action: strings.Repeat("x", audit.MaxRecord)})
		})
		wantKind(t, "append", err, access.KindInvalid, "recordTooLong")
		if size := f.checkLog(t); size != 0 {
			t.Errorf("the log has %d events", size)
		}
	})
}
