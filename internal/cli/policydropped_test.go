package cli

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

// rules draws a few port rules that lie close together.
func rules(t *rapid.T, label string) (drawn []api.PortRule) {
	for range rapid.IntRange(0, 4).Draw(t, label) {
		first := rapid.IntRange(1, 30).Draw(t, "first")
		last := rapid.IntRange(first, 33).Draw(t, "last")
		drawn = append(drawn, api.PortRule{
			Ports:    access.PortRange{First: uint16(first), Last: uint16(last)}.String(),
			Protocol: rapid.SampledFrom([]string{"", "tcp", "udp", "any"}).Draw(t, "protocol"),
		})
	}
	return drawn
}

// covers looks at one port of one protocol in rules, without the ranges of the program.
func covers(rules []api.PortRule, port int, protocol string) bool {
	for _, r := range rules {
		var first, last int
		if n, _ := fmt.Sscanf(r.Ports, "%d-%d", &first, &last); n == 1 {
			last = first
		}
		if first <= port && port <= last && (r.Protocol == protocol || r.Protocol == "any" ||
			r.Protocol == "" && protocol == "tcp") {
			return true
		}
	}
	return false
}

func TestDroppedPorts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		was, will := rules(t, "was"), rules(t, "will")
		gone := dropped(was, will)
		for port := 1; port <= 40; port++ {
			for _, protocol := range []string{"tcp", "udp"} {
				if got, want := covers(gone, port,
					protocol), covers(was, port, protocol) && !covers(will, port, protocol); got != want {
					t.Fatalf("%d/%s: dropped %t, want %t, of %v to %v: %v", port, protocol, got, want, was, will, gone)
				}
			}
		}
		for _, r := range gone {
			if !meets(r, r.Ports, r.Protocol) || meets(r, "60000", "any") {
				t.Fatalf("%v does not meet itself alone", r)
			}
		}
	})
}
