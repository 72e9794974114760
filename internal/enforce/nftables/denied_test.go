//go:build linux

package nftables_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
)

func (l *lab) clientPort(i int) netip.AddrPort { return netip.AddrPortFrom(l.net.ClientAddrs[i], 0) }

func TestRefusedAttemptsAreSeen(t *testing.T) {
	t.Parallel()
	l := newLab(t, nftables.Config{}, nettest.Pair)
	l.apply(state(access.SessionsCut))
	var seen []access.Denied
	for _, network := range []string{"tcp", "udp"} {
		for i := range 2 {
			from, to := l.net.ClientAddrs[i], l.net.MachineAddrs[i]
			l.refuse(network, from, to, guardedPort)
			want := access.Denied{
				Machine: web, Source: from, Protocol: access.Protocol(network), Port: guardedPort,
				Count: 1,
			}
			l.awaitDenied(want, seen)
			seen = append(seen, want)
		}
	}
}

// awaitDenied waits until want is told. What was seen before may be told again, since a client tries more than once.
func (l *lab) awaitDenied(want access.Denied, before []access.Denied) {
	l.t.Helper()
	limit := time.After(longWait)
	for {
		select {
		case got := <-l.nft.Denied():
			if got == want {
				return
			}
			if !slices.Contains(before, got) {
				l.t.Errorf("refused %+v, want %+v", got, want)
			}
		case <-limit:
			l.t.Errorf("%+v was not seen", want)
			return
		}
	}
}

func TestAGatewayGuardsAThousandMachines(t *testing.T) {
	t.Parallel()
	const machines = 500 // with two addresses each: a thousand grants
	l := newLab(t, nftables.Config{}, func() (*nettest.Network, error) { return nettest.BehindGateway(machines) })
	d := access.DesiredState{Mode: access.ModeGateway}
	end := l.now().Add(time.Hour)
	name := func(i int) access.MachineID { return access.MachineID(l.net.MachineAddrs[2*i].String()) }
	for i := range machines {
		d.Machines = append(d.Machines, access.Guarded{Machine: name(i), Addresses: l.net.MachineAddrs[2*i : 2*i+2]})
		d.Protected = append(d.Protected,
			access.Protected{Machine: name(i), Protocol: access.TCP, Ports: access.SinglePort(guardedPort)})
		for _, source := range []string{"10.77.0.1/32", "fd77::/64"} {
			d.Openings = append(d.Openings, access.Opening{
				Until: end, Grants: []access.GrantID{access.GrantID(source) + access.GrantID(name(i))},
				OpeningKey: access.OpeningKey{
					Machine: name(i), Source: netip.MustParsePrefix(source),
					Protocol: access.TCP, Ports: access.SinglePort(guardedPort),
				},
			})
		}
	}
	closed := d
	closed.Openings = nil
	l.apply(closed)
	l.refuse("tcp", l.net.ClientAddrs[0], l.net.MachineAddrs[0], guardedPort)
	want := access.Denied{
		Machine: name(0), Source: l.net.ClientAddrs[0], Protocol: access.TCP, Port: guardedPort,
		Count: 1,
	}
	l.awaitDenied(want, nil)

	l.apply(d)
	if got := l.held(nil); len(got) != 2*machines {
		t.Errorf("%d openings are held", len(got))
	}
	last := len(l.net.MachineAddrs) - 2
	for _, i := range []int{0, last} {
		l.pass("tcp", l.net.ClientAddrs[0], l.net.MachineAddrs[i], guardedPort)
		l.refuse("tcp", l.net.ClientAddrs[2], l.net.MachineAddrs[i], guardedPort)
		l.pass("tcp", l.net.ClientAddrs[3], l.net.MachineAddrs[i+1], guardedPort)
		l.pass("tcp", l.net.ClientAddrs[2], l.net.MachineAddrs[i], freePort)
	}

	t.Log("one machine's opening ends, and its session is cut at both ends; the others stay")
	session := l.connect(l.clientPort(0), l.net.MachineAddrs[0])
	one := d
	one.Openings = d.Openings[1:]
	l.apply(one)
	waitReset(t, "the client", session, true)
	l.refuse("tcp", l.net.ClientAddrs[0], l.net.MachineAddrs[0], guardedPort)
	l.pass("tcp", l.net.ClientAddrs[0], l.net.MachineAddrs[last], guardedPort)

	t.Log("a machine without an address cannot be opened")
	strange := d.Openings[0]
	strange.Machine = "nowhere"
	one.Openings = []access.Opening{strange}
	if err := l.nft.Apply(t.Context(), &one, l.now()); err == nil {
		t.Error("an opening on an unknown machine is said to be held")
	}
}
