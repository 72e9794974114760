package engine_test

import (
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// TestResetPasswordEndsSessions gives a user another password, and holds that whoever was in is out, that nobody resets
// their own, and that a group has none.
func TestResetPasswordEndsSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.user("ann", "")
	w.save(func(tx engine.Tx) error {
		return tx.SaveSession(w.ctx,
			engine.Session{Hash: "aa", Principal: ann.Principal, ExpiresAt: w.clock.now().Add(1 << 40)})
	})
	must(w.Directory.CreatePrincipal(w.ctx, w.admin, directory.PrincipalInput{Kind: access.Group, Name: "people"}))(t)
	wantCode(t, w.Directory.ResetPassword(w.ctx, w.admin, "people", "$x", true), access.KindInvalid,
		"passwordNotAllowed")
	wantCode(t, w.Directory.ResetPassword(w.ctx, w.admin, directory.AdminName, "$x", true), access.KindConflict,
		"ownPassword")
	if err := w.Directory.ResetPassword(w.ctx, w.admin, "ann", "$x", true); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Directory.Session(w.ctx, "aa"); access.KindOf(err) != access.KindUnauthenticated {
		t.Errorf("the session goes on: %v", err)
	}
	cred := must(w.Directory.Credentials(w.ctx, "", "ann", office))(t)
	if cred.Password.Hash != "$x" || !cred.Password.MustChange {
		t.Errorf("the password is %+v", cred.Password)
	}
	event := w.newest()
	if event.Kind != access.PasswordChanged || event.Details["name"] != "ann" ||
		event.Actor.Name != directory.AdminName {
		t.Errorf("the log says %+v", event)
	}
}

// TestChangePasswordKeepsOneSession replaces one's own password: the session that did it goes on, every other ends, and
// what was checked against another hash is refused.
func TestChangePasswordKeepsOneSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.user("ann", "")
	ann.Session = "own"
	w.save(func(tx engine.Tx) error {
		for _, hash := range []string{"own", "other"} {
			if err := tx.SaveSession(w.ctx,
				engine.Session{Hash: hash, Principal: ann.Principal, ExpiresAt: w.clock.now().Add(1 << 40)}); err != nil {
				return err
			}
		}
		return tx.SavePassword(w.ctx, engine.Password{Principal: ann.Principal, Hash: "$old"})
	})
	wantCode(t, w.Directory.ChangePassword(w.ctx, ann, "$new", "$older"), access.KindConflict, "passwordChanged")
	if err := w.Directory.ChangePassword(w.ctx, ann, "$new", "$old"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Directory.Session(w.ctx, "own"); err != nil {
		t.Errorf("the own session ended: %v", err)
	}
	if _, _, err := w.Directory.Session(w.ctx, "other"); access.KindOf(err) != access.KindUnauthenticated {
		t.Errorf("the other session goes on: %v", err)
	}
}

// TestAdministratorForgetsPasskey deletes a passkey that its owner lost, and not one's own or another's.
func TestAdministratorForgetsPasskey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.user("ann", "")
	w.user("ben", "")
	w.save(func(tx engine.Tx) error {
		return tx.SavePasskey(w.ctx,
			engine.Passkey{ID: "k", Principal: ann.Principal, Name: "phone", CreatedAt: w.clock.now(), Revision: 1}, 0)
	})
	wantCode(t, w.Directory.DeletePasskeyOf(w.ctx, w.admin, "ben", "k"), access.KindNotFound, "unknownPasskey")
	wantCode(t, w.Directory.DeletePasskeyOf(w.ctx, w.admin, directory.AdminName, "k"), access.KindConflict,
		"ownPasskey")
	if list := must(w.Directory.PasskeysOf(w.ctx, w.admin, "ann"))(t); len(list) != 1 || list[0].Name != "phone" {
		t.Fatalf("ann has %+v", list)
	}
	if err := w.Directory.DeletePasskeyOf(w.ctx, w.admin, "ann", "k"); err != nil {
		t.Fatal(err)
	}
	if list := must(w.Directory.PasskeysOf(w.ctx, w.admin, "ann"))(t); len(list) != 0 {
		t.Errorf("ann has %+v", list)
	}
	if event := w.newest(); event.Kind != access.PasskeyDeleted || event.Details["of"] != "ann" {
		t.Errorf("the log says %+v", event)
	}
}

// TestWithdrawnTokenEnrolsNobody lists tokens until they are used or withdrawn.
func TestWithdrawnTokenEnrolsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("used")
	token, _, err := w.Machines.MakeEnrollmentToken(w.ctx, w.admin, machines.TokenInput{Name: "web-2"})
	if err != nil {
		t.Fatal(err)
	}
	list := must(w.Machines.EnrollmentTokens(w.ctx, w.admin))(t)
	if len(list) != 1 || list[0].Name != "web-2" {
		t.Fatalf("there wait %+v", list)
	}
	if err := w.Machines.DeleteEnrollmentToken(w.ctx, w.admin, list[0].PublicID()); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.Machines.DeleteEnrollmentToken(w.ctx, w.admin, list[0].PublicID()), access.KindNotFound,
		"unknownToken")
	_, err = w.Machines.Enroll(w.ctx, w.admin.Address, machines.EnrollInput{Token: token, Name: "web-2"},
		func(access.AgentID) (string, error) { return "f", nil })
	if err == nil {
		t.Error("a withdrawn token enrolled an agent")
	}
	if event := w.newest(); event.Kind != access.AgentEnrolRefused {
		t.Errorf("the log says %+v", event)
	}
}

// save writes what a test begins with.
func (w *world) save(fn func(tx engine.Tx) error) {
	w.tb.Helper()
	if err := w.store.Update(w.ctx, fn); err != nil {
		w.tb.Fatal(err)
	}
}

// newest gives the last event of the activity log.
func (w *world) newest() access.Event {
	all := w.events()
	return all[len(all)-1]
}
