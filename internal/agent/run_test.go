package agent

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
)

func TestFollowsTheServer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	h.start()
	eventually(t, "port 22 alone is protected",
		func() bool { return slices.Equal(h.target.protects(), []string{"22"}) })
	s.grant("g1", "192.0.2.0/24", time.Hour)
	h.opens("192.0.2.0/24 22")
	eventually(t, "the grant is reported open", func() bool { return slices.Equal(s.said("g1"), []string{"open"}) })
	s.revoke()
	h.opens()
	eventually(t, "the grant is reported closed",
		func() bool { return slices.Equal(s.said("g1"), []string{"open", "closed"}) })
	r, _ := s.lastReport()
	if r.Revision != 3 || r.Problem != "" || r.Version != "test" {
		t.Errorf("last report is of revision %d, version %q, with problem %q", r.Revision, r.Version, r.Problem)
	}
	h.halt()
}

func TestClosedWithoutAStateBeforeAnyContact(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	s.Close() // never to be reached
	loseState(t, h.dir)
	h.start()
	eventually(t, "the recommended ports are protected", func() bool {
		return slices.Equal(h.target.protects(), []string{"22", "3389", "5985", "5986"})
	})
	h.halt()
}

// loseState leaves a host enrolled, without what it was told to guard.
func loseState(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{stateFile, protectedFile} {
		must(t, os.Remove(filepath.Join(dir, name)))
	}
}

func TestNothingIsClosedBeforeTheServerAsksForIt(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	s.Close() // never to be reached
	closed, err := Guard(t.Context(), Config{StateDir: h.dir, Enforcer: h.target, Log: slog.New(slog.DiscardHandler)})
	if err != nil || len(closed) > 0 {
		t.Errorf("the guard of a host that was only just enrolled closes %v (%v), want nothing", closed, err)
	}
}

func TestAHostThatIsEnrolledAnewKeepsItsPortsClosed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	now := h.clock.read()
	must(t, save(h.dir, stateOf(now, 3, opening(22, "0.0.0.0/0", now, time.Hour, "g")), now))
	s.tokens["second"] = ""
	again := h.enrolment("second")
	again.Replace = true
	if _, err := Enroll(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	s.Close()
	h.start()
	eventually(t, "port 22 is protected", func() bool { return slices.Equal(h.target.protects(), []string{"22"}) })
	h.halt()
}

func TestSurvivesBeingOffline(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	h.start()
	s.grant("short", "192.0.2.1/32", 5*time.Second)
	s.grant("long", "192.0.2.2/32", time.Hour)
	h.opens("192.0.2.1/32 22", "192.0.2.2/32 22")
	s.change(func() { s.down = true })
	s.CloseClientConnections()
	// Granted while the agent is offline.
	s.grant("meanwhile", "192.0.2.3/32", time.Hour)
	h.opens("192.0.2.2/32 22") // on time, without anybody to ask
	h.halt()
	h.start() // and a restart changes nothing
	h.opens("192.0.2.2/32 22")
	s.change(func() { s.down = false })
	h.opens("192.0.2.2/32 22", "192.0.2.3/32 22")
	eventually(t, "the end of the short grant is reported",
		func() bool { return slices.Contains(s.said("short"), "closed") })
	eventually(t, "all are reported after the reconnect", func() bool {
		long, meanwhile := s.said("long"), s.said("meanwhile")
		return slices.Equal(long, []string{"open"}) && slices.Equal(meanwhile, []string{"open"})
	})
	h.halt()
}

func TestRestartAfterTheDeadline(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	h.start()
	s.grant("g1", "192.0.2.1/32", 4*time.Second)
	h.opens("192.0.2.1/32 22")
	h.halt()
	s.change(func() { s.down = true })
	h.opens()
	revisions := len(h.target.applied)
	h.start()
	eventually(t, "the saved state is applied", func() bool {
		h.target.mu.Lock()
		defer h.target.mu.Unlock()
		return len(h.target.applied) > revisions
	})
	h.opens()
	s.change(func() { s.down = false })
	eventually(t, "the end is reported", func() bool { return slices.Contains(s.said("g1"), "closed") })
	h.halt()
}

