package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/identity"
)

// authenticator is one in software: it makes one credential, and signs with it what it is given.
type authenticator struct {
	tb     testing.TB
	origin string
	host   string
	key    *ecdsa.PrivateKey
	id     []byte
	handle []byte
	count  uint32
	flags  byte // user present, user verified
}

func newAuthenticator(tb testing.TB, host string) *authenticator {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	id := make([]byte, 32)
	rand.Read(id)
	return &authenticator{tb: tb, origin: "https://" + host, host: host, key: key, id: id, flags: 0x05}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// options reads what the browser's API would be called with.
func (a *authenticator) options(c identity.PasskeyChallenge) (challenge, handle string) {
	a.tb.Helper()
	data, err := json.Marshal(c.Options)
	if err != nil {
		a.tb.Fatal(err)
	}
	var o struct {
		PublicKey struct {
			Challenge string `json:"challenge"`
			User      struct {
				ID string `json:"id"`
			} `json:"user"`
		} `json:"publicKey"`
	}
	if err := json.Unmarshal(data, &o); err != nil || o.PublicKey.Challenge == "" {
		a.tb.Fatalf("options %s: %v", data, err)
	}
	return o.PublicKey.Challenge, o.PublicKey.User.ID
}

func (a *authenticator) clientData(kind, challenge string) []byte {
	data, err := json.Marshal(map[string]any{
		"type": kind, "challenge": challenge, "origin": a.origin,
		"crossOrigin": false,
	})
	if err != nil {
		a.tb.Fatal(err)
	}
	return data
}

func (a *authenticator) data(flags byte) []byte {
	sum := sha256.Sum256([]byte(a.host))
	return binary.BigEndian.AppendUint32(append(sum[:], flags), a.count)
}

// create answers a registration with a self-made credential and no attestation.
func (a *authenticator) create(c identity.PasskeyChallenge) []byte {
	a.tb.Helper()
	challenge, handle := a.options(c)
	var err error
	if a.handle, err = base64.RawURLEncoding.DecodeString(handle); err != nil {
		a.tb.Fatal(err)
	}
	point, err := a.key.PublicKey.Bytes()
	if err != nil {
		a.tb.Fatal(err)
	}
	cose, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	if err != nil {
		a.tb.Fatal(err)
	}
	data := a.data(a.flags | 0x40)
	data = append(data, make([]byte, 16)...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.id)))
	data = append(append(data, a.id...), cose...)
	attestation, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	if err != nil {
		a.tb.Fatal(err)
	}
	return a.json(map[string]any{
		"clientDataJSON":    b64(a.clientData("webauthn.create", challenge)),
		"attestationObject": b64(attestation),
	})
}

