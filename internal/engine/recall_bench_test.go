package engine_test

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
)

// BenchmarkDisable disables a person who holds many grants, all of them ahead but one, or all of them open. It gives
// how long the act takes, how long until the last grant has ended, and how long a change of somebody else waits
// meanwhile.
func BenchmarkDisable(b *testing.B) {
	for _, one := range []struct {
		name        string
		open, ahead int
	}{{"ahead=400", 1, 400}, {"ahead=20000", 1, 20_000}, {"open=20000", 20_000, 0}} {
		b.Run(one.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				w, machines := newWorld(b), 0
				many := engine.Quota{Open: 1 << 20, Scheduled: 1 << 20}
				w.Services = w.with(engine.Quotas{Person: many, Tenant: many})
				ann := w.user("ann", "JIT Access Requester")
				for machines*1000 < max(one.open, 1) {
					name := fmt.Sprintf("web-%d", machines)
					w.host(name)
					must(w.Machines.SetMachinePolicy(w.ctx, w.admin, name, portsPolicy(1000, 1999), nil))(b)
					w.openPorts(ann, name, 1000, min(1000, one.open), time.Hour)
					machines++
				}
				for i := range one.ahead / 400 {
					must(w.Requests.Submit(w.ctx, ann, requests.SubmitInput{
						Items: []requests.ItemInput{
							{
								Machine: "web-0",
								Port:    access.PortTarget{Ports: access.SinglePort(1000 + uint16(i))},
								Item:    access.Item{Duration: 30 * time.Minute},
							},
						},
						Justification: "because", Start: w.clock.now().Add(time.Duration(1+i) * 24 * time.Hour),
						Repeat: "FREQ=HOURLY;COUNT=400",
					}))(b)
				}
				w.reconcile()
				done, worst := w.meanwhile()
				b.StartTimer()
				before := time.Now()
				w.disable("ann", true)
				act := time.Since(before)
				w.reconcile()
				all := time.Since(before)
				b.StopTimer()
				done()
				b.ReportMetric(act.Seconds()*1000, "ms/act")
				b.ReportMetric(all.Seconds()*1000, "ms/all-ended")
				b.ReportMetric((<-worst).Seconds()*1000, "ms/longest-wait")
				b.StartTimer()
			}
		})
	}
}

// meanwhile has the administrator change something again and again until done is called, and then gives the longest
// that a change took.
func (w *world) meanwhile() (done func(), worst <-chan time.Duration) {
	var over atomic.Bool
	out := make(chan time.Duration, 1)
	go func() {
		var most time.Duration
		for i := 0; !over.Load(); i++ {
			before := time.Now()
			prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
			if _, err := w.Machines.SetNetwork(w.ctx, w.admin, "office", []netip.Prefix{prefix}, nil); err != nil {
				w.tb.Error(err)
			}
			most = max(most, time.Since(before))
		}
		out <- most
	}()
	return func() { over.Store(true) }, out
}
