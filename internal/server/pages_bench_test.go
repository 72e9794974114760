//go:build linux

package server_test

import (
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

const (
	pageMachines = 10_000
	pageRequests = 1_000_000
)

// BenchmarkPages asks over HTTPS for what each page of the portal asks for, of a server that keeps 10,000 machines and
// a million requests with their grants, a hundred of which are open and a hundred pending. It gives the time of a call
// until its last byte.
func BenchmarkPages(b *testing.B) {
	r := start(b)
	admin := r.admin()
	r.enroll(admin, "web-1")
	r.keepMuch(b, admin)
	transport, ok := r.plain().Transport.(*http.Transport)
	if !ok {
		b.Fatal("no transport")
	}
	transport.ForceAttemptHTTP2 = true // as browsers do
	client := &http.Client{Transport: transport}
	get := func(path, body string) time.Duration {
		method := http.MethodGet
		if body != "" {
			method = http.MethodPost
		}
		request, err := http.NewRequestWithContext(b.Context(), method, r.url()+path, strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+admin.Token())
		request.Header.Set("Content-Type", "application/json")
		began := time.Now()
		response, err := client.Do(request)
		if err != nil {
			b.Fatal(err)
		}
		answer, err := io.ReadAll(response.Body)
		took := time.Since(began)
		if err != nil || response.StatusCode != http.StatusOK {
			b.Fatalf("%s: %s %s %v", path, response.Status, answer, err)
		}
		closed(b, response.Body)
		return took
	}
	const a = "/api/v1/"
	for name, paths := range map[string][]string{
		"overview": {
			a + "me", a + "requests?needsMe=true&limit=100", a + "grants?state=opening,active&limit=200",
			a + "requests?needsMe=true&limit=5",
			a + "alerts?state=open&limit=4", a + "machines?state=trouble&limit=5", a + "insight/machines",
			a + "grants?limit=1",
		},
		"machines": {
			a + "machines?standing=configured&activity=true&limit=50", a + "insight/machines",
			a + "machines?standing=notConfigured&activity=true&limit=50",
			a + "machines?standing=configured&activity=true&limit=50&search=-77", a + "insight/machines?search=-77",
			a + "machines?standing=configured&activity=true&limit=50&labels=env%3Dprod",
			a + "machines?standing=configured&activity=true&limit=50&state=open",
		},
		"machine": {a + "machines/m-500", a + "machines/m-500/policy", a + "grants?machine=m-500&limit=20"},
		"connect": {
			a + "grants?machine=m-500&principal=me&state=opening,active,scheduled&limit=50",
			a + "requests?machine=m-500&requester=me&state=pending&limit=20", a + "networks",
		},
		"access": {
			a + "grants?principal=me&state=opening,active,scheduled&limit=200",
			a + "requests?requester=me&state=pending&limit=50",
			a + "grants?principal=me&state=expired,revoked,superseded,failed&limit=20",
		},
		"approvals": {
			a + "requests?limit=50", a + "requests?state=pending&limit=50",
			a + "requests?needsMe=true&limit=50",
		},
		"activity":  {a + "events?limit=50"},
		"explain":   {a + "policies/explain"},
		"the files": {"/sign-in"},
	} {
		for _, path := range paths {
			b.Run(name+path, func(b *testing.B) {
				body := ""
				if strings.HasSuffix(path, "explain") {
					body = `{"machine":"m-500","ports":"22","sources":["192.0.2.7"],"forSeconds":3600}`
				}
				get(path, body)
				took := make([]time.Duration, 0, b.N)
				before := processorTime(b)
				for range b.N {
					took = append(took, get(path, body))
				}
				spent := processorTime(b) - before
				slices.Sort(took)
				b.ReportMetric(float64(spent.Microseconds())/1000/float64(b.N), "cpu-ms")
				b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
			})
		}
	}
}

// processorTime gives what this process has used of the processors.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// keepMuch fills the server's database behind its back.
func (r *running) keepMuch(b *testing.B, admin *api.Client) {
	b.Helper()
	web, err := admin.Machine(b.Context(), "web-1")
	if err != nil {
		b.Fatal(err)
	}
	if _, err = admin.SetMachinePolicy(b.Context(), "web-1",
		api.MachinePolicy{Ports: []api.PortRule{{Ports: "22", Protocol: "tcp", MaxSeconds: 10800}}}, 0); err != nil {
		b.Fatal(err)
	}
	me, err := admin.Me(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(r.config.Data, "postern.db")+"?_pragma=busy_timeout(60000)")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // the test ends with it
	now := time.Now().UnixMicro()
	const numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < %d) "
	machines, requests := fmt.Sprintf(numbers, pageMachines), fmt.Sprintf(numbers, pageRequests)
	base := strings.TrimSuffix(strings.ToLower(web.Resource), "web-1")
	tenant, principal := me.Principal.Tenant, me.Principal.ID
	at := fmt.Sprintf("%d - (%d - i) * 2000000", now, pageRequests) // one each two seconds, the newest now: 23 days
	const machine = "'id-' || (i % 10000 + 1)"
	// a thousand people; the caller is one
	principal = "case when i % 1000 = 0 or i > 999900 then '" + principal + "' else 'p-' || (i % 1000) end"
	for _, statement := range []string{
		fmt.Sprintf("insert into principals (id, tenant, kind, name, name_key, display_name, email, disabled, "+
			"created_at, revision) %s select 'p-' || i, '%s', 'user', 'p-' || i, 'p-' || i, '', '', 0, %d, 1 from n",
			fmt.Sprintf(numbers, 999), tenant, now),
		// A tenth of the machines is not configured, and a hundredth has no agent.
		fmt.Sprintf(`insert into machines (id, resource, resource_key, tenant, name, name_key, location, os, labels, addresses, agent, created_at, last_access, revision) %s
select 'id-' || i, '%sm-' || i, '%sm-' || i, '%s', 'm-' || i, 'm-' || i, 'local', 'linux', case when i %% 3 = 0 then '{"env":"prod"}' else '{}' end, '["192.0.2.7"]',
case when i %% 100 = 0 then null else '%s' end, %d, %d, 1 from n`, machines, base, base, tenant, web.Agent.ID, now,
			now),
		fmt.Sprintf(`insert into policy_machines (machine, policy, position, body) %s select 'id-' || i, p.policy, i, replace(p.body, '%s', 'id-' || i) from n, (select policy, body from policy_machines limit 1) p
where i %% 10 <> 1`, machines, web.ID),
		fmt.Sprintf(`insert into requests (id, tenant, requester, requester_name, address, via, items, start_at, justification, ticket, state, reason, created_at, pending_until, decided_at, digest, revision) %s
select printf('r%%07d', i), '%s', %s, 'admin', '203.0.113.9', 'cli', replace(t.items, '%s', %s), 0, 'because', '', case when i > %d then 'pending' else 'approved' end, '', %s, %s + 86400000000, 0, 'd', 1
from n, (select items from requests limit 1) t`, requests, tenant, principal, web.ID, machine, pageRequests-100, at,
			at),
		fmt.Sprintf(`insert into request_machines (machine, created_at, request) %s select %s, %s, printf('r%%07d', i) from n`,
			requests, machine, at),
		fmt.Sprintf(`insert into grants (id, request, tenant, principal, principal_name, machine, policy, first_port, last_port, protocol, sources, start_at, end_at, state, reason,
created_at, opened_at, ended_at, closed_at, warned_at, packets, bytes, revision) %s select printf('g%%07d', i), printf('r%%07d', i), '%s', %s, 'admin', %s, 'p', 22, 22, 'tcp', '["192.0.2.7/32"]', %s,
case when i > %d then %d else %s end, case when i > %d then 'active' else 'expired' end, '', %s, %s, case when i > %d then 0 else %s end, case when i > %d then 0 else %s end, 0, 9, 9, 1 from n where i <= %d`,
			requests, tenant, principal, machine, at, pageRequests-200, now+int64(10*time.Hour/time.Microsecond), at,
			pageRequests-200, at, at, pageRequests-200, at, pageRequests-200, at, pageRequests-100),
	} {
		if strings.Contains(statement, "from requests limit 1") {
			if _, err := admin.Submit(b.Context(),
				api.NewRequest{
					ForSeconds: 600,
					Items:      []api.NewItem{{Machine: "web-1", Ports: "22", Sources: []string{"192.0.2.7"}}},
				},
				""); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := db.ExecContext(b.Context(), statement); err != nil {
			b.Fatalf("%v\n%s", err, statement)
		}
	}
}
