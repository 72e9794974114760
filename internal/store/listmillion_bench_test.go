package store_test

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/services"
)

// BenchmarkListMillion lists through the engine, with authorization, grants and names, what a million requests and as
// many grants leave. It fills the database once for each engine.
func BenchmarkListMillion(b *testing.B) {
	for name, engineDSN := range engines() {
		b.Run(name, func(b *testing.B) {
			f := newFixture(b, engineDSN(b))
			f.million(b)
			e, err := services.New(services.Config{
				Store: f.DB, SealKey: make([]byte, engine.SealKeySize),
				Now: time.Now, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				b.Fatal(err)
			}
			owner := engine.Caller{Principal: f.user, Name: "Ada", Tenant: tenantID, Via: "api"}
			guest := engine.Caller{Principal: "user-2", Name: "Ben", Tenant: tenantID, Via: "api"}
			p := engine.Page{Limit: 50}
			middle, err := e.Requests.Requests(b.Context(), owner, engine.RequestFilter{}, engine.Page{Limit: 1000})
			if err != nil || middle.Next == "" {
				b.Fatal(err)
			}
			next := engine.Page{Limit: 50, Cursor: middle.Next}
			for name, list := range map[string]func() (int, error){
				"newest": func() (int, error) {
					l, err := e.Requests.Requests(b.Context(), owner, engine.RequestFilter{}, p)
					return len(l.Items), err
				},
				"a page further": func() (int, error) {
					l, err := e.Requests.Requests(b.Context(), owner, engine.RequestFilter{}, next)
					return len(l.Items), err
				},
				"pending": func() (int, error) {
					l, err := e.Requests.Requests(b.Context(), owner,
						engine.RequestFilter{State: access.RequestPending}, p)
					return len(l.Items), err
				},
				"of a machine": func() (int, error) {
					l, err := e.Requests.Requests(b.Context(), owner, engine.RequestFilter{Machine: f.machine}, p)
					return len(l.Items), err
				},
				"of a person": func() (int, error) {
					l, err := e.Requests.Requests(b.Context(), owner, engine.RequestFilter{Requester: "user-2"}, p)
					return len(l.Items), err
				},
				"own, without a role": func() (int, error) {
					l, err := e.Requests.Requests(b.Context(), guest, engine.RequestFilter{}, p)
					return len(l.Items), err
				},
				"grants": func() (int, error) {
					l, err := e.Requests.Grants(b.Context(), owner, engine.GrantFilter{}, p)
					return len(l.Items), err
				},
				"grants in force": func() (int, error) {
					l, err := e.Requests.Grants(b.Context(), owner,
						engine.GrantFilter{States: []access.GrantState{access.GrantActive}}, p)
					return len(l.Items), err
				},
				"never used": func() (int, error) {
					l, err := e.Records.NeverUsed(b.Context(), owner, time.Unix(0, 0), p)
					return len(l.Items), err
				},
				"who had": func() (int, error) {
					l, err := e.Records.WhoHad(b.Context(), owner, "web-1", day(), p)
					return max(len(l.Items), 1), err
				},
				"not closed": func() (int, error) {
					l, err := e.Records.NotClosed(b.Context(), owner, engine.NotClosedFilter{}, p)
					return max(len(l.Items), 1), err
				},
			} {
				b.Run(name, func(b *testing.B) {
					took := make([]time.Duration, 0, b.N)
					for range b.N {
						began := time.Now()
						n, err := list()
						if err != nil || n == 0 {
							b.Fatalf("%d rows: %v", n, err)
						}
						took = append(took, time.Since(began))
					}
					slices.Sort(took)
					b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
					b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
				})
			}
		})
	}
}

// million fills the database behind its back: a million requests by two people for a thousand machines, each with a
// grant, every thousandth pending or in force.
func (f *fixture) million(b *testing.B) {
	b.Helper()
	numbers := "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000000) "
	if f.dsn[:8] == "postgres" {
		numbers = "with n(i) as (select generate_series(1, 1000000)) "
	}
	if err := f.Update(b.Context(), func(tx engine.Tx) error {
		owner := rbac.BuiltIn()[0]
		return firstOf(tx.SavePrincipal(b.Context(), person("user-2", "Ben"), 0),
			tx.SaveRoleDefinition(b.Context(), owner),
			tx.SaveRoleAssignment(b.Context(),
				rbac.Assignment{
					ID: "a-1", Tenant: tenantID, Principal: f.user, Definition: owner.ID,
					Scope: access.Root, CreatedAt: day(),
				}))
	}); err != nil {
		b.Fatal(err)
	}
	const (
		who     = "case when i % 1000 = 1 then 'user-2' else 'user-1' end"
		machine = "case when i % 1000 = 0 then 'machine-1' else 'other-' || (i % 1000) end"
	)
	db := f.raw(b)
	for _, statement := range []string{
		`insert into requests (id, tenant, requester, requester_name, address, via, items, start_at, justification, ticket, state, reason, created_at, pending_until,
decided_at, digest, revision) ` + numbers + `select 'r' || (1000000 + i), '` + string(
			tenantID) + `', ` + who + `, 'Ada', '203.0.113.9', 'cli', '[{"machine":"machine-1"}]', 0,
'because', '', case when i % 1000 = 0 then 'pending' else 'approved' end, '', i, i, 0, '', 1 from n`,
		"insert into request_machines (machine, created_at, request) " + numbers + "select " + machine +
			", i, 'r' || (1000000 + i) from n",
		`insert into grants (id, request, tenant, principal, principal_name, machine, policy, first_port, last_port, protocol, sources, start_at, end_at, state, reason,
created_at, opened_at, ended_at, closed_at, warned_at, packets, bytes, revision) ` + numbers +
			`select 'g' || (1000000 + i), 'r' || (1000000 + i), '` + string(
			tenantID) + `', ` + who + `, 'Ada',
` + machine + `, 'p', 22, 22, 'tcp', '[]', i, i, case when i % 1000 = 0 then 'active' else 'expired' end, '', i, i, case when i % 1000 = 0 then 0 else i end,
case when i % 1000 = 0 then 0 else i end, 0, case when i % 100 = 0 then 0 else 9 end, 0, 1 from n`,
	} {
		if _, err := db.ExecContext(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
	if f.dsn[:8] == "postgres" {
		if _, err := db.ExecContext(b.Context(), "analyze"); err != nil {
			b.Fatal(err)
		}
	}
}
