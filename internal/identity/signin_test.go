package identity_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/identity"
)

func TestOneTimePassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	_, err := w.signIn("admin", w.password, "")
	wantCode(t, err, access.KindForbidden, "passwordChangeRequired")
	_, err = w.signIn("admin", w.password, w.password)
	wantCode(t, err, access.KindInvalid, "weakPassword")
	_, err = w.signIn("admin", w.password, "short")
	wantCode(t, err, access.KindInvalid, "weakPassword")
	s, err := w.signIn("ADMIN", w.password, goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.Token,
		"pst_") || !s.ExpiresAt.Equal(w.clock.now().Add(12*time.Hour)) || s.Principal.Name != "admin" {
		t.Errorf("signed in %+v", s)
	}
	_, err = w.signIn("admin", w.password, "another good password")
	wantCode(t, err, access.KindUnauthenticated, "wrongCredentials")
	if _, err := w.signIn("admin", goodPassword, ""); err != nil {
		t.Error(err)
	}
	if n := w.count(access.PasswordChanged); n != 1 {
		t.Errorf("%d events of a changed password", n)
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.admin()
	s, err := w.signIn("admin", goodPassword, "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.identity.Authenticate(w.ctx, s.Token, office, "portal")
	if err != nil || c.Name != "admin" || c.Address != office || c.Via != "portal" {
		t.Fatalf("authenticated %+v, %v", c, err)
	}
	if err := w.identity.SignOut(w.ctx, c); err != nil {
		t.Fatal(err)
	}
	_, err = w.identity.Authenticate(w.ctx, s.Token, office, "portal")
	wantCode(t, err, access.KindUnauthenticated, "sessionEnded")
	if s, err = w.signIn("admin", goodPassword, ""); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(12 * time.Hour)
	_, err = w.identity.Authenticate(w.ctx, s.Token, office, "portal")
	wantCode(t, err, access.KindUnauthenticated, "sessionEnded")
	for _, token := range []string{"", "pst_", "nonsense", s.Token + "A", s.Token[:len(s.Token)-1] + "!"} {
		_, err = w.identity.Authenticate(w.ctx, token, office, "portal")
		wantCode(t, err, access.KindUnauthenticated, "tokenMalformed")
	}
}

func TestAllRefusalsOfASignInLookTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	admin := w.admin()
	_, oneTime, err := w.identity.CreatePrincipal(w.ctx, admin,
		directory.PrincipalInput{Kind: access.User, Name: "gone"}, "")
	if err != nil || oneTime == "" {
		t.Fatal(oneTime, err)
	}
	if _, _, err := w.identity.CreatePrincipal(w.ctx, admin,
		directory.PrincipalInput{Kind: access.Group, Name: "people"}, ""); err != nil {
		t.Fatal(err)
	}
	yes := true
	if _, err := w.engine.Directory.ChangePrincipal(w.ctx, admin, "gone",
		directory.PrincipalChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, in := range [][2]string{
		{"admin", "wrong"},
		{"nobody", "wrong"},
		{"people", "wrong"},
		{"gone", oneTime},
		{"", ""},
		{strings.Repeat("x", 300), "x"},
	} {
		_, err := w.signIn(in[0], in[1], goodPassword)
		wantCode(t, err, access.KindUnauthenticated, "wrongCredentials")
		texts = append(texts, err.Error())
	}
	for _, text := range texts {
		if text != texts[0] {
			t.Errorf("%q and %q differ", text, texts[0])
		}
	}
	if n := w.count(access.SignInRefused); n != 5 { // the name that is too long is not worth a record
		t.Errorf("%d refusals on record", n)
	}
}

func TestLockout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.admin()
	for range 5 {
		_, err := w.signIn("admin", "wrong password", "")
		wantCode(t, err, access.KindUnauthenticated, "wrongCredentials")
	}
	_, err := w.signIn("admin", goodPassword, "")
	wantCode(t, err, access.KindUnauthenticated, "wrongCredentials")
	w.clock.advance(31 * time.Second)
	if _, err = w.signIn("admin", goodPassword, ""); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}

