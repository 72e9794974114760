package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// The ceremonies of passkeys.
const (
	registerCeremony = "passkey.register"
	signInCeremony   = "passkey.signIn"
	stepUpCeremony   = "passkey.stepUp"
)

// passkeyTime is how long a person has to touch their authenticator.
const passkeyTime = 5 * time.Minute

// passkeyUser is a person as package webauthn sees them. The handle is the principal's id.
type passkeyUser struct {
	principal   access.Principal
	credentials []webauthn.Credential
	keys        []engine.Passkey
}

// WebAuthnID implements webauthn.User.
func (u passkeyUser) WebAuthnID() []byte { return []byte(u.principal.ID) }

// WebAuthnName implements webauthn.User.
func (u passkeyUser) WebAuthnName() string { return u.principal.Name }

// WebAuthnDisplayName implements webauthn.User.
func (u passkeyUser) WebAuthnDisplayName() string {
	if u.principal.DisplayName == "" {
		return u.principal.Name
	}
	return u.principal.DisplayName
}

// WebAuthnCredentials implements webauthn.User.
func (u passkeyUser) WebAuthnCredentials() []webauthn.Credential { return u.credentials }

func (i *Identity) passkeyUser(ctx context.Context, id access.PrincipalID) (u passkeyUser, err error) {
	if u.principal, u.keys, err = i.engine.Directory.PasskeyOwner(ctx, id); err != nil {
		return u, err
	}
	for _, key := range u.keys {
		var credential webauthn.Credential
		if err := json.Unmarshal([]byte(key.Body), &credential); err != nil {
			return u, fmt.Errorf("read passkey: %w", err)
		}
		u.credentials = append(u.credentials, credential)
	}
	return u, nil
}

// used gives the stored passkey with what its use changed.
func (u passkeyUser) used(credential *webauthn.Credential) (engine.Passkey, error) {
	id := base64.RawURLEncoding.EncodeToString(credential.ID)
	for _, key := range u.keys {
		if key.ID != id {
			continue
		}
		body, err := json.Marshal(credential)
		key.Body = string(body)
		return key, err
	}
	return engine.Passkey{}, errors.New("the passkey is not one of this person's")
}

// relying gives the party that passkeys are for: the host under which the browser knows the server, origin being
// https://host, which must be one of the server's names. A passkey of one host is good for no other.
func (i *Identity) relying(origin string) (*webauthn.WebAuthn, error) {
	if i.publicURL != "" {
		origin = strings.TrimSuffix(i.publicURL, "/")
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || net.ParseIP(u.Hostname()) != nil {
		return nil, access.Fault(access.KindInvalid, "passkeysNeedAName",
			"passkeys need a host name, and %q is none: open the server under its name", clip(origin))
	}
	if known := i.Host(u.Host); i.publicURL == "" && !strings.EqualFold(known, u.Host) {
		return nil, access.Fault(access.KindInvalid, "passkeysNeedAName",
			"this server is not known as %q: open it at https://%s, or have that name added to its setting names",
			clip(u.Host), known)
	}
	party, err := webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: "Postern", RPOrigins: []string{origin},
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey:      protocol.ResidentKeyRequirementRequired,
			UserVerification: protocol.VerificationRequired,
		},
		AttestationPreference: protocol.PreferNoAttestation,
	})
	if err != nil {
		return nil, fmt.Errorf("make the relying party: %w", err)
	}
	return party, nil
}

// PasskeyChallenge is what the browser's API is called with, and the name of the ceremony to finish.
type PasskeyChallenge struct {
	Ceremony string
	Options  any
}

func (i *Identity) begin(ctx context.Context, kind string, principal access.PrincipalID, session *webauthn.SessionData,
	options any,
) (PasskeyChallenge, error) {
	session.Expires = time.Time{} // the ceremony's own counts
	body, err := json.Marshal(session)
	if err != nil {
		return PasskeyChallenge{}, err
	}
	name, hash := NewCode()
	now := i.now().UTC()
	err = i.engine.Directory.BeginCeremony(ctx,
		engine.Ceremony{
			Hash: hash, Kind: kind, Principal: principal, Body: string(body), CreatedAt: now,
			ExpiresAt: now.Add(passkeyTime),
		})
	return PasskeyChallenge{Ceremony: name, Options: options}, err
}

