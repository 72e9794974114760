//go:build linux

package nftables

import (
	"errors"
	"log/slog"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
	"github.com/postern-dev/postern/internal/nettest"
)

// gateway is the desired state of a gateway to one machine that has an IPv4 address alone, with openings of its port
// 22.
func gateway(machine netip.Addr, until time.Time, sources ...string) access.DesiredState {
	d := access.DesiredState{
		Mode:     access.ModeGateway,
		Machines: []access.Guarded{{Machine: "m", Name: "web-1", Addresses: []netip.Addr{machine}}},
		Protected: []access.Protected{{
			Machine: "m", Protocol: access.TCP, Ports: access.SinglePort(22),
			Sessions: access.SessionsCut,
		}},
	}
	for _, source := range sources {
		key := access.OpeningKey{
			Machine: "m", Source: netip.MustParsePrefix(source), Protocol: access.TCP,
			Ports: access.SinglePort(22),
		}
		d.Openings = append(d.Openings, access.Opening{OpeningKey: key, Until: until, Grants: []access.GrantID{"g"}})
	}
	return d
}

// alone is an enforcer in a network namespace of its own that hears of nobody's changes.
func alone(t *testing.T) (*Enforcer, *nettest.Network) {
	t.Helper()
	network, err := nettest.BehindGateway(1)
	if err != nil {
		t.Skipf("no network namespaces here: %v", err)
	}
	t.Cleanup(func() { _ = network.Close() })
	e := quiet(Config{NetNS: network.Gateway.FD(), Log: slog.New(slog.DiscardHandler), Plain: true})
	t.Cleanup(func() { _ = e.Close() })
	return e, network
}

// TestLookingAtARefusedOpeningForgetsNothing looks at an opening that the gateway cannot hold, and at none: what the
// kernel holds of the others is known as before, so that the next change neither writes all of it again nor leaves an
// end where it was.
func TestLookingAtARefusedOpeningForgetsNothing(t *testing.T) {
	t.Parallel()
	e, _ := alone(t)
	now := time.Now()
	d := gateway(netip.MustParseAddr("192.0.2.10"), now.Add(time.Hour), "203.0.113.7/32", "203.0.113.8/32",
		"2001:db8::7/128")
	refused := d.Openings[2].OpeningKey
	partial, ok := errors.AsType[*enforce.PartialError](e.Apply(t.Context(), &d, now))
	if !ok || partial.Keys[refused] == "" {
		t.Fatalf("refused were %+v, want %v", partial, refused)
	}
	for _, keys := range [][]access.OpeningKey{{refused}, {}} {
		if held, err := e.Held(t.Context(), keys, now); err != nil || len(held) > 0 {
			t.Fatalf("of %v the kernel holds %+v, %v", keys, held, err)
		}
		if b := e.known.book; len(b.entries) != 2 || len(b.suspect) > 0 {
			t.Errorf("after a look at %v, %d elements are known and %d are suspects", keys, len(b.entries),
				len(b.suspect))
		}
		for at, entry := range e.known.book.entries {
			if entry.held.IsZero() {
				t.Errorf("after a look at %v nothing is known of %v", keys, at)
			}
		}
	}
}

// TestMissedChangesAreLookedFor has somebody change our table unheard, and then changes it ourselves: the next full
// look finds it all the same.
func TestMissedChangesAreLookedFor(t *testing.T) {
	t.Parallel()
	e, network := alone(t)
	now := time.Now()
	machine := netip.MustParseAddr("192.0.2.10")
	apply := func(sources ...string) {
		t.Helper()
		d := gateway(machine, now.Add(time.Hour), sources...)
		if err := e.Apply(t.Context(), &d, now); err != nil {
			t.Fatal(err)
		}
	}
	apply("203.0.113.7/32")
	path, err := exec.LookPath("nft")
	if err != nil {
		t.Skip("no nft to interfere with")
	}
	command := exec.CommandContext(t.Context(), path, "insert", "rule", "inet", "postern", "forward", "accept")
	if err := network.Gateway.Start(command); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}
	e.missed.Store(true)
	apply("203.0.113.7/32", "203.0.113.8/32")
	if _, err := e.Held(t.Context(), nil, now); err != nil {
		t.Fatal(err)
	}
	select {
	case words := <-e.drift:
		if !strings.Contains(words, "forward") {
			t.Errorf("found was %q", words)
		}
	default:
		t.Error("what somebody changed is not found")
	}
}
