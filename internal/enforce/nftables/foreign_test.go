//go:build linux

package nftables_test

import (
	"fmt"
	"net/netip"
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
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("nft is not installed")
	}
	guarded := access.DesiredState{Mode: access.ModeHost, Protected: []access.Protected{
		{Machine: web, Protocol: access.TCP, Ports: access.SinglePort(22)},
		{Machine: web, Protocol: access.TCP, Ports: access.PortRange{First: 5985, Last: 5986}},
	}}
	const dropping = "table inet f { chain i { type filter hook input priority 0; policy drop; @RULE; }; }"
	const shut = "inet f/i drops tcp 22: policy drop, and no rule that accepts the port"
	const shutToo = "inet f/i drops tcp 5985-5986: policy drop, and no rule that accepts the port"
	for name, tc := range map[string]struct {
		rules   string
		want    []string
		load    string // what reads the rules; nft where empty
		granted string // a source with access to port 22
	}{
		"ports of iptables' multiport": {
			"*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m multiport --dports 22,80,5900:6000 -j ACCEPT\nCOMMIT\n",
			[]string{
				"ip filter/INPUT accepts tcp 22: tcp dport 22,80,5900-6000 accept",
				"ip filter/INPUT accepts tcp 5985-5986: tcp dport 22,80,5900-6000 accept",
			},
			"iptables-nft-restore", "",
		},
		"as ufw has it": {
			"*filter\n:INPUT DROP [0:0]\n:ufw-user-input - [0:0]\n-A INPUT -m conntrack --ctstate " +
				"RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -m conntrack --ctstate INVALID -j DROP\n" +
				"-A INPUT -m addrtype --dst-type LOCAL -j ufw-user-input\n-A ufw-user-input -p tcp -m multiport " +
				"--dports 22,80 -m comment --comment 'dapp_x' -j ACCEPT\nCOMMIT\n",
			[]string{
				"ip filter/INPUT drops tcp 5985-5986: policy drop, and no rule that accepts the port",
				"ip filter/ufw-user-input accepts tcp 22: tcp dport 22,80 accept",
			},
			"iptables-nft-restore", "",
		},
		"a verdict map": {
			strings.ReplaceAll(dropping, "@RULE", "tcp dport vmap { 22 : accept, 80 : drop }"),
			[]string{"inet f/i accepts tcp 22: tcp dport 22,80 accept", shutToo},
			"", "",
		},
		"a verdict map of interfaces": {
			"table inet f { chain lan { tcp dport 22 accept; }; chain i { type filter hook input priority 0; policy " +
				"drop; iifname vmap { \"eth0\" : jump lan, \"lo\" : accept }; }; }",
			[]string{shutToo, "inet f/lan accepts tcp 22: tcp dport 22, under further conditions, accept"},
			"", "",
		},
		"a concatenation": {
			strings.ReplaceAll(dropping, "@RULE", "ip saddr . tcp dport { 10.0.0.1 . 22 } accept"),
			[]string{"inet f/i accepts tcp 22: tcp dport 22, under further conditions, accept", shutToo},
			"", "",
		},
		"a port excepted": {
			strings.ReplaceAll(dropping, "@RULE", "tcp dport != 25 accept"),
			[]string{
				"inet f/i accepts tcp 22: tcp dport != 25 accept",
				"inet f/i accepts tcp 5985-5986: tcp dport != 25 accept",
			},
			"", "",
		},
		"the port excepted": {
			strings.ReplaceAll(dropping, "@RULE", "tcp dport != 22 accept"),
			[]string{shut, "inet f/i accepts tcp 5985-5986: tcp dport != 22 accept"},
			"", "",
		},
		"a set with intervals, by its name": {
			"table inet f { set s { type inet_service; flags interval; elements = { 20-23, 6000-65535 }; }; chain i " +
				"{ type filter hook input priority 0; policy drop; tcp dport @s accept; }; }",
			[]string{"inet f/i accepts tcp 22: tcp dport 20-23,6000-65535 accept", shutToo},
			"", "",
		},
		"sources": {strings.ReplaceAll(dropping, "@RULE", "ip saddr 10.0.0.0/8 accept"), nil, "", ""},
		"the source of an opening": {
			strings.ReplaceAll(dropping, "@RULE", "ip saddr 10.0.0.0/8 accept"), nil, "",
			"10.1.2.3/32",
		},
		"not the source of an opening": {
			strings.ReplaceAll(dropping, "@RULE", "ip saddr 10.0.0.0/8 accept"),
			[]string{"inet f/i drops tcp 22: policy drop, and no rule that accepts the port, for 192.0.2.1/32, " +
				"which has access"},
			"", "192.0.2.1/32",
		},
		"an opening that a rule keeps shut": {
			"table ip f { chain i { type filter hook input priority 0; ip saddr 192.0.2.0/24 drop; }; }",
			[]string{"ip f/i drops tcp 22: any port drop, for 192.0.2.1/32, which has access"},
			"", "192.0.2.1/32",
		},
		"a rule that drops": {
			"table inet f { chain p { type filter hook prerouting priority raw; tcp dport 22 " +
				"drop; }; }",
			[]string{"inet f/p drops tcp 22: tcp dport 22 drop"},
			"", "",
		},
		"what is not understood": {strings.ReplaceAll(dropping, "@RULE", "meta mark 7 accept"), []string{
			"inet f/i unknown tcp 22: it drops the port, unless a rule lets it in that is not understood",
			"inet f/i unknown tcp 5985-5986: it drops the port, unless a rule lets it in that is not understood",
		}, "", ""},
		"what the library leaves out": {strings.ReplaceAll(dropping, "@RULE", "osf name \"Linux\" accept"), []string{
			"inet f/i unknown tcp 22: it drops the port, unless a rule lets it in that is not understood",
			"inet f/i unknown tcp 5985-5986: it drops the port, unless a rule lets it in that is not understood",
		}, "", ""},
		"what the library writes and does not read": {
			strings.ReplaceAll(dropping, "@RULE", "socket transparent 1 accept; rt classid 7 accept"), []string{
				"inet f/i unknown tcp 22: it drops the port, unless a rule lets it in that is not understood",
				"inet f/i unknown tcp 5985-5986: it drops the port, unless a rule lets it in that is not understood",
			}, "", "",
		},
		"states": {
			strings.ReplaceAll(dropping, "@RULE",
				"ct state vmap { established : accept, related : accept, invalid : drop }"),
			[]string{shut, shutToo},
			"", "",
		},
		"the loopback interface": {
			strings.ReplaceAll(dropping, "@RULE", "iifname \"lo\" accept"),
			[]string{shut, shutToo},
			"", "",
		},
		"a destination that is rewritten": {
			"table ip f { chain p { type filter hook prerouting priority raw; tcp dport 22 tcp dport set 2222; }; }",
			[]string{
				"ip f/p bypasses tcp 22: it rewrites where packets go before Postern sees them",
				"ip f/p bypasses tcp 5985-5986: it rewrites where packets go before Postern sees them",
			},
			"", "",
		},
		"a destination that is rewritten at the device": {
			"table netdev f { chain p { type filter hook ingress device lo priority 0; tcp dport 22 tcp dport set " +
				"2222; }; }",
			[]string{
				"netdev f/p bypasses tcp 22: it rewrites where packets go before Postern sees them",
				"netdev f/p bypasses tcp 5985-5986: it rewrites where packets go before Postern sees them",
			},
			"", "",
		},
		"a destination that is rewritten at the device, in a table of IP": {
			"table inet f { chain p { type filter hook ingress device lo priority 0; tcp dport 22 tcp dport set " +
				"2222; }; }",
			[]string{
				"inet f/p bypasses tcp 22: it rewrites where packets go before Postern sees them",
				"inet f/p bypasses tcp 5985-5986: it rewrites where packets go before Postern sees them",
			},
			"", "",
		},
		"a drop at one device": {
			"table netdev f { chain p { type filter hook ingress device lo priority 0; tcp " +
				"dport 22 drop; }; }",
			nil, "", "",
		},
		"none": {},
		"one port, a range and a set, through a jump": {
			`table inet filter {
	chain services { tcp dport { 22, 80 } accept; tcp dport 5900-6000 accept; }
	chain input { type filter hook input priority 0; policy accept; tcp dport 22 counter accept; jump services; udp dport 22 accept; tcp dport 80 accept; }
}`,
			[]string{
				"inet filter/input accepts tcp 22: tcp dport 22 accept", // and so the set of services does not matter
				"inet filter/services accepts tcp 5985-5986: tcp dport 5900-6000 accept",
			},
			"", "",
		},
		"under conditions, and dropped elsewhere": {
			`table ip filter {
	chain INPUT { type filter hook input priority 0; policy drop; ip saddr 192.0.2.0/24 tcp dport 22 accept; ct state established accept; }
}`,
			[]string{
				"ip filter/INPUT accepts tcp 22: tcp dport 22, under further conditions, accept",
				"ip filter/INPUT drops tcp 5985-5986: policy drop, and no rule that accepts the port",
			},
			"", "",
		},
		"open at the end": {
			`table inet f { chain i { type filter hook input priority 0; policy drop; accept; }; }`,
			nil, "", "",
		},
		"another way": {
			`table inet f { chain o { type filter hook output priority 0; policy drop; tcp dport 22 accept; }; }`,
			nil, "", "",
		},
		"our own": {
			`table inet postern { chain i { type filter hook input priority 0; policy drop; tcp dport 22 accept; }; }`,
			nil, "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := guarded
			if tc.granted != "" {
				d.Openings = []access.Opening{
					{OpeningKey: access.OpeningKey{
						Machine: web, Source: netip.MustParsePrefix(tc.granted),
						Protocol: access.TCP, Ports: access.SinglePort(22),
					}},
				}
			}
			got := foreignOf(t, d, tc.rules, tc.load)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
		})
	}
}

