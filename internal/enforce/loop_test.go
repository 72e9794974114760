package enforce_test

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
)

// bench runs a loop on a target in memory, inside a synctest bubble. Its clock is the bubble's, plus skips.
type bench struct {
	t       *testing.T
	target  *memory
	loop    *enforce.Loop
	skipped atomic.Int64 // nanoseconds
	got     []access.Report
	stop    context.CancelFunc
	done    chan struct{}
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, target: newMemory(), done: make(chan struct{})}
	b.loop = enforce.New(enforce.Config{Enforcer: b.target, Now: b.now, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	b.stop = cancel
	go func() {
		defer close(b.done)
		if err := b.loop.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	t.Cleanup(func() { b.end() })
	return b
}

func (b *bench) end() {
	b.stop()
	<-b.done
}

func (b *bench) now() time.Time { return time.Now().Add(time.Duration(b.skipped.Load())) }

// after lets time pass, and collects what is reported meanwhile.
func (b *bench) after(d time.Duration) {
	b.t.Helper()
	end := time.After(d)
	for {
		select {
		case r, ok := <-b.loop.Reports():
			if !ok {
				b.t.Fatal("no more reports")
			}
			b.got = append(b.got, r)
		case <-end:
			synctest.Wait()
			return
		}
	}
}

// told gives the newest word on each grant since the last call, and forgets all.
func (b *bench) told() map[access.GrantID]access.GrantStatus {
	all := make(map[access.GrantID]access.GrantStatus)
	for _, r := range b.got {
		for _, o := range r.Observations {
			all[o.Grant] = o.Status
		}
	}
	b.got = nil
	return all
}

func (b *bench) expect(want map[access.GrantID]access.GrantStatus) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.told()); diff != "" {
		b.t.Errorf("reported (-want +got):\n%s", diff)
	}
}

func key(source string, port uint16) access.OpeningKey {
	return access.OpeningKey{
		Machine: "m", Source: netip.MustParsePrefix(source), Protocol: access.TCP,
		Ports: access.SinglePort(port),
	}
}

func opening(k access.OpeningKey, until time.Time, grants ...access.GrantID) access.Opening {
	return access.Opening{OpeningKey: k, Until: until, Grants: grants}
}

func desired(revision int64, openings ...access.Opening) access.DesiredState {
	return access.DesiredState{Revision: revision, Mode: access.ModeHost, Openings: openings}
}

type statuses = map[access.GrantID]access.GrantStatus

func TestLoopOpensAndClosesOnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ssh := key("192.0.2.1/32", 22)
		b.loop.Set(desired(1, opening(ssh, b.now().Add(time.Minute), "g1")))
		b.after(time.Millisecond)
		if !b.target.has(ssh) {
			t.Error("not opened at once")
		}
		if got := b.got[len(b.got)-1].Revision; got != 1 {
			t.Errorf("revision %d in force, want 1", got)
		}
		b.expect(statuses{"g1": access.StatusOpen})
		b.target.change(func() { b.target.held[ssh].packets = 7 })
		b.after(time.Minute - 2*time.Millisecond)
		if closed := b.told()["g1"]; closed == access.StatusClosed {
			t.Error("closed too soon")
		}
		b.after(2 * time.Millisecond)
		last := b.got[len(b.got)-1].Observations
		want := []access.Observation{{Grant: "g1", Status: access.StatusClosed, Packets: 7, Bytes: 700}}
		if diff := cmp.Diff(want, last); diff != "" {
			t.Errorf("reported (-want +got):\n%s", diff)
		}
		if b.target.String() != "" {
			t.Errorf("still held: %s", b.target)
		}
	})
}

func TestLoopClosesWhatTheTargetDoesNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ssh := key("192.0.2.1/32", 22)
		b.target.late = time.Hour
		b.loop.Set(desired(1, opening(ssh, b.now().Add(time.Minute), "g1")))
		b.after(time.Minute + time.Millisecond)
		if b.target.has(ssh) {
			t.Error("open after its end")
		}
		b.expect(statuses{"g1": access.StatusClosed})
	})
}

