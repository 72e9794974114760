package agent

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// TestStateOfAnOlderAgent loads the state folder that the agent of commit 9d7d7c5 wrote: what was open is open for what
// remains of it, and where the openings cannot be read, its two guarded ports are closed all the same.
func TestStateOfAnOlderAgent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "older"))); err != nil {
		t.Fatal(err)
	}
	self, err := LoadIdentity(dir)
	if err != nil || self.Name != "web-1" || self.Mode != access.ModeHost || self.Agent == "" {
		t.Fatalf("the identity is %+v, %v", self, err)
	}
	data, err := readFile(dir, stateFile)
	if err != nil {
		t.Fatal(err)
	}
	s, err := decodeState(data)
	if err != nil {
		t.Fatal(err)
	}
	now := reading{
		boot: bootInstant(time.Duration(s.Boot) + time.Minute),
		wall: time.UnixMicro(s.Wall).Add(time.Minute), bootID: s.BootID,
	}
	h, problem := load(dir, self, now)
	if problem != "" || len(h.Protected) != 2 || len(h.Openings) != 1 {
		t.Fatalf("loaded %+v, %q", h, problem)
	}
	o := h.Openings[0]
	if left := o.Until.Sub(now.boot); o.Source != netip.MustParsePrefix(
		"127.0.0.9/32") || o.Ports != access.SinglePort(22) || left < 58*time.Minute || left > 59*time.Minute {
		t.Errorf("%+v is open for %s", o, left)
	}
	if err := os.WriteFile(filepath.Join(dir, stateFile), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if h, problem := load(dir, self,
		now); problem == "" || len(h.Protected) != 2 || h.Protected[1].Ports != access.SinglePort(
		3389) || len(h.Openings) != 0 {
		t.Errorf("without its openings, loaded %+v, %q", h, problem)
	}
}
