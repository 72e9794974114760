package agent

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/enforce"
)

func TestStandstillSeesASuspend(t *testing.T) {
	t.Parallel()
	var boot, monotonic time.Duration
	s := standstill{
		boot:      func() time.Time { return bootInstant(boot) },
		monotonic: func() time.Duration { return monotonic },
	}
	boot, monotonic = time.Hour, time.Minute // it slept before we came
	s.slept()
	for _, c := range []struct {
		name         string
		runs, sleeps time.Duration
		acted        bool
	}{
		{"awake", time.Second, 0, false},
		{"asleep for a night", time.Second, 8 * time.Hour, true},
		{"awake again", time.Second, 0, false},
		{"a nap", 0, 200 * time.Millisecond, true},
	} {
		monotonic += c.runs
		boot += c.runs + c.sleeps
		if slept := s.slept(); slept != c.sleeps || (slept > leastSuspend) != c.acted {
			t.Errorf("%s: slept for %s, want %s", c.name, slept, c.sleeps)
		}
	}
}

func TestBootTicks(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	ticks, err := bootTicks(ctx, 5*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if n := <-ticks; n == 0 {
			t.Error("a tick of nothing")
		}
	}
	cancel()
	for range ticks { // until it is closed
		continue
	}
}

func TestSystemClockRunsOnThroughSuspends(t *testing.T) {
	t.Parallel()
	c, err := SystemClock()
	if err != nil {
		t.Fatal(err)
	}
	first := c.read()
	if first.bootID == "" || sinceBoot(first.boot) <= 0 || sinceBoot(first.boot) < monotonicNow()-time.Minute {
		t.Errorf("the clocks read %+v", first)
	}
	if second := c.read(); !second.boot.After(first.boot) || second.bootID != first.bootID {
		t.Errorf("the clocks read %+v and then %+v", first, second)
	}
}

// systemd gets READY once the first state is in force, and then signs of life.
func TestTellsSystemd(t *testing.T) { //nolint:paralleltest // it sets the environment
	socket := filepath.Join(t.TempDir(), "notify")
	listener, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // it is only read from
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "90000")
	s := newServer(t)
	h := newHost(t, s)
	h.start()
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		if err := listener.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 64)
		n, err := listener.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(buf[:n]); got != want {
			t.Fatalf("systemd was told %q, want %q", got, want)
		}
		h.target.mu.Lock()
		if len(h.target.applied) == 0 {
			t.Error("systemd was told before anything was in force")
		}
		h.target.mu.Unlock()
	}
	h.halt()
}

// A message that lay unread while the host slept says that the server was there before, and no more.
func TestAMessageCountsFromWhenItWasSent(t *testing.T) {
	t.Parallel()
	asked := bootInstant(time.Hour)
	woke := reading{boot: asked.Add(2 * time.Hour), wall: noon().Add(2 * time.Hour)}
	a := &agent{
		Config: Config{SkewLimit: time.Minute, Log: slog.New(slog.DiscardHandler)}, creds: &credentials{},
		out: newOutbox(), problems: map[string]string{},
	}
	a.loop = enforce.New(enforce.Config{
		Enforcer: newTarget(func() time.Time { return woke.boot }),
		Now:      func() time.Time { return woke.boot }, Log: a.Log,
	})
	j := journey{clocks: &a.clocks, server: "one", asked: asked}
	first := reading{boot: asked.Add(time.Millisecond), wall: noon()}
	for _, c := range []struct {
		said    time.Duration // after the first message
		arrived reading
		latest  time.Time
	}{
		{0, first, first.boot},
		{time.Second, woke, first.boot.Add(time.Second)},
		{500 * time.Millisecond, woke, first.boot.Add(time.Second)},
	} {
		sent, skew, _ := j.arrived(noon().Add(c.said), c.arrived)
		a.heard(t.Context(), sent, c.arrived, skew)
		if got := a.holding.contact; got.After(c.latest) || got.Before(asked) {
			t.Errorf("what was said at %s counts as contact at %s after it was asked for", c.said, got.Sub(asked))
		}
	}
}

// An agent that takes nothing in any more is not alive, though its loop goes on.
func TestAnAgentThatTakesNothingInIsStuck(t *testing.T) {
	t.Parallel()
	a, long := &agent{}, mostIdle+time.Minute
	free := monotonicNow() - long
	if idle := a.stuck(&free); idle >= long {
		t.Errorf("nobody holds it up, and it is stuck for %s", idle)
	}
	free = monotonicNow() - long
	a.mu.Lock()
	defer a.mu.Unlock()
	if idle := a.stuck(&free); idle < long {
		t.Errorf("it was held up for %s, and is stuck for %s", long, idle)
	}
}