func TestLoopClosesAfterASuspend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ssh, web := key("192.0.2.1/32", 22), key("192.0.2.1/32", 80)
		b.loop.Set(desired(1, opening(ssh, b.now().Add(time.Minute), "g1"), opening(web, b.now().Add(time.Hour), "g2")))
		b.after(10 * time.Second)
		b.told()
		b.skipped.Store(int64(2 * time.Minute)) // the machine slept: neither timers nor kernel timeouts ran
		b.after(2 * time.Second)
		if b.target.has(ssh) {
			t.Error("open after its end")
		}
		b.expect(statuses{"g1": access.StatusClosed})
		if left := time.Until(b.target.held[web].ends); left > time.Hour-2*time.Minute {
			t.Errorf("the target would hold the other one for %s", left)
		}
	})
}

func TestLoopCorrectsTimeoutsAfterASuspend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		web := key("192.0.2.1/32", 80)
		b.loop.Set(desired(1, opening(web, b.now().Add(time.Hour), "g1")))
		b.after(10 * time.Second)
		b.skipped.Store(int64(5 * time.Second))
		b.after(2 * time.Second)
		b.target.change(func() {
			if left := time.Until(b.target.held[web].ends); left > time.Hour-15*time.Second {
				t.Errorf("the target would hold it for %s, should we die now", left)
			}
		})
	})
}

func TestLoopReportsRevokedAndSharedGrants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ssh, web := key("192.0.2.1/32", 22), key("192.0.2.0/24", 80)
		end := b.now().Add(time.Hour)
		b.loop.Set(desired(1, opening(ssh, end, "g1", "g2"), opening(web, end, "g2")))
		b.after(time.Second)
		b.expect(statuses{"g1": access.StatusOpen, "g2": access.StatusOpen})

		next := desired(2, opening(ssh, end, "g2"), opening(web, end, "g2"))
		next.Ended = []access.GrantID{"g1"}
		b.loop.Set(next)
		b.after(time.Second)
		b.expect(statuses{"g1": access.StatusClosed})
		if !b.target.has(ssh) {
			t.Error("ending one grant closed the other")
		}

		last := desired(3)
		last.Ended = []access.GrantID{"g1", "g2", "unknown"}
		b.loop.Set(last)
		b.after(time.Second)
		b.expect(statuses{"g1": access.StatusClosed, "g2": access.StatusClosed, "unknown": access.StatusClosed})
		if b.target.String() != "" {
			t.Errorf("still held: %s", b.target)
		}
	})
}

// TestLoopMovesAnEndEarlier proves that an end that comes sooner is kept: the longer of two grants was revoked, and
// what is left of the opening ends with the other.
func TestLoopMovesAnEndEarlier(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ssh := key("192.0.2.1/32", 22)
		soon, late := b.now().Add(time.Minute), b.now().Add(time.Hour)
		b.loop.Set(desired(1, opening(ssh, late, "long", "short")))
		b.after(time.Second)
		b.expect(statuses{"long": access.StatusOpen, "short": access.StatusOpen})
		next := desired(2, opening(ssh, soon, "short"))
		next.Ended = []access.GrantID{"long"}
		b.loop.Set(next)
		b.after(time.Second)
		b.expect(statuses{"long": access.StatusClosed})
		if !b.target.has(ssh) {
			t.Error("ending one grant closed the other")
		}
		b.after(soon.Sub(b.now()))
		if b.target.has(ssh) {
			t.Error("it is open after its end")
		}
		b.after(time.Second)
		b.expect(statuses{"short": access.StatusClosed})
	})
}

