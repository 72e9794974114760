//go:build linux

// Package docs_test runs what the manual tells operators to run, on hosts that are network namespaces with file systems
// of their own: blocks that follow a comment such as <!-- run: server-start -->.
package docs_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/nettest"
)

const patience = 20 * time.Second

// programs is the folder of the program under test.
var programs string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Geteuid() != 0 {
		return m.Run() // all is skipped
	}
	dir, err := os.MkdirTemp("", "postern-docs-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755) // the units' user runs what is there
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	programs = dir
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "postern"),
		"github.com/postern-dev/postern/cmd/postern")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

var block = regexp.MustCompile("(?s)<!-- run: ([a-z-]+) -->\n```[a-z]*\n(.*?)```\n")

// manual gives the blocks of some pages by their names, each once.
func manual(t *testing.T, pages ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, page := range pages {
		text, err := os.ReadFile(filepath.Join("..", "..", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range block.FindAllStringSubmatch(string(text), -1) {
			if found[m[1]] != "" {
				t.Errorf("%s: there is a second block %s", page, m[1])
			}
			found[m[1]] = m[2]
		}
	}
	return found
}

// lab runs blocks of the manual, each once.
type lab struct {
	t       *testing.T
	network *nettest.Network
	dir     string
	left    map[string]string
	swap    []string // what stands for something else in the manual, and for what
}

func newLab(t *testing.T, network *nettest.Network, pages ...string) *lab {
	t.Helper()
	t.Cleanup(func() { _ = network.Close() })
	l := &lab{t: t, network: network, dir: t.TempDir(), left: manual(t, pages...)}
	for _, host := range []string{"server", "machine", "person"} {
		l.furnish(host)
	}
	l.write("first", "")
	l.write("own", "a long enough password 42")
	l.replace(" --user admin\n",
		" --user admin --password-file "+l.path("first")+" --new-password-file "+l.path("own")+"\n")
	l.replace("https://SERVER:8443", "https://postern.example:8443")
	return l
}

func (l *lab) path(name ...string) string { return filepath.Join(append([]string{l.dir}, name...)...) }

func (l *lab) write(name, text string) {
	l.t.Helper()
	if err := os.WriteFile(l.path(name), []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) replace(from, to string) { l.swap = append(l.swap, from, to) }

// furnish makes the files of a host.
func (l *lab) furnish(host string) {
	l.t.Helper()
	for _, dir := range []string{"var/lib/postern", "var/backups", "var/tmp", "etc/default", "home"} {
		if err := os.MkdirAll(l.path(host, dir), 0o755); err != nil {
			l.t.Fatal(err)
		}
	}
	for name, more := range map[string]string{
		"hosts":  "10.77.0.1 postern.example db.example\n10.77.0.2 web-1\n",
		"passwd": "postern:x:64017:64017:Postern:/var/lib/postern:/usr/sbin/nologin\n",
		"group":  "postern:x:64017:\n",
	} {
		text, err := os.ReadFile(filepath.Join("/etc", name))
		if err != nil {
			l.t.Fatal(err)
		}
		if err := os.WriteFile(l.path(host, "etc", name), append(text, more...), 0o644); err != nil {
			l.t.Fatal(err)
		}
	}
	l.t.Cleanup(func() { // what systemctl started
		_, _ = l.shell(host, "for unit in postern-agent postern-server; do halt $unit; done")
	})
}

// shell runs a text on a host.
func (l *lab) shell(host, text string) (string, error) {
	in := l.network.Client
	if host == "machine" {
		if in = l.network.Machine; l.network.Gateway != nil {
			in = l.network.Gateway
		}
	}
	shims, err := filepath.Abs("shims.sh")
	if err != nil {
		return "", err
	}
	units, err := filepath.Abs("../../deploy/systemd")
	if err != nil {
		return "", err
	}
	log := l.path(host, "shell.log")
	out, err := os.Create(log)
	if err != nil {
		return "", err
	}
	defer out.Close()
	cmd := exec.Command("unshare", "--mount", "bash", "-euo", "pipefail", "-c", ". "+shims+"\ncd ~\n"+text)
	cmd.Env = append(os.Environ(), "HOST="+l.path(host), "UNITS="+units, "BIN="+programs, "HOME="+l.path(host, "home"),
		"PATH="+programs+":"+os.Getenv("PATH")+":/usr/sbin:/sbin")
	cmd.Stdout, cmd.Stderr = out, out // a file, which a server that goes on running does not keep anybody waiting at
	if err := in.Start(cmd); err != nil {
		return "", err
	}
	err = cmd.Wait()
	said, readErr := os.ReadFile(log)
	if err == nil {
		err = readErr
	}
	return string(said), err
}

// run runs a block on the host that its name begins with, and looks for words in what it says.
func (l *lab) run(name string, words ...string) string {
	l.t.Helper()
	text, ok := l.left[name]
	if !ok {
		l.t.Fatalf("the manual has no block %s", name)
	}
	delete(l.left, name)
	host, _, _ := strings.Cut(name, "-")
	if host == "gateway" || host == "agent" {
		host = "machine"
	}
	said, err := l.shell(host, strings.NewReplacer(l.swap...).Replace(text))
	if err != nil {
		l.t.Fatalf("%s\n%sended with %v:\n%s%s", name, text, err, said, l.logs())
	}
	for _, word := range words {
		if !strings.Contains(said, word) {
			l.t.Errorf("%s does not say %q:\n%s", name, word, said)
		}
	}
	return said
}

func (l *lab) logs() string {
	var all strings.Builder
	for _, log := range []string{"server/postern-server.log", "machine/postern-agent.log"} {
		if text, err := os.ReadFile(l.path(log)); err == nil {
			fmt.Fprintf(&all, "\n%s:\n%s", log, text[max(0, len(text)-3000):])
		}
	}
	return all.String()
}

// finish tells which blocks nobody ran.
func (l *lab) finish(except ...string) {
	l.t.Helper()
	for name := range l.left {
		for _, prefix := range except {
			if strings.HasPrefix(name, prefix) {
				delete(l.left, name)
			}
		}
	}
	if len(l.left) > 0 {
		l.t.Errorf("blocks that no test runs: %v", l.left)
	}
}

// find takes the first match of a pattern out of what a command said.
func (l *lab) find(pattern, in string) string {
	l.t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(in)
	if m == nil {
		l.t.Fatalf("%s is not in:\n%s", pattern, in)
	}
	return m[1]
}

// welcome keeps what the first start printed.
func (l *lab) welcome(said string) {
	l.t.Helper()
	l.write("first", l.find(`password +(\S+)`, said))
	l.replace("FINGERPRINT", l.find(`SHA-256 ([0-9a-f]{64})`, said))
}

// token keeps the token of a command's answer, once at a time.
func (l *lab) token(said string) {
	l.t.Helper()
	l.swap = append([]string{"TOKEN", l.find(`(?m)^(pen_\S+)$`, said)}, l.swap...)
}

func (l *lab) eventually(what string, check func() bool) {
	l.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if check() {
			return
		}
	}
	l.t.Fatalf("%s: not after %s%s", what, patience, l.logs())
}

func (l *lab) reaches(to netip.AddrPort) bool {
	return l.network.Client.Ask("tcp", l.network.ClientAddrs[0], to, 300*time.Millisecond) == nil
}

func need(t *testing.T, programs ...string) {
	t.Helper()
	missing := nettest.Available()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			missing = err
		}
	}
	switch {
	case missing != nil && os.Getenv("POSTERN_TESTS_REQUIRED") != "":
		t.Fatal(missing)
	case missing != nil || os.Geteuid() != 0:
		t.Skipf("it takes root, and programs that are missing: %v", missing)
	}
}
