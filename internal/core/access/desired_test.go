package access_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
)

func noon() time.Time { return time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) }

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// point is one packet at one time: what an oracle can look at one by one.
type point struct {
	machine  access.MachineID
	source   netip.Addr
	protocol access.Protocol
	port     uint16
	at       time.Time
}

// points gives every point of the small world that drawGrants draws from, from now on.
func points(now time.Time) []point {
	var all []point
	addrs := []netip.Addr{
		netip.MustParseAddr("192.0.2.0"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"),
		netip.MustParseAddr("192.0.2.7"),
		netip.MustParseAddr("2001:db8::"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db9::1"),
		netip.MustParseAddr("::1"),
	}
	for _, m := range []access.MachineID{"m1", "m2"} {
		for _, a := range addrs {
			for _, p := range []access.Protocol{access.TCP, access.UDP} {
				for port := uint16(1); port <= 4; port++ {
					for second := range 7 {
						if at := noon().Add(time.Duration(second) * time.Second); !at.Before(now) {
							all = append(all, point{m, a, p, port, at})
						}
					}
				}
			}
		}
	}
	return all
}

func drawGrant(t *rapid.T) access.Grant {
	start := rapid.IntRange(0, 3).Draw(t, "start")
	first := rapid.Uint16Range(1, 3).Draw(t, "port")
	g := access.Grant{
		ID: access.GrantID(rapid.StringMatching(`[a-z]{6}`).Draw(t, "id")),
		Target: access.PortTarget{
			Machine: rapid.SampledFrom([]access.MachineID{"m1", "m2"}).Draw(t, "machine"),
			Ports:   access.PortRange{First: first, Last: first + rapid.Uint16Range(0, 1).Draw(t, "more")},
			Protocol: rapid.SampledFrom([]access.Protocol{access.TCP, access.UDP, access.AnyProtocol}).
				Draw(t, "protocol"),
			Sources: rapid.SliceOfN(rapid.SampledFrom(
				prefixes("192.0.2.1/32", "192.0.2.0/30", "192.0.2.3/30", "0.0.0.0/0", "::ffff:192.0.2.1/128",
					"2001:db8::/32", "::/0")),
				1, 3).
				Draw(t, "sources"),
		},
		Start: noon().Add(time.Duration(start) * time.Second),
		End:   noon().Add(time.Duration(start+rapid.IntRange(1, 4).Draw(t, "length")) * time.Second),
		State: rapid.SampledFrom(states()).Draw(t, "state"),
	}
	if g.State.Ended() && rapid.Bool().Draw(t, "closed") {
		g.ClosedAt = noon()
	}
	return g
}

func drawGrants(t *rapid.T) []access.Grant {
	grants := rapid.SliceOfNDistinct(rapid.Custom(drawGrant), 0, 6,
		func(g access.Grant) access.GrantID { return g.ID }).Draw(
		t, "grants")
	for i := range grants {
		// Half of them are for just what the first is for, at another time: chance alone makes too few of those.
		if i > 0 && rapid.Bool().Draw(t, "overlap") {
			grants[i].Target = grants[0].Target
		}
	}
	return grants
}

// holds is what a grant promises, read off its fields; an IPv4 packet is never one of IPv6.
func holds(g access.Grant, p point) bool {
	of := g.Target.(access.PortTarget) //nolint:errcheck,forcetypeassert // drawGrant makes no other
	return of.Machine == p.machine && of.Ports.First <= p.port && p.port <= of.Ports.Last &&
		(of.Protocol == p.protocol || of.Protocol == access.AnyProtocol) &&
		p.at.Before(g.End) && slices.ContainsFunc(of.Sources, func(s netip.Prefix) bool {
		return s.Contains(p.source) || s.Addr().Is4In6() && s.Addr().Unmap() == p.source
	})
}

func open(openings []access.Opening, p point) bool {
	return slices.ContainsFunc(openings, func(o access.Opening) bool {
		return o.Machine == p.machine && o.Source.Contains(
			p.source) && o.Protocol == p.protocol && o.Ports.First <= p.port && p.port <= o.Ports.Last && p.at.Before(
			o.Until)
	})
}

func desired(grants []access.Grant, now time.Time) access.DesiredState {
	return access.Desired(access.Scene{Grants: grants}, now)
}

func drawNow(t *rapid.T) time.Time {
	return noon().Add(time.Duration(rapid.IntRange(0, 6).Draw(t, "now")) * time.Second)
}

func TestUnionEqualsOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		grants, now := drawGrants(t), drawNow(t)
		d := desired(grants, now)
		for _, p := range points(now) {
			want := slices.ContainsFunc(grants, func(g access.Grant) bool {
				return !g.State.Ended() && g.State != access.GrantScheduled && !now.Before(
					g.Start) && now.Before(g.End) && holds(g, p)
			})
			if got := open(d.Openings, p); got != want {
				t.Fatalf("%+v: open %v, want %v\n%+v", p, got, want, d.Openings)
			}
		}
		for i, o := range d.Openings {
			if i > 0 && o.OpeningKey == d.Openings[i-1].OpeningKey {
				t.Fatalf("%+v is there twice", o.OpeningKey)
			}
			if o.Source != o.Source.Masked() || o.Source.Addr().Is4In6() || o.Protocol == access.AnyProtocol ||
				!o.Until.After(
					now) || len(o.Grants) == 0 {
				t.Fatalf("%+v is not as the kernel takes it", o)
			}
			for j, id := range o.Grants {
				g := grants[slices.IndexFunc(grants, func(g access.Grant) bool { return g.ID == id })]
				if !g.Live(now) || g.End.After(
					o.Until) || j == 0 && !g.End.Equal(o.Until) || slices.Contains(o.Grants[:j], id) {
					t.Fatalf("%+v does not hold %+v", g, o)
				}
			}
		}
	})
}

func TestDesiredDoesNotDependOnOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := drawNow(t)
		rule := func(port uint16, p access.Protocol) access.PortRule {
			return access.PortRule{Ports: access.SinglePort(port), Protocol: p}
		}
		s := access.Scene{
			Agent:    access.Agent{ID: "a", Revision: 7, Mode: access.ModeGateway},
			Machines: []access.Machine{{ID: "m1"}, {ID: "m2"}},
			Policies: []access.MachinePolicy{
				{
					Machine: "m1",
					Ports: []access.PortRule{
						rule(1, access.AnyProtocol), rule(2, access.TCP),
						rule(2, access.TCP),
					},
					WhenServerIsLost: time.Minute,
				},
				{Machine: "m2", Ports: []access.PortRule{rule(1, access.TCP)}, Sessions: access.SessionsKeep},
			}, Grants: drawGrants(t),
		}
		other := s
		other.Machines = rapid.Permutation(s.Machines).Draw(t, "machines in another order")
		other.Policies = rapid.Permutation(s.Policies).Draw(t, "policies in another order")
		other.Grants = rapid.Permutation(s.Grants).Draw(t, "grants in another order")
		one := access.Desired(s, now)
		if diff := cmp.Diff(one, access.Desired(other, now),
			cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); diff != "" {
			t.Fatal(diff)
		}
		want := []access.Protected{
			{Machine: "m1", Protocol: access.TCP, Ports: access.SinglePort(1), Sessions: access.SessionsCut},
			{Machine: "m1", Protocol: access.TCP, Ports: access.SinglePort(2), Sessions: access.SessionsCut},
			{Machine: "m1", Protocol: access.UDP, Ports: access.SinglePort(1), Sessions: access.SessionsCut},
			{Machine: "m2", Protocol: access.TCP, Ports: access.SinglePort(1), Sessions: access.SessionsKeep},
		}
		if diff := cmp.Diff(want, one.Protected); diff != "" {
			t.Fatal(diff)
		}
		for _, o := range one.Openings {
			if (o.CloseAfter == time.Minute) != (o.Machine == "m1") {
				t.Fatalf("%+v closes after %v", o, o.CloseAfter)
			}
		}
	})
}