func TestLoopHealsDrift(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ssh := key("192.0.2.1/32", 22)
		b.loop.Set(desired(1, opening(ssh, b.now().Add(time.Hour), "g1")))
		b.after(time.Second)
		b.told()

		b.target.change(func() { clear(b.target.held) })
		b.target.drift <- "the table was deleted"
		b.after(time.Second)
		var words []string
		var seen []access.GrantStatus
		for _, r := range b.got {
			words = append(words, r.Drift...)
			for _, o := range r.Observations {
				seen = append(seen, o.Status)
			}
		}
		if diff := cmp.Diff([]string{"the table was deleted"}, words); diff != "" {
			t.Errorf("drift (-want +got):\n%s", diff)
		}
		if len(seen) == 0 || seen[len(seen)-1] != access.StatusOpen {
			t.Errorf("reported %v, want it open again", seen)
		}
		if !b.target.has(ssh) {
			t.Error("not put back")
		}
		b.told()

		t.Log("nobody says that it is gone: the full look finds it")
		b.target.change(func() { clear(b.target.held) })
		b.after(31 * time.Second)
		if !b.target.has(ssh) {
			t.Error("not put back")
		}
		b.told()

		t.Log("somebody opens what nobody granted")
		b.target.change(func() { b.target.held[key("0.0.0.0/0", 22)] = &element{ends: time.Now().Add(time.Hour)} })
		b.after(31 * time.Second)
		if b.target.has(key("0.0.0.0/0", 22)) {
			t.Error("a foreign opening stays")
		}
		found := false
		for _, r := range b.got {
			found = found || strings.Contains(strings.Join(r.Drift, " "), "0.0.0.0/0")
		}
		if !found {
			t.Error("a foreign opening was not reported")
		}
	})
}

func TestLoopTriesAgainAndSaysWhy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ssh := key("192.0.2.1/32", 22)
		b.target.failing = errBusy
		b.loop.Set(desired(1, opening(ssh, b.now().Add(time.Hour), "g1")))
		b.after(30 * time.Second)
		last := b.got[len(b.got)-1]
		if last.Problem != errBusy.Error() || last.Revision != 0 {
			t.Errorf("report %+v, want the problem and no revision", last)
		}
		b.expect(statuses{"g1": access.StatusFailed})
		if asked := b.target.asked; asked < 5 || asked > 40 {
			t.Errorf("%d attempts in 30 s", asked)
		}
		b.target.change(func() { b.target.failing = nil })
		b.after(6 * time.Second)
		if last := b.got[len(b.got)-1]; last.Problem != "" || last.Revision != 1 {
			t.Errorf("report %+v, want no problem", last)
		}
		b.expect(statuses{"g1": access.StatusOpen})
	})
}

func TestLoopReportsWhatCannotBeHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		good, bad := key("192.0.2.1/32", 22), key("2001:db8::/64", 22)
		b.target.refuses = func(k access.OpeningKey) string {
			if k == bad {
				return "no IPv6 here"
			}
			return ""
		}
		end := b.now().Add(time.Hour)
		b.loop.Set(desired(1, opening(good, end, "g1"), opening(bad, end, "g2")))
		b.after(time.Second)
		b.expect(statuses{"g1": access.StatusOpen, "g2": access.StatusFailed})
	})
}

