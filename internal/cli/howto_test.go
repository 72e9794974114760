package cli

import (
	"os/exec"
	"testing"

	"github.com/postern-dev/postern/api"
)

func TestHowTo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ports, protocol, host string
		windows               bool
		want                  string
	}{
		{"22", "tcp", "192.0.2.5", false, "ssh 192.0.2.5"},
		{"22", "any", "2001:db8::5", true, "ssh 2001:db8::5"},
		{"22", "udp", "192.0.2.5", false, ""},
		{"3389", "tcp", "2001:db8::5", true, "mstsc /v:[2001:db8::5]"},
		{"3389", "tcp", "192.0.2.5", false, "xfreerdp /v:192.0.2.5"},
		{"5986", "tcp", "a'b", false, "Enter-PSSession -ComputerName 'a''b' -UseSSL -Credential (Get-Credential)"},
		{"5985", "tcp", "a\u2019b", true, "Enter-PSSession -ComputerName 'a\u2019\u2019b' -Credential (Get-Credential)"},
		{"22", "tcp", "-oProxyCommand=id", false, "ssh -- '-oProxyCommand=id'"},
		{"22", "tcp", "$(id)\nid", true, "ssh '$(id)id'"},
		{"8443", "tcp", "192.0.2.5", false, ""},
	} {
		got := howTo(api.Grant{Ports: c.ports, Protocol: c.protocol}, c.host, c.windows)
		if got != c.want {
			t.Errorf("%s/%s of %q: got %q, want %q", c.ports, c.protocol, c.host, got, c.want)
		}
	}
}

// TestShellWord has a real shell read what is quoted for it.
func TestShellWord(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"web-1", "2001:db8::1", "$(id)", "`id`", "a;id", "a'b", `a"b`, "a b", "-n", `a\`, "!x", "~root", "*", "'", "a&&b",
	} {
		said, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", "printf %s "+shellWord(name)).Output()
		if err != nil || string(said) != name {
			t.Errorf("the shell reads %q as %q, %v", name, said, err)
		}
	}
}
