//go:build linux

package nftables_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
)

// TestForeignRules reads what nft itself wrote into a real kernel.
func TestForeignRules(t *testing.T) {
	t.Parallel()
	nft, err := exec.LookPath("nft")
	if err != nil {
		t.Skip("nft is not installed")
	}
	guarded := access.DesiredState{Mode: access.ModeHost, Protected: []access.Protected{
		{Machine: web, Protocol: access.TCP, Ports: access.SinglePort(22)}, {Machine: web, Protocol: access.TCP, Ports: access.PortRange{First: 5985, Last: 5986}},
	}}
	for name, tc := range map[string]struct {
		rules string
		want  []string
	}{
		"none": {"", nil},
		"one port, a range and a set, through a jump": {
			`table inet filter {
	chain services { tcp dport { 22, 80 } accept; tcp dport 5900-6000 accept; }
	chain input { type filter hook input priority 0; policy accept; tcp dport 22 counter accept; jump services; udp dport 22 accept; tcp dport 80 accept; }
}`,
			[]string{
				"inet filter/input accepts tcp 22: tcp dport 22 accept", "inet filter/services accepts tcp 22: tcp dport 22,80 accept",
				"inet filter/services accepts tcp 5985-5986: tcp dport 5900-6000 accept",
			},
		},
		"under conditions, and dropped elsewhere": {
			`table ip filter {
	chain INPUT { type filter hook input priority 0; policy drop; ip saddr 192.0.2.0/24 tcp dport 22 accept; ct state established accept; }
}`,
			[]string{
				"ip filter/INPUT accepts tcp 22: tcp dport 22, under further conditions, accept",
				"ip filter/INPUT drops tcp 5985-5986: policy drop, and no rule that accepts the port",
			},
		},
		"open at the end": {`table inet f { chain i { type filter hook input priority 0; policy drop; accept; }; }`, nil},
		"another way":     {`table inet f { chain o { type filter hook output priority 0; policy drop; tcp dport 22 accept; }; }`, nil},
		"our own":         {`table inet postern { chain i { type filter hook input priority 0; policy drop; tcp dport 22 accept; }; }`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			space, err := nettest.New()
			if err != nil {
				t.Skipf("no network namespaces here: %v", err)
			}
			t.Cleanup(func() { _ = space.Close() })
			err = space.Do(func() error {
				command := exec.CommandContext(t.Context(), nft, "-f", "-")
				command.Stdin = strings.NewReader(tc.rules)
				out, err := command.CombinedOutput()
				if err != nil {
					return fmt.Errorf("%w: %s", err, out)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			found, err := nftables.Foreign(nftables.Config{NetNS: space.FD()}, guarded)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range found {
				got = append(got, fmt.Sprintf("%s/%s %s %s %s: %s", r.Table, r.Chain, r.Effect, r.Protocol, r.Ports, r.Text))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
		})
	}
}