// TestLoopSaysWhatOfAGrantIsInForce holds that a grant of several openings is failed where none of them is in force,
// and open with the names of those that are missing where some are.
func TestLoopSaysWhatOfAGrantIsInForce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		four, six, other := key("192.0.2.1/32", 22), key("2001:db8::/64", 22), key("2001:db8:1::/64", 22)
		refused := map[access.OpeningKey]string{six: "no IPv6 here", other: "no IPv6 here"}
		b.target.refuses = func(k access.OpeningKey) string { return refused[k] }
		end := b.now().Add(time.Hour)
		detail := func() string {
			t.Helper()
			var last string
			for _, r := range b.got {
				for _, o := range r.Observations {
					last = o.Detail
				}
			}
			return last
		}
		b.loop.Set(desired(1, opening(four, end, "g"), opening(six, end, "g")))
		b.after(time.Second)
		if got, want := detail(), "not in force from 2001:db8::/64 to 22/tcp: no IPv6 here"; got != want {
			t.Errorf("detail %q, want %q", got, want)
		}
		b.expect(statuses{"g": access.StatusOpen})
		b.loop.Set(desired(2, opening(six, end, "g"), opening(other, end, "g")))
		b.after(time.Second)
		if b.target.String() != "" {
			t.Errorf("of a grant that failed this is open: %s", b.target)
		}
		b.expect(statuses{"g": access.StatusFailed})
		clear(refused)
		b.loop.Set(desired(3, opening(four, end, "g"), opening(six, end, "g")))
		b.after(time.Second)
		if got := detail(); got != "" {
			t.Errorf("detail %q though everything is in force", got)
		}
		b.expect(statuses{"g": access.StatusOpen})
		// One of two goes, and cannot be put back.
		b.target.change(func() { delete(b.target.held, six); b.target.failing = errBusy })
		b.target.drift <- "somebody took one away"
		b.after(10 * time.Second)
		if got, want := detail(), "not in force from 2001:db8::/64 to 22/tcp: the target is busy"; got != want {
			t.Errorf("detail %q, want %q", got, want)
		}
		if got := b.told()["g"]; got != access.StatusOpen {
			t.Errorf("a grant of which a part is open is %s", got)
		}
	})
}

// TestLoopDoesNotCallFailedWhatNobodySaw holds that nothing is said of a grant that was written and could not be looked
// for.
func TestLoopDoesNotCallFailedWhatNobodySaw(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.loop.Set(desired(1))
		b.after(time.Second)
		b.told()
		ssh := key("192.0.2.1/32", 22)
		b.target.change(func() { b.target.blind = errBusy })
		b.loop.Set(desired(2, opening(ssh, b.now().Add(time.Hour), "g1")))
		b.after(10 * time.Second)
		if !b.target.has(ssh) {
			t.Error("not opened")
		}
		if last := b.got[len(b.got)-1]; last.Problem != errBusy.Error() {
			t.Errorf("problem %q", last.Problem)
		}
		b.expect(statuses{})
		b.target.change(func() { b.target.blind = nil })
		b.after(10 * time.Second)
		b.expect(statuses{"g1": access.StatusOpen})
	})
}

func TestLoopClosesWhenTheServerIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ssh, web := key("192.0.2.1/32", 22), key("192.0.2.1/32", 80)
		end := b.now().Add(time.Hour)
		lost := opening(ssh, end, "g1")
		lost.CloseAfter = time.Minute
		b.loop.Contact(b.now())
		b.loop.Set(desired(1, lost, opening(web, end, "g2")))
		for range 20 {
			b.after(15 * time.Second)
			b.loop.Contact(b.now())
		}
		if !b.target.has(ssh) {
			t.Fatal("closed though the server was there")
		}
		b.told()
		b.after(49 * time.Second)
		if !b.target.has(ssh) {
			t.Error("closed too soon")
		}
		// The loop dies; the target closes by itself.
		b.end()
		time.Sleep(12 * time.Second)
		if b.target.has(ssh) {
			t.Error("open for longer than agreed")
		}
		if !b.target.has(web) {
			t.Error("closed what should stay")
		}
	})
}

func TestLoopOpensAgainWhenTheServerIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ssh := key("192.0.2.1/32", 22)
		o := opening(ssh, b.now().Add(time.Hour), "g1")
		o.CloseAfter = time.Minute
		b.loop.Contact(b.now())
		b.loop.Set(desired(1, o))
		b.after(2 * time.Minute)
		if b.target.has(ssh) {
			t.Error("open though the server is lost")
		}
		b.expect(statuses{"g1": access.StatusDrifted})
		b.loop.Contact(b.now())
		b.after(time.Second)
		if !b.target.has(ssh) {
			t.Error("not opened again")
		}
		b.expect(statuses{"g1": access.StatusOpen})
	})
}

