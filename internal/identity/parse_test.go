package identity

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestPHC(t *testing.T) {
	t.Parallel()
	text, err := HashPassword("correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	p, err := parsePHC(text)
	if err != nil || !p.current() || !p.matches("correct horse battery") || p.matches("another") {
		t.Errorf("%s is %+v, %v", text, p, err)
	}
	again, err := HashPassword("correct horse battery")
	if err != nil || again == text {
		t.Errorf("the salt is the same: %s, %v", again, err)
	}
	// From the reference implementation: argon2 -id -v 13 -t 2 -k 65536 -p 1 of "password" with "somesalt".
	reference, err := parsePHC("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	if err != nil || !reference.matches("password") || reference.current() {
		t.Errorf("the reference hash: %+v, %v", reference, err)
	}
	for _, bad := range []string{
		"", "$", "plain", strings.Replace(text, "argon2id", "argon2i", 1), strings.Replace(text, "v=19", "v=16", 1),
		strings.Replace(text, "m=19456", "m=99999999", 1), strings.Replace(text, "m=19456", "m=019456", 1),
		strings.Replace(text, "t=2", "t=0", 1),
		strings.Replace(text, "t=2", "t=+2", 1), strings.Replace(text, "p=1", "p=1,x=1", 1), text + "$", text + "=",
		strings.Repeat("$", 600),
	} {
		if _, err := parsePHC(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzPHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Add("$argon2id$v=19$m=8,t=1,p=1$$")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePHC(s)
		if err != nil {
			return
		}
		if p.String() != s {
			t.Errorf("%q reads as %q", s, p)
		}
		if p.memory > maxMemory || p.passes > maxPasses || p.threads > maxThreads || p.passes == 0 || p.threads == 0 {
			t.Errorf("%q asks for %+v", s, p)
		}
	})
}

func FuzzBearer(f *testing.F) {
	f.Add("Bearer " + newToken())
	f.Add("bearer pst_")
	f.Add("Basic abc")
	f.Fuzz(func(t *testing.T, header string) {
		token, err := ParseBearer(header)
		if err != nil {
			if token != "" {
				t.Errorf("%q gave %q and %v", header, token, err)
			}
			return
		}
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, tokenPrefix))
		if err != nil || len(raw) != tokenBytes || tokenPrefix+base64.RawURLEncoding.EncodeToString(raw) != token {
			t.Errorf("%q was taken as the token %q", header, token)
		}
	})
}

func FuzzForwardedFor(f *testing.F) {
	f.Add("203.0.113.7, 10.0.0.1")
	f.Add("[2001:db8::1]:443,::ffff:10.0.0.1")
	f.Add("fe80::1%eth0")
	i := &Identity{proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	f.Fuzz(func(t *testing.T, header string) {
		address, _, err := i.ClientAddress("10.0.0.9:1", []string{header})
		if err != nil {
			return
		}
		if !address.IsValid() || address.Is4In6() || address.Zone() != "" {
			t.Errorf("%q gave %s", header, address)
		}
		// What a client writes to the left of its own entry must not matter.
		if again, _, err := i.ClientAddress("10.0.0.9:1",
			[]string{"198.51.100.66", header}); err == nil && !i.trusts(address) && again != address {
			t.Errorf("with a forged hop %q gave %s, and %s without", header, again, address)
		}
	})
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	i := &Identity{proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	for _, c := range []struct {
		name, remote string
		forwarded    []string
		want         string
		warned, bad  bool
	}{
		{name: "direct", remote: "203.0.113.7:5000", want: "203.0.113.7"},
		{name: "direct IPv6", remote: "[2001:db8::1]:5000", want: "2001:db8::1"},
		{name: "mapped", remote: "[::ffff:203.0.113.7]:5000", want: "203.0.113.7"},
		{
			name: "forged by a client", remote: "203.0.113.7:5000", forwarded: []string{"198.51.100.1"},
			want: "203.0.113.7", warned: true,
		},
		{name: "through a proxy", remote: "10.0.0.1:5000", forwarded: []string{"198.51.100.1"}, want: "198.51.100.1"},
		{
			name: "through two", remote: "10.0.0.1:5000", forwarded: []string{"198.51.100.1, 10.0.0.2"},
			want: "198.51.100.1",
		},
		{
			name: "two headers", remote: "10.0.0.1:5000", forwarded: []string{"192.0.2.66", "198.51.100.1"},
			want: "198.51.100.1",
		},
		{
			name: "forged through a proxy", remote: "10.0.0.1:5000",
			forwarded: []string{"192.0.2.66, 198.51.100.1, 10.0.0.2"}, want: "198.51.100.1",
		},
		{name: "with a port", remote: "[fd00::1]:5000", forwarded: []string{"[2001:db8::9]:443"}, want: "2001:db8::9"},
		{
			name: "all proxies", remote: "10.0.0.1:5000", forwarded: []string{"10.0.0.3, 10.0.0.2"}, want: "10.0.0.3",
			warned: true,
		},
		{name: "a proxy that says nothing", remote: "10.0.0.1:5000", want: "10.0.0.1", warned: true},
		{name: "malformed", remote: "10.0.0.1:5000", forwarded: []string{"unknown"}, bad: true},
		{name: "empty entry", remote: "10.0.0.1:5000", forwarded: []string{"198.51.100.1,"}, bad: true},
		{
			name: "too many", remote: "10.0.0.1:5000", forwarded: []string{strings.Repeat("1.1.1.1,", 40) + "1.1.1.1"},
			bad: true,
		},
		{name: "loopback", remote: "127.0.0.1:5000", want: "127.0.0.1", warned: true},
		{name: "private", remote: "192.168.7.1:5000", want: "192.168.7.1", warned: true},
		{name: "private IPv6", remote: "[fd00:7::1]:5000", want: "fd00:7::1", warned: true},
		{name: "shared", remote: "100.64.1.1:5000", want: "100.64.1.1", warned: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, warning, err := i.ClientAddress(c.remote, c.forwarded)
			if (err != nil) != c.bad {
				t.Fatalf("error %v", err)
			}
			if err == nil && (got.String() != c.want || (warning != "") != c.warned) {
				t.Errorf("got %s, %q, want %s", got, warning, c.want)
			}
		})
	}
}

func TestLimiterIsBounded(t *testing.T) {
	t.Parallel()
	l := newLimiter(Rate{PerSecond: 1, Burst: 1}, Rate{})
	at := newToken // any keys
	now := time.UnixMicro(0)
	if !l.allow("first", now) || l.allow("first", now) {
		t.Fatal("the limit does not hold")
	}
	for range maxLimiters {
		l.allow(at(), now)
	}
	if len(l.byKey) != maxLimiters || l.recent.Len() != maxLimiters {
		t.Errorf("%d keys, %d in order", len(l.byKey), l.recent.Len())
	}
	if !l.allow("first", now) {
		t.Error("the oldest key was kept")
	}
}
