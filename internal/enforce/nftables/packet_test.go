//go:build linux

package nftables

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
)

func packet4(change func([]byte)) []byte {
	b := []byte{
		0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2, 0xc0, 0x01, 0, 22, 0, 0, 0,
		0,
	}
	if change != nil {
		change(b)
	}
	return b
}

func packet6(next byte, rest ...byte) []byte {
	b := make([]byte, 40)
	b[0], b[6] = 0x60, next
	from, to := netip.MustParseAddr("2001:db8::1").As16(), netip.MustParseAddr("2001:db8::2").As16()
	copy(b[8:], from[:])
	copy(b[24:], to[:])
	return slices.Concat(b, rest)
}

func TestParsePacket(t *testing.T) {
	t.Parallel()
	want4 := packet{
		source: netip.MustParseAddr("192.0.2.1"), destination: netip.MustParseAddr("198.51.100.2"),
		protocol: access.TCP, port: 22,
	}
	want6 := packet{
		source: netip.MustParseAddr("2001:db8::1"), destination: netip.MustParseAddr("2001:db8::2"),
		protocol: access.UDP, port: 53,
	}
	udp := []byte{0xc0, 1, 0, 53, 0, 8, 0, 0}
	for name, tc := range map[string]struct {
		raw  []byte
		want packet
		ok   bool
	}{
		"tcp over ipv4":        {packet4(nil), want4, true},
		"cut behind the ports": {packet4(nil)[:24], want4, true},
		"options": {
			append(append([]byte{0x46}, packet4(nil)[1:20]...),
				append([]byte{1, 1, 1, 1}, packet4(nil)[20:]...)...),
			want4, true,
		},
		"udp over ipv6":            {packet6(17, udp...), want6, true},
		"hop-by-hop options":       {packet6(0, append([]byte{17, 0, 0, 0, 0, 0, 0, 0}, udp...)...), want6, true},
		"first fragment":           {packet6(44, append([]byte{17, 0, 0, 1, 0, 0, 0, 0}, udp...)...), want6, true},
		"later fragment":           {raw: packet6(44, append([]byte{17, 0, 0, 9, 0, 0, 0, 0}, udp...)...)},
		"later fragment over ipv4": {raw: packet4(func(b []byte) { b[7] = 9 })},
		"icmp":                     {raw: packet4(func(b []byte) { b[9] = 1 })},
		"header longer than all":   {raw: packet4(func(b []byte) { b[0] = 0x4f })},
		"header too short":         {raw: packet4(func(b []byte) { b[0] = 0x44 })},
		"extension beyond the end": {raw: packet6(0, 17, 200, 0, 0, 0, 0, 0, 0)},
		"version 5":                {raw: packet4(func(b []byte) { b[0] = 0x55 })},
		"nothing":                  {},
		"too short":                {raw: packet4(nil)[:22]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := parsePacket(tc.raw)
			if ok != tc.ok {
				t.Fatalf("ok %v, want %v", ok, tc.ok)
			}
			if ok && got != tc.want {
				t.Error(cmp.Diff(tc.want, got, cmp.AllowUnexported(packet{}),
					cmp.Comparer(func(a, b netip.Addr) bool { return a == b })))
			}
		})
	}
}

func FuzzParsePacket(f *testing.F) {
	f.Add(packet4(nil))
	f.Add(packet6(17, 1, 2, 3, 4))
	f.Add(packet6(0, 44, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, ok := parsePacket(raw)
		if !ok {
			return
		}
		if !p.source.IsValid() || !p.destination.IsValid() || p.source.Is4() != p.destination.Is4() {
			t.Errorf("addresses %v and %v", p.source, p.destination)
		}
		if p.protocol != access.TCP && p.protocol != access.UDP {
			t.Errorf("protocol %q", p.protocol)
		}
	})
}

func FuzzParseMembers(f *testing.F) {
	added, err := addTimed("t", "s", []member{{key: "12345678", left: leastLeft, comment: "g"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(added[0].Data)
	f.Fuzz(func(_ *testing.T, raw []byte) {
		_, _ = parseMembers(raw) // it must not panic, whatever it says
	})
}

func TestNoTimeIsRefused(t *testing.T) {
	t.Parallel()
	for _, left := range []int64{0, -1, int64(leastLeft) - 1} {
		if _, err := addTimed("t", "s", []member{{key: "k", left: leastLeft}, {key: "l", left: 0}}); err == nil {
			t.Errorf("an element with %d ns left was not refused", left)
		}
	}
}