// A gateway's machines are reached by what another device of it sends.
func TestForeignRulesOfAGateway(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("nft is not installed")
	}
	d := access.DesiredState{
		Mode:      access.ModeGateway,
		Protected: []access.Protected{{Machine: web, Protocol: access.TCP, Ports: access.SinglePort(22)}},
	}
	const entry = "table netdev f { chain p { type filter hook ingress device lo priority 0; @RULE; }; }"
	for rule, want := range map[string][]string{
		"fwd to \"lo\"": {"netdev f/p bypasses tcp 22: it sends packets, or copies of them, out by another " +
			"device before Postern sees them"},
		"dup to \"lo\"": {"netdev f/p bypasses tcp 22: it sends packets, or copies of them, out by another " +
			"device before Postern sees them"},
		"tcp dport 22 drop": nil,
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(want, foreignOf(t, d, strings.ReplaceAll(entry, "@RULE", rule), "")); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
			d := d
			d.Mode = access.ModeHost
			if got := foreignOf(t, d, strings.ReplaceAll(entry, "@RULE", rule), ""); got != nil {
				t.Errorf("found at a host: %v", got)
			}
		})
	}
}

// foreignOf gives what is found of rules that a program reads, nft where load is empty.
func foreignOf(t *testing.T, d access.DesiredState, rules, load string) (found []string) {
	t.Helper()
	space, err := nettest.New()
	if err != nil {
		t.Skipf("no network namespaces here: %v", err)
	}
	t.Cleanup(func() { _ = space.Close() })
	err = space.Do(func() error {
		command := exec.CommandContext(t.Context(), "nft", "-f", "-")
		if load != "" {
			command = exec.CommandContext(t.Context(), load)
		}
		command.Stdin = strings.NewReader(rules)
		out, err := command.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	list, err := nftables.Foreign(nftables.Config{NetNS: space.FD()}, d)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		found = append(found,
			fmt.Sprintf("%s/%s %s %s %s: %s", r.Table, r.Chain, r.Effect, r.Protocol, r.Ports, r.Text))
	}
	return found
}
