package policy_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
)

func drawPrefix(t *rapid.T) netip.Prefix {
	n := rapid.SampledFrom([]byte{0, 2, 8}).Draw(t, "address")
	bits := rapid.SampledFrom([]int{28, 29, 31, 32}).Draw(t, "bits")
	if rapid.Bool().Draw(t, "IPv6") {
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 15: n}), bits+96).Masked()
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), bits).Masked()
}

func drawPolicy(t *rapid.T) access.MachinePolicy {
	return access.MachinePolicy{Machine: "m", Ports: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) access.PortRule {
		return access.PortRule{
			Ports: drawPorts(t),
			Protocol: rapid.SampledFrom([]access.Protocol{access.TCP, access.UDP, access.AnyProtocol}).Draw(t,
				"protocol"),
			Sources: rapid.SliceOfN(rapid.Custom(drawPrefix), 0, 2).Draw(t, "prefixes"),
			Max:     time.Duration(rapid.IntRange(1, 4).Draw(t, "max")) * time.Minute,
		}
	}), 1, 4).Draw(t, "rules")}
}

func drawPorts(t *rapid.T) access.PortRange {
	first := rapid.Uint16Range(1, 6).Draw(t, "first")
	return access.PortRange{First: first, Last: first + rapid.Uint16Range(0, 2).Draw(t, "more")}
}

func drawItem(t *rapid.T, p *access.MachinePolicy) policy.Item {
	return policy.Item{Policy: p, Item: access.Item{
		Target: access.PortTarget{
			Machine: "m", Ports: drawPorts(t),
			Protocol: rapid.SampledFrom([]access.Protocol{"", access.TCP, access.UDP, access.AnyProtocol}).Draw(t,
				"asked protocol"),
			Sources: rapid.SliceOfN(rapid.Custom(drawPrefix), 1, 2).Draw(t, "sources"),
		},
		Duration: time.Duration(rapid.IntRange(1, 5).Draw(t, "minutes")) * time.Minute,
	}}
}

// port returns what an item asks for as a port.
func port(item access.Item) access.PortTarget {
	return item.Target.(access.PortTarget) //nolint:errcheck,forcetypeassert // the tests that ask made it
}

// covered is the definition, address by address and port by port.
func covered(rule access.PortRule, item access.Item, protocol access.Protocol) bool {
	asked := port(item)
	for n := asked.Ports.First; n <= asked.Ports.Last; n++ {
		if n < rule.Ports.First || n > rule.Ports.Last {
			return false
		}
	}
	for _, transport := range protocol.Transports() {
		if !slices.Contains(rule.Protocol.Transports(), transport) {
			return false
		}
	}
	for _, source := range asked.Sources {
		if len(rule.Sources) > 0 && !slices.ContainsFunc(rule.Sources, func(outer netip.Prefix) bool {
			for a := source.Addr(); source.Contains(a); a = a.Next() {
				if !outer.Contains(a) {
					return false
				}
			}
			return true
		}) {
			return false
		}
	}
	return item.Duration <= rule.Max
}

func TestEvaluateEqualsOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		item := drawItem(t, &p)
		asked := port(item.Item)
		now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
		v := policy.Evaluate(policy.Input{Items: []policy.Item{item}}, now)
		want := slices.ContainsFunc(p.Ports, func(rule access.PortRule) bool {
			if asked.Protocol == "" {
				return slices.ContainsFunc(rule.Protocol.Transports(),
					func(tr access.Protocol) bool { return covered(rule, item.Item, tr) })
			}
			return covered(rule, item.Item, asked.Protocol)
		})
		if want != (len(v.Refusals) == 0) {
			t.Fatalf("%+v against %+v: %v", item, p, v.Refusals)
		}
		if want {
			got := v.Items[0]
			if !covered(got.Rule, item.Item,
				port(got.Item).Protocol) || got.Longest != got.Rule.Max || !slices.ContainsFunc(p.Ports,
				func(r access.PortRule) bool { return r.Ports == got.Rule.Ports && r.Max == got.Rule.Max }) {
				t.Fatalf("%+v is said to be covered as %+v", item, got)
			}
			shorter := item
			shorter.Duration = time.Minute
			asked.Ports.Last, asked.Sources = asked.Ports.First, asked.Sources[:1]
			shorter.Target = asked
			if less := policy.Evaluate(policy.Input{Items: []policy.Item{shorter}}, now); len(less.Refusals) > 0 {
				t.Fatalf("less than what is allowed is refused: %v", less.Refusals)
			}
		}
		for _, r := range v.Refusals {
			if r.Code == "" || r.Field == "" || r.Message == "" {
				t.Fatalf("reason %+v lacks something", r)
			}
		}
	})
}

