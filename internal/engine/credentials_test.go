package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/notices"
	"github.com/postern-dev/postern/internal/engine/roles"
	"github.com/postern-dev/postern/internal/engine/services"
)

// equipped is a person with two sessions, a token and a passkey, and the hash of the token.
func (w *world) equipped(name string) (person engine.Caller, token string) {
	w.tb.Helper()
	person = caller(must(w.Directory.CreatePrincipal(w.ctx, w.admin,
		directory.PrincipalInput{Kind: access.User, Name: name, PasswordHash: "hash of " + name}))(
		w.tb))
	for _, hash := range []string{name + " desk", name + " phone"} {
		w.opened(person, "hash of "+name, hash, office)
	}
	person, _, err := w.Directory.Session(w.ctx, name+" desk")
	if err != nil {
		w.tb.Fatal(err)
	}
	person.Address = office
	must(w.Directory.AddPasskey(w.ctx, person, engine.Passkey{ID: name + "'s key", Name: "laptop", Body: "{}"}))(w.tb)
	_, made, err := w.Directory.MakeAPIToken(w.ctx, person,
		directory.APITokenInput{Name: "nightly", TTL: 300 * 24 * time.Hour})
	if err != nil {
		w.tb.Fatal(err)
	}
	return person, made.Hash
}

// lets says what still lets somebody in as a person.
func (w *world) lets(person engine.Caller, token string) (in []string) {
	w.tb.Helper()
	for _, s := range []string{"desk", "phone"} {
		if _, _, err := w.Directory.Session(w.ctx, person.Name+" "+s); err == nil {
			in = append(in, s)
		}
	}
	if _, err := w.Directory.APITokenCaller(w.ctx, token); err == nil {
		in = append(in, "token")
	}
	if _, keys, err := w.Directory.PasskeyOwner(w.ctx, person.Principal); err == nil && len(keys) > 0 {
		in = append(in, "passkey")
	}
	return in
}

func (w *world) wantLets(what string, person engine.Caller, token string, want ...string) {
	w.tb.Helper()
	if got := w.lets(person, token); !slices.Equal(got, want) {
		w.tb.Errorf("after %s these let in: %v, want %v", what, got, want)
	}
}

// TestWhatEndsCredentials proves what is left of a person's credentials after each act that answers an incident, also
// once a disabled person is enabled again.
func TestWhatEndsCredentials(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for what, c := range map[string]struct {
		do   func(w *world, person engine.Caller) error
		left []string
	}{
		"nothing": {func(*world, engine.Caller) error { return nil }, []string{"desk", "phone", "token", "passkey"}},
		"a reset by an administrator": {
			func(w *world, p engine.Caller) error {
				return w.Directory.ResetPassword(w.ctx, w.admin, p.Name, "new", true)
			}, nil,
		},
		"a password of one's own choosing": {
			func(w *world, p engine.Caller) error {
				return w.Directory.ChangePassword(w.ctx, p, "new", "hash of "+p.Name)
			}, []string{"desk", "token", "passkey"},
		},
		"signing out everywhere": {
			func(w *world, p engine.Caller) error { return w.Directory.SignOutEverywhere(w.ctx, p) },
			[]string{"token", "passkey"},
		},
		"disabling and enabling": {func(w *world, p engine.Caller) error {
			for _, disabled := range []*bool{&yes, &no} {
				if _, err := w.Directory.ChangePrincipal(w.ctx, w.admin, p.Name,
					directory.PrincipalChange{Disabled: disabled}); err != nil {
					return err
				}
			}
			return nil
		}, []string{"passkey"}},
		"an administrator's one act": {
			func(w *world, p engine.Caller) error { return w.Directory.EndCredentials(w.ctx, w.admin, p.Name, nil) },
			nil,
		},
		"an administrator's act on tokens": {
			func(w *world, p engine.Caller) error {
				return w.Directory.EndCredentials(w.ctx, w.admin, p.Name,
					[]directory.CredentialKind{directory.CredentialAPIToken})
			},
			[]string{"desk", "phone", "passkey"},
		},
		"one's own one act": {
			func(w *world, p engine.Caller) error {
				p.SteppedUpAt = w.clock.now()
				return w.Directory.EndCredentials(w.ctx, p, p.Name, nil)
			},
			[]string{"desk"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ann, token := w.equipped("ann")
			ben, bens := w.equipped("ben")
			if err := c.do(w, ann); err != nil {
				t.Fatal(err)
			}
			w.wantLets(what, ann, token, c.left...)
			w.wantLets(what+" of ann", ben, bens, "desk", "phone", "token", "passkey")
		})
	}
}

