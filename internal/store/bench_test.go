package store_test

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

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
			_, err := audit.ProveInclusion(size, int64(i*7919%size),
				func(indexes []int64) ([]audit.Hash, error) { return r.AuditHashes(ctx, indexes) })
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
decided_at, digest, revision) ` + numbers + `select 'r' || (1000000 + i), '` + string(
					tenantID) + `', 'user-1', 'Ada', '', 'cli', '[]', 0, 'because', '',
case when i % 1000 = 0 then 'pending' else 'approved' end, '', i, i, 0, '', 1 from n`,
				"insert into request_machines (machine, created_at, request) " + numbers +
					"select 'machine-' || (i % 1000), i, 'r' || (1000000 + i) from n",
				`insert into grants (id, request, tenant, principal, principal_name, machine, policy, first_port, last_port, protocol, sources, start_at, end_at, state, reason,
created_at, opened_at, ended_at, closed_at, warned_at, packets, bytes, revision) ` + numbers +
					`select 'g' || (1000000 + i), 'r' || (1000000 + i), '` + string(
					tenantID) + `', 'user-1', 'Ada',
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
				"live": func(ctx context.Context, r engine.Reader) error {
					_, err := r.LiveGrants(ctx, []access.MachineID{"machine-0"}, day())
					return err
				},
				"due": func(ctx context.Context,
					r engine.Reader,
				) error {
					_, err := r.Due(ctx, day(), 100)
					return err
				},
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
