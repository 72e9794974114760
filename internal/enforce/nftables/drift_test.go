//go:build linux

package nftables_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
	"github.com/postern-dev/postern/internal/enforce/nftables"
	"github.com/postern-dev/postern/internal/nettest"
)

// follow runs a loop on the lab's enforcer and gives all that it says.
func (l *lab) follow() (*enforce.Loop, <-chan access.Report) {
	l.t.Helper()
	loop := enforce.New(enforce.Config{Enforcer: l.nft, Now: l.now, Log: l.log})
	ctx, cancel := context.WithCancel(l.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := loop.Run(ctx); err != nil {
			l.t.Error(err)
		}
	}()
	l.t.Cleanup(func() {
		cancel()
		<-done
	})
	return loop, loop.Reports()
}

// await collects reports until one satisfies ok.
func await(t *testing.T, reports <-chan access.Report, what string, ok func(access.Report) bool) {
	t.Helper()
	limit := time.After(longWait)
	for {
		select {
		case r := <-reports:
			if ok(r) {
				return
			}
			t.Logf("meanwhile: %+v", r)
		case <-limit:
			t.Fatalf("no report of %s", what)
		}
	}
}

func says(status access.GrantStatus) func(access.Report) bool {
	return func(r access.Report) bool {
		for _, o := range r.Observations {
			if o.Grant == "g1" && o.Status == status {
				return true
			}
		}
		return false
	}
}

func drifts(words string) func(access.Report) bool {
	return func(r access.Report) bool { return strings.Contains(strings.Join(r.Drift, "\n"), words) }
}

func TestOthersCannotChangeOurTable(t *testing.T) {
	t.Parallel()
	l := newLab(t, nftables.Config{}, nettest.Pair)
	loop, reports := l.follow()
	loop.Set(state(access.SessionsCut, open("10.77.0.1/32", access.TCP, l.now().Add(time.Hour), "g1")))
	await(t, reports, "g1 open", says(access.StatusOpen))
	for _, args := range [][]string{
		{"delete", "table", "inet", "postern"},
		{"flush", "chain", "inet", "postern", "input"},
		{"add", "element", "inet", "postern", "n4_32", "{ 10.77.0.3 . tcp . 4022 timeout 1h }"},
		{"delete", "element", "inet", "postern", "cut", "{ tcp . 4022 }"},
	} {
		if out, err := l.command(args...); err == nil {
			t.Errorf("nft %v was allowed: %s", args, out)
		}
	}
	if out, err := l.command("flush", "ruleset"); err != nil {
		t.Errorf("nft flush ruleset: %v %s", err, out)
	}
	l.pass("tcp", l.net.ClientAddrs[0], l.net.MachineAddrs[0], guardedPort)
	l.refuse("tcp", l.net.ClientAddrs[2], l.net.MachineAddrs[0], guardedPort)
}

func TestWhatOthersChangeIsUndoneAndTold(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ command, words string }{
		"table deleted":   {"delete table inet postern", "table inet postern was deleted by"},
		"ruleset flushed": {"flush ruleset", "table inet postern was deleted by"},
		"chain flushed": {
			"flush chain inet postern input",
			"a rule in chain input of table inet postern was deleted by",
		},
		"rule added": {
			"insert rule inet postern input accept",
			"a rule in chain input of table inet postern was added or changed by",
		},
		"port unprotected": {
			"delete element inet postern cut { tcp . 4022 }",
			"elements were deleted from set cut of table inet postern by",
		},
		"opening made": {
			"add element inet postern n4_32 { 10.77.0.3 . tcp . 4022 timeout 1h }",
			"elements were added to set n4_32 of table inet postern by",
		},
		"opening deleted": {
			"delete element inet postern n4_32 { 10.77.0.1 . tcp . 4022 }",
			"elements were deleted from set n4_32 of table inet postern by",
		},
		"made to slumber": {
			"add table inet postern { flags dormant; }",
			"table inet postern was added or changed by",
		},
		"made anew, filled": {
			"delete table inet postern; add table inet postern; add chain inet postern input",
			"table inet postern was deleted by",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nftables.Config{Plain: true}, nettest.Pair)
			loop, reports := l.follow()
			loop.Set(state(access.SessionsCut, open("10.77.0.1/32", access.TCP, l.now().Add(time.Hour), "g1")))
			await(t, reports, "g1 open", says(access.StatusOpen))
			if out, err := l.command(tc.command); err != nil {
				t.Fatalf("nft %s: %v: %s", tc.command, err, out)
			}
			await(t, reports, "drift", drifts(tc.words))
			time.Sleep(time.Second)
			l.pass("tcp", l.net.ClientAddrs[0], l.net.MachineAddrs[0], guardedPort)
			l.refuse("tcp", l.net.ClientAddrs[2], l.net.MachineAddrs[0], guardedPort)
			if text, _ := l.command("list", "table", "inet", "postern"); strings.Contains(text, "dormant") {
				t.Error("the table still slumbers")
			}
		})
	}
}

