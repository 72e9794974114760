package agent

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"
)

const unitDir = "../../deploy/systemd"

func readUnit(t *testing.T, name string) map[string][]string {
	t.Helper()
	f, err := os.Open(filepath.Join(unitDir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	options, err := unit.DeserializeOptions(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	values := make(map[string][]string)
	for _, o := range options {
		key := o.Section + "." + o.Name
		values[key] = append(values[key], strings.Fields(o.Value)...)
	}
	return values
}

// What the units promise elsewhere: least rights, and the order of the boot.
func TestUnitsSayWhatTheyMust(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]map[string]string{
		"postern-agent.service": {
			"Service.User": "postern", "Service.AmbientCapabilities": "CAP_NET_ADMIN",
			"Service.CapabilityBoundingSet": "CAP_NET_ADMIN",
			"Service.Restart":               "always", "Service.Type": "notify", "Service.NoNewPrivileges": "yes",
			"Service.ProtectSystem": "strict",
			"Service.ExecStart":     "/usr/bin/postern agent", "Service.StateDirectory": "postern postern/agent",
			"Unit.StartLimitIntervalSec": "0",
			"Service.WatchdogSec":        "90",
		},
		"postern-guard.service": {
			"Unit.DefaultDependencies": "no",
			"Unit.After": "systemd-modules-load.service local-fs.target nftables.service " +
				"netfilter-persistent.service ufw.service iptables.service ip6tables.service",
			"Unit.Wants":   "network-pre.target",
			"Service.Type": "oneshot", "Service.RemainAfterExit": "yes",
			"Service.ExecStart": "/usr/bin/postern agent guard", "Install.WantedBy": "sysinit.target",
		},
		"nftables.service.d/postern.conf": {
			"Service.ExecStartPost": "-/usr/bin/postern agent guard",
			"Service.ExecReload":    "-/usr/bin/postern agent guard",
			"Service.ExecStopPost":  "-/usr/bin/postern agent guard",
		},
		"postern-server.service": {
			"Service.User": "postern", "Service.NoNewPrivileges": "yes", "Service.ProtectSystem": "strict",
			"Service.Restart": "always",
		},
	} {
		got := readUnit(t, name)
		for key, value := range want {
			if strings.Join(got[key], " ") != value {
				t.Errorf("%s: %s is %q, want %q", name, key, got[key], value)
			}
		}
	}
	if before := readUnit(t, "postern-guard.service")["Unit.Before"]; !slices.Contains(before, "network-pre.target") {
		t.Errorf("the guard runs before %v, and not before the network", before)
	}
	if rights := readUnit(t, "postern-server.service")["Service.CapabilityBoundingSet"]; len(rights) != 0 {
		t.Errorf("the server may have the rights %v, want none", rights)
	}
}

func TestSystemdAcceptsTheUnits(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed (Debian: apt-get install systemd)")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "postern") // verify wants the program to exist
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, name := range []string{"postern-agent.service", "postern-guard.service", "postern-server.service"} {
		text, err := os.ReadFile(filepath.Join(unitDir, name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "/usr/bin/postern", program)),
			0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	cmd := exec.CommandContext(t.Context(), analyze,
		append([]string{"verify", "--man=no", "--recursive-errors=no"}, paths...)...)
	out, err := cmd.CombinedOutput()
	var ours []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "postern") {
			ours = append(ours, strings.TrimSpace(line))
		}
	}
	if err != nil || len(ours) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, strings.Join(ours, "\n"))
	}
}
