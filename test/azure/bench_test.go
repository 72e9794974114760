package azure_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

// fleet adds n machines behind a gateway, each guarded by a policy of its own, as Azure's remediation scripts write
// them.
func (c *cloud) fleet(x *caller, n int) []string {
	c.t.Helper()
	token, err := c.admin.CreateEnrollmentToken(c.t.Context(), api.NewEnrollmentToken{Name: "gate", Mode: "gateway"})
	c.must(err)
	c.enrollAgent(token.Token, c.t.TempDir())
	ids := make([]string, n)
	work := make(chan int)
	var done sync.WaitGroup
	for range 16 {
		done.Go(func() {
			for i := range work {
				name := fmt.Sprintf("m%05d", i)
				m, err := c.admin.AddMachine(c.t.Context(),
					api.NewMachine{
						Name: name, Gateway: "gate",
						Addresses: []string{fmt.Sprintf("10.%d.%d.%d", 100+i>>16, i>>8&255, i&255)}, OS: "linux",
					})
				if err != nil {
					c.t.Error(err)
					continue
				}
				ids[i] = m.Resource
				body := map[string]any{"properties": map[string]any{
					"virtualMachines": []any{map[string]any{"id": m.Resource, "ports": []any{
						map[string]any{
							"number": 22, "protocol": "TCP", "allowedSourceAddressPrefix": "*",
							"maxRequestAccessDuration": "PT3H",
						},
					}}},
				}}
				if status, answer := x.call(http.MethodPut, c.policyOf(name)+v, body); status != http.StatusOK {
					c.t.Errorf("put gave %d %v", status, answer)
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	done.Wait()
	return ids
}

func (c *cloud) policyOf(name string) string {
	return "/subscriptions/" + c.subscription + "/resourceGroups/default/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/" + name
}

func initiateOf(machine string) map[string]any {
	return map[string]any{
		"justification": "bench",
		"virtualMachines": []any{map[string]any{"id": machine, "ports": []any{map[string]any{
			"number":                     22,
			"allowedSourceAddressPrefix": "10.77.0.1",
			"endTimeUtc":                 time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		}}}},
	}
}

// median gives the middle one of times, and of all of them the one below which 99 of 100 lie.
func median(times []time.Duration) (p50, p99 time.Duration) {
	times = slices.Sorted(slices.Values(times))
	return times[len(times)/2], times[len(times)*99/100]
}

// worked gives the processor time that server and clients have taken so far: both are this process.
func worked(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkInitiate measures what the Azure-compatible API adds to a request on the native one, call by call in turn,
// and how many a second come to be durable.
func BenchmarkInitiate(b *testing.B) {
	c := newCloud(b)
	x := c.deploy()
	const machines, calls = 2000, 500
	ids := c.fleet(x, machines)
	var arm, native []time.Duration
	for i := range calls {
		began := time.Now()
		if status, answer := x.call(http.MethodPost, c.policyOf(fmt.Sprintf("m%05d", i))+"/initiate"+v,
			initiateOf(ids[i])); status != http.StatusAccepted {
			b.Fatalf("initiate gave %d %v", status, answer)
		}
		arm = append(arm, time.Since(began))
		began = time.Now()
		_, err := c.admin.Submit(b.Context(),
			api.NewRequest{
				ForSeconds: 3600, Justification: "bench",
				Items: []api.NewItem{{Machine: ids[calls+i], Ports: "22", Sources: []string{"10.77.0.1"}}},
			},
			"")
		c.must(err)
		native = append(native, time.Since(began))
	}
	var next atomic.Int64
	b.SetParallelism(32)
	before := worked(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(next.Add(1)) % machines
			if status, answer := x.call(http.MethodPost, c.policyOf(fmt.Sprintf("m%05d", i))+"/initiate"+v,
				initiateOf(ids[i])); status != http.StatusAccepted {
				b.Errorf("initiate gave %d %v", status, answer)
				return
			}
		}
	})
	b.ReportMetric(float64((worked(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
	for name, times := range map[string][]time.Duration{"arm": arm, "native": native} {
		p50, p99 := median(times)
		b.ReportMetric(float64(p50.Microseconds())/1000, name+"-p50-ms")
		b.ReportMetric(float64(p99.Microseconds())/1000, name+"-p99-ms")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "initiates/s")
}

// BenchmarkListPolicies measures a list of 10,000 policies, page by page.
func BenchmarkListPolicies(b *testing.B) {
	c := newCloud(b)
	x := c.deploy()
	const policies = 10_000
	c.fleet(x, policies)
	b.ResetTimer()
	for b.Loop() {
		pages, found := 0, 0
		path := "/subscriptions/" + c.subscription + "/providers/Microsoft.Security/jitNetworkAccessPolicies" + v
		for path != "" {
			status, answer := x.call(http.MethodGet, path, nil)
			if status != http.StatusOK {
				b.Fatalf("list gave %d %v", status, answer)
			}
			pages++
			found += len(at(b, answer, "value").([]any))
			next, _ := answer["nextLink"].(string)
			path = next[min(len(c.url), len(next)):]
		}
		if found != policies {
			b.Fatalf("%d pages have %d policies", pages, found)
		}
		b.ReportMetric(float64(pages), "pages")
	}
}
