package identity

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// The grants that the token endpoint takes.
const (
	grantClient  = "client_credentials"
	grantCode    = "authorization_code"
	grantDevice  = "urn:ietf:params:oauth:grant-type:device_code"
	grantRefresh = "refresh_token"
)

// tokens is what a client gets.
type tokens struct {
	Type         string `json:"token_type"`
	Scope        string `json:"scope,omitempty"`
	ExpiresIn    int    `json:"expires_in"`
	ExtExpiresIn int    `json:"ext_expires_in"`
	Access       string `json:"access_token"`
	Refresh      string `json:"refresh_token,omitempty"`
	ID           string `json:"id_token,omitempty"`
	ClientInfo   string `json:"client_info,omitempty"`
}

func (o *OAuth) token(a *ask) (any, error) {
	switch a.PostFormValue("grant_type") {
	case grantClient:
		return o.clientToken(a)
	case grantDevice, "device_code":
		return o.deviceToken(a)
	case grantCode:
		return o.codeToken(a)
	case grantRefresh:
		return o.refreshedToken(a)
	case "":
		return nil, fail("invalid_request", 900144, "The request body must contain the parameter 'grant_type'.")
	}
	return nil,
		fail("unsupported_grant_type", 70003, "The grant type '%s' is not supported; use %s, %s, %s or %s.",
			clip(a.PostFormValue("grant_type")),
			grantClient, grantDevice, grantCode, grantRefresh)
}