// The order of the rules decides only which of several that cover an item is named.
func TestEvaluateDoesNotDependOnTheOrderOfRules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		other := p
		other.Ports = rapid.Permutation(p.Ports).Draw(t, "rules in another order")
		item := drawItem(t, &p)
		now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
		one := policy.Evaluate(policy.Input{Items: []policy.Item{item}}, now)
		item.Policy = &other
		two := policy.Evaluate(policy.Input{Items: []policy.Item{item}}, now)
		if len(one.Refusals) != len(two.Refusals) {
			t.Fatalf("%v, in another order %v", one.Refusals, two.Refusals)
		}
	})
}

func TestEvaluateTooManyItems(t *testing.T) {
	t.Parallel()
	v := policy.Evaluate(policy.Input{Items: make([]policy.Item, access.MaxItems+1)}, time.Now())
	if len(v.Refusals) != 1 || v.Refusals[0].Code != "tooManyItems" {
		t.Errorf("%v", v.Refusals)
	}
	many := policy.Item{Item: access.Item{
		Target: access.PortTarget{
			Machine: "m", Ports: access.SinglePort(22), Sources: make([]netip.Prefix, access.MaxSources+1),
		},
		Duration: time.Hour,
	}}
	v = policy.Evaluate(policy.Input{Items: []policy.Item{many}}, time.Now())
	if len(v.Refusals) != 2 || v.Refusals[0].Code != "tooManySources" || v.Refusals[1].Code != "machineNotConfigured" {
		t.Errorf("%v", v.Refusals)
	}
}

func BenchmarkEvaluate(b *testing.B) {
	p := access.MachinePolicy{Ports: access.RecommendedPorts()}
	for i := range p.Ports {
		p.Ports[i].Sources = []netip.Prefix{
			netip.MustParsePrefix("203.0.113.0/24"),
			netip.MustParsePrefix("2001:db8::/32"),
		}
	}
	in := policy.Input{Justification: "rotate the certificates", Items: []policy.Item{{
		Policy: &p, Item: access.Item{
			Target: access.PortTarget{
				Machine: "m", Ports: access.SinglePort(22),
				Sources: []netip.Prefix{netip.MustParsePrefix("203.0.113.5/32")},
			},
			Duration: time.Hour,
		},
	}}}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if v := policy.Evaluate(in, now); len(v.Refusals) > 0 {
			b.Fatal(v.Refusals)
		}
	}
}

// TestWhatIsDisabledIsRefusedWhateverThePolicySays holds that an item on a machine for which just-in-time access is
// disabled is refused, with everything else that is wrong with it.
func TestWhatIsDisabledIsRefusedWhateverThePolicySays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		item := drawItem(t, &p)
		if rapid.Bool().Draw(t, "no policy") {
			item.Policy = nil
		}
		now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
		rest := policy.Evaluate(policy.Input{Items: []policy.Item{item}}, now).Refusals
		item.Disabled = "just-in-time access is disabled"
		got := policy.Evaluate(policy.Input{Items: []policy.Item{item}}, now).Refusals
		if len(got) != len(rest)+1 || got[0].Code != policy.Disabled || !slices.Equal(got[1:], rest) {
			t.Fatalf("%v, want it disabled and %v", got, rest)
		}
	})
}
