package engine_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// program makes a service principal with one secret.
func (w *world) program(name string) (access.Principal, string, engine.Secret) {
	w.tb.Helper()
	p := must(w.Directory.CreatePrincipal(w.ctx, w.admin,
		directory.PrincipalInput{Kind: access.ServicePrincipal, Name: name}))(
		w.tb)
	text, s, err := w.Directory.AddSecret(w.ctx, w.admin, name, directory.SecretInput{Name: "first", TTL: time.Hour})
	if err != nil {
		w.tb.Fatal(err)
	}
	return p, text, s
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, text, first := w.program("deploy")
	second, _, err := w.Directory.AddSecret(w.ctx, w.admin, string(p.ID), directory.SecretInput{Name: "second"})
	if err != nil || second == text || !strings.HasPrefix(second, "pss_") {
		t.Fatalf("the second secret is %q, %v", second, err)
	}
	cred := must(w.Directory.ClientCredentials(w.ctx, "", "DEPLOY"))(t)
	if found, ok := cred.Match(text); !ok || found.ID != first.ID {
		t.Errorf("the first secret matches %+v, %t", found, ok)
	}
	for _, wrong := range []string{"", "pss_", text + "x", string(first.ID), first.Hash} {
		if _, ok := cred.Match(wrong); ok {
			t.Errorf("%q matches", wrong)
		}
	}
	subject := directory.TokenSubject{Principal: p.ID, Secret: first.ID}
	if c := must(w.Directory.TokenCaller(w.ctx, subject))(t); c.Principal != p.ID || c.Name != "deploy" {
		t.Errorf("the caller is %+v", c)
	}
	w.clock.advance(time.Hour)
	_, err = w.Directory.TokenCaller(w.ctx, subject)
	wantCode(t, err, access.KindUnauthenticated, "tokenEnded")
	if cred := must(w.Directory.ClientCredentials(w.ctx, "", "deploy"))(t); len(cred.Secrets) != 1 {
		t.Errorf("an expired secret is among %+v", cred.Secrets)
	}
	wantCode(t, w.Directory.DeleteSecret(w.ctx, w.admin, "deploy", "nothing"), access.KindNotFound, "unknownSecret")
	other, _, _ := w.program("other")
	wantCode(t, w.Directory.DeleteSecret(w.ctx, w.admin, string(other.ID), first.ID), access.KindNotFound,
		"unknownSecret")
	if err := w.Directory.DeleteSecret(w.ctx, w.admin, "deploy", first.ID); err != nil {
		t.Error(err)
	}
	for _, e := range w.events() {
		for _, value := range e.Details {
			if strings.Contains(value, text) || strings.Contains(value, second) {
				t.Errorf("event %d tells a secret", e.Seq)
			}
		}
	}
}

func TestSecretsAreForServicePrincipalsAndAdministrators(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, _, _ := w.program("deploy")
	reader := w.user("rosa", "Reader")
	_, _, err := w.Directory.AddSecret(w.ctx, reader, "deploy", directory.SecretInput{})
	wantCode(t, err, access.KindForbidden, "forbidden")
	_, _, err = w.Directory.AddSecret(w.ctx, w.admin, "rosa", directory.SecretInput{})
	wantCode(t, err, access.KindInvalid, "notAServicePrincipal")
	_, err = w.Directory.ClientCredentials(w.ctx, "", "rosa")
	wantCode(t, err, access.KindNotFound, "unknownPrincipal")
	for what, in := range map[string]directory.SecretInput{
		"ttlOutOfRange":        {TTL: time.Second},
		"malformedCertificate": {Certificate: "x"}, "malformedName": {Name: "a\nb"},
	} {
		_, _, err = w.Directory.AddSecret(w.ctx, w.admin, "deploy", in)
		wantCode(t, err, access.KindInvalid, what)
	}
	if list := must(w.Directory.Secrets(w.ctx, caller(p), "deploy"))(t); len(list) != 1 {
		t.Errorf("its own secrets are %+v", list)
	}
	for range 19 {
		if _, _, err = w.Directory.AddSecret(w.ctx, w.admin, "deploy", directory.SecretInput{}); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err = w.Directory.AddSecret(w.ctx, w.admin, "deploy", directory.SecretInput{})
	wantCode(t, err, access.KindConflict, "tooManySecrets")
}

func TestCertificateEndsWithItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.program("deploy")
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	end := w.clock.now().Add(48 * time.Hour)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: w.clock.now(), NotAfter: end}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	text, s, err := w.Directory.AddSecret(w.ctx, w.admin, "deploy",
		directory.SecretInput{Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))})
	if err != nil || text != "" || !s.ExpiresAt.Equal(end) {
		t.Errorf("the certificate is %+v %q, %v", s, text, err)
	}
	cred := must(w.Directory.ClientCredentials(w.ctx, "", "deploy"))(t)
	if _, ok := cred.Match(""); ok {
		t.Error("nothing matches a certificate")
	}
}

func TestSignInByCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	begin := func(code string) engine.PendingSignIn {
		p := engine.PendingSignIn{
			Hash: "hash of " + code, UserCode: code, Client: "az", CreatedAt: w.clock.now(),
			ExpiresAt: w.clock.now().Add(directory.CodeTime),
		}
		if err := w.Directory.BeginSignIn(w.ctx, p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	session := func(hash string) string {
		s := engine.Session{
			Hash: hash, Principal: w.admin.Principal, CreatedAt: w.clock.now(),
			ExpiresAt: w.clock.now().Add(time.Hour),
		}
		cred := must(w.Directory.Credentials(w.ctx, "", "admin", office))(t)
		if err := w.Directory.SignIn(w.ctx, directory.SignInInput{Session: s, Checked: cred.Password.Hash}); err != nil {
			t.Fatal(err)
		}
		return hash
	}
	fine := func(engine.PendingSignIn) error { return nil }
	p := begin("AAAA-AAAA")
	_, _, err := w.Directory.RedeemSignIn(w.ctx, p.Hash, engine.Session{Hash: "next"}, fine)
	wantCode(t, err, access.KindUnauthenticated, directory.SignInWaits)
	if err := w.Directory.AnswerSignIn(w.ctx, p.UserCode, session("opened")); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.Directory.AnswerSignIn(w.ctx, p.UserCode, ""), access.KindNotFound, "unknownCode")
	_, s, err := w.Directory.RedeemSignIn(w.ctx, p.Hash, engine.Session{Hash: "next"}, fine)
	if err != nil || s.Principal != w.admin.Principal || s.Hash != "next" {
		t.Fatalf("redeemed %+v, %v", s, err)
	}
	if _, _, err := w.Directory.Session(w.ctx, "opened"); err == nil {
		t.Error("the session that nobody knows is still there")
	}
	if _, _, err := w.Directory.Session(w.ctx, "next"); err != nil {
		t.Error(err)
	}
	_, _, err = w.Directory.RedeemSignIn(w.ctx, p.Hash, engine.Session{Hash: "again"}, fine)
	wantCode(t, err, access.KindUnauthenticated, directory.SignInUnknown)
	// Whoever holds the device has proved nothing: it may be that of somebody who sent its code to the person.
	device, _, err := w.Directory.Session(w.ctx, "next")
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.Directory.MayAddPasskey(w.ctx, device), access.KindForbidden, "proofRequired")
	p = engine.PendingSignIn{
		Hash: "of a program on their own machine", Session: session("opened for it"),
		CreatedAt: w.clock.now(), ExpiresAt: w.clock.now().Add(directory.CodeTime),
	}
	if err := w.Directory.BeginSignIn(w.ctx, p); err != nil {
		t.Fatal(err)
	}
	if _, s, err = w.Directory.RedeemSignIn(w.ctx, p.Hash, engine.Session{Hash: "program"},
		fine); err != nil || !s.ProvedAt.Equal(w.clock.now()) {
		t.Errorf("a program on the person's machine has %+v, %v", s, err)
	}

	p = begin("BBBB-BBBB")
	if err := w.Directory.AnswerSignIn(w.ctx, p.UserCode, ""); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.Directory.RedeemSignIn(w.ctx, p.Hash, engine.Session{Hash: "denied"}, fine)
	wantCode(t, err, access.KindUnauthenticated, directory.SignInDenied)

	p = begin("CCCC-CCCC")
	if err := w.Directory.AnswerSignIn(w.ctx, p.UserCode, session("opened again")); err != nil {
		t.Fatal(err)
	}
	refusal := access.Fault(access.KindInvalid, "wrongClient", "no")
	_, _, err = w.Directory.RedeemSignIn(w.ctx, p.Hash, engine.Session{Hash: "stolen"},
		func(engine.PendingSignIn) error { return refusal })
	wantCode(t, err, access.KindInvalid, "wrongClient")
	_, _, err = w.Directory.RedeemSignIn(w.ctx, p.Hash, engine.Session{Hash: "stolen"}, fine)
	wantCode(t, err, access.KindUnauthenticated, directory.SignInUnknown)

	p = begin("DDDD-DDDD")
	w.clock.advance(directory.CodeTime)
	_, err = w.Directory.PendingSignIn(w.ctx, p.UserCode)
	wantCode(t, err, access.KindNotFound, "unknownCode")
}

func TestCustomRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	subscription := must(w.Directory.Subscriptions(w.ctx, w.admin))(t)[0]
	in := roles.RoleInput{
		Name: "Opener", Permissions: []rbac.Permission{{Actions: []string{rbac.PoliciesInitiate}}},
		AssignableScopes: []access.ResourceID{access.SubscriptionScope(subscription.ID)},
	}
	_, err := w.Roles.PutRole(w.ctx, w.user("rosa", "Contributor"), in)
	wantCode(t, err, access.KindForbidden, "forbidden")
	d := must(w.Roles.PutRole(w.ctx, w.admin, in))(t)
	in.Name = "reader"
	_, err = w.Roles.PutRole(w.ctx, w.admin, in)
	wantCode(t, err, access.KindConflict, "roleNameTaken")
	in.ID = rbac.Reader
	_, err = w.Roles.PutRole(w.ctx, w.admin, in)
	if err == nil {
		t.Error("a built-in role was changed")
	}
	must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: "rosa", Role: "Opener", Scope: access.SubscriptionScope(subscription.ID)}))(
		t)
	_, err = w.Roles.DeleteRole(w.ctx, w.admin, d.ID)
	wantCode(t, err, access.KindConflict, "roleInUse")
	_, err = w.Roles.DeleteRole(w.ctx, w.admin, rbac.Owner)
	wantCode(t, err, access.KindForbidden, "builtInRole")
}
