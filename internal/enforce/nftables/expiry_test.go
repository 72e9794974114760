//go:build linux

package nftables_test

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
)

// flooded is what became of a flood.
type flooded struct {
	answered int
	last     time.Time // when the last datagram was about to be sent that was answered
	refused  time.Time // when the first after it had been sent, which was not
}

// flood sends a datagram every half millisecond until stop, or as often as a busy machine lets it.
func (l *lab) flood(from, to netip.Addr, stop time.Time) (f flooded) {
	l.t.Helper()
	c, err := l.net.Client.Dial(l.t.Context(), "udp", netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, guardedPort))
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	type span struct{ before, after time.Time }
	sent := make([]span, 0, 10_000)
	got := make(chan int, 100_000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 16)
		for {
			n, err := c.Read(b)
			if errors.Is(err, syscall.ECONNREFUSED) {
				continue
			}
			if err != nil {
				return
			}
			if n == 4 {
				got <- int(b[0]) | int(b[1])<<8 | int(b[2])<<16
			}
		}
	}()
	for l.now().Before(stop) {
		i := len(sent)
		before := l.now()
		if _, err := c.Write([]byte{
			byte(i), byte(i >> 8), byte(i >> 16),
			0,
		}); err != nil && !errors.Is(err, syscall.EPERM) {
			l.t.Log(err)
		}
		sent = append(sent, span{before, l.now()})
		time.Sleep(500 * time.Microsecond)
	}
	time.Sleep(200 * time.Millisecond)
	_ = c.Close()
	<-done
	close(got)
	latest := -1
	for i := range got {
		f.answered++
		latest = max(latest, i)
	}
	if latest >= 0 {
		f.last = sent[latest].before
	}
	if latest+1 < len(sent) {
		f.refused = sent[latest+1].after
	}
	return f
}

// ends checks that what a flood met closed at its end: not later, and not much sooner.
func (l *lab) ends(f flooded, until time.Time) {
	l.t.Helper()
	switch {
	case f.answered == 0:
		l.t.Error("nothing passed while it was open")
	case f.last.After(until):
		l.t.Errorf("a packet passed %s after the end", f.last.Sub(until))
	case f.refused.Before(until.Add(-300 * time.Millisecond)):
		l.t.Errorf("a packet was refused %s before the end", until.Sub(f.refused))
	}
}

func TestNoPacketPassesAfterTheEndThoughNobodyLives(t *testing.T) {
	t.Parallel()
	for name, i := range map[string]int{"ipv4": 0, "ipv6": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nftables.Config{}, nettest.Pair)
			from, to := l.net.ClientAddrs[i], l.net.MachineAddrs[i]
			until := l.now().Add(3 * time.Second)
			l.settle(state(access.SessionsCut, open(netip.PrefixFrom(from, from.BitLen()).String(), access.UDP, until)))
			if err := l.nft.Close(); err != nil {
				t.Fatal(err)
			}
			l.ends(l.flood(from, to, until.Add(500*time.Millisecond)), until)
		})
	}
}

func TestDeadlinesMove(t *testing.T) {
	t.Parallel()
	l := newLab(t, nftables.Config{}, nettest.Pair)
	from, to := l.net.ClientAddrs[0], l.net.MachineAddrs[0]
	prefix := "10.77.0.1/32"
	for _, tc := range []struct {
		name          string
		first, second time.Duration
	}{
		{"extended", 4 * time.Second, 5 * time.Second},
		{"shortened", time.Hour, 4 * time.Second},
		{"by a little", 4 * time.Second, 4070 * time.Millisecond},
	} {
		start := l.now()
		l.apply(state(access.SessionsCut, open(prefix, access.UDP, start.Add(tc.first), "first")))
		l.pass("udp", from, to, guardedPort)
		until := start.Add(tc.second)
		l.settle(state(access.SessionsCut, open(prefix, access.UDP, until, "second")))
		held := l.held(nil)
		if len(held) != 1 || held[0].Until.After(until) || until.Sub(held[0].Until) > 500*time.Millisecond {
			t.Fatalf("%s: held %+v, want an end at %s", tc.name, held, until)
		}
		if held[0].Packets == 0 {
			t.Errorf("%s: what was counted before is forgotten", tc.name)
		}
		t.Log(tc.name)
		l.ends(l.flood(from, to, until.Add(300*time.Millisecond)), until)
		l.apply(state(access.SessionsCut))
	}
}

