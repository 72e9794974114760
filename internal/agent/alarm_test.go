package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
	"github.com/postern-dev/postern/internal/enforce/nftables"
)

// stoppedTerminal makes a terminal whose user has pressed Ctrl-S, and returns its path.
func stoppedTerminal(t *testing.T) string {
	t.Helper()
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("there are no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(master) })
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/dev/pts/%d", n)
	slave, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("the terminals of this system are not at /dev/pts: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(slave) })
	if _, err := unix.Write(master, []byte{0x13}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the terminal takes nothing", func() bool {
		_, err := unix.Write(slave, []byte("text\n"))
		return errors.Is(err, unix.EAGAIN)
	})
	return path
}

// codes are good for web-1 for an hour.
func (s *server) offer(codes ...string) {
	s.change(func() {
		for _, code := range codes {
			sum := sha256.Sum256([]byte(code))
			s.desired.Codes = append(s.desired.Codes,
				agentwire.SealedCode{
					ID: code, Machine: "machine-1", Hash: hex.EncodeToString(sum[:]), MaxSeconds: 3600,
					RemainingMillis: 3_600_000,
				})
		}
		s.desired.Revision++
	})
}

// keeps waits until the agent's folder holds so many codes.
func (h *host) keeps(count int) {
	h.t.Helper()
	eventually(h.t, "the codes come", func() bool {
		known := 0
		err := glass(h.dir, func(g *glassState) (bool, error) {
			known = len(g.Codes)
			return false, nil
		})
		return err == nil && known == count
	})
}

func (h *host) breaks(code, source string) (GlassOpened, error) {
	return BreakGlass(h.t.Context(),
		Config{StateDir: h.dir, Enforcer: h.target, Clock: h.clock, Log: slog.New(slog.DiscardHandler)}, GlassConfig{
			Code: code, Port: 22, Protocol: access.TCP, Source: netip.MustParsePrefix(source), For: time.Minute,
			Reason: "site down",
		})
}

// TestAStoppedTerminalHoldsUpNothing breaks glass while a terminal takes nothing, and somebody is connected to the
// agent's socket who says nothing: codes open, and the agent goes on following the server; without the agent a code
// opens as well.
func TestAStoppedTerminalHoldsUpNothing(t *testing.T) {
	t.Parallel()
	path := stoppedTerminal(t)
	s := newServer(t)
	s.offer("ONE", "TWO", "THREE")
	h := newHost(t, s)
	h.start()
	h.keeps(3)
	var silent net.Conn
	eventually(t, "the agent listens", func() (ok bool) {
		var err error
		silent, err = new(net.Dialer).DialContext(t.Context(), "unix", filepath.Join(h.dir, glassSocket))
		return err == nil
	})
	defer silent.Close() //nolint:errcheck // it says nothing
	for _, c := range []struct{ code, source string }{{"ONE", "203.0.113.7/32"}, {"TWO", "203.0.113.8/32"}} {
		if opened, err := h.breaks(c.code, c.source); err != nil || opened.Direct {
			t.Fatalf("through the agent: %+v, %v", opened, err)
		}
	}
	h.opens("203.0.113.7/32 22", "203.0.113.8/32 22")
	s.grant("g1", "192.0.2.0/24", time.Hour)
	h.opens("192.0.2.0/24 22", "203.0.113.7/32 22", "203.0.113.8/32 22")
	h.halt()
	if opened, err := h.breaks("THREE", "203.0.113.9/32"); err != nil || !opened.Direct {
		t.Fatalf("without the agent: %+v, %v", opened, err)
	}
	if f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0); err != nil || f.Close() != nil {
		t.Errorf("the terminal is gone: %v", err)
	}
}

