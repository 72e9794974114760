package agent

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
)

// try guards port 443 too until a trial ends or is confirmed; port 22 was guarded before.
func (s *server) try(id string, remaining time.Duration) {
	s.change(func() {
		s.desired.Revision++
		former := slices.Clone(s.desired.Protected)
		s.desired.Protected = append(slices.Clone(former),
			agentwire.Protected{Machine: "machine-1", Protocol: "tcp", Ports: "443", Sessions: "cut"})
		s.desired.Trials = []agentwire.Trial{{
			ID: id, Machine: "machine-1", RemainingMillis: remaining.Milliseconds(), Former: former,
		}}
	})
}

func (s *server) confirm() {
	s.change(func() { s.desired.Revision++; s.desired.Trials = nil })
}

// seen gives what was said of a trial, in order, without repetitions.
func (s *server) seen(trial string) (states []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.findings {
		for _, t := range f.Trials {
			if t.ID == trial {
				states = append(states, t.State)
			}
		}
	}
	return slices.Compact(states)
}

func (h *host) guards(want ...string) {
	h.t.Helper()
	eventually(h.t, "guarded: "+strings.Join(want, " "), func() bool { return slices.Equal(h.target.protects(), want) })
}

// TestATrialEndsWithoutTheServer guards a port, and cuts the agent off: the guard is taken away when its time is over,
// what was guarded before stays, and the server hears of it when it is back.
func TestATrialEndsWithoutTheServer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	h.start()
	h.guards("22")
	s.try("trial-1", 3*time.Second)
	h.guards("22", "443")
	eventually(t, "it is in force", func() bool { return slices.Equal(s.seen("trial-1"), []string{agentwire.TrialInForce}) })
	s.change(func() { s.down = true })
	s.CloseClientConnections()
	h.guards("22")
	s.change(func() { s.down = false })
	eventually(t, "the server hears of it",
		func() bool {
			return slices.Equal(s.seen("trial-1"), []string{agentwire.TrialInForce, agentwire.TrialUndone})
		})
	// A server that does not know yet asks for it again, and for longer: it stays undone.
	s.change(func() { s.desired.Revision++; s.desired.Trials[0].RemainingMillis = time.Hour.Milliseconds() })
	eventually(t, "the state is in force", func() bool {
		r, _ := s.lastReport()
		return r.Revision == s.revision()
	})
	h.guards("22")
	h.halt()
}

func (s *server) revision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.desired.Revision
}

// TestAConfirmedTrialStands confirms a guard, and sends the trial again as a server does that was restored from a
// backup, or that somebody else took over: nothing of what stood confirmed is let go of.
func TestAConfirmedTrialStands(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	h.start()
	h.guards("22")
	s.try("trial-1", time.Hour)
	h.guards("22", "443")
	s.confirm()
	eventually(t, "the confirmation is in force", func() bool {
		r, _ := s.lastReport()
		return r.Revision == s.revision()
	})
	s.change(func() {
		s.desired.Epoch, s.desired.Revision = "restored", 2
		s.desired.Trials = []agentwire.Trial{{ID: "trial-1", Machine: "machine-1"}} // over, and nothing was before
	})
	eventually(t, "the server hears that its trial is over",
		func() bool { return slices.Contains(s.seen("trial-1"), agentwire.TrialUndone) })
	h.guards("22", "443")
	h.halt()
}

// TestTheAgentConnectsAnewUnderATrial says that a guard is in force only over a connection that was made under it.
func TestTheAgentConnectsAnewUnderATrial(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	h.start()
	h.guards("22")
	s.mu.Lock()
	before := s.streams
	s.mu.Unlock()
	s.try("trial-1", time.Hour)
	eventually(t, "it is in force", func() bool { return slices.Equal(s.seen("trial-1"), []string{agentwire.TrialInForce}) })
	h.halt()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams == before {
		t.Error("the agent says so over the connection that it had before")
	}
}

// TestATrialSurvivesARestart kills the agent during a trial and after it, and boots the host anew in between.
func TestATrialSurvivesARestart(t *testing.T) {
	t.Parallel()
	const left = 10 * time.Minute
	saved := at(time.Hour, noon(), "boot-1")
	guarded := func(port uint16) access.Protected {
		return access.Protected{
			Machine: "machine-1", Protocol: access.TCP, Ports: access.SinglePort(port), Sessions: access.SessionsKeep,
		}
	}
	for name, c := range map[string]struct {
		now  reading
		want []string
	}{
		"same boot, in time":             {at(time.Hour+9*time.Minute, noon(), "boot-1"), []string{"22", "443"}},
		"same boot, after it":            {at(time.Hour+left, noon(), "boot-1"), []string{"22"}},
		"rebooted, in time":              {at(time.Minute, noon().Add(9*time.Minute), "boot-2"), []string{"22", "443"}},
		"rebooted, after it":             {at(time.Minute, noon().Add(left), "boot-2"), []string{"22"}},
		"rebooted with the clock behind": {at(time.Minute, noon().Add(-time.Hour), "boot-2"), []string{"22", "443"}},
	} {
		for _, spoilt := range []bool{false, true} {
			dir := t.TempDir()
			must(t, testSelf().save(dir))
			h := stateOf(saved, 3)
			h.Trials = []access.Unconfirmed{{
				Trial: "trial-1", Machine: "machine-1", Until: saved.boot.Add(left), Former: []access.Protected{guarded(22)},
			}}
			h.Protected = append(h.Protected, guarded(443))
			must(t, save(dir, h, saved))
			if spoilt {
				must(t, os.WriteFile(filepath.Join(dir, stateFile), []byte("x"), 0o600))
			}
			k := newTarget(func() time.Time { return c.now.boot })
			if _, err := Guard(t.Context(), Config{
				StateDir: dir, Enforcer: k, Log: slog.New(slog.DiscardHandler), Clock: Clock{
					Boot: func() time.Time { return c.now.boot }, Wall: func() time.Time { return c.now.wall },
					BootID: c.now.bootID,
				},
			}); err != nil {
				t.Fatal(err)
			}
			if got := k.protects(); !slices.Equal(got, c.want) {
				t.Errorf("%s, state spoilt %t: the guard unit guards %v, want %v", name, spoilt, got, c.want)
			}
			if until := k.state.Trials[0].Until; until.After(c.now.boot.Add(left)) {
				t.Errorf("%s: the trial goes on for %s", name, until.Sub(c.now.boot))
			}
		}
	}
}

// TestAnOlderServerIsNotToldOfFindings follows a server that does not know how to take them.
func TestAnOlderServerIsNotToldOfFindings(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.older = true
	h := newHost(t, s)
	h.start()
	s.grant("g1", "192.0.2.0/24", time.Hour)
	eventually(t, "the grant is reported open", func() bool { return slices.Equal(s.said("g1"), []string{"open"}) })
	s.revoke()
	eventually(t, "the grant is reported closed",
		func() bool { return slices.Equal(s.said("g1"), []string{"open", "closed"}) })
	h.halt()
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.reports[len(s.reports)-1]; s.asked != 1 || r.Problem != "" {
		t.Errorf("it was told %d times, and reports have the problem %q", s.asked, r.Problem)
	}
}
