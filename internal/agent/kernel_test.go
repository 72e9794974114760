package agent

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/nettest"
)

// childEnv makes this test program an agent, or a guard, of its own, so that it can be killed.
const childEnv = "POSTERN_TEST_AGENT"

type childConfig struct {
	Guard bool
	Dir   string
	Wrong time.Duration // how far the wall clock is off
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		os.Exit(child(text))
	}
	os.Exit(m.Run())
}

func child(text string) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	var c childConfig
	clock, err := SystemClock()
	if err = errors.Join(err, json.Unmarshal([]byte(text), &c)); err == nil {
		clock.Wall = func() time.Time { return time.Now().Add(c.Wrong) }
		config := Config{
			StateDir: c.Dir, Version: "test", Clock: clock, Log: log,
			timing: timing{
				silence: 2 * time.Second, leastReport: 100 * time.Millisecond,
				mostReport: 300 * time.Millisecond, backOff: 100 * time.Millisecond, refused: 300 * time.Millisecond,
				deaf: 100 * time.Millisecond,
			},
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if c.Guard {
			_, err = Guard(ctx, config)
		} else {
			err = Run(ctx, config)
		}
	}
	if err != nil {
		log.Error("the child failed", "error", err)
		return 1
	}
	return 0
}

// lab is a machine with a real kernel firewall and a service on ports 22 and 80, a client, and a server that the
// machine reaches on its loopback.
type lab struct {
	t      *testing.T
	net    *nettest.Network
	server *server
	dir    string
	agent  *exec.Cmd
}

