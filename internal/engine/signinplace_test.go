package engine_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// opened signs a principal in with the password whose hash is stored, from an address.
func (w *world) opened(c engine.Caller, stored, hash string, from netip.Addr) {
	w.tb.Helper()
	s := engine.Session{
		Hash: hash, Principal: c.Principal, CreatedAt: w.clock.now(),
		ExpiresAt: w.clock.now().Add(12 * time.Hour), Client: "a test",
	}
	if err := w.Directory.SignIn(w.ctx,
		directory.SignInInput{Session: s, Checked: stored, Address: from, Via: "api"}); err != nil {
		w.tb.Fatal(err)
	}
}

func (w *world) wrong(c engine.Caller, from netip.Addr) {
	w.tb.Helper()
	err := w.Directory.SignInRefused(w.ctx,
		directory.SignInRefusal{
			Name: c.Name, Principal: c.Principal, Reason: "wrongPassword", WrongSecret: true,
			Address: from,
		})
	if err != nil {
		w.tb.Fatal(err)
	}
}

// locked gives how long a name is still locked from an address; nothing where it is not.
func (w *world) locked(c engine.Caller, from netip.Addr) time.Duration {
	w.tb.Helper()
	return max(0, must(w.Directory.Credentials(w.ctx, "", c.Name, from))(w.tb).LockedTill.Sub(w.clock.now()))
}

// TestLocking proves when a name is locked at one place, for how long, and that a right password ends it.
func TestLocking(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stored := must(w.Directory.Credentials(w.ctx, "", "admin", office))(t).Password.Hash
	var before time.Duration
	for i := range 14 {
		w.wrong(w.admin, office)
		lock := w.locked(w.admin, office)
		switch {
		case i < 4 && lock > 0:
			t.Errorf("locked after %d failures", i+1)
		case i >= 4 && (lock < before || lock < 30*time.Second || lock > 15*time.Minute):
			t.Errorf("locked for %s after %d failures, for %s before", lock, i+1, before)
		}
		before = lock
	}
	w.opened(w.admin, stored, "s", office)
	if lock := w.locked(w.admin, office); lock != 0 {
		t.Errorf("after a right password it is locked for %s", lock)
	}
	for range 4 {
		w.wrong(w.admin, office)
	}
	w.clock.advance(25 * time.Hour)
	w.opened(w.admin, stored, "t", netip.MustParseAddr("192.0.2.1")) // somewhere else: it is no news here
	w.wrong(w.admin, office)
	if lock := w.locked(w.admin, office); lock != 0 {
		t.Errorf("failures of yesterday lock for %s", lock)
	}
}

// TestStrangersDoNotLockOut proves that however often strangers try a name, from however many places, whoever signed in
// from a place before gets through there, and that all of them together get few guesses.
func TestStrangersDoNotLockOut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		stored := must(w.Directory.Credentials(w.ctx, "", "admin", office))(t).Password.Hash
		w.opened(w.admin, stored, "s", office)
		guesses := 0
		for range rapid.IntRange(1, 90).Draw(rt, "attempts") {
			from := netip.AddrFrom4([4]byte{
				198, 51, byte(rapid.IntRange(0, 40).Draw(rt, "net")),
				byte(rapid.IntRange(1, 9).Draw(rt, "host")),
			})
			w.clock.advance(time.Duration(rapid.IntRange(0, 20).Draw(rt, "seconds")) * time.Second)
			if w.locked(w.admin, from) == 0 {
				guesses++
			}
			w.wrong(w.admin, from)
			if lock := w.locked(w.admin, office); lock != 0 {
				rt.Fatalf("strangers lock the office for %s", lock)
			}
		}
		if most := 50 + 90*20/30; guesses > most { // then one each half minute at most
			rt.Fatalf("strangers had %d guesses, more than %d", guesses, most)
		}
	})
}

// TestLockIsForThePlace proves that one address keeps out its own neighbours alone, for IPv4 and IPv6.
func TestLockIsForThePlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ from, near, far string }{
		{"198.51.100.1", "198.51.100.200", "198.51.101.1"},
		{"2001:db8:1:2::3", "2001:db8:1:ffff::1", "2001:db8:2::1"},
	} {
		for range 5 {
			w.wrong(w.admin, netip.MustParseAddr(c.from))
		}
		if w.locked(w.admin, netip.MustParseAddr(c.near)) == 0 || w.locked(w.admin, netip.MustParseAddr(c.far)) != 0 {
			t.Errorf("attempts from %s do not lock at %s, or do at %s", c.from, c.near, c.far)
		}
	}
}

// TestNewPlaceIsTold proves that a person is told of a sign-in from where they never signed in before, once, and not of
// the very first.
func TestNewPlaceIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.channel("hooks")
	stored := must(w.Directory.Credentials(w.ctx, "", "admin", office))(t).Password.Hash
	home := netip.MustParseAddr("192.0.2.77")
	for i, from := range []netip.Addr{office, office.Next(), home, home, office} {
		w.opened(w.admin, stored, fmt.Sprint(i), from)
	}
	told := w.owned(w.admin)
	if len(told) != 1 || !strings.Contains(told[0].Subject.Detail,
		home.String()) || told[0].Subject.Title != "Signed in from a new place" {
		t.Errorf("told: %+v", told)
	}
	marked := 0
	for _, e := range w.events() {
		if e.Kind == access.SignedIn && e.Details["newPlace"] != "" {
			marked++
		}
	}
	if marked != 1 {
		t.Errorf("%d sign-ins are on record as from a new place", marked)
	}
}

// owned gives the notifications about their own account that wait for a person.
func (w *world) owned(c engine.Caller) (told []engine.Notification) {
	w.tb.Helper()
	err := w.store.View(w.ctx, func(r engine.Reader) error {
		list, err := r.Unrouted(w.ctx, 1000)
		for _, n := range list {
			if n.Kind == engine.NotifyAccount && len(n.Recipients) == 1 && n.Recipients[0] == c.Principal {
				told = append(told, n)
			}
		}
		return err
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	return told
}
