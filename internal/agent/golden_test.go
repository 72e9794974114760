package agent

import (
	"flag"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares what was sent with the file of that name. The program of every version says it like that, so a
// difference is one that servers of other versions may not take.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		must(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// TestCallsOnTheWire has an agent enroll, follow, report, tell of a code that was used and of its version, and renew:
// the head of each call, and the body where it is the same each time, are what they always were.
func TestCallsOnTheWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.life = 9 * time.Second // so that it is renewed soon, and not over before on a busy machine
	h := newHost(t, s)
	must(t, glass(h.dir, func(g *glassState) (bool, error) {
		g.Uses = []glassUse{{
			Code: "code-1", Machine: "machine-1", Port: 22, Protocol: access.TCP,
			Source: netip.MustParsePrefix("203.0.113.7/32"), Reason: "site down",
			For: time.Hour, Opened: noon().UnixMicro(),
		}}
		return true, nil
	}))
	h.start()
	eventually(t, "the agent has made each call",
		func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.calls) == 6 })
	h.halt()
	s.mu.Lock()
	defer s.mu.Unlock()
	golden(t, "calls.txt", strings.Join(slices.Sorted(maps.Values(s.calls)), "\n"))
}

// called notes the first call of each path, without what is another each time.
func (s *server) called(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[r.URL.Path] != "" {
		return
	}
	text, err := httputil.DumpRequest(r, !strings.HasSuffix(r.URL.Path, "/report"))
	if err != nil {
		panic(err)
	}
	for pattern, with := range map[string]string{
		`(Host|Content-Length|Postern-Agent-Instance): \S+`: "$1: OTHER", `"addresses":\[[^]]*\]`: `"addresses":[]`,
		`"csr":"[^"]*"`: `"csr":"CSR"`,
	} {
		text = regexp.MustCompile(pattern).ReplaceAll(text, []byte(with))
	}
	s.calls[r.URL.Path] = strings.ReplaceAll(string(text), "\r", "")
}