// TestCredentialsAreListed proves that the list has everything, for the person and for an administrator and nobody
// else, that each credential in it ends by its id, and that each end is on record.
func TestCredentialsAreListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, token := w.equipped("ann")
	ben, bens := w.equipped("ben")
	_, err := w.Directory.CredentialsOf(w.ctx, ben, "ann")
	wantCode(t, err, access.KindForbidden, "forbidden")
	wantCode(t, w.Directory.EndCredentials(w.ctx, ben, "ann", nil), access.KindForbidden, "forbidden")
	program := ann
	program.Session, program.Bounds = "", &engine.Bounds{}
	wantCode(t, w.Directory.EndCredentials(w.ctx, program, "ann", nil), access.KindForbidden, "signInNeeded")
	wantCode(t, w.Directory.EndCredentials(w.ctx, ann, "ann", nil), access.KindForbidden, "stepUpRequired")
	wantCode(t, w.Directory.EndCredentials(w.ctx, w.admin, "ann", []directory.CredentialKind{"all"}),
		access.KindInvalid, "unknownKind")
	w.wantLets("refusals", ann, token, "desk", "phone", "token", "passkey")

	for _, by := range []engine.Caller{ann, w.admin} {
		set := must(w.Directory.CredentialsOf(w.ctx, by, "ann"))(t)
		if len(set.Sessions) != 2 || len(
			set.Tokens) != 1 || len(set.Passkeys) != 1 || len(
			set.Places) != 1 || set.Password.ChangedAt.IsZero() || set.Password.Hash != "" {
			t.Fatalf("%s sees %+v", by.Name, set)
		}
		if s := set.Sessions[0]; s.Method != directory.MethodPassword || s.Client != "a test" || strings.Contains(
			s.Hash, s.PublicID()) {
			t.Errorf("a session is %+v, named %s", s, s.PublicID())
		}
	}
	set := must(w.Directory.CredentialsOf(w.ctx, w.admin, "ann"))(t)
	phone := set.Sessions[slices.IndexFunc(set.Sessions, func(s engine.Session) bool { return s.Hash == "ann phone" })]
	for _, c := range []struct {
		id   string
		kind access.EventKind
		left []string
	}{
		{phone.PublicID(), access.SignedOut, []string{"desk", "token", "passkey"}},
		{string(set.Tokens[0].ID), access.APITokenRevoked, []string{"desk", "passkey"}},
		{set.Passkeys[0].ID, access.PasskeyDeleted, []string{"desk"}},
	} {
		wantCode(t, w.Directory.EndCredential(w.ctx, w.admin, "ben", c.id), access.KindNotFound, "unknownCredential")
		if err := w.Directory.EndCredential(w.ctx, w.admin, "ann", c.id); err != nil {
			t.Fatal(err)
		}
		w.wantLets("ending "+c.id, ann, token, c.left...)
		if e := w.newest(); e.Kind != c.kind || e.Details["of"] != "ann" || e.Actor.Name != directory.AdminName {
			t.Errorf("the log says %+v", e)
		}
	}
	wantCode(t, w.Directory.EndCredential(w.ctx, w.admin, "ann", phone.PublicID()), access.KindNotFound,
		"unknownCredential")
	w.wantLets("all of ann's", ben, bens, "desk", "phone", "token", "passkey")
}

