package agent

import (
	"encoding/json"
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

// golden compares what was sent with the file of that name. The program of every version says it like that, so a difference is
// one that servers of other versions may not take.
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

// TestCallsOnTheWire has an agent enroll, follow, report, tell of a code that was used and renew: the head of each call, and the
// body where it is the same each time, are what they always were.
func TestCallsOnTheWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.life = 3 * time.Second // so that it is renewed soon
	h := newHost(t, s)
	must(t, glass(h.dir, func(g *glassState) (bool, error) {
		g.Uses = []glassUse{{
			Code: "code-1", Machine: "machine-1", Port: 22, Protocol: access.TCP, Source: netip.MustParsePrefix("203.0.113.7/32"), Reason: "site down",
			For: time.Hour, Opened: noon().UnixMicro(),
		}}
		return true, nil
	}))
	h.start()
	eventually(t, "the agent has made each call", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.calls) == 5 })
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
		`(Host|Content-Length|Postern-Agent-Instance): \S+`: "$1: OTHER", `"addresses":\[[^]]*\]`: `"addresses":[]`, `"csr":"[^"]*"`: `"csr":"CSR"`,
	} {
		text = regexp.MustCompile(pattern).ReplaceAll(text, []byte(with))
	}
	s.calls[r.URL.Path] = strings.ReplaceAll(string(text), "\r", "")
}

// TestReportOnTheWire holds every field of a report.
func TestReportOnTheWire(t *testing.T) {
	t.Parallel()
	text, err := json.MarshalIndent(toWire(access.Report{
		Epoch: "epoch-1", Revision: 7, Skew: -1500 * time.Millisecond, Drift: []string{"the table was flushed"}, Problem: "the disk is full", Version: "1.2.3",
		Observations: []access.Observation{
			{Grant: "g1", Status: access.StatusOpen, Packets: 3, Bytes: 180}, {Grant: "g2", Status: access.StatusClosed},
			{Grant: "g3", Status: access.StatusDrifted, Detail: "it was put back"}, {Grant: "g4", Status: access.StatusFailed, Detail: "no room"},
		},
		Denied: []access.Denied{
			{Machine: "machine-1", Source: netip.MustParseAddr("203.0.113.7"), Protocol: access.TCP, Port: 22, Count: 9},
			{Machine: "machine-1", Source: netip.MustParseAddr("2001:db8::1"), Protocol: access.UDP, Port: 53, Count: 1},
		},
		Foreign: []access.ForeignRule{
			{Table: "inet filter", Chain: "input", Effect: access.ForeignDrops, Protocol: access.TCP, Ports: access.SinglePort(22), Text: "tcp dport 22 drop"},
			{Table: "ip raw", Chain: "prerouting", Effect: access.ForeignUnknown, Ports: access.PortRange{First: 8000, Last: 8010}},
		},
	}), "", "  ")
	must(t, err)
	golden(t, "report.json", string(text)+"\n")
	text, err = json.Marshal(toWire(access.Report{}))
	must(t, err)
	if string(text) != `{"revision":0,"skewMillis":0,"version":""}` {
		t.Errorf("a report of nothing is %s", text)
	}
}
