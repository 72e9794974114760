//go:build linux

package nftables_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
)

// BenchmarkForeign is one look at a thousand rules of others, each with a source, a set of ports and a verdict, on a
// host that guards four ports.
func BenchmarkForeign(b *testing.B) {
	space, err := nettest.New()
	if err != nil {
		b.Skipf("no network namespaces here: %v", err)
	}
	b.Cleanup(func() { _ = space.Close() })
	var rules strings.Builder
	rules.WriteString("table inet other {\nchain i {\ntype filter hook input priority 0; policy drop;\n")
	for i := range 1000 {
		fmt.Fprintf(&rules, "ip saddr 10.%d.%d.0/24 tcp dport { %d, %d } accept\n", i>>8, i&255, 1000+i, 3000+i)
	}
	rules.WriteString("}\n}\n")
	loadRules(b, space, rules.String())
	d := access.DesiredState{Mode: access.ModeHost}
	for _, port := range []uint16{22, 3389, 5985, 5986} {
		d.Protected = append(d.Protected,
			access.Protected{Machine: web, Protocol: access.TCP, Ports: access.SinglePort(port)})
	}
	for b.Loop() {
		if _, err := nftables.Foreign(nftables.Config{NetNS: space.FD()}, d); err != nil {
			b.Fatal(err)
		}
	}
}