func (i *Identity) finish(ctx context.Context, kind, ceremony string,
	principal access.PrincipalID,
) (session webauthn.SessionData, err error) {
	c, err := i.engine.Directory.FinishCeremony(ctx, hashToken(ceremony), kind)
	if err != nil {
		return session, err
	}
	if c.Principal != principal {
		return session, access.Fault(access.KindUnauthenticated, "ceremonyOver",
			"this was begun by somebody else: begin again")
	}
	err = json.Unmarshal([]byte(c.Body), &session)
	return session, err
}

// BeginPasskey begins to add a passkey for the caller.
func (i *Identity) BeginPasskey(ctx context.Context, c engine.Caller, origin string) (PasskeyChallenge, error) {
	if err := i.engine.Directory.MayAddPasskey(ctx, c); err != nil {
		return PasskeyChallenge{}, err
	}
	party, err := i.relying(origin)
	if err != nil {
		return PasskeyChallenge{}, err
	}
	user, err := i.passkeyUser(ctx, c.Principal)
	if err != nil {
		return PasskeyChallenge{}, err
	}
	options, session, err := party.BeginRegistration(user,
		webauthn.WithExclusions(webauthn.Credentials(user.credentials).CredentialDescriptors()))
	if err != nil {
		return PasskeyChallenge{}, fmt.Errorf("begin to add a passkey: %w", err)
	}
	return i.begin(ctx, registerCeremony, c.Principal, session, options)
}

// FinishPasskey keeps the passkey that the browser made; response is what its API gave, as JSON.
func (i *Identity) FinishPasskey(ctx context.Context, c engine.Caller, origin, ceremony, name string,
	response []byte,
) (engine.Passkey, error) {
	party, err := i.relying(origin)
	if err != nil {
		return engine.Passkey{}, err
	}
	session, err := i.finish(ctx, registerCeremony, ceremony, c.Principal)
	if err != nil {
		return engine.Passkey{}, err
	}
	user, err := i.passkeyUser(ctx, c.Principal)
	if err != nil {
		return engine.Passkey{}, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return engine.Passkey{}, malformedPasskey(err)
	}
	credential, err := party.CreateCredential(user, session, parsed)
	if err != nil {
		return engine.Passkey{}, wrongPasskey(err)
	}
	body, err := json.Marshal(credential)
	if err != nil {
		return engine.Passkey{}, err
	}
	return i.engine.Directory.AddPasskey(ctx, c,
		engine.Passkey{ID: base64.RawURLEncoding.EncodeToString(credential.ID), Name: name, Body: string(body)})
}

// BeginPasskeySignIn begins to sign somebody in whose passkey will say who they are.
func (i *Identity) BeginPasskeySignIn(ctx context.Context, origin string,
	address netip.Addr,
) (PasskeyChallenge, error) {
	if err := i.AllowAnonymous(address); err != nil {
		return PasskeyChallenge{}, err
	}
	party, err := i.relying(origin)
	if err != nil {
		return PasskeyChallenge{}, err
	}
	options, session, err := party.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return PasskeyChallenge{}, fmt.Errorf("begin to sign in: %w", err)
	}
	return i.begin(ctx, signInCeremony, "", session, options)
}

// PasskeySignIn is the second half of a sign-in with a passkey.
type PasskeySignIn struct {
	Origin   string
	Ceremony string
	Response []byte // what the browser's API gave, as JSON
	Address  netip.Addr
	Via      string
	Client   string
}