// A wrong wall clock changes no deadline; it keeps new openings closed and is reported, and once it is right again
// what was asked for opens.
func TestSkewRefusesToOpenAndNeverToClose(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{24 * time.Hour, -24 * time.Hour, 90 * time.Second} {
		t.Run(off.String(), func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			h := newHost(t, s)
			var wrong atomic.Int64
			wall := h.clock.Wall
			h.clock.Wall = func() time.Time { return wall().Add(time.Duration(wrong.Load())) }
			h.start()
			s.grant("before", "192.0.2.1/32", time.Hour)
			h.opens("192.0.2.1/32 22")
			wrong.Store(int64(off))
			eventually(t, "the skew is reported", func() bool {
				r, _ := s.lastReport()
				return strings.Contains(r.Problem,
					"clock is off") && (time.Duration(r.SkewMillis)*time.Millisecond-off).Abs() < 10*time.Second
			})
			s.grant("after", "192.0.2.2/32", time.Hour)
			eventually(t, "the refusal is reported",
				func() bool { return slices.Equal(s.said("after"), []string{"failed"}) })
			h.opens("192.0.2.1/32 22")
			h.halt()
			h.start() // the refused opening must not come back from the disk either
			eventually(t, "a connection", func() bool { return slices.Equal(h.target.protects(), []string{"22"}) })
			h.opens("192.0.2.1/32 22")
			s.revoke()
			h.opens() // closing is never refused
			s.grant("later", "192.0.2.3/32", time.Hour)
			eventually(t, "the refusal is reported", func() bool { return slices.Contains(s.said("later"), "failed") })
			wrong.Store(0)
			h.opens("192.0.2.3/32 22")
			eventually(t, "the problem is over", func() bool { r, _ := s.lastReport(); return r.Problem == "" })
			h.halt()
		})
	}
}

func TestStateForAnotherAgentIsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	h.start()
	eventually(t, "port 22 alone is protected",
		func() bool { return slices.Equal(h.target.protects(), []string{"22"}) })
	s.change(func() { s.agent = "agent-2" })
	s.grant("g1", "192.0.2.1/32", time.Hour)
	eventually(t, "the refusal is reported", func() bool {
		r, _ := s.lastReport()
		return strings.Contains(r.Problem, `for agent "agent-2"`)
	})
	h.opens()
	s.change(func() { s.agent = "agent-1" })
	h.opens("192.0.2.1/32 22")
	h.halt()
}

func TestOlderRevisionIsPassedOverButNotAfterReconnect(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	h.start()
	s.grant("g1", "192.0.2.1/32", time.Hour)
	h.opens("192.0.2.1/32 22")
	s.change(func() { s.desired.Revision = 1; s.desired.Openings, s.ends = nil, nil })
	_, before := s.lastReport()
	eventually(t, "some reports", func() bool { _, n := s.lastReport(); return n > before+2 })
	h.opens("192.0.2.1/32 22")
	s.CloseClientConnections() // the server comes back, restored from a backup
	h.opens()
	h.halt()
}

func TestSilentServerIsLeft(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	h.timing.silence = 500 * time.Millisecond
	s.mute = true
	h.start()
	eventually(t, "the agent connects again", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.streams >= 3 })
	h.halt()
}

func TestRevokedCertificate(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	h.start()
	s.grant("g1", "192.0.2.1/32", 10*time.Second)
	h.opens("192.0.2.1/32 22")
	s.change(func() { s.revoked = true })
	s.CloseClientConnections()
	s.grant("g2", "192.0.2.2/32", time.Hour)
	h.halt()
	h.start()
	h.opens("192.0.2.1/32 22") // it enforces what it has
	h.opens()                  // until it expires
	eventually(t, "port 22 stays protected", func() bool { return slices.Equal(h.target.protects(), []string{"22"}) })
	s.change(func() { s.revoked = false })
	h.opens("192.0.2.2/32 22")
	h.halt()
}

// What is wrong with the certificate can be put right while the agent runs.
func TestCredentialsThatCannotBeReadAreReadAgain(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	file := filepath.Join(h.dir, credentialsFile)
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	h.start()
	s.grant("g1", "192.0.2.1/32", time.Hour)
	eventually(t, "it enforces",
		func() bool { h.target.mu.Lock(); defer h.target.mu.Unlock(); return len(h.target.applied) > 0 })
	if err := os.Rename(file+".away", file); err != nil {
		t.Fatal(err)
	}
	h.opens("192.0.2.1/32 22")
	h.halt()
}

func TestRenewsItsCertificate(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.life = 9 * time.Second
	h := newHost(t, s)
	h.start()
	s.grant("g1", "192.0.2.1/32", time.Hour)
	h.opens("192.0.2.1/32 22")
	eventually(t, "two renewals", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.renewals >= 2 })
	eventually(t, "a connection with the new certificate",
		func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.streams >= 3 })
	h.opens("192.0.2.1/32 22")
	h.target.mu.Lock()
	for i, revision := range h.target.applied[1:] {
		if i > 2 && revision != 2 {
			t.Errorf("enforcement went to revision %d meanwhile", revision)
		}
	}
	h.target.mu.Unlock()
	h.halt()
	if _, err := loadCredentials(h.dir, testSelf(), h.clock); err != nil {
		t.Error(err)
	}
}

