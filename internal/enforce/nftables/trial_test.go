//go:build linux

package nftables_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
)

// tried is the state with the guarded port on trial until then. With alsoFree the other port was protected before.
func (l *lab) tried(until time.Time, alsoFree bool) access.DesiredState {
	d := state(access.SessionsCut)
	d.Machines[0].Addresses = l.net.MachineAddrs
	if l.net.Gateway != nil {
		d.Mode = access.ModeGateway
	}
	u := access.Unconfirmed{Trial: "trial-1", Machine: web, Until: until}
	if alsoFree {
		for _, protocol := range []access.Protocol{access.TCP, access.UDP} {
			u.Former = append(u.Former, access.Protected{
				Machine: web, Protocol: protocol, Ports: access.SinglePort(freePort), Sessions: access.SessionsKeep,
			})
		}
		d.Protected = append(d.Protected, u.Former...)
	}
	d.Trials = []access.Unconfirmed{u}
	return d
}

// opensBy waits until a source gets through, and gives when it first did.
func (l *lab) opensBy(port uint16) time.Time {
	l.t.Helper()
	for deadline := l.now().Add(longWait); l.now().Before(deadline); {
		if err := l.net.Client.Ask("tcp", l.net.ClientAddrs[0],
			netip.AddrPortFrom(l.net.MachineAddrs[0], port), shortWait); err == nil {
			return l.now()
		}
	}
	l.t.Fatal("the port stays closed")
	return time.Time{}
}

// TestTheKernelItselfEndsATrial closes a port for a time, and lets go of the table as a dying agent does: the port is
// as it was before once that is over, and no sooner, and what was protected before stays so.
func TestTheKernelItselfEndsATrial(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func() (*nettest.Network, error){
		"host": nettest.Pair, "gateway": func() (*nettest.Network, error) { return nettest.BehindGateway(1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nftables.Config{}, build)
			client, machine := l.net.ClientAddrs[0], l.net.MachineAddrs[0]
			l.pass("tcp", client, machine, guardedPort)
			until := l.now().Add(4 * time.Second)
			l.apply(l.tried(until, true))
			if err := l.nft.Close(); err != nil {
				t.Fatal(err)
			}
			for _, to := range l.net.MachineAddrs[:2] {
				from := l.net.ClientAddrs[0]
				if to.Is6() {
					from = l.net.ClientAddrs[1]
				}
				for _, network := range []string{"tcp", "udp"} {
					l.refuse(network, from, to, guardedPort)
					l.refuse(network, from, to, freePort)
				}
			}
			if at := l.opensBy(guardedPort); at.Before(until.Add(-time.Second)) {
				t.Errorf("the port was open %s before the trial's end", until.Sub(at))
			}
			l.refuse("tcp", client, machine, freePort)
		})
	}
}

// TestATrialIsConfirmedExtendedAndTakenBack changes a table that holds a trial, in place: one that is confirmed holds
// for good, one that is over leaves no rule behind, and no look takes its end for interference.
func TestATrialIsConfirmedExtendedAndTakenBack(t *testing.T) {
	t.Parallel()
	l := newLab(t, nftables.Config{}, nettest.Pair)
	client, machine := l.net.ClientAddrs[0], l.net.MachineAddrs[0]
	look := func(want int) {
		t.Helper()
		if _, err := l.nft.Held(t.Context(), nil, l.now()); err != nil {
			t.Error(err)
		}
		select {
		case words := <-l.nft.Drift():
			t.Errorf("the table was found changed: %s", words)
		default:
		}
		if text, err := l.command("list", "sets", "inet"); err != nil || strings.Count(text, "_trial") != want {
			t.Errorf("%d sets of trials, want %d: %v\n%s", strings.Count(text, "_trial"), want, err, text)
		}
	}
	l.apply(state(access.SessionsCut))
	look(0)
	first := l.now().Add(2 * time.Second)
	l.apply(l.tried(first, false))
	look(2)
	l.refuse("tcp", client, machine, guardedPort)
	confirmed := l.tried(first, false)
	confirmed.Trials = nil
	l.apply(confirmed)
	look(0)
	for l.now().Before(first.Add(enforce.Soonest)) {
		l.refuse("tcp", client, machine, guardedPort)
	}

	l.apply(l.tried(l.now().Add(time.Second), false))
	look(2)
	l.opensBy(guardedPort)
	look(2)
	over := l.tried(l.now(), false)
	l.apply(over.Lapsed(l.now()))
	look(0)
	l.pass("tcp", client, machine, guardedPort)
}
