package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

func TestBootstrapIsIdempotent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	again, err := w.another().Directory.Bootstrap(w.ctx, func(string) (string, error) {
		t.Error("a password was hashed at the second start")
		return "", nil
	})
	if err != nil || again != "" {
		t.Errorf("the second start gave %q, %v", again, err)
	}
	cred := must(w.Directory.Credentials(w.ctx, "", "ADMIN", office))(t)
	if !cred.Password.MustChange || !strings.HasPrefix(cred.Password.Hash, "hash of ") {
		t.Errorf("the administrator's password is %+v", cred.Password)
	}
	if got := w.kinds(0); got != "tenant.created principal.created role.assigned server.started server.started" {
		t.Errorf("events are %s", got)
	}
	if roles := must(w.Roles.RoleDefinitions(w.ctx, w.admin))(t); len(roles) != 7 {
		t.Errorf("there are %d roles", len(roles))
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.user("ann", "")
	p := must(w.Directory.Principal(w.ctx, w.admin, "ann"))(t)
	_, _, err := w.Directory.Session(w.ctx, "nix")
	wantCode(t, err, access.KindUnauthenticated, "sessionEnded")
	// ann has no password; the administrator has one.
	open := func(hash string, in directory.SignInInput) error {
		in.Session = engine.Session{
			Hash: hash, Principal: w.admin.Principal, CreatedAt: w.clock.now(),
			ExpiresAt: w.clock.now().Add(time.Hour),
		}
		return w.Directory.SignIn(w.ctx, in)
	}
	stored := must(w.Directory.Credentials(w.ctx, "", "admin", office))(t).Password.Hash
	wantCode(t, open("a", directory.SignInInput{Checked: "another"}), access.KindConflict, "signInChanged")
	if err := open("a", directory.SignInInput{Checked: stored}); err != nil {
		t.Fatal(err)
	}
	c, _, err := w.Directory.Session(w.ctx, "a")
	if err != nil || c.Principal != w.admin.Principal || c.Session != "a" {
		t.Fatalf("the session is of %+v, %v", c, err)
	}
	if err := open("b", directory.SignInInput{Checked: stored, PasswordHash: "new"}); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.Directory.Session(w.ctx, "a")
	wantCode(t, err, access.KindUnauthenticated, "sessionEnded")
	if cred := must(w.Directory.Credentials(w.ctx, "", "admin", office))(
		t); cred.Password.Hash != "new" || cred.Password.MustChange {
		t.Errorf("the password is %+v", cred.Password)
	}
	c.Session = "b"
	for range 2 {
		if err := w.Directory.SignOut(w.ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err = w.Directory.Session(w.ctx, "b")
	wantCode(t, err, access.KindUnauthenticated, "sessionEnded")

	if err := open("c", directory.SignInInput{Checked: "new"}); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(time.Hour)
	_, _, err = w.Directory.Session(w.ctx, "c")
	wantCode(t, err, access.KindUnauthenticated, "sessionEnded")
	_, _ = ann, p
}

func TestDisabledPrincipalsHaveNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	must(w.Directory.CreatePrincipal(w.ctx, w.admin,
		directory.PrincipalInput{Kind: access.User, Name: "ann", PasswordHash: "h"}))(
		t)
	p := must(w.Directory.Principal(w.ctx, w.admin, "ann"))(t)
	s := engine.Session{Hash: "s", Principal: p.ID, CreatedAt: w.clock.now(), ExpiresAt: w.clock.now().Add(time.Hour)}
	if err := w.Directory.SignIn(w.ctx, directory.SignInInput{Session: s, Checked: "h"}); err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	must(w.Directory.ChangePrincipal(w.ctx, w.admin, "ann", directory.PrincipalChange{Disabled: &yes}))(t)
	_, _, err := w.Directory.Session(w.ctx, "s")
	wantCode(t, err, access.KindUnauthenticated, "sessionEnded")
	must(w.Directory.ChangePrincipal(w.ctx, w.admin, "ann", directory.PrincipalChange{Disabled: &no}))(t)
	_, _, err = w.Directory.Session(w.ctx, "s")
	wantCode(t, err, access.KindUnauthenticated, "sessionEnded")
}

func TestSignOutEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stored := must(w.Directory.Credentials(w.ctx, "", "admin", office))(t).Password.Hash
	for _, hash := range []string{"desk", "phone"} {
		in := directory.SignInInput{
			Checked: stored,
			Session: engine.Session{
				Hash: hash, Principal: w.admin.Principal, CreatedAt: w.clock.now(),
				ExpiresAt: w.clock.now().Add(time.Hour),
			},
		}
		if err := w.Directory.SignIn(w.ctx, in); err != nil {
			t.Fatal(err)
		}
	}
	c, _, err := w.Directory.Session(w.ctx, "desk")
	if err != nil {
		t.Fatal(err)
	}
	program := c
	program.Session = ""
	wantCode(t, w.Directory.SignOutEverywhere(w.ctx, program), access.KindForbidden, "signInNeeded")
	if err := w.Directory.SignOutEverywhere(w.ctx, c); err != nil {
		t.Fatal(err)
	}
	for _, hash := range []string{"desk", "phone"} {
		_, _, err := w.Directory.Session(w.ctx, hash)
		wantCode(t, err, access.KindUnauthenticated, "sessionEnded")
	}
}