// get answers an assertion.
func (a *authenticator) get(c identity.PasskeyChallenge) []byte {
	a.tb.Helper()
	challenge, _ := a.options(c)
	a.count++
	client := a.clientData("webauthn.get", challenge)
	data := a.data(a.flags)
	sum := sha256.Sum256(client)
	digest := sha256.Sum256(append(append([]byte{}, data...), sum[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	if err != nil {
		a.tb.Fatal(err)
	}
	return a.json(map[string]any{
		"clientDataJSON": b64(client), "authenticatorData": b64(data),
		"signature": b64(signature), "userHandle": b64(a.handle),
	})
}

func (a *authenticator) json(response map[string]any) []byte {
	a.tb.Helper()
	data, err := json.Marshal(map[string]any{
		"id": b64(a.id), "rawId": b64(a.id), "type": "public-key",
		"response": response,
	})
	if err != nil {
		a.tb.Fatal(err)
	}
	return data
}

const site = "https://postern.example"

// register adds the authenticator's passkey for c.
func (w *world) register(c engine.Caller, a *authenticator, name string) error {
	w.tb.Helper()
	begun, err := w.identity.BeginPasskey(w.ctx, c, site)
	if err != nil {
		return err
	}
	_, err = w.identity.FinishPasskey(w.ctx, c, site, begun.Ceremony, name, a.create(begun))
	return err
}

func (w *world) byPasskey(a *authenticator) (identity.SignedIn, error) {
	w.tb.Helper()
	begun, err := w.identity.BeginPasskeySignIn(w.ctx, site, office)
	if err != nil {
		w.tb.Fatal(err)
	}
	return w.identity.FinishPasskeySignIn(w.ctx,
		identity.PasskeySignIn{
			Origin: site, Ceremony: begun.Ceremony, Response: a.get(begun), Address: office,
			Via: "portal",
		})
}

func (w *world) stepUp(c engine.Caller, a *authenticator) error {
	w.tb.Helper()
	begun, err := w.identity.BeginStepUp(w.ctx, c, site)
	if err != nil {
		return err
	}
	return w.identity.FinishStepUp(w.ctx, c, site, begun.Ceremony, a.get(begun))
}

func TestPasskeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	admin := w.admin()
	a := newAuthenticator(t, "postern.example")
	if err := w.stepUp(admin, a); access.CodeOf(err) != "noPasskey" {
		t.Errorf("without a passkey: %v", err)
	}
	if err := w.register(admin, a, "laptop"); err != nil {
		t.Fatal(err)
	}
	signed, err := w.byPasskey(a)
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.identity.Authenticate(w.ctx, signed.Token, office, "portal")
	if err != nil || c.Name != "admin" || c.SteppedUpAt.IsZero() {
		t.Errorf("%+v, %v", c, err)
	}

	// Adding another, and deleting, needs the first one, just now.
	wantCode(t, w.register(admin, newAuthenticator(t, "postern.example"), "phone"), access.KindForbidden,
		"stepUpRequired")
	wantCode(t, w.engine.Directory.DeletePasskey(w.ctx, admin, "laptop"), access.KindForbidden, "stepUpRequired")
	if err := w.register(c, newAuthenticator(t, "postern.example"), "phone"); err != nil {
		t.Error(err)
	}
	w.clock.advance(time.Hour)
	wantCode(t, w.engine.Directory.DeletePasskey(w.ctx, c, "phone"), access.KindForbidden, "stepUpRequired")
	if err := w.stepUp(c, a); err != nil {
		t.Fatal(err)
	}
	if c, err = w.identity.Authenticate(w.ctx, signed.Token, office,
		"portal"); err != nil || !c.SteppedUpAt.Equal(w.clock.now()) {
		t.Errorf("stepped up at %s, %v", c.SteppedUpAt, err)
	}
	if err := w.engine.Directory.DeletePasskey(w.ctx, c, "phone"); err != nil {
		t.Error(err)
	}
	if got := w.count(access.PasskeyAdded) + w.count(access.SteppedUp) + w.count(access.PasskeyDeleted); got != 4 {
		t.Errorf("%d events", got)
	}
}

// TestPasskeysAreChecked proves that what is signed for somebody or somewhere else, twice, without the person, or by a
// copy, lets nobody in.
func TestPasskeysAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	admin := w.admin()
	a := newAuthenticator(t, "postern.example")
	if err := w.register(admin, a, "laptop"); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*authenticator){
		"another origin": func(a *authenticator) { a.origin = "https://postern.example.evil.example" },
		"another host":   func(a *authenticator) { a.host = "evil.example" },
		"another key":    func(a *authenticator) { a.key = newAuthenticator(t, "x").key },
		"another id":     func(a *authenticator) { a.id = newAuthenticator(t, "x").id },
		"another person": func(a *authenticator) { a.handle = []byte("somebody") },
		"no person":      func(a *authenticator) { a.flags = 0x01 },
	} {
		copied := *a
		copied.count += 10
		change(&copied)
		if _, err := w.byPasskey(&copied); access.KindOf(err) != access.KindUnauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	old := *a
	if _, err := w.byPasskey(a); err != nil {
		t.Fatal(err)
	}
	if _, err := w.byPasskey(&old); access.KindOf(err) != access.KindUnauthenticated {
		t.Errorf("a copy: %v", err)
	}
	begun, err := w.identity.BeginPasskeySignIn(w.ctx, site, office)
	if err != nil {
		t.Fatal(err)
	}
	in := identity.PasskeySignIn{
		Origin: site, Ceremony: begun.Ceremony, Response: a.get(begun), Address: office,
		Via: "portal",
	}
	if _, err := w.identity.FinishPasskeySignIn(w.ctx, in); err != nil {
		t.Fatal(err)
	}
	_, err = w.identity.FinishPasskeySignIn(w.ctx, in)
	wantCode(t, err, access.KindUnauthenticated, "ceremonyOver")
	begun, err = w.identity.BeginPasskeySignIn(w.ctx, site, office)
	if err != nil {
		t.Fatal(err)
	}
	w.clock.advance(6 * time.Minute)
	_, err = w.identity.FinishPasskeySignIn(w.ctx,
		identity.PasskeySignIn{Origin: site, Ceremony: begun.Ceremony, Response: a.get(begun), Address: office})
	wantCode(t, err, access.KindUnauthenticated, "ceremonyOver")
	_, err = w.identity.BeginPasskeySignIn(w.ctx, "https://192.0.2.1", office)
	wantCode(t, err, access.KindInvalid, "passkeysNeedAName")
	disabled := true
	other, _, err := w.identity.CreatePrincipal(w.ctx, admin, directory.PrincipalInput{Kind: access.User, Name: "anna"},
		goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.signIn("anna", goodPassword, "")
	if err != nil {
		t.Fatal(err)
	}
	anna, err := w.identity.Authenticate(w.ctx, s.Token, office, "cli")
	if err != nil {
		t.Fatal(err)
	}
	hers := newAuthenticator(t, "postern.example")
	if err := w.register(anna, hers, "key"); err != nil {
		t.Fatal(err)
	}
	refused := w.count(access.SignInRefused)
	if err := w.stepUp(anna, a); access.KindOf(err) != access.KindUnauthenticated {
		t.Errorf("another's passkey confirms: %v", err)
	}
	if n := w.count(access.SignInRefused) - refused; n != 1 {
		t.Errorf("the attempt is on record %d times", n)
	}
	if _, err := w.engine.Directory.ChangePrincipal(w.ctx, admin, string(other.ID),
		directory.PrincipalChange{Disabled: &disabled}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.byPasskey(hers); access.KindOf(err) != access.KindUnauthenticated {
		t.Errorf("a disabled user is in: %v", err)
	}
}
