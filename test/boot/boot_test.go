//go:build linux

// Package boot_test boots systemd, as process 1, with the units that guard the ports and with those of others that load
// and flush firewall rules. It needs root, systemd and nft.
package boot_test

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postern-dev/postern/deploy/systemd"
)

//go:embed enter.sh
var enter string

// limit is how long one boot may take on a busy machine.
const limit = 100 * time.Second

// report is what runs once the network may come up: it tells which tables are there, and does what operators do.
const report = `[Unit]
After=network-pre.target
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh /etc/report.sh
`

const script = `tables() { nft list tables > /mnt/$1; nft list set inet postern cut >> /mnt/$1; }
tables boot
for act in restart reload stop start; do
  systemctl $act nftables.service
  tables $act
done
systemctl poweroff --force --force
`

const target = `[Unit]
Requires=sysinit.target report.service
After=sysinit.target report.service
AllowIsolate=yes
`

// others are the units of other firewalls, as Debian 12 orders them; what they start does not matter here.
func others() map[string]string {
	const early = "DefaultDependencies=no\nWants=network-pre.target local-fs.target\nBefore=network-pre.target " +
		"shutdown.target\nAfter=local-fs.target\nConflicts=shutdown.target\n"
	one := func(unit string) string {
		return "[Unit]\n" + unit + "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
	}
	return map[string]string{
		"netfilter-persistent.service": one(early), "ufw.service": one(early),
		"firewalld.service": one(
			"Before=network-pre.target\nWants=network-pre.target\nAfter=dbus.service polkit.service\n"),
		"cloud-init-local.service": one(
			"DefaultDependencies=no\nWants=network-pre.target\nBefore=network-pre.target " +
				"sysinit.target\nAfter=local-fs.target\n"),
	}
}

func TestBootLeavesNoPortOpen(t *testing.T) {
	t.Parallel()
	need(t)
	program := build(t)
	const rules = "#!/usr/sbin/nft -f\nflush ruleset\ntable inet filter {\n\tchain input { type filter hook input " +
		"priority filter; }\n}\n"
	// A set of rules that takes long to load, so that the guard comes before it unless it waits for that.
	const slow = "[Service]\nExecStartPre=/bin/sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; " +
		"do nft list table inet postern && break; sleep 0.1; done; true'\n"
	for name, c := range map[string]struct{ slow, others bool }{
		"rules that load at once": {}, "rules that take long": {slow: true}, "beside other firewalls": {others: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, program)
			h.write("etc/nftables.conf", rules)
			if c.slow {
				h.write("etc/systemd/system/nftables.service.d/slow.conf", slow)
			}
			wanted := []string{"nftables.service", "postern-guard.service"}
			if c.others {
				for unit, text := range others() {
					h.write("etc/systemd/system/"+unit, text)
					wanted = append(wanted, unit)
				}
			}
			h.boot(wanted)
			for _, when := range []string{"boot", "restart", "reload", "stop", "start"} {
				got := h.told(when)
				if !strings.Contains(got, "table inet postern") || !strings.Contains(got, "tcp . 22") {
					t.Errorf("after the %s port 22 is open: there is\n%s", when, got)
				}
				if loaded := strings.Contains(got, "table inet filter"); loaded != (when != "stop") {
					t.Errorf("after the %s the host's own rules are there: %v", when, loaded)
				}
			}
			if log := h.log.String(); strings.Contains(log, "ordering cycle") {
				t.Errorf("systemd found a cycle:\n%s", log)
			}
		})
	}
}

// need skips the test where it cannot run.
func need(t *testing.T) {
	t.Helper()
	var missing error
	for _, name := range []string{"/lib/systemd/systemd", "/lib/systemd/system/nftables.service", "/usr/sbin/nft"} {
		_, err := os.Stat(name)
		missing = errors.Join(missing, err)
	}
	if os.Geteuid() != 0 {
		missing = errors.Join(missing, errors.New("only root can boot a system of its own"))
	}
	if _, err := unified(); err != nil {
		missing = errors.Join(missing, err)
	}
	switch {
	case missing != nil && os.Getenv("POSTERN_TESTS_REQUIRED") != "":
		t.Fatal(missing)
	case missing != nil:
		t.Skip(missing)
	}
}