// TestAnOpeningByCodeOutlivesASuspend has the host wake up with the server out of reach: what a code opened stays in
// force.
func TestAnOpeningByCodeOutlivesASuspend(t *testing.T) {
	t.Parallel()
	clock, err := SystemClock()
	if err != nil {
		t.Fatal(err)
	}
	kernel := newTarget(clock.Boot)
	a := &agent{
		Config: Config{StateDir: t.TempDir(), Clock: clock, Log: slog.New(slog.DiscardHandler)},
		out:    newOutbox(), problems: map[string]string{},
	}
	a.loop = enforce.New(enforce.Config{Enforcer: kernel, Now: clock.Boot, Log: a.Log})
	a.holding.DesiredState = access.DesiredState{
		Mode: access.ModeHost, Machines: []access.Guarded{{Machine: "m", Name: "web-1"}},
		Protected: []access.Protected{{
			Machine: "m", Protocol: access.TCP, Ports: access.SinglePort(22),
			Sessions: access.SessionsCut,
		}},
	}
	now, sum := clock.read(), sha256.Sum256([]byte("ONE"))
	if err := keepCodes(a.StateDir,
		[]access.SealedCode{{
			ID: "c", Machine: "m", Hash: hex.EncodeToString(sum[:]), Most: time.Hour,
			Until: now.boot.Add(time.Hour),
		}},
		now); err != nil {
		t.Fatal(err)
	}
	in := GlassConfig{
		Code: "one", Port: 22, Protocol: access.TCP, Source: netip.MustParsePrefix("203.0.113.7/32"),
		For: time.Hour, Reason: "site down",
	}
	if _, _, err := a.openGlass(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	a.again(t.Context())
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.loop.Run(ctx) }()
	eventually(t, "a state is in force",
		func() bool { kernel.mu.Lock(); defer kernel.mu.Unlock(); return kernel.state != nil })
	if open := kernel.open(); !slices.Equal(open, []string{"203.0.113.7/32 22"}) {
		t.Errorf("after a suspend it is open for %v", open)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestOnlyOnePlaceGivesTheLoopAState holds that whatever gives the loop a state gives it what codes have opened as
// well.
func TestOnlyOnePlaceGivesTheLoopAState(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for range strings.Count(string(text), "loop.Set(") {
			if !strings.HasSuffix(name, "_test.go") {
				places = append(places, name)
			}
		}
	}
	if len(places) != 1 || places[0] != "glass.go" {
		t.Errorf("the loop is given a state in %v; use set, which adds what codes have opened", places)
	}
}

// TestCodesThatCannotBeKeptAreReported keeps the agent from its codes and its socket: each report says that no code
// opens anything there, until it was put right; and a file that cannot be read is set aside, and said to be.
func TestCodesThatCannotBeKeptAreReported(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	blocked := []string{filepath.Join(h.dir, glassFile+".lock"), filepath.Join(h.dir, glassSocket)}
	for _, path := range blocked { // a folder that is not empty is neither a file nor removed
		if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.offer("ONE", "TWO")
	h.start()
	tells := func(want bool, texts ...string) {
		t.Helper()
		eventually(t, fmt.Sprintf("told of %q: %t", texts, want), func() bool {
			r, count := s.lastReport()
			return count > 0 && !slices.ContainsFunc(texts,
				func(text string) bool { return strings.Contains(r.Problem, text) != want })
		})
	}
	tells(true, "the codes for emergencies cannot be kept", "nobody can use a code")
	for _, path := range blocked {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	tells(false, "emergencies", "code")
	h.keeps(2)
	if opened, err := h.breaks("ONE", "203.0.113.7/32"); err != nil || opened.Direct {
		t.Fatalf("through the agent: %+v, %v", opened, err)
	}
	h.halt()

	path := filepath.Join(h.dir, glassFile)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.start()
	eventually(t, "told that codes were set aside", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.ContainsFunc(s.reports,
			func(r agentwire.Report) bool { return strings.Contains(r.Problem, path+".damaged") })
	})
	h.keeps(2)
	tells(false, "codes")
	h.halt()
}

// TestACodeIsNotUsedUpForNothing has the kernel refuse whoever breaks glass: the code stays good.
func TestACodeIsNotUsedUpForNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.offer("ONE")
	h := newHost(t, s)
	h.start()
	h.keeps(1)
	h.halt()
	config := Config{StateDir: h.dir, Enforcer: owned{h.target}, Clock: h.clock, Log: slog.New(slog.DiscardHandler)}
	in := GlassConfig{
		Code: "ONE", Port: 22, Protocol: access.TCP, Source: netip.MustParsePrefix("203.0.113.7/32"),
		For: time.Minute, Reason: "site down",
	}
	if _, err := BreakGlass(t.Context(), config, in); err == nil || !strings.Contains(err.Error(), "restart it") {
		t.Errorf("where the agent lives and does not answer: %v", err)
	}
	if _, err := h.breaks("ONE", "203.0.113.7/32"); err != nil {
		t.Errorf("the code was used up: %v", err)
	}
}

// owned is an enforcer whose table belongs to an agent that lives.
type owned struct{ *target }

func (owned) Apply(context.Context, *access.DesiredState, time.Time) error {
	return fmt.Errorf("apply: %w", nftables.ErrOwned)
}

// TestTheLockIsTheAgentsWhoeverMadeIt makes the lock as root, in a folder of somebody else, and takes over one that
// only root can open.
func TestTheLockIsTheAgentsWhoeverMadeIt(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir := t.TempDir()
	const user = 65534
	if err := os.Chown(dir, user, user); err != nil {
		t.Fatal(err)
	}
	if err := glass(dir, func(*glassState) (bool, error) { return false, nil }); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, glassFile+".lock"))
	if err != nil {
		t.Fatal(err)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || owner.Uid != user {
		t.Errorf("the lock that root made belongs to %+v", info.Sys())
	}
}