// FinishPasskeySignIn opens a session, which counts as confirmed.
func (i *Identity) FinishPasskeySignIn(ctx context.Context, in PasskeySignIn) (SignedIn, error) {
	if err := i.AllowAnonymous(in.Address); err != nil {
		return SignedIn{}, err
	}
	party, err := i.relying(in.Origin)
	if err != nil {
		return SignedIn{}, err
	}
	session, err := i.finish(ctx, signInCeremony, in.Ceremony, "")
	if err != nil {
		return SignedIn{}, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(in.Response)
	if err != nil {
		return SignedIn{}, malformedPasskey(err)
	}
	var user passkeyUser
	_, credential, err := party.ValidatePasskeyLogin(func(_, handle []byte) (webauthn.User, error) {
		var err error
		user, err = i.passkeyUser(ctx, access.PrincipalID(handle))
		return user, err
	}, session, parsed)
	if err == nil && credential.Authenticator.CloneWarning {
		err = errors.New("its counter went back, as a copy's would")
	}
	if err != nil {
		refused := i.engine.Directory.SignInRefused(ctx,
			directory.SignInRefusal{
				Name: user.principal.Name, Principal: user.principal.ID, Reason: "wrongPasskey",
				Via: in.Via, Address: in.Address,
			})
		return SignedIn{}, errors.Join(wrongPasskey(err), refused)
	}
	used, err := user.used(credential)
	if err != nil {
		return SignedIn{}, err
	}
	token, now := newToken(), i.now().UTC().Truncate(time.Microsecond)
	s := engine.Session{
		Hash: hashToken(token), CreatedAt: now, ExpiresAt: now.Add(sessionTime),
		Address: in.Address.String(), Client: clip(in.Client),
	}
	if err := i.engine.Directory.SignInByPasskey(ctx, used, s, in.Via, in.Address); err != nil {
		return SignedIn{}, err
	}
	return SignedIn{Token: token, ExpiresAt: s.ExpiresAt, Principal: user.principal}, nil
}

// BeginStepUp begins to confirm the caller's session with one of their passkeys.
func (i *Identity) BeginStepUp(ctx context.Context, c engine.Caller, origin string) (PasskeyChallenge, error) {
	party, err := i.relying(origin)
	if err != nil {
		return PasskeyChallenge{}, err
	}
	if c.Session == "" {
		return PasskeyChallenge{}, access.Fault(access.KindForbidden, "signInNeeded",
			"a token cannot be confirmed with a passkey: sign in")
	}
	user, err := i.passkeyUser(ctx, c.Principal)
	if err != nil {
		return PasskeyChallenge{}, err
	}
	if len(user.credentials) == 0 {
		return PasskeyChallenge{}, access.Fault(access.KindNotFound, "noPasskey", "you have no passkey: add one first")
	}
	options, session, err := party.BeginLogin(user, webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return PasskeyChallenge{}, fmt.Errorf("begin to confirm: %w", err)
	}
	return i.begin(ctx, stepUpCeremony, c.Principal, session, options)
}

// FinishStepUp notes that the session was confirmed.
func (i *Identity) FinishStepUp(ctx context.Context, c engine.Caller, origin, ceremony string, response []byte) error {
	party, err := i.relying(origin)
	if err != nil {
		return err
	}
	session, err := i.finish(ctx, stepUpCeremony, ceremony, c.Principal)
	if err != nil {
		return err
	}
	user, err := i.passkeyUser(ctx, c.Principal)
	if err != nil {
		return err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return malformedPasskey(err)
	}
	credential, err := party.ValidateLogin(user, session, parsed)
	if err == nil && credential.Authenticator.CloneWarning {
		err = errors.New("its counter went back, as a copy's would")
	}
	if err != nil { // somebody has the session and not the passkey
		refused := i.engine.Directory.SignInRefused(ctx,
			directory.SignInRefusal{
				Name: c.Name, Principal: c.Principal, Reason: "wrongPasskey", Via: c.Via,
				Address: c.Address,
			})
		return errors.Join(wrongPasskey(err), refused)
	}
	used, err := user.used(credential)
	if err != nil {
		return err
	}
	return i.engine.Directory.StepUp(ctx, c, used)
}

func malformedPasskey(err error) error {
	e := access.Fault(access.KindInvalid, "malformedPasskey", "response is not what a browser's API for passkeys gives")
	e.Err = err
	return e
}

func wrongPasskey(err error) error {
	e := access.Fault(access.KindUnauthenticated, "wrongPasskey",
		"the passkey is not right here: use another, or begin again")
	e.Err = err
	return e
}