// TestOwnersAreTold proves that a person hears of what others, or whoever has their session, did to their account, and
// that nobody else does.
func TestOwnersAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.channel("hooks")
	ann, _ := w.equipped("ann")
	if err := w.Directory.EndCredentials(w.ctx, w.admin, "ann",
		[]directory.CredentialKind{directory.CredentialSession}); err != nil {
		t.Fatal(err)
	}
	if err := w.Directory.ResetPassword(w.ctx, w.admin, "ann", "new", true); err != nil {
		t.Fatal(err)
	}
	s := engine.Session{
		Hash: "again", Principal: ann.Principal, CreatedAt: w.clock.now(),
		ExpiresAt: w.clock.now().Add(time.Hour),
	}
	if err := w.Directory.SignIn(w.ctx,
		directory.SignInInput{Session: s, Checked: "new", PasswordHash: "own", Address: office}); err != nil {
		t.Fatal(err)
	}
	ann.Session = "again"
	if err := w.Directory.ChangePassword(w.ctx, ann, "newer", "own"); err != nil {
		t.Fatal(err)
	}
	var titles []string
	for _, n := range w.owned(ann) {
		titles = append(titles, n.Subject.Title+" by "+n.Subject.By)
		for _, kind := range []engine.ChannelKind{
			engine.Slack, engine.Teams, engine.Webhook, engine.PagerDuty,
			engine.Lifecycle,
		} {
			if kind.Carries(n.Kind) {
				t.Errorf("%s carries what is for one person alone", kind)
			}
		}
	}
	want := "A passkey was added by |An API token was made by |Your sign-ins were ended by admin|Your password was " +
		"reset by admin|Your password was changed by |Your password was changed by "
	if got := strings.Join(titles, "|"); got != want {
		t.Errorf("told: %s\nwant: %s", got, want)
	}
	if told := w.owned(w.admin); len(told) > 0 || !engine.SMTP.Carries(engine.NotifyAccount) {
		t.Errorf("the administrator was told %+v, or mail does not carry it", told)
	}
}

// TestOwnersAreToldWhereTheyWere proves that whoever turns a person's mail to another address does not turn the news of
// it and of what follows away from them unseen, and that nobody mutes such news.
func TestOwnersAreToldWhereTheyWere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.channel("hooks")
	ann, _ := w.equipped("ann")
	first, second := "ann@example.com", "eve@example.net"
	for _, address := range []*string{&first, &second, &second} {
		must(w.Directory.ChangePrincipal(w.ctx, w.admin, "ann", directory.PrincipalChange{Email: address}))(t)
	}
	if err := w.Directory.DeletePasskeyOf(w.ctx, w.admin, "ann", "ann's key"); err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, n := range w.owned(ann) {
		told = append(told, n.Subject.Title+" at "+n.Address)
	}
	want := "A passkey was added at |An API token was made at |Your e-mail address was changed at " +
		"ann@example.com|Your sign-ins were ended at "
	if got := strings.Join(told, "|"); got != want {
		t.Errorf("told: %s\nwant: %s", got, want)
	}
	_, err := w.Notices.CreateRoute(w.ctx, ann,
		notices.RouteInput{
			Channel: "hooks", Principal: "ann", Mute: true,
			Kinds: []engine.NotificationKind{engine.NotifyAccount},
		})
	wantCode(t, err, access.KindInvalid, "routeInvalid")
}

