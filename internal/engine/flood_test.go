package engine_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// An agent, or whoever has its certificate, fills the activity log no faster than a bound, and what it counted is not lost.
func TestAnAgentCannotFloodTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	use := func(i int) error {
		return w.GlassUsed(w.ctx, host.Agent.ID, office, engine.GlassUse{
			Code: engine.GlassCodeID(fmt.Sprintf("made-up-%d", i)), Ports: access.SinglePort(22), Protocol: access.TCP,
			Source: netip.MustParsePrefix("203.0.113.7/32"), Opened: w.clock.now(), Duration: time.Minute, Reason: "x",
		})
	}
	before, refused := w.size(), 0
	for i := range 150 {
		if err := use(i); err != nil {
			wantCode(t, err, access.KindLimited, "tooManyUses")
			refused++
		}
	}
	if grown := w.size() - before; grown != 20 || refused != 130 {
		t.Errorf("150 uses made %d events, %d were refused", grown, refused)
	}
	w.clock.advance(time.Hour)
	if err := use(999); err != nil {
		t.Errorf("an hour later: %v", err)
	}

	before = w.size()
	var sent uint64
	report := func(number int) {
		var denied []access.Denied
		for i := range 100 {
			source := netip.AddrFrom4([4]byte{198, 51, byte(number), byte(i)})
			denied = append(denied, access.Denied{Machine: host.Machine.ID, Source: source, Protocol: access.TCP, Port: 22, Count: 3})
			sent += 3
		}
		w.report(host.Agent.ID, access.Report{Denied: denied})
	}
	for number := range 50 {
		report(number)
	}
	if grown := w.size() - before; grown > 2100 {
		t.Errorf("5,000 denied attempts made %d events", grown)
	}
	w.clock.advance(2 * time.Hour)
	report(50)
	var counted uint64
	for _, event := range w.events()[before:] {
		var n uint64
		if event.Kind != access.AgentDeniedTraffic {
			continue
		}
		if _, err := fmt.Sscan(event.Details["count"], &n); err != nil {
			t.Fatal(err)
		}
		counted += n
	}
	if counted != sent {
		t.Errorf("%d attempts are counted, of %d", counted, sent)
	}
}
