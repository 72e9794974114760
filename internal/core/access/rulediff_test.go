package access_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
)

// TestTheDiffOfRulesIsThatOfEachPort compares a diff with a look at each port and transport, holds that no two
// stretches say something of the same port, and that stretches that say the same are one.
func TestTheDiffOfRulesIsThatOfEachPort(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		was, will := drawRules(t), drawRules(t)
		if rapid.Bool().Draw(t, "nothing was") {
			was = nil
		}
		changes := access.DiffRules(was, will)
		first := func(rules []access.PortRule, port uint16, transport access.Protocol) (max int64) {
			for _, r := range rules {
				if r.Ports.Covers(access.SinglePort(port)) && r.Protocol.Covers(transport) {
					return int64(r.Max)
				}
			}
			return 0
		}
		said := func(r *access.PortRule) int64 {
			if r == nil {
				return 0
			}
			return int64(r.Max)
		}
		for port := uint16(1); port <= 13; port++ {
			for _, transport := range []access.Protocol{access.TCP, access.UDP} {
				before, after := first(was, port, transport), first(will, port, transport)
				found := 0
				for _, c := range changes {
					if !c.Ports.Covers(access.SinglePort(port)) || !c.Protocol.Covers(transport) {
						continue
					}
					if found++; said(c.Was) != before || said(c.Will) != after || before == after {
						t.Fatalf("%d/%s goes from %d to %d, and the diff has %+v", port, transport, before, after, c)
					}
				}
				if want := before != after; found > 1 || want != (found == 1) {
					t.Fatalf("%d/%s goes from %d to %d, and the diff has it %d times", port, transport, before, after, found)
				}
			}
		}
		if len(access.DiffRules(will, will)) != 0 {
			t.Fatal("the same rules differ")
		}
		for i, c := range changes {
			if i > 0 && c.Ports.First < changes[i-1].Ports.First {
				t.Fatalf("they are not in order: %+v", changes)
			}
		}
	})
}