func TestAFullLookFindsWhatNobodyTold(t *testing.T) {
	t.Parallel()
	l := newLab(t, nftables.Config{Plain: true}, nettest.Pair)
	for _, command := range []string{
		"flush chain inet postern decide", "insert rule inet postern input accept",
		"delete element inet postern cut { tcp . 4022 }",
		"add element inet postern cut { tcp . 4999 }", "flush ruleset", "add chain inet postern input { policy drop; }",
	} {
		l.apply(state(access.SessionsCut, open("10.77.0.1/32", access.TCP, l.now().Add(time.Hour), "g1")))
		if out, err := l.command(command); err != nil {
			t.Fatalf("nft %s: %v: %s", command, err, out)
		}
		drain(l.nft.Drift())
		l.held(nil)
		select {
		case words := <-l.nft.Drift():
			t.Logf("%s: %s", command, words)
		case <-time.After(longWait):
			t.Errorf("%s was not found", command)
		}
		drain(l.nft.Drift())
		l.apply(state(access.SessionsCut, open("10.77.0.1/32", access.TCP, l.now().Add(time.Hour), "g1")))
		l.held(nil)
		select {
		case words := <-l.nft.Drift():
			t.Errorf("%s: after it was undone: %s", command, words)
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Log("what others do to tables of their own does not matter")
	if out, err := l.command("add table inet other; add chain inet other c"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l.held(nil)
	select {
	case words := <-l.nft.Drift():
		t.Error(words)
	case <-time.After(50 * time.Millisecond):
	}
	l.pass("tcp", l.net.ClientAddrs[0], l.net.MachineAddrs[0], guardedPort)
	l.refuse("tcp", l.net.ClientAddrs[2], l.net.MachineAddrs[0], guardedPort)
}

// drain throws away what the kernel told at once.
func drain(drift <-chan string) {
	for {
		select {
		case <-drift:
		case <-time.After(100 * time.Millisecond):
			return
		}
	}
}

func TestAnOrphanIsAdopted(t *testing.T) {
	t.Parallel()
	l := newLab(t, nftables.Config{}, nettest.Pair)
	from, to := l.net.ClientAddrs[0], l.net.MachineAddrs[0]
	stays := state(access.SessionsCut, open("10.77.0.1/32", access.TCP, l.now().Add(time.Hour), "g1"))
	l.apply(stays)
	l.pass("tcp", from, to, guardedPort)
	counted := l.held(nil)[0].Packets
	session := l.connect(l.clientPort(0), to)
	if err := l.nft.Close(); err != nil {
		t.Fatal(err)
	}
	l.pass("tcp", from, to, guardedPort)
	l.refuse("tcp", l.net.ClientAddrs[2], to, guardedPort)

	var err error
	if l.nft, err = nftables.New(nftables.Config{Log: l.log, NetNS: l.on.FD()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.nft.Close() })
	l.apply(stays)
	if err := nettest.Exchange(session, longWait); err != nil {
		t.Errorf("adopting the table disturbed a session: %v", err)
	}
	if got := l.held(nil); len(got) != 1 || got[0].Packets <= counted {
		t.Errorf("held %+v, want more than %d packets", got, counted)
	}
	if out, err := l.command("delete", "table", "inet", "postern"); err == nil {
		t.Errorf("nobody owns the table: %s", out)
	}
}

func TestGuardClosesUntilTheEnforcerComes(t *testing.T) {
	t.Parallel()
	l := newLab(t, nftables.Config{}, nettest.Pair)
	from, to := l.net.ClientAddrs[0], l.net.MachineAddrs[0]
	l.pass("tcp", from, to, guardedPort)
	c := nftables.Config{Log: l.log, NetNS: l.on.FD()}
	if err := nftables.Guard(t.Context(), c,
		state(access.SessionsCut, open("10.77.0.1/32", access.TCP, l.now().Add(time.Hour), "g1"))); err != nil {
		t.Fatal(err)
	}
	l.refuse("tcp", from, to, guardedPort)
	l.pass("tcp", from, to, freePort)
	l.apply(state(access.SessionsCut, open("10.77.0.1/32", access.TCP, l.now().Add(time.Hour), "g1")))
	l.pass("tcp", from, to, guardedPort)
	if err := nftables.Remove(t.Context(), c); err == nil {
		t.Error("somebody else removed the table of an enforcer that lives")
	}
	if err := l.nft.Close(); err != nil {
		t.Fatal(err)
	}
	if err := nftables.Remove(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	l.pass("tcp", l.net.ClientAddrs[2], to, guardedPort)
	if err := nftables.Remove(t.Context(), c); err != nil {
		t.Errorf("remove what is not there: %v", err)
	}
}
