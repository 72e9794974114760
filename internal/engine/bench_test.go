package engine_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
)

// BenchmarkSubmit is whole requests, durable, with their events, from 64 callers at once.
func BenchmarkSubmit(b *testing.B) {
	w := newWorld(b)
	const callers, machines = 64, 256
	policy := access.MachinePolicy{Ports: []access.PortRule{
		{Ports: access.PortRange{First: 1000, Last: 2000}, Protocol: access.TCP, Max: time.Hour},
	}}
	for i := range machines {
		name := fmt.Sprintf("web-%d", i)
		w.host(name)
		must(w.Machines.SetMachinePolicy(w.ctx, w.admin, name, policy, nil))(b)
	}
	people := make([]engine.Caller, callers)
	for i := range people {
		people[i] = w.user(fmt.Sprintf("user-%d", i), "JIT Access Requester")
	}
	work := make(chan int)
	var wait sync.WaitGroup
	b.ResetTimer()
	for i := range callers {
		wait.Go(func() {
			for n := range work {
				in := requests.SubmitInput{
					Items: []requests.ItemInput{
						{
							Machine: fmt.Sprintf("web-%d", n%machines),
							Port:    access.PortTarget{Ports: access.SinglePort(uint16(1000 + n%1000))},
							Item:    access.Item{Duration: time.Minute},
						},
					},
				}
				if _, err := w.Requests.Submit(w.ctx, people[i], in); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for n := range b.N {
		work <- n
	}
	close(work)
	wait.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// BenchmarkDesired is the desired state of a gateway with 1,000 open grants.
func BenchmarkDesired(b *testing.B) {
	w := newWorld(b)
	host := w.host("web-1")
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", portsPolicy(1000, 1999), nil))(b)
	w.openPorts(w.admin, "web-1", 1000, 1000, time.Hour)
	for b.Loop() {
		must(w.Machines.Desired(w.ctx, host.Agent.ID))(b)
	}
}