// TestNothingIsLeftBehind proves that what somebody began before an administrator put them out lets them in no more: no
// API token, no passkey, and no enrolment token, of which those of others stay.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	for what, putOut := range map[string]func(w *world) error{
		"a reset":   func(w *world) error { return w.Directory.ResetPassword(w.ctx, w.admin, "ann", "new", true) },
		"disabling": func(w *world) error { w.disable("ann", true); return nil },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ann, _ := w.equipped("ann")
			ann.SteppedUpAt = w.clock.now()
			must(w.Roles.AssignRole(w.ctx, w.admin,
				roles.AssignInput{Principal: "ann", Role: "Contributor", Scope: access.Root}))(
				t)
			anns := must2(w.Machines.MakeEnrollmentToken(w.ctx, ann,
				machines.TokenInput{Name: "web-1", TTL: 24 * time.Hour}))(
				t)
			admins := must2(w.Machines.MakeEnrollmentToken(w.ctx, w.admin, machines.TokenInput{Name: "web-2"}))(t)
			if err := putOut(w); err != nil {
				t.Fatal(err)
			}
			if e := w.newest(); what == "a reset" && e.Kind != access.PasswordChanged {
				t.Errorf("the newest event is %+v", e)
			}
			_, _, err := w.Directory.MakeAPIToken(w.ctx, ann, directory.APITokenInput{Name: "late"})
			wantCode(t, err, access.KindUnauthenticated, "sessionEnded")
			_, err = w.Directory.AddPasskey(w.ctx, ann, engine.Passkey{ID: "late", Name: "late", Body: "{}"})
			if access.KindOf(err) != access.KindUnauthenticated && access.KindOf(err) != access.KindForbidden {
				t.Errorf("a passkey is added by a session that has ended: %v", err)
			}
			_, err = w.Machines.Enroll(w.ctx, office, machines.EnrollInput{Token: anns, Name: "web-1"}, fingerprint)
			if access.KindOf(err) != access.KindUnauthenticated {
				t.Errorf("an agent enrols with a token of somebody who was put out: %v", err)
			}
			must(w.Machines.Enroll(w.ctx, office, machines.EnrollInput{Token: admins, Name: "web-2"}, fingerprint))(t)
		})
	}
}