// settle makes the kernel hold a state as the loop does: it looks at what was written, and writes again what a busy
// machine wrote too late.
func (l *lab) settle(d access.DesiredState) {
	l.t.Helper()
	l.apply(d)
	l.held(nil)
	l.apply(d)
}

func (l *lab) held(keys []access.OpeningKey) []enforce.Held {
	l.t.Helper()
	held, err := l.nft.Held(l.t.Context(), keys, l.now())
	if err != nil {
		l.t.Fatal(err)
	}
	return held
}

func TestNestedPrefixesAndRangesAreAUnion(t *testing.T) {
	t.Parallel()
	l := newLab(t, nftables.Config{}, nettest.Pair)
	from, other, to := l.net.ClientAddrs[0], l.net.ClientAddrs[2], l.net.MachineAddrs[0]
	end := l.now().Add(time.Hour)
	one := open("10.77.0.1/32", access.TCP, end, "one")
	network := open("10.77.0.0/24", access.TCP, end, "network")
	world := open("0.0.0.0/0", access.TCP, end, "world")
	ranged := open("10.77.0.1/32", access.TCP, end.Add(time.Hour), "range")
	ranged.Ports = access.PortRange{First: guardedPort - 2, Last: guardedPort + 2}

	l.settle(state(access.SessionsCut, one, network, world, ranged))
	l.pass("tcp", from, to, guardedPort)
	l.pass("tcp", other, to, guardedPort)
	if got := l.held(nil); len(got) != 4 {
		t.Errorf("held %+v, want four", got)
	}

	l.settle(state(access.SessionsCut, one, ranged))
	l.refuse("tcp", other, to, guardedPort)
	l.pass("tcp", from, to, guardedPort)

	t.Log("the single port ends; the range that contains it stays")
	l.settle(state(access.SessionsCut, ranged))
	l.pass("tcp", from, to, guardedPort)
	if got := l.held([]access.OpeningKey{one.OpeningKey}); len(got) != 0 {
		t.Errorf("the ended one is said to be held: %+v", got)
	}
	if got := l.held([]access.OpeningKey{ranged.OpeningKey}); len(got) != 1 {
		t.Errorf("the range is held %d times", len(got))
	}

	t.Log("the range ends; the single port stays, with its own end")
	l.settle(state(access.SessionsCut, one))
	l.pass("tcp", from, to, guardedPort)
	if got := l.held(nil); len(got) != 1 || got[0].Until.After(end) {
		t.Errorf("held %+v, want only the single port until %s", got, end)
	}

	l.settle(state(access.SessionsCut, network))
	l.pass("tcp", other, to, guardedPort)
	l.settle(state(access.SessionsCut))
	l.refuse("tcp", from, to, guardedPort)
	if got := l.held(nil); len(got) != 0 {
		t.Errorf("held %+v, want nothing", got)
	}
}

func TestWhatCannotBeHeldIsNamed(t *testing.T) {
	t.Parallel()
	l := newLab(t, nftables.Config{}, nettest.Pair)
	end := l.now().Add(time.Hour)
	good, wide, odd := open("10.77.0.1/32", access.TCP,
		end), open("10.77.0.1/32", access.TCP, end), open("10.77.0.1/32", "icmp", end)
	wide.Ports = access.PortRange{First: 1, Last: 65535}
	d := state(access.SessionsCut, good, wide, odd)
	err := l.nft.Apply(t.Context(), &d, l.now())
	partial, ok := errors.AsType[*enforce.PartialError](err)
	if !ok || len(partial.Keys) != 2 || partial.Keys[wide.OpeningKey] == "" || partial.Keys[odd.OpeningKey] == "" {
		t.Fatalf("error %v, want two openings named", err)
	}
	l.pass("tcp", l.net.ClientAddrs[0], l.net.MachineAddrs[0], guardedPort)

	t.Log("ended openings are left out, never made permanent")
	for _, left := range []time.Duration{0, -time.Hour, time.Nanosecond, 10 * time.Millisecond} {
		l.apply(state(access.SessionsCut, open("10.77.0.1/32", access.TCP, l.now().Add(left))))
		time.Sleep(50 * time.Millisecond)
		if got := l.held(nil); len(got) != 0 {
			t.Errorf("%s left: held %+v", left, got)
		}
	}
}
