//go:build linux

package docs_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/nettest"
)

func TestServerAndAgent(t *testing.T) {
	t.Parallel()
	need(t, "bash", "curl", "nft", "openssl", "setpriv", "sqlite3", "unshare")
	network, err := nettest.Pair()
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, network, "docs/operate/server.md", "docs/operate/agent.md")
	port := netip.AddrPortFrom(network.MachineAddrs[0], 22)
	echo, err := network.Machine.EchoTCP(port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = echo.Close() })

	l.welcome(l.run("server-start", "postern login --server https://postern.example:8443 --ca-fingerprint "))
	l.run("person-login", "Signed in to https://postern.example:8443 as admin")
	l.run("person-second", "One-time password")
	l.run("person-password", "One-time password")
	l.run("person-ca", "sha256 Fingerprint=")
	l.run("server-fingerprint", "sha256 Fingerprint=")
	l.run("server-health", "ready", "postern_agents_connected 0", "postern_reconciler_up 1",
		"postern_deliveries_pending 0",
		"postern_http_request_seconds_bucket", "postern_store_update_seconds_count")
	l.token(l.run("person-token", "postern agent enroll --server https://postern.example:8443"))
	l.run("machine-enrol", "Enrolled as web-1 (mode host)")
	if !l.reaches(port) {
		t.Error("the port is closed before there is a policy")
	}
	l.run("person-policy", "22/tcp")
	l.eventually("the port is closed", func() bool { return !l.reaches(port) })
	l.run("machine-status", "22/tcp on web-1", "table inet postern")
	l.run("machine-flush", "table inet postern")
	l.run("server-backup")
	l.run("person-checkpoint")
	const ask = `postern request web-1 --port 22 --for 1h --reason "after the backup" --wait`
	if said, err := l.shell("person", ask); err != nil || !l.reaches(port) {
		t.Fatalf("%s: %v:\n%s%s", ask, err, said, l.logs())
	}
	l.run("server-restore")
	l.eventually("what was opened after the backup is closed", func() bool { return !l.reaches(port) })
	if said, err := l.shell("person", ask); err != nil || !l.reaches(port) {
		t.Fatalf("%s after the restore: %v:\n%s%s", ask, err, said, l.logs())
	}
	said, err := l.shell("person", "postern machine token web-1")
	if err != nil {
		t.Fatal(err, said)
	}
	l.token(said)
	l.run("machine-replace", "Enrolled as web-1 (mode host)")
	l.eventually("the new agent holds the table", func() bool {
		said, _ := l.shell("person", "postern machine list")
		return strings.Contains(said, "in force")
	})
	if said, err := l.shell("machine",
		"postern agent uninstall --yes"); err == nil || !strings.Contains(said, "the agent still runs") {
		t.Errorf("uninstalled below a running agent:\n%s", said)
	}
	l.run("machine-uninstall", "Postern guards nothing on this host any more")
	if !l.reaches(port) {
		t.Error("the port is closed after all was removed")
	}
	l.run("person-forget", "web-1 is deleted")
	l.finish("postgres-")
}

func TestReadme(t *testing.T) {
	t.Parallel()
	need(t, "bash", "curl", "setpriv", "unshare")
	network, err := nettest.Pair()
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, network, "README.md")
	port := netip.AddrPortFrom(network.MachineAddrs[0], 22)
	echo, err := network.Machine.EchoTCP(port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = echo.Close() })
	l.replace("SERVER", "postern.example")
	l.welcome(l.run("server-start", "Postern has started for the first time"))
	l.token(l.run("person-login", "Signed in to", "postern agent enroll --server"))
	l.run("machine-enrol", "Enrolled as web-1 (mode host)")
	l.run("person-policy", "22/tcp")
	l.eventually("the port is closed", func() bool { return !l.reaches(port) })
	l.run("person-use", "web-1 22/tcp is open from 10.77.0.1/32", "revoked", "request.submitted")
	l.eventually("the port is closed again", func() bool { return !l.reaches(port) })
	l.finish()
}