// Whoever ends one grant takes nothing from another, and whoever extends one takes nothing from anybody.
func TestGrantsDoNotDisturbOneAnother(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		grants, now := drawGrants(t), drawNow(t)
		if len(grants) == 0 {
			t.Skip("nothing to end")
		}
		i := rapid.IntRange(0, len(grants)-1).Draw(t, "which")
		before := desired(grants, now).Openings
		with := func(g access.Grant) []access.Opening {
			changed := slices.Clone(grants)
			changed[i] = g
			return desired(changed, now).Openings
		}
		if revoked, _, err := grants[i].Revoke(access.Actor{}, "done", now); err == nil {
			after := with(revoked)
			for _, p := range points(now) {
				held := slices.ContainsFunc(grants, func(g access.Grant) bool {
					return g.ID != revoked.ID && g.Live(now) && g.State != access.GrantScheduled && holds(g, p)
				})
				if got := open(after, p); got != held {
					t.Fatalf("after %s ended, %+v: open %v, held by another %v", revoked.ID, p, got, held)
				}
			}
		}
		if extended, _, err := grants[i].Extend(access.Actor{}, grants[i].End.Add(2*time.Second), now); err == nil {
			after := with(extended)
			for _, p := range points(now) {
				if was, is := open(before, p), open(after, p); was && !is || is && !was && !holds(extended, p) {
					t.Fatalf("after %s was extended, %+v: was open %v, is open %v", extended.ID, p, was, is)
				}
			}
		}
	})
}

func TestDesiredNamesWhatMustBeSeenGone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		grants, now := drawGrants(t), drawNow(t)
		d := desired(grants, now)
		for _, g := range grants {
			want := g.State.Ended() && g.ClosedAt.IsZero() || !g.State.Ended() && !now.Before(g.End)
			if got := slices.Contains(d.Ended,
				g.ID); got != want || got && slices.ContainsFunc(d.Openings,
				func(o access.Opening) bool { return slices.Contains(o.Grants, g.ID) }) {
				t.Fatalf("%+v is to be seen gone: %v, want %v", g, got, want)
			}
		}
	})
}

// TestAnywhereIsTheFamiliesOfTheMachine holds that, behind a gateway, "from anywhere" opens every family that the
// machine has an address of and asks for no other, and that a family asked for by name is asked for in any case.
func TestAnywhereIsTheFamiliesOfTheMachine(t *testing.T) {
	t.Parallel()
	any4, any6 := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")
	rapid.Check(t, func(t *rapid.T) {
		of := ssh("m1")
		of.Sources = rapid.SliceOfNDistinct(
			rapid.SampledFrom(prefixes("0.0.0.0/0", "::/0", "192.0.2.0/24", "2001:db8::/32")), 1, 4, rapid.ID).Draw(
			t, "sources")
		g := access.Grant{
			ID: "g", Target: of, Start: noon(), End: noon().Add(time.Hour), State: access.GrantOpening,
		}
		addresses := rapid.SliceOfNDistinct(rapid.SampledFrom([]netip.Addr{
			netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("::ffff:203.0.113.8"),
			netip.MustParseAddr("2001:db8:1::9"),
		}), 0, 3, rapid.ID).Draw(t, "addresses")
		mode := rapid.SampledFrom([]access.Mode{access.ModeHost, access.ModeGateway}).Draw(t, "mode")
		d := access.Desired(access.Scene{
			Agent: access.Agent{Mode: mode}, Machines: []access.Machine{{ID: "m1", Addresses: addresses}},
			Grants: []access.Grant{g},
		}, noon())
		opened := func(p netip.Prefix) bool {
			return slices.ContainsFunc(d.Openings, func(o access.Opening) bool { return o.Source == p })
		}
		has4 := slices.ContainsFunc(addresses, func(a netip.Addr) bool { return a.Unmap().Is4() })
		has6 := slices.ContainsFunc(addresses, func(a netip.Addr) bool { return !a.Unmap().Is4() })
		anywhere := slices.Contains(of.Sources, any4) && slices.Contains(of.Sources, any6)
		for _, p := range of.Sources {
			want := true
			if has := map[bool]bool{
				true:  has4,
				false: has6,
			}[p.Addr().Is4()]; mode == access.ModeGateway && anywhere && p.Bits() == 0 &&
				(has4 || has6) {
				want = has
			}
			if opened(p) != want {
				t.Fatalf("%s opened: %t, want %t", p, !want, want)
			}
		}
	})
}