// Whoever uses a copy of a session's token all the time neither keeps its owner from signing out, nor from signing in
// anew.
func TestACopiedTokenKeepsNobodyFromEndingIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *identity.Config) { c.Known = identity.Rate{PerSecond: 1, Burst: 2} })
	first, err := w.signIn("admin", w.password, goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	call := func(s identity.SignedIn) error {
		_, err := w.identity.Authenticate(w.ctx, s.Token, office, "cli")
		return err
	}
	for call(first) == nil {
		continue
	}
	second, err := w.signIn("admin", goodPassword, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := call(second); err != nil {
		t.Errorf("the owner may not call by a session of their own: %v", err)
	}
	if err := w.identity.EndHeld(w.ctx, first.Token, office, "portal"); err != nil {
		t.Errorf("signing out: %v", err)
	}
	w.clock.advance(time.Minute)
	wantCode(t, call(first), access.KindUnauthenticated, "sessionEnded")
	for i := range 10 { // with however many: four times what one may
		s, err := w.signIn("admin", goodPassword, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(call(s), call(s)); (err == nil) != (i < 4) {
			t.Errorf("two calls with credential %d: %v", i+1, err)
		}
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *identity.Config) {
		c.Anonymous = identity.Rate{PerSecond: 1, Burst: 3}
		c.Known = identity.Rate{PerSecond: 1, Burst: 2}
	})
	s, err := w.signIn("admin", w.password, goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	calls := func() (allowed int) {
		for range 10 {
			if _, err := w.identity.Authenticate(w.ctx, s.Token, office, "cli"); err == nil {
				allowed++
			} else {
				wantCode(t, err, access.KindLimited, "tooManyCalls")
			}
		}
		return allowed
	}
	if n := calls(); n != 2 {
		t.Errorf("%d calls were allowed", n)
	}
	w.clock.advance(time.Second)
	if n := calls(); n != 1 {
		t.Errorf("%d calls were allowed a second later", n)
	}
	anonymous := func(address string) (allowed int) {
		for range 10 {
			if w.identity.AllowAnonymous(netip.MustParseAddr(address)) == nil {
				allowed++
			}
		}
		return allowed
	}
	for _, c := range []struct {
		address string
		want    int
	}{
		{"198.51.100.1", 3},
		{"198.51.100.2", 3},
		{"::ffff:198.51.100.2", 0},
		{"2001:db8::1", 3},
		{"2001:db8::ffff:1", 0},
		{"2001:db8:0:1::1", 3},
	} {
		if n := anonymous(c.address); n != c.want {
			t.Errorf("%s was allowed %d, want %d", c.address, n, c.want)
		}
	}
	size := w.count(access.SignInRefused)
	for range 5 {
		_, err = w.signIn("admin", "wrong", "")
	}
	wantCode(t, err, access.KindLimited, "tooManyAttempts")
	if n := w.count(access.SignInRefused) - size; n > 3 {
		t.Errorf("%d of 5 refusals are on record", n)
	}
}

func TestCreatePrincipalNeedsTheRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	admin := w.admin()
	_, oneTime, err := w.identity.CreatePrincipal(w.ctx, admin,
		directory.PrincipalInput{Kind: access.User, Name: "ann"}, "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.signIn("ann", oneTime, goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	ann, err := w.identity.Authenticate(w.ctx, s.Token, office, "cli")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = w.identity.CreatePrincipal(w.ctx, ann, directory.PrincipalInput{Kind: access.User, Name: "eve"}, "")
	wantCode(t, err, access.KindForbidden, "forbidden")
	_, _, err = w.identity.CreatePrincipal(w.ctx, admin, directory.PrincipalInput{Kind: access.User, Name: "eve"},
		"short")
	wantCode(t, err, access.KindInvalid, "weakPassword")
	_, _, err = w.identity.CreatePrincipal(w.ctx, admin, directory.PrincipalInput{Kind: access.Group, Name: "eve"},
		goodPassword)
	wantCode(t, err, access.KindInvalid, "passwordNotAllowed")
	_, oneTime, err = w.identity.CreatePrincipal(w.ctx, admin, directory.PrincipalInput{Kind: access.User, Name: "eve"},
		goodPassword)
	if err != nil || oneTime != "" {
		t.Errorf("made a user with a password: %q, %v", oneTime, err)
	}
	if _, err := w.signIn("eve", goodPassword, ""); err != nil {
		t.Error(err)
	}
}

func TestPasswordRules(t *testing.T) {
	t.Parallel()
	for password, ok := range map[string]bool{
		"":                          false,
		"elevenchars":               false,
		"twelve chars":              true,
		"zwölf Zeichen":             true,
		"ääääääääääää":              false,
		"aaaaaaaaaaaaaaaa":          false,
		"the old password":          false,
		strings.Repeat("ab", 512):   true,
		strings.Repeat("ab", 513):   false,
		"not utf-8 \xff at all, no": false,
	} {
		if err := identity.CheckPassword(password, "the old password"); (err == nil) != ok {
			t.Errorf("%q: %v", password, err)
		}
	}
}
