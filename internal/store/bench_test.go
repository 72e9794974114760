package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine"
)

const benchCallers = 64

// callers runs do b.N times from 64 goroutines.
func callers(b *testing.B, do func(i int64) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range benchCallers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := do(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// BenchmarkRequestCommit commits whole requests through the store: the request, its grant, three events in the activity
// log and its tree, and the agent's revision.
func BenchmarkRequestCommit(b *testing.B) {
	for name, engineDSN := range engines() {
		b.Run(name, func(b *testing.B) {
			dsn := engineDSN(b)
			f := newFixture(b, dsn)
			ctx := b.Context()
			callers(b, func(int64) error {
				return f.Update(ctx, func(tx engine.Tx) error { return f.submit(ctx, tx, day()) })
			})
		})
	}
}

// BenchmarkBareCommit commits the same rows without the store: ready-made values, prepared statements, a savepoint for
// each caller, and one commit for all who wait. It is what the engine and the disk give to any program.
func BenchmarkBareCommit(b *testing.B) {
	for name, engineDSN := range engines() {
		b.Run(name, func(b *testing.B) {
			dsn := engineDSN(b)
			f := newFixture(b, dsn)
			rows := bareRows(b, f)
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
			type call struct {
				i    int64
				done chan error
			}
			calls := make(chan call, benchCallers)
			commit := bareSQLite(b, dsn, rows)
			if dsn[:8] == "postgres" {
				commit = barePostgres(b, dsn, rows)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for first := range calls {
					group := []call{first}
					for more := true; more; {
						select {
						case c, ok := <-calls:
							if more = ok; ok {
								group = append(group, c)
							}
						default:
							more = false
						}
					}
					numbers := make([]int64, len(group))
					for i, c := range group {
						numbers[i] = c.i
					}
					err := commit(numbers)
					for _, c := range group {
						c.done <- err
					}
				}
			}()
			callers(b, func(i int64) error {
				c := call{i: i, done: make(chan error, 1)}
				calls <- c
				return <-c.done
			})
			close(calls)
			<-ended
		})
	}
}

// bareRow is one statement and what its arguments are for caller i.
type bareRow struct {
	text string
	args func(i int64) []any
}

// bareRows copies the rows of one request that the store has written.
func bareRows(b *testing.B, f *fixture) []bareRow {
	b.Helper()
	r, g, events := f.request(day())
	f.update(b, func(ctx context.Context, tx engine.Tx) error {
		for _, err := range []error{tx.SaveRequest(ctx, r, 0), tx.SaveGrant(ctx, g, 0), tx.Append(ctx, events...)} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	const items = `[{"machine":"machine-1","policy":"policy-1","policyRevision":1,"ports":{"first":22,"last":22},"protocol":"tcp","sources":["203.0.113.9/32"],"duration":3600000000000}]`
	at := day().UnixMicro()
	name := func(kind string, i int64) string { return fmt.Sprintf("bare-%s-%08d", kind, i) }
	rows := []bareRow{
		{`insert into requests (id, tenant, requester, requester_name, address, via, items, start_at, justification, ticket, state, reason,
created_at, pending_until, decided_at, digest, revision) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`, func(i int64) []any {
			return []any{name("request", i), string(tenantID), string(f.user), "Ada", "203.0.113.9", "cli", items, int64(0), r.Justification, r.Ticket, "approved", "", at, at, at, r.Digest, int64(2)}
		}},
		{"insert into request_machines (machine, created_at, request) values ($1, $2, $3)", func(i int64) []any { return []any{string(f.machine), at, name("request", i)} }},
		{`insert into grants (id, request, tenant, principal, principal_name, machine, policy, first_port, last_port, protocol, sources,
start_at, end_at, state, reason, created_at, opened_at, ended_at, closed_at, warned_at, packets, bytes, revision)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)`, func(i int64) []any {
			return []any{
				name("grant", i), name("request", i), string(tenantID), string(f.user), "Ada", string(f.machine), "policy-1", int64(22), int64(22), "tcp", `["203.0.113.9/32"]`,
				at, at + 3600e6, "opening", "", at, int64(0), int64(0), int64(0), int64(0), int64(0), int64(0), int64(1),
			}
		}},
		{"update agents set revision = revision + 1 where id = $1", func(int64) []any { return []any{string(f.agent)} }},
	}
	for n, e := range events {
		body, err := audit.Encode(e)
		if err != nil {
			b.Fatal(err)
		}
		hash := audit.LeafHash(body)
		rows = append(rows, bareRow{
			"insert into events (seq, at, high, kind, actor, machine, request, tenant, outcome, hash, body) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
			func(i int64) []any {
				return []any{1000 + 3*i + int64(n), at, at, string(e.Kind), string(e.Actor.ID), string(e.Machine), name("request", i), string(e.Tenant), "succeeded", hash[:], body}
			},
		})
	}
	return rows
}

func bareSQLite(b *testing.B, dsn string, rows []bareRow) func([]int64) error {
	b.Helper()
	if dsn[:8] == "postgres" {
		return nil
	}
	ctx := b.Context()
	db, err := sql.Open("sqlite", "file:"+dsn+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=foreign_keys(1)&_pragma=temp_store(memory)")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(ctx)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	prepared := map[string]*sql.Stmt{}
	run := func(text string, args ...any) error {
		s := prepared[text]
		if s == nil {
			if s, err = conn.PrepareContext(ctx, text); err != nil {
				return err
			}
			prepared[text] = s
		}
		_, err := s.ExecContext(ctx, args...)
		return err
	}
	return func(numbers []int64) error {
		if err := run("begin immediate"); err != nil {
			return err
		}
		for _, i := range numbers {
			if err := run("savepoint s"); err != nil {
				return err
			}
			for _, row := range rows {
				if err := run(row.text, row.args(i)...); err != nil {
					return err
				}
			}
			if err := run("release s"); err != nil {
				return err
			}
		}
		return run("commit")
	}
}

// barePostgres sends what one caller writes in one round trip.
func barePostgres(b *testing.B, dsn string, rows []bareRow) func([]int64) error {
	b.Helper()
	ctx := b.Context()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	return func(numbers []int64) error {
		if _, err := conn.Exec(ctx, "begin"); err != nil {
			return err
		}
		for _, i := range numbers {
			batch := &pgx.Batch{}
			batch.Queue("savepoint s")
			for _, row := range rows {
				batch.Queue(row.text, row.args(i)...)
			}
			batch.Queue("release savepoint s")
			if err := conn.SendBatch(ctx, batch).Close(); err != nil {
				return err
			}
		}
		_, err := conn.Exec(ctx, "commit")
		return err
	}
}

// BenchmarkAuditHashes proves that a record is in a log of 20,000.
func BenchmarkAuditHashes(b *testing.B) {
	f := newFixture(b, filepath.Join(b.TempDir(), "postern.db"))
	const size = 20_000
	for range size / 1000 {
		f.update(b, func(ctx context.Context, tx engine.Tx) error {
			for range 1000 {
				_, _, events := f.request(day())
				if err := tx.Append(ctx, events[0]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	b.ResetTimer()
	for i := range b.N {
		f.view(b, func(ctx context.Context, r engine.Reader) error {
			_, err := audit.ProveInclusion(size, int64(i*7919%size), func(indexes []int64) ([]audit.Hash, error) { return r.AuditHashes(ctx, indexes) })
			return err
		})
	}
}

// BenchmarkMillionRequests pages through a million requests and as many grants, by each filter.
func BenchmarkMillionRequests(b *testing.B) {
	for name, engineDSN := range engines() {
		b.Run(name, func(b *testing.B) {
			dsn := engineDSN(b)
			f := newFixture(b, dsn)
			numbers := "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000000) "
			if dsn[:8] == "postgres" {
				numbers = "with n(i) as (select generate_series(1, 1000000)) "
			}
			db := f.raw(b)
			for _, statement := range []string{
				`insert into requests (id, tenant, requester, requester_name, address, via, items, start_at, justification, ticket, state, reason, created_at, pending_until,
decided_at, digest, revision) ` + numbers + `select 'r' || (1000000 + i), '` + string(tenantID) + `', 'user-1', 'Ada', '', 'cli', '[]', 0, 'because', '',
case when i % 1000 = 0 then 'pending' else 'approved' end, '', i, i, 0, '', 1 from n`,
				"insert into request_machines (machine, created_at, request) " + numbers + "select 'machine-' || (i % 1000), i, 'r' || (1000000 + i) from n",
				`insert into grants (id, request, tenant, principal, principal_name, machine, policy, first_port, last_port, protocol, sources, start_at, end_at, state, reason,
created_at, opened_at, ended_at, closed_at, warned_at, packets, bytes, revision) ` + numbers + `select 'g' || (1000000 + i), 'r' || (1000000 + i), '` + string(tenantID) + `', 'user-1', 'Ada',
'machine-' || (i % 1000), 'p', 22, 22, 'tcp', '[]', i, i, case when i % 1000 = 0 then 'active' else 'expired' end, '', i, i, case when i % 1000 = 0 then 0 else i end,
case when i % 1000 = 0 then 0 else i end, 0, 0, 0, 1 from n`,
			} {
				if _, err := db.ExecContext(b.Context(), statement); err != nil {
					b.Fatal(err)
				}
			}
			p := engine.Page{Limit: 50}
			for name, read := range map[string]func(ctx context.Context, r engine.Reader) error{
				"all": func(ctx context.Context, r engine.Reader) error {
					_, err := r.Requests(ctx, engine.RequestFilter{Tenant: tenantID}, p)
					return err
				},
				"pending": func(ctx context.Context, r engine.Reader) error {
					_, err := r.Requests(ctx, engine.RequestFilter{State: access.RequestPending}, p)
					return err
				},
				"requester": func(ctx context.Context, r engine.Reader) error {
					_, err := r.Requests(ctx, engine.RequestFilter{Requester: f.user}, p)
					return err
				},
				"machine": func(ctx context.Context, r engine.Reader) error {
					_, err := r.Requests(ctx, engine.RequestFilter{Machine: "machine-7"}, p)
					return err
				},
				"in force": func(ctx context.Context, r engine.Reader) error {
					_, err := r.Grants(ctx, engine.GrantFilter{States: []access.GrantState{access.GrantActive}}, p)
					return err
				},
				"unclosed": func(ctx context.Context, r engine.Reader) error {
					_, err := r.UnclosedGrants(ctx, []access.MachineID{"machine-0"})
					return err
				},
				"due": func(ctx context.Context, r engine.Reader) error { _, err := r.Due(ctx, day(), 100); return err },
			} {
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						f.view(b, read)
					}
				})
			}
		})
	}
}
