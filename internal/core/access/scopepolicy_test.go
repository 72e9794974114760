package access_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
)

const (
	sub   = access.ResourceID("/subscriptions/11111111-1111-1111-1111-111111111111")
	group = sub + "/resourceGroups/web"
)

func machineWith(labels map[string]string) access.Machine {
	return access.Machine{
		ID: "m1", Tenant: "t", Resource: group + "/providers/Microsoft.Compute/virtualMachines/web-1", Labels: labels,
	}
}

func drawRules(t *rapid.T) []access.PortRule {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) access.PortRule {
		first := rapid.IntRange(1, 8).Draw(t, "first")
		return access.PortRule{
			Ports: access.PortRange{First: uint16(first), Last: uint16(first + rapid.IntRange(0, 4).Draw(t, "more"))},
			Protocol: rapid.SampledFrom([]access.Protocol{access.TCP, access.UDP, access.AnyProtocol}).Draw(t,
				"protocol"),
			Max: time.Duration(rapid.IntRange(1, 3).Draw(t, "hours")) * time.Hour,
		}
	}), 1, 4).Draw(t, "rules")
}

func drawScopes(t *rapid.T) []access.ScopePolicy {
	var all []access.ScopePolicy
	add := func(id string, scope access.ResourceID, labels map[string]string, order int) {
		if rapid.Bool().Draw(t, "has "+id) {
			all = append(all, access.ScopePolicy{
				ID: access.PolicyID(id), Tenant: "t", Name: id, Scope: scope, Labels: labels, Order: order, Revision: 1,
				Rules: access.MachinePolicy{Ports: drawRules(t)},
			})
		}
	}
	add("subscription", sub, nil, 0)
	add("group", group, nil, 0)
	add("prod", sub, map[string]string{"env": "prod"}, rapid.SampledFrom([]int{1, 3}).Draw(t, "order"))
	add("web", group, map[string]string{"role": "web"}, 2)
	add("both", sub, map[string]string{"env": "prod", "role": "web"}, 4)
	add("elsewhere", sub+"/resourceGroups/db", nil, 0)
	return rapid.Permutation(all).Draw(t, "in any order")
}

func rules(p access.Policy, port uint16, transport access.Protocol) []access.PortRule {
	var found []access.PortRule
	for _, r := range p.Machines[0].Ports {
		if r.Ports.Covers(access.SinglePort(port)) && r.Protocol.Covers(transport) {
			found = append(found, r)
		}
	}
	return found
}

// TestOneWholeRuleHoldsForEachPort compares, port by port and transport by transport, what guards a machine with the
// order in which policies count: its own, by labels, of the resource group, of the subscription.
func TestOneWholeRuleHoldsForEachPort(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		labels := map[string]string{}
		for _, name := range []string{"env", "role"} {
			if v := rapid.SampledFrom([]string{"", "prod", "web"}).Draw(t, name); v != "" {
				labels[name] = v
			}
		}
		m, scopes := machineWith(labels), drawScopes(t)
		var own access.Policy
		if rapid.Bool().Draw(t, "has its own") {
			own = access.Policy{
				ID: "own", Machines: []access.MachinePolicy{{Machine: "m1", Ports: drawRules(t)}},
			}
		}
		guards := access.Guards(m, own, scopes)
		layers := []access.Policy{}
		if own.ID != "" {
			layers = append(layers, own)
		}
		byRank := slices.Clone(scopes)
		slices.SortFunc(byRank, func(a, b access.ScopePolicy) int {
			rank := func(p access.ScopePolicy) int {
				return map[access.PolicyID]int{"group": 100, "subscription": 101}[p.ID] + p.Order
			}
			return cmp.Compare(rank(a), rank(b))
		})
		for _, p := range byRank {
			reaches := p.Scope != sub+"/resourceGroups/db"
			for name, value := range p.Labels {
				reaches = reaches && labels[name] == value
			}
			if reaches {
				layers = append(layers, access.Policy{ID: p.ID, Machines: []access.MachinePolicy{p.Rules}})
			}
		}
		for port := uint16(1); port <= 13; port++ {
			for _, transport := range []access.Protocol{access.TCP, access.UDP} {
				var want access.Policy
				for _, layer := range layers {
					if len(rules(layer, port, transport)) > 0 {
						want = layer
						break
					}
				}
				var holders []access.PolicyID
				for _, g := range guards {
					if found := rules(g, port, transport); len(found) > 0 {
						holders = append(holders, g.ID)
						asked := rules(want, port, transport)
						same := slices.EqualFunc(asked, found, func(a, b access.PortRule) bool { return a.Max == b.Max })
						if !same {
							t.Fatalf("port %d/%s: rules %v of %s hold, want %v", port, transport, found, g.ID, asked)
						}
					}
				}
				switch {
				case want.ID == "" && len(holders) > 0, want.ID != "" && !slices.Equal(holders, []access.PolicyID{want.ID}):
					t.Fatalf("port %d/%s: held by %v, want %q", port, transport, holders, want.ID)
				}
				if got := access.Ruling(guards, access.SinglePort(port), transport).ID; want.ID != "" && got != want.ID {
					t.Fatalf("port %d/%s: ruled by %q, want %q", port, transport, got, want.ID)
				}
			}
		}
		guarded := access.Desired(access.Scene{
			Machines: []access.Machine{m}, Policies: own.Machines, Scopes: scopes,
		}, noon()).Protected
		for port := uint16(1); port <= 13; port++ {
			for _, transport := range []access.Protocol{access.TCP, access.UDP} {
				is := slices.ContainsFunc(guarded, func(p access.Protected) bool {
					return p.Protocol == transport && p.Ports.Covers(access.SinglePort(port))
				})
				want := slices.ContainsFunc(layers, func(l access.Policy) bool { return len(rules(l, port, transport)) > 0 })
				if is != want {
					t.Fatalf("port %d/%s is guarded: %t, want %t", port, transport, is, want)
				}
			}
		}
	})
}