func TestLoopMergesWhatNobodyTook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ssh := key("192.0.2.1/32", 22)
		b.loop.Set(desired(1, opening(ssh, b.now().Add(time.Minute), "g1")))
		attempt := access.Denied{
			Machine: "m", Source: netip.MustParseAddr("198.51.100.7"), Protocol: access.TCP,
			Port: 22, Count: 1,
		}
		for range 5 {
			b.target.denied <- attempt
		}
		time.Sleep(2 * time.Minute)
		b.after(time.Second)
		if len(b.got) != 1 {
			t.Fatalf("%d reports, want one: %+v", len(b.got), b.got)
		}
		r := b.got[0]
		attempt.Count = 5
		if diff := cmp.Diff([]access.Denied{attempt}, r.Denied,
			cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("denied (-want +got):\n%s", diff)
		}
		b.expect(statuses{"g1": access.StatusClosed})

		b.loop.Return(r)
		b.after(time.Second)
		if len(b.got) != 1 || len(b.got[0].Denied) != 1 || len(b.got[0].Observations) != 1 {
			t.Errorf("returned report came as %+v", b.got)
		}
	})
}

func TestLoopReportsAllAfterResync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.loop.Set(desired(1, opening(key("192.0.2.1/32", 22), b.now().Add(time.Hour), "g1")))
		b.after(time.Second)
		b.told()
		b.after(5 * time.Minute)
		b.expect(statuses{})
		b.loop.Resync()
		b.after(time.Second)
		b.expect(statuses{"g1": access.StatusOpen})
	})
}

// TestLoopKeepsNewerWordsOnAGrant returns a report after the grant has ended: what is told is how it ended.
func TestLoopKeepsNewerWordsOnAGrant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.loop.Set(desired(1, opening(key("192.0.2.1/32", 22), b.now().Add(time.Hour), "g1")))
		b.after(time.Second)
		if len(b.got) != 1 {
			t.Fatalf("%d reports, want one: %+v", len(b.got), b.got)
		}
		undelivered := b.got[0]
		b.told()
		b.loop.Set(desired(2))
		time.Sleep(time.Second) // nobody takes what is reported meanwhile
		b.loop.Return(undelivered)
		time.Sleep(time.Second)
		b.after(time.Second)
		b.expect(statuses{"g1": access.StatusClosed})
	})
}

// TestLoopSaysThatWhatWasRefusedIsOver ends a grant of which a part could not be held.
func TestLoopSaysThatWhatWasRefusedIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		four, six := key("192.0.2.1/32", 22), key("2001:db8::/64", 22)
		b.target.refuses = func(k access.OpeningKey) string {
			if k == six {
				return "no IPv6 here"
			}
			return ""
		}
		end := b.now().Add(time.Minute)
		b.loop.Set(desired(1, opening(four, end, "g"), opening(six, end, "g")))
		b.after(time.Second)
		b.expect(statuses{"g": access.StatusOpen})
		b.after(2 * time.Minute)
		b.expect(statuses{"g": access.StatusClosed})
	})
}

// TestLoopForgetsWordsOfAnotherEpoch brings a desired state of a server that was restored before a report was taken:
// of grants that it may know nothing of nothing is said.
func TestLoopForgetsWordsOfAnotherEpoch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		end := b.now().Add(time.Hour)
		first := desired(1, opening(key("192.0.2.1/32", 22), end, "g1"))
		first.Epoch = "one"
		b.loop.Set(first)
		b.after(time.Second)
		b.told()
		gone := desired(2)
		gone.Epoch = "one"
		b.loop.Set(gone)
		time.Sleep(time.Second) // closed, and nobody has taken the report
		restored := desired(1, opening(key("192.0.2.2/32", 22), end, "g2"))
		restored.Epoch = "two"
		b.loop.Set(restored)
		time.Sleep(time.Second)
		b.after(time.Second)
		b.expect(statuses{"g2": access.StatusOpen})
	})
}
