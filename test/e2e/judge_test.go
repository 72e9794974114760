//go:build linux

package e2e_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// settled is how long after the last packet all is read that passed.
const settled = 100 * time.Millisecond

// judge stops the shooting, says what came of it, and gives how early an opening closed at most, for certain.
func (l *lateness) judge(trips roundTrips) time.Duration {
	t, v := l.w.t, l.volley
	time.Sleep(settled)
	v.halt()
	var passed, late, untold int
	var latest, surely time.Duration
	latest = -time.Hour
	var early []time.Duration
	for _, o := range l.targets {
		end := o.end.Load()
		passed += int(o.passed.Load())
		after := slices.DeleteFunc(o.after, func(at int64) bool { return at <= end })
		if late += len(after); len(after) > 0 {
			t.Errorf("%s: a packet passed %s after the end, and so many did: %d", o.source,
				time.Duration(slices.Max(after)-end), len(after))
		}
		if o.last < 0 || o.sent[o.last] < o.was { // the agent was not told in time
			untold++
			continue
		}
		latest = max(latest, time.Duration(o.arrived.Load()-end))
		early = append(early, time.Duration(end-o.sent[o.last]))
		if o.last+1 < len(o.sent) {
			surely = max(surely, time.Duration(end-o.sent[o.last+1]))
		}
	}
	if v.dropped > 0 || v.strayed > 0 {
		t.Errorf("%d packets that passed were not read, and %d were not understood", v.dropped, v.strayed)
	}
	if len(early) == 0 {
		t.Fatal("no opening let a packet pass")
	}
	slices.Sort(early)
	t.Logf("%d openings, of %d of which the agent was not told in time; %d packets, %d passed, %d late; the last "+
		"passed %s before its end; the last of an opening passed before the end by %s p50, %s p99, %s at most "+
		"(refused at the latest %s before it); round trip %s; the sender paused for %s at most",
		len(l.targets), untold, v.shots, passed, late, -latest, early[len(early)/2], early[len(early)*99/100],
		early[len(early)-1], surely, trips, v.longest)
	return surely
}

// roundTrips is how long a small question to the server took, each.
type roundTrips []time.Duration

func (r roundTrips) most() time.Duration {
	if len(r) == 0 {
		return 0
	}
	return slices.Max(r)
}

func (r roundTrips) String() string {
	if len(r) == 0 {
		return "not measured"
	}
	slices.Sort(r)
	return fmt.Sprintf("%s p50, %s p99, %s at most", r[len(r)/2], r[len(r)*99/100], r[len(r)-1])
}

type asking struct {
	cancel context.CancelFunc
	done   chan struct{}
	took   roundTrips
}

// newRoundTrips asks the server from where the agent is, again and again.
func newRoundTrips(w *world) *asking {
	w.t.Helper()
	pool, err := poolOf(w.ca())
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a := &asking{cancel: cancel, done: make(chan struct{})}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return w.guarded.Dial(ctx, network, netip.AddrPortFrom(w.net.MachineAddrs[0], 0),
			netip.MustParseAddrPort(w.address))
	}
	transport := &http.Transport{
		DialContext: dial, TLSClientConfig: pool,
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	go func() {
		defer close(a.done)
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
		for warm := false; ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
			began := time.Now()
			answer, err := client.Get("https://" + w.address + "/readyz")
			if err != nil {
				warm = false
				continue
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			if warm { // what a new connection takes is not a round trip
				a.took = append(a.took, time.Since(began))
			}
			warm = true
		}
	}()
	return a
}

func (a *asking) stop() roundTrips {
	a.cancel()
	<-a.done
	return a.took
}
