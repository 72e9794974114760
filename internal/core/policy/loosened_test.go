package policy_test

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
)

// TestWhatIsNotLooserAllowsNoMore asks two policies for the same: where nothing is said to be loosened, whatever the
// second allows the first allows too.
func TestWhatIsNotLooserAllowsNoMore(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		was, next := drawPolicy(t), drawPolicy(t)
		if rapid.Bool().Draw(t, "part of it") {
			next.Ports = append([]access.PortRule{}, was.Ports[:rapid.IntRange(1, len(was.Ports)).Draw(t, "rules")]...)
			next.Ports[0].Max = min(next.Ports[0].Max,
				time.Duration(rapid.IntRange(1, 4).Draw(t, "shorter"))*time.Minute)
		}
		if len(policy.Loosened(was, next)) > 0 {
			return
		}
		for range 5 {
			item := drawItem(t, &next)
			allowed := len(policy.Evaluate(policy.Input{Items: []policy.Item{item}}, now).Refusals) == 0
			item.Policy = &was
			if before := policy.Evaluate(policy.Input{Items: []policy.Item{item}},
				now).Refusals; allowed && len(before) > 0 && port(item.Item).Protocol != "" {
				t.Fatalf("%+v is allowed, was refused (%v), and nothing is said to be loosened:\n%+v\n%+v", item,
					before, was, next)
			}
		}
	})
}

func TestLoosened(t *testing.T) {
	t.Parallel()
	base := func() access.MachinePolicy {
		return access.MachinePolicy{
			Ports: []access.PortRule{
				{
					Ports: access.SinglePort(22), Protocol: access.TCP, Max: time.Hour,
					Sources: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
				},
			},
			Approval:      access.Rule{Cases: []access.Case{{Stages: needing("head")}}},
			Justification: access.JustificationRule{Required: true, MinLength: 5},
			Ticket:        access.TicketRule{Required: true, Checked: true},
			BreakGlass:    &access.BreakGlass{People: []access.PrincipalID{"ann"}, Max: time.Hour}, Gap: time.Hour,
			WhenServerIsLost: time.Hour, Sessions: access.SessionsCut,
		}
	}
	fields := reflect.ValueOf(base())
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Name
		// of which none gives anything
		if slices.Contains([]string{"Machine", "PendingTimeout", "Loosened", "Trial", "Revision"}, name) {
			continue
		}
		if fields.Field(i).IsZero() {
			t.Errorf("nothing is tried of %s", name)
		}
	}
	for want, change := range map[string]func(p *access.MachinePolicy){
		"": func(p *access.MachinePolicy) {
			p.Ports[0].Max, p.BreakGlass, p.WhenServerIsLost, p.Sessions = time.Minute, nil, time.Minute, ""
		},
		"from anywhere":             func(p *access.MachinePolicy) { p.Ports[0].Sources = nil },
		"for 2h":                    func(p *access.MachinePolicy) { p.Ports[0].Max = 2 * time.Hour },
		"port 23/tcp":               func(p *access.MachinePolicy) { p.Ports[0].Ports = access.SinglePort(23) },
		"without the approval rule": func(p *access.MachinePolicy) { p.Approval = access.Rule{} },
		"another approval rule":     func(p *access.MachinePolicy) { p.Approval.Cases[0].Stages = needing("cy") },
		"break-glass": func(
			p *access.MachinePolicy,
		) {
			p.BreakGlass.People = append(p.BreakGlass.People, "eve")
		},
		"justification":            func(p *access.MachinePolicy) { p.Justification = access.JustificationRule{} },
		"ticket":                   func(p *access.MachinePolicy) { p.Ticket.Checked = false },
		"sessions that go on":      func(p *access.MachinePolicy) { p.Sessions = access.SessionsKeep },
		"while the server is lost": func(p *access.MachinePolicy) { p.WhenServerIsLost = 0 },
		"longer while the server":  func(p *access.MachinePolicy) { p.WhenServerIsLost = 2 * time.Hour },
		"gap of 15m":               func(p *access.MachinePolicy) { p.Gap = 0 },
	} {
		next := base()
		change(&next)
		if got := strings.Join(policy.Loosened(base(), next),
			"; "); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestNetworkThatIsNotWiderHoldsNoMore asks two networks for the same: where nothing is said to be widened, whatever
// the second holds the first holds too.
func TestNetworkThatIsNotWiderHoldsNoMore(t *testing.T) {
	t.Parallel()
	prefix := rapid.Custom(func(t *rapid.T) netip.Prefix {
		a := netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(0, 255).Draw(t, "address"))})
		return netip.PrefixFrom(a, rapid.IntRange(24, 32).Draw(t, "bits")).Masked()
	})
	some := func(t *rapid.T, label string) access.Network {
		return access.Network{Name: "office", Prefixes: rapid.SliceOfN(prefix, 1, 4).Draw(t, label)}
	}
	rapid.Check(t, func(t *rapid.T) {
		was, next := some(t, "was"), some(t, "next")
		if len(policy.WidenedNetwork(access.Network{}, next)) == 0 {
			t.Fatal("a new network is not said to be wider than none")
		}
		holds := func(n access.Network, a netip.Addr) bool {
			return slices.ContainsFunc(n.Prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
		}
		more := false
		for last := range 256 {
			a := netip.AddrFrom4([4]byte{10, 0, 0, byte(last)})
			more = more || holds(next, a) && !holds(was, a)
		}
		if how := policy.WidenedNetwork(was, next); more && len(how) == 0 {
			t.Fatalf("%v holds what %v does not, and nothing is said to be widened", next.Prefixes, was.Prefixes)
		}
	})
}