// unified gives where control groups of version 2 are mounted.
func unified() (string, error) {
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1], nil
		}
	}
	return "", errors.New("there are no control groups of version 2")
}

func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "postern")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/postern-dev/postern/cmd/postern")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	return program
}

// host is a system of its own, whose files lie over those of this one.
type host struct {
	t   *testing.T
	dir string
	log bytes.Buffer
}

func newHost(t *testing.T, program string) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir()}
	for _, name := range []string{"root", "upper", "work", "report"} {
		h.must(os.MkdirAll(filepath.Join(h.dir, name), 0o755))
	}
	h.write("etc/systemd/system/boot-test.target", target)
	h.write("etc/systemd/system/report.service", report)
	h.write("etc/report.sh", script)
	h.write("var/lib/postern/agent/agent.json",
		`{"server":"https://postern.example:8443","agent":"agent-1","machine":"machine-1","name":"web-1","mode":"host"}`)
	for _, name := range []string{"postern-guard.service", "nftables.service.d/postern.conf"} {
		text, err := systemd.Files.ReadFile(name)
		h.must(err)
		h.write("etc/systemd/system/"+name, string(text))
	}
	in, err := os.ReadFile(program)
	h.must(err)
	h.write("usr/bin/postern", string(in))
	h.must(os.Chmod(filepath.Join(h.dir, "upper/usr/bin/postern"), 0o755))
	return h
}

func (h *host) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) write(name, text string) {
	h.t.Helper()
	path := filepath.Join(h.dir, "upper", name)
	h.must(os.MkdirAll(filepath.Dir(path), 0o755))
	h.must(os.WriteFile(path, []byte(text), 0o644))
}

// boot starts the system with those units, and waits until it has powered itself off.
func (h *host) boot(units []string) {
	h.t.Helper()
	for _, unit := range units {
		h.write("etc/systemd/system/boot-test.target.d/"+unit+".conf", "[Unit]\nWants="+unit+"\n")
	}
	// What boots real machines has no business here, and costs time.
	for _, unit := range []string{
		"systemd-udevd.service", "systemd-udev-trigger.service", "systemd-journald.service",
		"systemd-hwdb-update.service", "systemd-firstboot.service",
		"systemd-journal-catalog-update.service", "systemd-tmpfiles-setup.service",
		"systemd-tmpfiles-setup-dev.service", "systemd-sysusers.service", "systemd-journal-flush.service",
		"systemd-update-utmp.service", "systemd-update-done.service", "systemd-machine-id-commit.service",
		"ldconfig.service", "dev-hugepages.mount", "dev-mqueue.mount", "systemd-remount-fs.service",
	} {
		h.must(os.Symlink("/dev/null", filepath.Join(h.dir, "upper/etc/systemd/system", unit)))
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), limit)
	defer cancel()
	at, err := unified()
	h.must(err)
	group := filepath.Join(at, fmt.Sprintf("postern-boot-%d-%s", os.Getpid(), filepath.Base(filepath.Dir(h.dir))))
	h.must(os.Mkdir(group, 0o755))
	defer func() { _ = os.Remove(group) }()
	const within = `echo $$ > "$1/cgroup.procs" && exec unshare --mount --pid --fork --kill-child --net --uts --ipc --cgroup /bin/sh -c "$2" enter "$3"`
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", within, "within", group, enter, h.dir)
	cmd.Stdout, cmd.Stderr = &h.log, &h.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Run()
	h.t.Logf("the system has ended: %v", err)
	if ctx.Err() != nil {
		h.t.Fatalf("the system did not end in time:\n%s", h.log.String())
	}
}

func (h *host) told(when string) string {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join(h.dir, "report", when))
	if err != nil {
		h.t.Fatalf("%v\n%s", err, h.log.String())
	}
	return string(text)
}