// clientToken signs a service principal in, by its secret or its certificate. Failures are counted against the address;
// what succeeds counts as a call of the program.
func (o *OAuth) clientToken(a *ask) (any, error) {
	client, secret := a.PostFormValue("client_id"), a.PostFormValue("client_secret")
	if name, password, basic := a.BasicAuth(); basic && secret == "" {
		client, secret = name, password
	}
	if client == "" {
		return nil, fail("invalid_request", 900144, "The request body must contain the parameter 'client_id'.")
	}
	audience, err := a.audience()
	if err != nil {
		return nil, err
	}
	cred, err := o.identity.engine.Directory.ClientCredentials(a.Context(), a.tenant.ID, client)
	if err != nil && access.KindOf(err) != access.KindNotFound {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	var proof directory.ClientProof
	var proven bool
	if assertion := a.PostFormValue("client_assertion"); assertion != "" {
		proof, proven = o.identity.proveByCertificate(cred, client, assertion, a.base(), "https://"+a.host+a.URL.Path)
	} else {
		proof.Secret, proven = cred.Match(secret)
	}
	if !proven || cred.Principal.Disabled {
		return nil, o.refuseClient(a, client, cred, proven)
	}
	if err := o.identity.allowKnown(engine.Caller{Principal: cred.Principal.ID}, string(proof.Secret.ID)); err != nil {
		return nil, err
	}
	said := claims{
		Issuer: a.issuer(), Audience: audience, Subject: cred.Principal.ID, Object: cred.Principal.ID,
		Tenant: cred.Principal.Tenant,
		Client: client, Name: cred.Principal.Name, Secret: proof.Secret.ID,
	}
	token, err := o.identity.sign(a.Context(), typeAccess, said)
	if err != nil {
		return nil, err
	}
	err = o.identity.engine.Directory.ClientSignedIn(a.Context(), cred.Principal, proof, a.address)
	if access.CodeOf(err) == directory.AssertionUsed {
		if err := o.refuse(a, client, cred, "assertionUsed"); err != nil {
			return nil, err
		}
		return nil, fail("invalid_client", 50013,
			"The client assertion was used before, and each counts once: sign a new one, with another jti.")
	}
	if err != nil {
		return nil, fmt.Errorf("record sign-in: %w", err)
	}
	return tokens{Type: "Bearer", ExpiresIn: expiresIn(), ExtExpiresIn: expiresIn(), Access: token}, nil
}

// expiresIn is what clients are told, a little less than the truth.
func expiresIn() int { return int(accessTime/time.Second) - 1 }

// refuseClient records and answers a sign-in of a service principal that failed: whatever the cause, with the same
// words.
func (o *OAuth) refuseClient(a *ask, client string, cred directory.ClientCredentials, proven bool) error {
	reason := "wrongSecret"
	switch {
	case cred.Principal.ID == "":
		reason = "unknownName"
	case proven:
		reason = "disabled"
	}
	if err := o.refuse(a, client, cred, reason); err != nil {
		return err
	}
	return fail("invalid_client", 7000215,
		"Invalid client secret or certificate provided for '%s'. Check the client id, and that the secret is its "+
			"value and not its id, has not expired and was not deleted.",
		clip(client))
}

// refuse counts a failure against the address, and records it.
func (o *OAuth) refuse(a *ask, client string, cred directory.ClientCredentials, reason string) error {
	if err := o.identity.AllowAnonymous(a.address); err != nil {
		return err
	}
	err := o.identity.engine.Directory.SignInRefused(a.Context(),
		directory.SignInRefusal{
			Tenant: string(a.tenant.ID), Name: client, Principal: cred.Principal.ID, Reason: reason,
			Via: "arm", Address: a.address,
		})
	if err != nil {
		return fmt.Errorf("record refused sign-in: %w", err)
	}
	return nil
}

// deviceCode begins a sign-in of a device: its user types a short code into a page elsewhere.
func (o *OAuth) deviceCode(a *ask) (any, error) {
	if err := o.identity.AllowAnonymous(a.address); err != nil {
		return nil, err
	}
	audience, err := a.audience()
	if err != nil {
		return nil, err
	}
	now := o.identity.now().UTC()
	code := base64.RawURLEncoding.EncodeToString(random(tokenBytes))
	p := engine.PendingSignIn{
		Hash: hashToken(code), UserCode: userCode(), Client: clip(a.PostFormValue("client_id")), Audience: audience,
		Address: a.address.String(), CreatedAt: now, ExpiresAt: now.Add(directory.CodeTime),
	}
	if err := o.identity.engine.Directory.BeginSignIn(a.Context(), p); err != nil {
		return nil, fmt.Errorf("keep sign-in: %w", err)
	}
	page := "https://" + a.host + "/device"
	return map[string]any{
		"device_code": code, "user_code": p.UserCode, "verification_uri": page, "verification_url": page,
		"verification_uri_complete": page + "?code=" + p.UserCode, "expires_in": int(directory.CodeTime / time.Second),
		"interval": pollEvery,
		"message": fmt.Sprintf("To sign in, use a web browser to open the page %s and enter the code %s to "+
			"authenticate.",
			page, p.UserCode),
	}, nil
}

// pollEvery is how often a device should ask whether its user has answered, in seconds.
const pollEvery = 2

// WaitingDevice gives the device that waits for the sign-in of who types its code, to an address. Codes are short, so
// an address may try few.
func (i *Identity) WaitingDevice(ctx context.Context, code string, address netip.Addr) (engine.PendingSignIn, error) {
	right, err := i.AllowGuess(address)
	if err != nil {
		return engine.PendingSignIn{}, err
	}
	waiting, err := i.engine.Directory.PendingSignIn(ctx, code)
	if access.KindOf(err) != access.KindNotFound {
		right()
	}
	return waiting, err
}

// userCode makes a code that people type: eight consonants, which spell no words.
func userCode() string {
	const alphabet = "BCDFGHJKLMNPQRST" // 16, so that a byte gives each with the same chance
	raw := random(8)
	for i, b := range raw {
		raw[i] = alphabet[int(b)%len(alphabet)]
	}
	return string(raw[:4]) + "-" + string(raw[4:])
}

func (o *OAuth) deviceToken(a *ask) (any, error) {
	code := a.PostFormValue("device_code")
	if code == "" {
		code = a.PostFormValue("code")
	}
	if !o.identity.polls.allow(hashToken(code), o.identity.now()) {
		return nil, fail("slow_down", 50196, "You ask too often; wait %d seconds between two attempts.", pollEvery)
	}
	return o.redeem(a, code, func(p engine.PendingSignIn) error {
		if p.UserCode == "" || p.Client != clip(a.PostFormValue("client_id")) {
			return fail("invalid_grant", 70000, "This code was given to another client.")
		}
		return nil
	})
}

// codeToken exchanges an authorization code. The client proves by PKCE that it is the one that began.
func (o *OAuth) codeToken(a *ask) (any, error) {
	return o.redeem(a, a.PostFormValue("code"), func(p engine.PendingSignIn) error {
		sum := sha256.Sum256([]byte(a.PostFormValue("code_verifier")))
		challenge := base64.RawURLEncoding.EncodeToString(sum[:])
		switch {
		case p.UserCode != "" || p.Client != clip(a.PostFormValue("client_id")):
			return fail("invalid_grant", 70000, "This code was given to another client.")
		case p.Redirect != a.PostFormValue("redirect_uri"):
			return fail("invalid_grant", 500112, "The redirect_uri is not the one that the code was sent to.")
		case subtle.ConstantTimeCompare([]byte(challenge), []byte(p.Challenge)) != 1:
			return fail("invalid_grant", 50148, "The code_verifier does not match the code_challenge.")
		}
		return nil
	})
}

// redeem exchanges a code for a session, whose token is the refresh token.
func (o *OAuth) redeem(a *ask, code string, check func(engine.PendingSignIn) error) (any, error) {
	audience, err := a.audience()
	if err != nil {
		return nil, err
	}
	refresh := newToken()
	next := engine.Session{Hash: hashToken(refresh), Client: "OAuth 2 client " + clip(a.PostFormValue("client_id"))}
	p, session, err := o.identity.engine.Directory.RedeemSignIn(a.Context(), hashToken(code), next,
		func(p engine.PendingSignIn) error {
			if p.Audience != audience {
				return fail("invalid_grant", 70000, "This code is for another resource.")
			}
			return check(p)
		})
	switch access.CodeOf(err) {
	case directory.SignInWaits:
		return nil, fail("authorization_pending", 70016, "The user has not signed in yet; ask again in %d seconds.",
			pollEvery)
	case directory.SignInDenied:
		return nil, fail("authorization_declined", 70018, "The user refused the sign-in.")
	case directory.SignInUnknown:
		if err := o.identity.AllowAnonymous(a.address); err != nil {
			return nil, err
		}
		return nil, fail("invalid_grant", 70008,
			"The code is not one of ours, has expired, or was used already: sign in again.")
	}
	if err != nil {
		return nil, err
	}
	return o.userTokens(a, session, refresh, p.Nonce, audience)
}

// refreshedToken gives a new access token for a session that still lasts.
func (o *OAuth) refreshedToken(a *ask) (any, error) {
	audience, err := a.audience()
	if err != nil {
		return nil, err
	}
	refresh := a.PostFormValue("refresh_token")
	err = checkToken(refresh)
	var session engine.Session
	if err == nil {
		var c engine.Caller
		if c, session, err = o.identity.engine.Directory.Session(a.Context(), hashToken(refresh)); err == nil {
			if err := o.identity.allowKnown(c, session.Hash); err != nil {
				return nil, err
			}
			err = o.identity.engine.Directory.UseSession(a.Context(), c)
		}
	}
	if access.KindOf(err) == access.KindUnauthenticated {
		if err := o.identity.AllowAnonymous(a.address); err != nil {
			return nil, err
		}
		return nil, fail("invalid_grant", 700082, "The refresh token has expired or was taken back: sign in again.")
	}
	if err != nil {
		return nil, err
	}
	return o.userTokens(a, session, refresh, "", audience)
}

func (o *OAuth) userTokens(a *ask, session engine.Session, refresh, nonce, audience string) (any, error) {
	p, err := o.identity.engine.Directory.PrincipalOf(a.Context(), session)
	if err != nil {
		return nil, fmt.Errorf("read principal: %w", err)
	}
	if p.Tenant != a.tenant.ID && !strings.EqualFold(TenantRef(a.authority), "") {
		return nil, fail("invalid_grant", 50020, "The user '%s' is not of the tenant '%s'.", clip(p.Name),
			a.tenant.Name)
	}
	client := clip(a.PostFormValue("client_id"))
	said := claims{
		Issuer: a.issuer(), Audience: audience, Subject: p.ID, Object: p.ID, Tenant: p.Tenant, Client: client,
		Name: p.Name, UPN: p.Name,
		Session: session.Hash,
	}
	_, scope := resourceOf(a.PostFormValue("scope"))
	if scope == "" {
		scope = audience + "/.default"
	}
	// The scope is the client's own word for us, since it looks for its tokens by that.
	out := tokens{
		Type: "Bearer", Scope: scope + " openid profile offline_access", ExpiresIn: expiresIn(),
		ExtExpiresIn: expiresIn(), Refresh: refresh,
	}
	if out.Access, err = o.identity.sign(a.Context(), typeAccess, said); err != nil {
		return nil, err
	}
	said.Audience, said.Session, said.Nonce = client, "", nonce
	said.Preferred = p.Name
	if p.DisplayName != "" {
		said.Name = p.DisplayName
	}
	if out.ID, err = o.identity.sign(a.Context(), typeID, said); err != nil {
		return nil, err
	}
	if a.PostFormValue("client_info") == "1" {
		info, err := json.Marshal(map[string]string{"uid": string(p.ID), "utid": string(p.Tenant)})
		if err != nil {
			return nil, err
		}
		out.ClientInfo = base64.RawURLEncoding.EncodeToString(info)
	}
	return out, nil
}