func newLab(t *testing.T) *lab {
	t.Helper()
	network, err := nettest.Pair()
	if err != nil {
		t.Skipf("no network namespaces here: %v", err)
	}
	l := &lab{t: t, net: network, dir: t.TempDir()}
	t.Cleanup(func() { must(t, network.Close()) })
	for _, port := range []uint16{22, 80} {
		echo, err := network.Machine.EchoTCP(netip.AddrPortFrom(netip.IPv6Unspecified(), port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { must(t, echo.Close()) })
	}
	var listener net.Listener
	must(t, network.Machine.Do(func() (err error) {
		listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		return err
	}))
	l.server = newServerOn(t, listener, newAuthority(t))
	// Enrolled through another door of the same server, since this process is not in the machine's namespace.
	outside := newServerOn(t, nil, l.server.authority)
	id, err := Enroll(t.Context(),
		EnrollConfig{Server: outside.URL, Token: "good", CA: outside.caPEM, StateDir: l.dir, Name: "web-1"})
	must(t, err)
	id.Server = l.server.URL
	must(t, id.save(l.dir))
	t.Cleanup(l.kill)
	return l
}

func (l *lab) command(c childConfig) *exec.Cmd {
	l.t.Helper()
	c.Dir = l.dir
	text, err := json.Marshal(c)
	must(l.t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	cmd.Stderr = testWriter{l.t}
	return cmd
}

func (l *lab) start(wrong time.Duration) {
	l.t.Helper()
	l.agent = l.command(childConfig{Wrong: wrong})
	must(l.t, l.net.Machine.Start(l.agent))
}

// kill ends the agent at once, as kill -9 does.
func (l *lab) kill() {
	if l.agent != nil {
		_ = l.agent.Process.Kill()
		_ = l.agent.Wait()
		l.agent = nil
	}
}

func (l *lab) reaches(from int, port uint16) bool {
	to := l.net.MachineAddrs[from%2]
	return l.net.Client.Ask("tcp", l.net.ClientAddrs[from], netip.AddrPortFrom(to, port), 300*time.Millisecond) == nil
}

// keeps checks that a source reaches a port, though the machine be busy.
func (l *lab) keeps(from int, port uint16, otherwise string) {
	l.t.Helper()
	to := netip.AddrPortFrom(l.net.MachineAddrs[from%2], port)
	if err := l.net.Client.Ask("tcp", l.net.ClientAddrs[from], to, patience); err != nil {
		l.t.Errorf("%s: %v", otherwise, err)
	}
}

func (l *lab) opens(from int) {
	l.t.Helper()
	eventually(l.t, l.net.ClientAddrs[from].String()+" reaches the port", func() bool { return l.reaches(from, 22) })
}

func (l *lab) closes(from int) {
	l.t.Helper()
	eventually(l.t, l.net.ClientAddrs[from].String()+" does not reach the port",
		func() bool { return !l.reaches(from, 22) })
}

func TestKernelGuardThenAgent(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.opens(0) // before anything of ours runs
	l.opens(1)
	loseState(t, l.dir)
	guard := l.command(childConfig{Guard: true})
	must(t, l.net.Machine.Start(guard))
	must(t, guard.Wait())
	if l.reaches(0, 22) || l.reaches(1, 22) {
		t.Error("port 22 is open after the guard")
	}
	l.keeps(0, 80, "the guard closed port 80, which nobody protects")
	l.keeps(1, 80, "the guard closed port 80, which nobody protects")
	l.start(0)
	l.server.grant("g4", "10.77.0.1/32", time.Hour)
	l.server.grant("g6", "fd77::1/128", time.Hour)
	l.opens(0)
	l.opens(1)
	if l.reaches(2, 22) || l.reaches(3, 22) {
		t.Error("a source that nobody asked for reaches port 22")
	}
	eventually(t, "both are reported open", func() bool {
		return slices.Equal(l.server.said("g4"),
			[]string{"open"}) && slices.Equal(l.server.said("g6"), []string{"open"})
	})
	var status Status
	must(t, l.net.Machine.Do(func() (err error) { status, err = ReadStatus(Config{StateDir: l.dir}); return err }))
	if len(status.Open) != 2 || len(status.Protected) != 1 || status.Problem != "" || len(
		status.Open[0].Grants) != 1 || status.Open[0].RemainingSeconds < 3000 {
		t.Errorf("the status is %+v", status)
	}
	l.server.revoke()
	l.closes(0)
	l.closes(1)
	eventually(t, "both are reported closed", func() bool {
		return slices.Contains(l.server.said("g4"), "closed") && slices.Contains(l.server.said("g6"), "closed")
	})
}

// TestGuardLeavesALivingAgentAlone runs the guard as nftables.service does after it has loaded rules.
func TestGuardLeavesALivingAgentAlone(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start(0)
	l.closes(0)
	l.server.grant("g1", "10.77.0.3/32", time.Hour)
	l.opens(2)
	guard := l.command(childConfig{Guard: true})
	must(t, l.net.Machine.Start(guard))
	must(t, guard.Wait())
	l.keeps(2, 22, "the guard closed what the agent holds open")
	if l.reaches(0, 22) {
		t.Error("the guard opened port 22")
	}
	// With the agent dead, it closes what was open: nobody could say that it still should be.
	l.kill()
	guard = l.command(childConfig{Guard: true})
	must(t, l.net.Machine.Start(guard))
	must(t, guard.Wait())
	l.closes(2)
}

func TestKernelClosesOnTimeWithTheAgentDead(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start(0)
	l.closes(0)
	const open = 12 * time.Second
	end := time.Now().Add(open)
	l.server.grant("g1", "10.77.0.1/32", open)
	l.server.grant("long", "10.77.0.3/32", time.Hour)
	l.opens(0)
	l.opens(2)
	l.kill()
	l.server.CloseClientConnections()
	if time.Now().Before(end.Add(-4*time.Second)) && !l.reaches(0, 22) && !l.reaches(0, 22) {
		t.Error("killing the agent closed the port")
	}
	time.Sleep(time.Until(end))
	if l.reaches(0, 22) {
		t.Errorf("port 22 is open %s after the end, with the agent dead", time.Since(end))
	}
	l.keeps(2, 22, "the other grant ended with it")
	// Started again after the deadline, the agent reports the end, and the other opening goes on.
	l.start(0)
	eventually(t, "the end is reported", func() bool { return slices.Contains(l.server.said("g1"), "closed") })
	if l.reaches(0, 22) {
		t.Error("the restart opened what had ended")
	}
	l.keeps(2, 22, "the restart closed what goes on")
}

func TestKernelAgentOfflineWhileGranted(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start(0)
	l.closes(0)
	l.server.grant("before", "10.77.0.3/32", time.Hour)
	l.opens(2)
	l.server.change(func() { l.server.down = true })
	l.server.CloseClientConnections()
	l.server.grant("meanwhile", "10.77.0.1/32", time.Hour)
	time.Sleep(300 * time.Millisecond)
	if l.reaches(0, 22) {
		t.Error("something opened while the server was away")
	}
	l.keeps(2, 22, "something closed while the server was away")
	l.server.change(func() { l.server.down = false })
	l.opens(0)
}

func TestKernelWrongWallClock(t *testing.T) {
	t.Parallel()
	for _, wrong := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		t.Run(wrong.String(), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.start(0)
			l.closes(0)
			const open = 15 * time.Second
			end := time.Now().Add(open)
			l.server.grant("g1", "10.77.0.1/32", open)
			l.opens(0)
			l.kill()
			l.start(wrong) // the same boot: the clock that nobody sets decides
			eventually(t, "the skew is reported",
				func() bool { r, _ := l.server.lastReport(); return strings.Contains(r.Problem, "clock is off") })
			l.server.grant("g2", "10.77.0.3/32", time.Hour)
			eventually(t, "the refusal is reported",
				func() bool { return slices.Contains(l.server.said("g2"), "failed") })
			if l.reaches(2, 22) {
				t.Error("it opened with the clock wrong by a day")
			}
			if time.Now().Before(end.Add(-3*time.Second)) && !l.reaches(0, 22) && !l.reaches(0, 22) {
				t.Error("the wrong clock closed what was open")
			}
			time.Sleep(time.Until(end))
			if l.reaches(0, 22) {
				t.Error("the wrong clock lengthened an opening")
			}
		})
	}
}

func TestKernelTableDeletedByHand(t *testing.T) {
	t.Parallel()
	nft, err := exec.LookPath("nft")
	if err != nil {
		t.Skip("nft is not installed (Debian: apt-get install nftables)")
	}
	l := newLab(t)
	l.start(0)
	l.closes(0)
	l.server.grant("g1", "10.77.0.3/32", time.Hour)
	l.opens(2)
	byHand := func(args ...string) {
		cmd := exec.CommandContext(t.Context(), nft, args...)
		cmd.Stderr = testWriter{t}
		must(t, l.net.Machine.Start(cmd))
		_ = cmd.Wait() // the kernel may refuse it, which is as good
	}
	for _, args := range [][]string{{"delete", "table", "inet", "postern"}, {"flush", "ruleset"}} {
		byHand(args...)
		time.Sleep(time.Second)
		if l.reaches(0, 22) {
			t.Errorf("port 22 is open a second after nft %s", strings.Join(args, " "))
		}
		l.opens(2)
	}
	// With the agent dead nobody can prevent it; the next start closes the ports again.
	l.kill()
	byHand("delete", "table", "inet", "postern")
	l.opens(0)
	l.start(0)
	l.closes(0)
	l.opens(2)
}
