package access_test

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
)

func TestParsePorts(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]access.PortRange{
		"22": access.SinglePort(22), "1": access.SinglePort(1), "65535": access.SinglePort(65535),
		"8000-8010": {First: 8000, Last: 8010},
		"22-22":     access.SinglePort(22), "1-1024": {First: 1, Last: 1024},
	} {
		if got, err := access.ParsePorts(in); err != nil || got != want {
			t.Errorf("%q gives %v, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "0", "70000", "65536", "-1", "+22", "022", " 22", "22 ", "ssh", "22-", "-22",
		"22-21", "1-2-3", "1-1025", "0-5", "٢٢", "0x16", "1_0",
	} {
		if got, err := access.ParsePorts(in); access.CodeOf(err) != "malformedPorts" || got != (access.PortRange{}) {
			t.Errorf("%q gives %v, %v", in, got, err)
		}
	}
}

func TestParsePortSpec(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]access.Protocol{
		"22": "", "22/tcp": access.TCP, "53/UDP": access.UDP,
		"8000-8010/any": access.AnyProtocol, "22/*": access.AnyProtocol,
	} {
		if r, p, err := access.ParsePortSpec(in); err != nil || p != want || !r.Valid() {
			t.Errorf("%q gives %v, %q, %v", in, r, p, err)
		}
	}
	for _, in := range []string{"/tcp", "22/", "22/sctp", "tcp/22", "22/tcp/udp"} {
		if r, p, err := access.ParsePortSpec(in); err == nil {
			t.Errorf("%q gives %v, %q", in, r, p)
		}
	}
}

func TestParsePrefix(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"203.0.113.7": "203.0.113.7/32", "2001:db8::1": "2001:db8::1/128", "203.0.113.0/24": "203.0.113.0/24",
		"0.0.0.0/0": "0.0.0.0/0",
		"::/0":      "::/0", "2001:DB8::/32": "2001:db8::/32", "::ffff:203.0.113.7": "203.0.113.7/32",
		"::ffff:203.0.113.0/120": "203.0.113.0/24",
		"::ffff:0.0.0.0/96":      "0.0.0.0/0",
	} {
		if got, err := access.ParsePrefix(in); err != nil || got.String() != want {
			t.Errorf("%q gives %v, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "*", "any", "me", "203.0.113.7/33", "203.0.113/24", "203.0.113.0/024", "fe80::1%eth0", "fe80::%eth0/64",
		"2001:db8::/129",
		"::ffff:0:0/95", "203.0.113.7/", "/24", "203.0.113.7 ", "example.org", "010.0.0.1",
	} {
		if got, err := access.ParsePrefix(in); access.CodeOf(err) != "malformedPrefix" || got.IsValid() {
			t.Errorf("%q gives %v, %v", in, got, err)
		}
	}
	for in, meant := range map[string]string{
		"203.0.113.7/24": "203.0.113.0/24", "2001:db8::1/32": "2001:db8::/32",
		"::ffff:203.0.113.7/120": "203.0.113.0/24",
	} {
		if _, err := access.ParsePrefix(in); err == nil || !strings.Contains(err.Error(), "its prefix is "+meant+";") {
			t.Errorf("%q: %v does not name %s", in, err, meant)
		}
	}
}

func TestPrefixWithin(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		inner, outer string
		want         bool
	}{
		{"192.0.2.1/32", "192.0.2.0/24", true},
		{"192.0.2.0/24", "192.0.2.0/24", true},
		{"192.0.2.0/24", "0.0.0.0/0", true},
		{"192.0.2.0/23", "192.0.2.0/24", false}, // the same first address
		{"0.0.0.0/0", "192.0.2.0/24", false},
		{"0.0.0.0/0", "0.0.0.0/1", false},
		{"192.0.3.1/32", "192.0.2.0/24", false},
		{"2001:db8::/48", "2001:db8::/32", true},
		{"2001:db8::/31", "2001:db8::/32", false},
		{"192.0.2.1/32", "::/0", false},
		{"::1/128", "0.0.0.0/0", false},
	} {
		if got := access.PrefixWithin(netip.MustParsePrefix(tc.inner), netip.MustParsePrefix(tc.outer)); got != tc.want {
			t.Errorf("%s within %s: %v", tc.inner, tc.outer, got)
		}
	}
	if access.PrefixWithin(netip.Prefix{},
		netip.MustParsePrefix("0.0.0.0/0")) || access.PrefixWithin(netip.MustParsePrefix("0.0.0.0/0"), netip.Prefix{}) {
		t.Error("an invalid prefix lies within another, or holds one")
	}
}

