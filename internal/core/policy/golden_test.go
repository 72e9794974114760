package policy_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden evaluates each request of testdata/*.txtar against the policies beside it. An archive has a section
// "policy" and pairs of "request NAME" and "want NAME"; without requests, "want" is what Validate says.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			out := &txtar.Archive{Comment: archive.Comment}
			var policies map[string]*access.MachinePolicy
			got := ""
			for _, f := range archive.Files {
				name, isRequest := strings.CutPrefix(f.Name, "request ")
				switch {
				case f.Name == "policy":
					policies = parsePolicies(t, string(f.Data))
					got = validated(policies)
				case isRequest:
					in, now := parseRequest(t, string(f.Data), policies)
					got = verdict(policy.Evaluate(in, now))
				case f.Name == "want" || strings.HasPrefix(f.Name, "want "):
					if diff := cmp.Diff(string(f.Data), got); diff != "" && !*update {
						t.Errorf("%s (-want +got):\n%s", f.Name, diff)
					}
					f.Data = []byte(got)
				default:
					t.Fatalf("section %q %q is not known", f.Name, name)
				}
				out.Files = append(out.Files, f)
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(out), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func reasonsText(reasons []access.Reason) string {
	var b strings.Builder
	for _, r := range reasons {
		fmt.Fprintf(&b, "%s\n  %s: %s\n", r.Code, r.Field, r.Message)
	}
	return b.String()
}

func validated(policies map[string]*access.MachinePolicy) string {
	var b strings.Builder
	for i := range len(policies) {
		name := "m" + strconv.Itoa(i+1)
		reasons := policy.Validate(*policies[name])
		if len(reasons) == 0 {
			fmt.Fprintf(&b, "%s is valid\n", name)
		}
		b.WriteString(reasonsText(reasons))
	}
	return b.String()
}

func verdict(v policy.Verdict) string {
	if len(v.Refusals) > 0 {
		return "refused\n" + reasonsText(v.Refusals)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "within its policy, may wait %s\n", v.Wait)
	for i, c := range v.Items {
		fmt.Fprintf(&b, "items[%d]: %s from %v, by the rule %s/%s from %v for %s\n", i, port(c.Item).Protocol,
			port(c.Item).Sources, c.Rule.Ports, c.Rule.Protocol, c.Rule.Sources, c.Rule.Max)
	}
	return b.String()
}

// parsePolicies reads "machine NAME [sessions S] [lost D] [pending D] [justify N]" lines, each followed by its rules:
// "PORTS/PROTOCOL max D [from PREFIX,…]". Prefixes are taken as they stand, right or wrong.
func parsePolicies(t *testing.T, text string) map[string]*access.MachinePolicy {
	t.Helper()
	policies := map[string]*access.MachinePolicy{}
	var current *access.MachinePolicy
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
			continue
		case words[0] == "machine":
			current = &access.MachinePolicy{Machine: access.MachineID(words[1])}
			policies[words[1]] = current
			for key, value := range pairs(t, words[2:]) {
				switch key {
				case "sessions":
					current.Sessions = access.SessionMode(value)
				case "lost":
					current.WhenServerIsLost = length(t, value)
				case "pending":
					current.PendingTimeout = length(t, value)
				case "justify":
					current.Justification = access.JustificationRule{Required: true, MinLength: number(t, value)}
				default:
					t.Fatalf("%q is not known", key)
				}
			}
		default:
			rule := access.PortRule{Ports: ports(t, words[0])}
			_, protocol, _ := strings.Cut(words[0], "/")
			rule.Protocol = access.Protocol(protocol)
			for key, value := range pairs(t, words[1:]) {
				switch key {
				case "max":
					rule.Max = length(t, value)
				case "from":
					rule.Sources = prefixes(t, value)
				default:
					t.Fatalf("%q is not known", key)
				}
			}
			current.Ports = append(current.Ports, rule)
		}
	}
	return policies
}

// parseRequest reads lines "now T", "start T", "justification TEXT", "ticket TEXT" and "item MACHINE PORTS[/PROTOCOL]
// [from PREFIX,…] [for D] [until T]".
func parseRequest(t *testing.T, text string,
	policies map[string]*access.MachinePolicy,
) (in policy.Input, now time.Time) {
	t.Helper()
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "now":
			now = instant(t, rest)
		case "start":
			in.Start = instant(t, rest)
		case "justification":
			in.Justification = unquoted(t, rest)
		case "ticket":
			in.Ticket = unquoted(t, rest)
		case "item":
			words := strings.Fields(rest)
			_, protocol, _ := strings.Cut(words[1], "/")
			item := policy.Item{Name: words[0], Policy: policies[words[0]]}
			asked := access.PortTarget{
				Machine: access.MachineID(words[0]), Ports: ports(t, words[1]), Protocol: access.Protocol(protocol),
			}
			for key, value := range pairs(t, words[2:]) {
				switch key {
				case "from":
					asked.Sources = prefixes(t, value)
				case "for":
					item.Duration = length(t, value)
				case "until":
					item.Until = instant(t, value)
				default:
					t.Fatalf("%q is not known", key)
				}
			}
			item.Target = asked
			in.Items = append(in.Items, item)
		default:
			t.Fatalf("%q is not known", word)
		}
	}
	return in, now
}

func pairs(t *testing.T, words []string) map[string]string {
	t.Helper()
	if len(words)%2 != 0 {
		t.Fatalf("%v are not pairs", words)
	}
	m := map[string]string{}
	for i := 0; i < len(words); i += 2 {
		m[words[i]] = words[i+1]
	}
	return m
}

// ports reads a range that may be wrong, which ParsePorts would refuse.
func ports(t *testing.T, s string) access.PortRange {
	t.Helper()
	s, _, _ = strings.Cut(s, "/")
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	return access.PortRange{First: uint16(number(t, first)), Last: uint16(number(t, last))}
}

// prefixes reads prefixes that may be wrong, which ParsePrefix would refuse.
func prefixes(t *testing.T, s string) []netip.Prefix {
	t.Helper()
	var all []netip.Prefix
	for text := range strings.SplitSeq(s, ",") {
		if text == "invalid" {
			all = append(all, netip.Prefix{})
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func length(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func unquoted(t *testing.T, s string) string {
	t.Helper()
	text, err := strconv.Unquote(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return text
}
