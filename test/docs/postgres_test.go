//go:build linux

package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/nettest"
)

// TestPostgres runs what the manual says of PostgreSQL, on one that is at the server's host.
func TestPostgres(t *testing.T) {
	t.Parallel()
	need(t, "bash", "curl", "pg_dump", "psql", "runuser", "setpriv", "unshare")
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		t.Skip("there is no initdb in /usr/lib/postgresql")
	}
	network, err := nettest.Pair()
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, network, "docs/operate/server.md")
	bin, data := found[len(found)-1], l.postgresFolder()
	must := func(host, text string, words ...string) {
		t.Helper()
		said, err := l.shell(host, text)
		if err != nil {
			t.Fatalf("%s\nended with %v:\n%s%s", text, err, said, l.logs())
		}
		for _, word := range words {
			if !strings.Contains(said, word) {
				t.Errorf("%s\ndoes not say %q:\n%s", text, word, said)
			}
		}
	}
	const asPostgres = "setpriv --reuid postgres --regid postgres --clear-groups env LC_ALL=C "
	must("server",
		"cd /; "+asPostgres+bin+"/initdb -A trust -D "+data+"\n"+asPostgres+bin+"/pg_ctl -w -l "+data+".log -D "+data+
			" -o '-c listen_addresses=* -c unix_socket_directories="+filepath.Dir(
			data)+" -c fsync=off' start\necho 'host all all 10.77.0.0/24 trust' >> "+data+"/pg_hba.conf\n"+
			asPostgres+bin+"/pg_ctl -D "+data+" reload")
	t.Cleanup(func() {
		if said, err := l.shell("server", "cd /; "+asPostgres+bin+"/pg_ctl -m immediate -D "+data+" stop"); err != nil {
			t.Error(err, said)
		}
	})
	l.left["postgres-create"] = "export PGHOST=" + filepath.Dir(
		data) + "\n" + "psql -v ON_ERROR_STOP=1 -U postgres <<'SQL'\n" + l.left["postgres-create"] + "SQL\n"
	l.left["postgres-restore"] = "systemctl stop postern-server\nexport PGUSER=postgres\n" + l.left["postgres-restore"]
	// /etc/postern is in the view of the host, as /etc/default is.
	l.replace("/etc/postern", "/etc/default/postern")
	l.as("server", "postgres-create", "CREATE DATABASE")
	must("server", "echo POSTERN_NAMES=postern.example > /etc/default/postern-server")
	l.as("server", "postgres-start")
	said, err := l.shell("server", "journalctl -u postern-server")
	if err != nil {
		t.Fatal(err)
	}
	l.welcome(said)
	l.run("person-login", "Signed in")
	l.as("server", "postgres-second")
	must("server", `cd ~
setsid setpriv --reuid postern --regid postern --clear-groups "$BIN"/postern server --data /var/lib/postern/second --listen :8444 \
  --metrics-listen off --names postern.example --database postgres://postern@db.example/postern </dev/null >second.log 2>&1 &
until curl -fsk -o /dev/null https://localhost:8444/readyz; do sleep 0.05; done
curl --cacert /var/lib/postern/server/ca.pem https://postern.example:8444/readyz
kill $!
wait $!`, "ready")
	must("person", "postern user create before")
	l.as("server", "postgres-backup")
	must("person", "postern user create after")
	l.as("server", "postgres-restore")
	must("server", "systemctl start postern-server")
	said, err = l.shell("person", "postern user list")
	if err != nil || !strings.Contains(said, "before") || strings.Contains(said, "after") {
		t.Errorf("after the restore there are (%v):\n%s", err, said)
	}
	l.finish("server-", "person-")
}

// as runs a block on another host than its name says.
func (l *lab) as(host, name string, words ...string) {
	l.t.Helper()
	l.left[host+"-"+name] = l.left[name]
	delete(l.left, name)
	l.run(host+"-"+name, words...)
}

// postgresFolder makes a folder that the user postgres may write to.
func (l *lab) postgresFolder() string {
	l.t.Helper()
	dir, err := os.MkdirTemp("", "postern-docs-pg-")
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if out, err := exec.Command("chown", "postgres", dir).CombinedOutput(); err != nil {
		l.t.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(dir, "data")
}