// TestWhatIsLeftOfARuleIsWhole holds that a rule is cut where it must be, and nowhere else.
func TestWhatIsLeftOfARuleIsWhole(t *testing.T) {
	t.Parallel()
	rule := func(first, last uint16, p access.Protocol) access.PortRule {
		return access.PortRule{Ports: access.PortRange{First: first, Last: last}, Protocol: p}
	}
	guards := access.Guards(machineWith(nil),
		access.Policy{ID: "own", Machines: []access.MachinePolicy{{
			Machine: "m1", Ports: []access.PortRule{rule(22, 22, access.TCP), rule(25, 26, access.AnyProtocol)},
		}}},
		[]access.ScopePolicy{{
			ID: "wide", Tenant: "t", Scope: sub,
			Rules: access.MachinePolicy{Ports: []access.PortRule{rule(20, 30, access.AnyProtocol), rule(22, 22, access.TCP)}},
		}})
	want := []access.PortRule{
		rule(20, 21, access.AnyProtocol), rule(22, 22, access.UDP), rule(23, 24, access.AnyProtocol),
		rule(27, 30, access.AnyProtocol),
	}
	if len(guards) != 2 || !slices.EqualFunc(guards[1].Machines[0].Ports, want, func(a, b access.PortRule) bool {
		return a.Ports == b.Ports && a.Protocol == b.Protocol
	}) {
		t.Fatalf("left is %+v, want %+v", guards, want)
	}
	if got := guards[1].Reach; got != "the subscription" {
		t.Errorf("reached by %q", got)
	}
}

func TestReachesOfItsOwnTenantAlone(t *testing.T) {
	t.Parallel()
	m, p := machineWith(nil), access.ScopePolicy{Tenant: "t", Scope: sub}
	if !p.Reaches(m) {
		t.Error("a policy of the subscription does not reach a machine in it")
	}
	p.Tenant = "another"
	if p.Reaches(m) {
		t.Error("a policy reaches a machine of another tenant")
	}
}

// TestRulingOfAPart asks for more ports than any rule has: the policy that has a part of them, for their protocol, says
// why they cannot be opened.
func TestRulingOfAPart(t *testing.T) {
	t.Parallel()
	guard := func(id access.PolicyID, first, last uint16, protocol access.Protocol) access.Policy {
		rule := access.PortRule{Ports: access.PortRange{First: first, Last: last}, Protocol: protocol}
		return access.Policy{ID: id, Machines: []access.MachinePolicy{{Ports: []access.PortRule{rule}}}}
	}
	guards := []access.Policy{
		guard("other ports", 443, 443, access.TCP), guard("other protocol", 20, 23, access.UDP),
		guard("part", 22, 23, access.TCP),
	}
	asked := access.PortRange{First: 20, Last: 23}
	for protocol, want := range map[access.Protocol]access.PolicyID{
		access.TCP: "part", access.UDP: "other protocol", "": "other protocol", access.AnyProtocol: "other protocol",
	} {
		if got := access.Ruling(guards, asked, protocol).ID; got != want {
			t.Errorf("%s/%s is ruled by %q, want %q", asked, protocol, got, want)
		}
	}
	if got := access.Ruling(guards, access.PortRange{First: 21, Last: 24}, access.TCP).ID; got != "part" {
		t.Errorf("ports of which a rule has a part are ruled by %q", got)
	}
	if got := access.Ruling(guards, access.SinglePort(80), access.TCP).ID; got != "other ports" {
		t.Errorf("a port that no rule has is ruled by %q, want the first", got)
	}
}