// TestSessionsEndUnused proves that a session which nobody uses ends, that using it keeps it, and that looking does
// not.
func TestSessionsEndUnused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stored := must(w.Directory.Credentials(w.ctx, "", "admin", office))(t).Password.Hash
	w.opened(w.admin, stored, "s", office)
	session := func() engine.Caller {
		t.Helper()
		c, _, err := w.Directory.Session(w.ctx, "s")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for range 5 { // longer than the idle time in all
		w.clock.advance(services.DefaultSessionIdle / 2)
		if err := w.Directory.UseSession(w.ctx, session()); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.advance(services.DefaultSessionIdle - time.Microsecond)
	session()
	w.clock.advance(time.Microsecond)
	_, _, err := w.Directory.Session(w.ctx, "s")
	wantCode(t, err, access.KindUnauthenticated, "sessionEnded")
	_, err = w.Directory.TokenCaller(w.ctx, directory.TokenSubject{Principal: w.admin.Principal, Session: "s"})
	wantCode(t, err, access.KindUnauthenticated, "tokenEnded")
}

// TestFirstPasskeyNeedsAProof proves that whoever has a session and nothing else cannot add the passkey that would
// confirm it.
func TestFirstPasskeyNeedsAProof(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.channel("hooks")
	ann := caller(must(w.Directory.CreatePrincipal(w.ctx, w.admin,
		directory.PrincipalInput{Kind: access.User, Name: "ann", PasswordHash: "h"}))(
		t))
	w.opened(ann, "h", "s", office)
	add := func(id string) error {
		t.Helper()
		c, _, err := w.Directory.Session(w.ctx, "s")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Directory.MayAddPasskey(w.ctx, c); err != nil {
			return err
		}
		_, err = w.Directory.AddPasskey(w.ctx, c, engine.Passkey{ID: id, Name: id, Body: "{}"})
		return err
	}
	w.clock.advance(5*time.Minute + time.Second)
	wantCode(t, add("k"), access.KindForbidden, "proofRequired")
	_, err := w.Directory.AddPasskey(w.ctx, ann, engine.Passkey{ID: "k", Name: "k", Body: "{}"})
	wantCode(t, err, access.KindForbidden, "signInNeeded")
	c, _, err := w.Directory.Session(w.ctx, "s")
	if err != nil {
		t.Fatal(err)
	}
	// the half that was not asked first
	_, err = w.Directory.AddPasskey(w.ctx, c, engine.Passkey{ID: "k", Name: "k", Body: "{}"})
	wantCode(t, err, access.KindForbidden, "proofRequired")
	wantCode(t, w.Directory.Prove(w.ctx, c, "another"), access.KindConflict, "passwordChanged")
	if err := w.Directory.Prove(w.ctx, c, "h"); err != nil {
		t.Fatal(err)
	}
	if err := add("k"); err != nil {
		t.Errorf("after a proof: %v", err)
	}
	wantCode(t, add("k2"), access.KindForbidden, "stepUpRequired") // with one, the proof is that one
	if told := w.owned(ann); len(told) != 1 || told[0].Subject.Title != "A passkey was added" {
		t.Errorf("ann was told %+v", told)
	}
}

// TestNoEnrollmentTokenHidesBehindOthers proves that there are never more tokens than a list has, so that a reset
// withdraws each that an intruder made, and that nobody takes the room of others for them, through a service principal
// either.
func TestNoEnrollmentTokenHidesBehindOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.user("ann", "Contributor")
	made := func(by engine.Caller, ttl time.Duration) (string, error) {
		token, _, err := w.Machines.MakeEnrollmentToken(w.ctx, by, machines.TokenInput{Name: "web-1", TTL: ttl})
		return token, err
	}
	robot := must(w.Directory.CreatePrincipal(w.ctx, w.admin,
		directory.PrincipalInput{Kind: access.ServicePrincipal, Name: "robot"}))(t)
	must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: "robot", Role: "Contributor", Scope: access.Root}))(t)
	must(w.Roles.AssignRole(w.ctx, w.admin, roles.AssignInput{Principal: "ann", Role: "Owner", Scope: access.Root}))(t)
	if _, _, err := w.Directory.AddSecret(w.ctx, ann, "robot", directory.SecretInput{Name: "s"}); err != nil {
		t.Fatal(err)
	}
	last := must(made(ann, 30*24*time.Hour))(t)
	listed := 0
	for _, maker := range []struct {
		engine.Caller

		most int
	}{
		{ann, 500},
		{caller(robot), 0},
		{w.admin, 250},
		{w.user("bob", "Contributor"), 125},
		{w.user("cy", "Contributor"), 62},
	} {
		for range 550 {
			if _, err := made(maker.Caller, time.Hour); err != nil {
				wantCode(t, err, access.KindConflict, "tooManyTokens")
				break
			}
		}
		listed += maker.most
		if list := must(w.Machines.EnrollmentTokens(w.ctx, w.admin))(t); len(list) != listed {
			t.Errorf("with those of %s %d tokens wait, want %d", maker.Name, len(list), listed)
		}
	}
	if err := w.Directory.ResetPassword(w.ctx, w.admin, "ann", "new", true); err != nil {
		t.Fatal(err)
	}
	_, err := w.Machines.Enroll(w.ctx, office, machines.EnrollInput{Token: last, Name: "web-1"}, fingerprint)
	wantCode(t, err, access.KindUnauthenticated, "tokenUnknown")
}

// TestNoSessionHidesBehindOthers proves that ending all sessions ends those too that no list has any more, and not the
// one that calls.
func TestNoSessionHidesBehindOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stored := must(w.Directory.Credentials(w.ctx, "", "admin", office))(t).Password.Hash
	w.opened(w.admin, stored, "an intruder's", office)
	w.clock.advance(time.Second)
	for i := range 1001 {
		w.opened(w.admin, stored, fmt.Sprint("session ", i), office)
	}
	c, _, err := w.Directory.Session(w.ctx, "session 7")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Directory.EndCredentials(w.ctx, c, c.Name,
		[]directory.CredentialKind{directory.CredentialSession}); err != nil {
		t.Fatal(err)
	}
	for hash, stays := range map[string]bool{"an intruder's": false, "session 1000": false, "session 7": true} {
		if _, _, err := w.Directory.Session(w.ctx, hash); (err == nil) != stays {
			t.Errorf("%s: %v", hash, err)
		}
	}
}
