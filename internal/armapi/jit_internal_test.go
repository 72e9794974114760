package armapi

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
)

// TestRangesSurviveAzureClients proves that a policy that an Azure client reads and writes back guards what it did.
func TestRangesSurviveAzureClients(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var rules []access.PortRule
		next := uint16(1)
		for range rapid.IntRange(1, 5).Draw(t, "rules") {
			first := next + uint16(rapid.IntRange(1, 50).Draw(t, "gap"))
			last := first + uint16(rapid.IntRange(0, 20).Draw(t, "length"))
			rules = append(rules, access.PortRule{
				Ports: access.PortRange{First: first, Last: last}, Protocol: access.TCP, Max: time.Hour,
				Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
			})
			next = last + 1
		}
		text, err := json.Marshal(portsTo(rules))
		if err != nil {
			t.Fatal(err)
		}
		var ports []jitPort
		if err := json.Unmarshal(text, &ports); err != nil {
			t.Fatal(err)
		}
		var single []access.PortRule
		for _, p := range ports {
			one := access.PortRule{
				Ports: access.SinglePort(uint16(p.Number)), Protocol: access.TCP, Max: time.Hour,
				Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
			}
			single = append(single, one)
		}
		if diff := cmp.Diff(rules, joinPorts(single), cmpopts.EquateComparable(netip.Prefix{}),
			cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]number{"22": 22, `"22"`: 22, " 65535 ": 65535, `" 22 "`: 22} {
		var got number
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s is %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"0", "65536", "-1", "22.5", `"x"`, "null", "true", "[]", `""`} {
		var got number
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s is taken as %d", text, got)
		}
	}
}

// TestPagesHoldSoManyRules holds that policies of wide ranges come a few at a time, and each comes.
func TestPagesHoldSoManyRules(t *testing.T) {
	t.Parallel()
	wide := access.Policy{Machines: []access.MachinePolicy{
		{Ports: []access.PortRule{{Ports: access.PortRange{First: 1, Last: 65535}}}},
	}}
	narrow := access.Policy{Machines: []access.MachinePolicy{
		{Ports: []access.PortRule{{Ports: access.SinglePort(22)}}},
	}}
	huge := access.Policy{Machines: append(wide.Machines, wide.Machines...)}
	for want, policies := range map[int][]access.Policy{
		0: nil, 3: {narrow, wide, narrow},
		2: {wide, narrow, wide, wide}, 1: {huge, narrow},
	} {
		if got := fitting(policies); got != want {
			t.Errorf("%d of %d fit, want %d", got, len(policies), want)
		}
	}
}