func TestCorruptStateFailsClosedAndIsReported(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	h.start()
	s.grant("g1", "192.0.2.1/32", time.Hour)
	h.opens("192.0.2.1/32 22")
	h.halt()
	if err := os.WriteFile(filepath.Join(h.dir, stateFile), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.change(func() { s.down = true })
	h.start()
	h.opens()
	if diff := cmp.Diff([]string{"22"}, h.target.protects()); diff != "" {
		t.Errorf("protected ports (-want +got):\n%s", diff)
	}
	s.change(func() { s.down = false })
	h.opens("192.0.2.1/32 22")
	eventually(t, "the problem was reported", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, r := range s.reports {
			if strings.Contains(r.Problem, stateFile) {
				return true
			}
		}
		return false
	})
	h.halt()
}

func TestStateThatCannotBeSavedOpensNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	h.start()
	s.grant("g1", "192.0.2.1/32", time.Hour)
	h.opens("192.0.2.1/32 22")
	away := h.dir + ".away"
	// root may write anywhere; a folder that is not there stops everybody
	if err := os.Rename(h.dir, away); err != nil {
		t.Fatal(err)
	}
	s.grant("g2", "192.0.2.2/32", time.Hour)
	eventually(t, "the refusal is reported", func() bool { return slices.Equal(s.said("g2"), []string{"failed"}) })
	h.opens("192.0.2.1/32 22")
	s.revoke()
	h.opens()
	if err := os.Rename(away, h.dir); err != nil {
		t.Fatal(err)
	}
	s.grant("g3", "192.0.2.3/32", time.Hour)
	h.opens("192.0.2.3/32 22")
	h.halt()
}

// The deadline that the agent counts to is never later than the server's, though the clocks are apart.
func TestDeadlineIsNotLaterThanTheServers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.offset = 20 * time.Second
	h := newHost(t, s)
	h.start()
	eventually(t, "a connection", func() bool { return slices.Equal(h.target.protects(), []string{"22"}) })
	before := h.clock.Boot()
	s.grant("g1", "192.0.2.1/32", time.Hour)
	granted := h.clock.Boot()
	h.opens("192.0.2.1/32 22")
	h.halt()
	key := access.OpeningKey{Machine: "machine-1", Protocol: access.TCP, Ports: access.SinglePort(22)}
	for k := range h.target.longest {
		key.Source = k.Source
	}
	until := h.target.longest[key]
	const network = 10 * time.Second // a busy machine; the clocks are twice as far apart
	if until.Before(before.Add(time.Hour-network)) || until.After(granted.Add(time.Hour+network)) {
		t.Errorf("open until %s after the grant, want an hour", until.Sub(granted))
	}
}

// TestTheAgentWaitsAsLongAsItIsAsked has the server turn reports away: the agent comes again when it was told to, and
// not before, whatever happens meanwhile; and then it tells all of it.
func TestTheAgentWaitsAsLongAsItIsAsked(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	h.start()
	s.grant("g1", "192.0.2.0/24", time.Hour)
	eventually(t, "the grant is reported open", func() bool { return slices.Equal(s.said("g1"), []string{"open"}) })
	s.change(func() { s.busy = true })
	s.revoke()
	h.opens()
	turned := func() (times []time.Time) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Clone(s.turned)
	}
	for n := 1; n <= 3; n++ {
		eventually(t, "a report is turned away", func() bool { return len(turned()) >= n })
		s.grant(fmt.Sprint("h", n), fmt.Sprintf("198.51.100.%d/32", n), time.Hour) // which is something to report
		// and a new stream is no reason to come before
		s.CloseClientConnections()
	}
	times := turned()
	for i := range times[1:] {
		if gap := times[i+1].Sub(times[i]); gap < 990*time.Millisecond {
			t.Errorf("turned away, the agent came again after %s", gap)
		}
	}
	s.change(func() { s.busy = false })
	eventually(t, "the grant is reported closed",
		func() bool { return slices.Equal(s.said("g1"), []string{"open", "closed"}) })
	eventually(t, "what happened meanwhile is reported",
		func() bool { return slices.Equal(s.said("h3"), []string{"open"}) })
	h.halt()
}