// TestBreakGlassWithoutTheServer opens a port of a real kernel with a code while the server is stopped, and finds the
// use on record, with its debt, once the server is back.
func TestBreakGlassWithoutTheServer(t *testing.T) {
	t.Parallel()
	need(t, "bash", "curl", "setpriv", "unshare")
	network, err := nettest.Pair()
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, network, "docs/operate/break-glass.md")
	port := netip.AddrPortFrom(network.MachineAddrs[0], 22)
	echo, err := network.Machine.EchoTCP(port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = echo.Close() })
	must := func(host, text string) string {
		t.Helper()
		said, err := l.shell(host, strings.NewReplacer(l.swap...).Replace(text))
		if err != nil {
			t.Fatalf("%s\nended with %v:\n%s%s", text, err, said, l.logs())
		}
		return said
	}
	l.welcome(must("server",
		"echo POSTERN_NAMES=postern.example > /etc/default/postern-server\nsystemctl start "+
			"postern-server\njournalctl -u postern-server"))
	must("person", "postern login --server https://postern.example:8443 --ca-fingerprint FINGERPRINT --user admin\n")
	l.token(must("person", "postern machine token web-1"))
	must("machine",
		"postern agent enroll --server https://postern.example:8443 --token-file - --ca-fingerprint FINGERPRINT "+
			"<<<TOKEN\nsystemctl start postern-agent")
	must("person", "postern policy set web-1 --port 22")
	l.eventually("the port is closed", func() bool { return !l.reaches(port) })
	revisions := func() (reported, desired string) {
		said := must("person", "postern machine agents -o csv")
		return l.find(`,(\d+) of \d+,`, said), l.find(`,\d+ of (\d+),`, said)
	}
	_, before := revisions()
	code := l.find(`(?m)^([A-Z2-7-]{20,})$`, must("person", "postern break-glass issue web-1"))
	l.eventually("the agent has the code", func() bool {
		reported, desired := revisions()
		return reported == desired && desired != before
	})
	must("server", "systemctl stop postern-server")
	l.replace("203.0.113.7", "10.77.0.1")
	l.replace("ABCDE-FGHIJ-…", code)
	l.run("machine-break-glass", "Port 22 of web-1 is open for 10.77.0.1/32 for 30m0s")
	l.eventually("the port is open", func() bool { return l.reaches(port) })
	must("server", "systemctl start postern-server")
	must("machine", "systemctl restart postern-agent") // it would try the server again too, in its own time
	l.eventually("the use is on record", func() bool {
		said, _ := l.shell("person", "postern audit list --kind breakGlass.used -o json")
		return strings.Contains(said, `"offline": "true"`)
	})
	if said := must("person", "postern review list"); !strings.Contains(said, "admin") {
		t.Errorf("there is no debt of a review:\n%s", said)
	}
	if !l.reaches(port) {
		t.Error("the server closed what a code had opened")
	}
	l.finish()
}

func TestGateway(t *testing.T) {
	t.Parallel()
	need(t, "bash", "curl", "setpriv", "sysctl", "unshare")
	network, err := nettest.BehindGateway(1)
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, network, "docs/operate/gateway.md")
	port := netip.AddrPortFrom(network.MachineAddrs[0], 22)
	echo, err := network.Machine.EchoTCP(port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = echo.Close() })
	said, err := l.shell("server",
		"echo POSTERN_NAMES=postern.example > /etc/default/postern-server\nsystemctl start "+
			"postern-server\njournalctl -u postern-server")
	if err != nil {
		t.Fatal(err, said)
	}
	l.welcome(said)
	l.left["person-login"] = "postern login --server https://postern.example:8443 --ca-fingerprint FINGERPRINT " +
		"--user admin\n"
	l.run("person-login")
	l.run("gateway-forward", "net.ipv4.ip_forward = 1")
	l.token(l.run("person-gateway-token"))
	l.run("gateway-enrol", "(mode gateway)")
	if !l.reaches(port) {
		t.Error("the port is closed before there is a policy")
	}
	l.run("person-gateway-machine")
	l.eventually("the port is closed", func() bool { return !l.reaches(port) })
	l.run("person-gateway-request", "plc-7 22/tcp is open from 10.77.0.1/32")
	if !l.reaches(port) {
		t.Error("the port is closed though it was opened")
	}
	l.finish()
}