// TestNoSource compares with what netip knows of the addresses where a prefix begins, has its middle, and ends.
func TestNoSource(t *testing.T) {
	t.Parallel()
	none := func(a netip.Addr) bool {
		return a.IsMulticast() || a.IsUnspecified() || a.Is4() && (a.As4()[0] == 0 || a == netip.AddrFrom4(
			[4]byte{255, 255, 255, 255}))
	}
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte{0, 1, 127, 224, 239, 240, 255, 0xfe})),
			4, 4).Draw(
			t, "first bytes")
		if rapid.Bool().Draw(t, "IPv6") {
			raw = append(raw,
				rapid.SliceOfN(rapid.SampledFrom([]byte{0, 0, 0, 1, 0xff}), 12, 12).Draw(t, "last bytes")...)
		}
		address, _ := netip.AddrFromSlice(raw)
		p, ok := access.CanonicalPrefix(
			netip.PrefixFrom(address, rapid.IntRange(0, address.BitLen()).Draw(t, "length")))
		if !ok {
			t.Skip("not canonical")
		}
		last := p.Addr().AsSlice()
		for bit := p.Bits(); bit < len(last)*8; bit++ {
			last[bit/8] |= 0x80 >> (bit % 8)
		}
		end, _ := netip.AddrFromSlice(last)
		if bit := p.Bits(); bit < len(last)*8 {
			last[bit/8] &^= 0x80 >> (bit % 8)
		}
		half, _ := netip.AddrFromSlice(last) // the end of the first half
		want := none(p.Addr()) && none(half) && none(end) && (!p.Contains(end.Prev()) || none(end.Prev()))
		if got := access.NoSource(p) != ""; got != want {
			t.Fatalf("%s: %v, want %v", p, got, want)
		}
	})
	for text, usable := range map[string]bool{
		"0.0.0.0/0": true, "::/0": true, "128.0.0.0/1": true, "127.0.0.1/32": true, "::1/128": true,
		"169.254.0.0/16": true, "fe80::/10": true,
		"0.0.0.0/8": false, "0.0.0.0/32": false, "::/128": false, "224.0.0.0/4": false, "239.1.2.3/32": false,
		"ff02::1/128": false, "255.255.255.255/32": false,
	} {
		if why := access.NoSource(netip.MustParsePrefix(text)); (why == "") != usable {
			t.Errorf("%s: %q", text, why)
		}
	}
}

func FuzzParsePorts(f *testing.F) {
	for _, s := range []string{"22", "8000-8010/tcp", "1-1024/any", "0", "65536/udp", "22-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, p, err := access.ParsePortSpec(s)
		if err != nil {
			if access.KindOf(err) != access.KindInvalid || r != (access.PortRange{}) || p != "" {
				t.Fatalf("%q gives %v, %q with %v", s, r, p, err)
			}
			return
		}
		if !r.Valid() {
			t.Fatalf("%q gives %v", s, r)
		}
		again := r.String()
		if p != "" {
			again += "/" + string(p)
		}
		if r2, p2, err := access.ParsePortSpec(again); err != nil || r2 != r || p2 != p {
			t.Fatalf("%q gives %v, %q, and again %v, %q, %v", s, r, p, r2, p2, err)
		}
	})
}

func FuzzParsePrefix(f *testing.F) {
	for _, s := range []string{
		"203.0.113.7", "2001:db8::/32", "::ffff:203.0.113.0/120", "fe80::1%eth0",
		"::ffff:0:0/90", "0.0.0.0/0",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := access.ParsePrefix(s)
		if err != nil {
			if access.KindOf(err) != access.KindInvalid || p.IsValid() {
				t.Fatalf("%q gives %v with %v", s, p, err)
			}
			return
		}
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
			t.Fatalf("%q gives %v, which is not canonical", s, p)
		}
		if c, ok := access.CanonicalPrefix(p); !ok || c != p {
			t.Fatalf("%v is canonical as %v", p, c)
		}
		if again, err := access.ParsePrefix(p.String()); err != nil || again != p {
			t.Fatalf("%q gives %v, and again %v, %v", s, p, again, err)
		}
		// What was written is what is meant: no address is taken in that was not there.
		text, _, _ := strings.Cut(s, "/")
		if a, err := netip.ParseAddr(text); err != nil || a.Unmap() != p.Addr() {
			t.Fatalf("%q gives %v", s, p)
		}
	})
}
