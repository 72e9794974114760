package identity

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// accessTime is how long an access token is good for. Every call also asks whether what it came from still holds, so a
// principal that is disabled is out at once.
const accessTime = time.Hour

const maxToken = 4096 // bytes

// claims are what an access token or an id token says.
type claims struct {
	Issuer    string             `json:"iss"`
	Audience  string             `json:"aud"`
	Subject   access.PrincipalID `json:"sub"`
	Object    access.PrincipalID `json:"oid"`
	Tenant    access.TenantID    `json:"tid"`
	Client    string             `json:"appid,omitempty"`
	Name      string             `json:"name,omitempty"`
	UPN       string             `json:"upn,omitempty"`
	Preferred string             `json:"preferred_username,omitempty"`
	Nonce     string             `json:"nonce,omitempty"`
	Session   string             `json:"sid,omitempty"` // hash of the session's token
	Secret    engine.SecretID    `json:"sec,omitempty"`
	Version   string             `json:"ver"`
	ID        string             `json:"uti,omitempty"`
	IssuedAt  int64              `json:"iat"`
	NotBefore int64              `json:"nbf"`
	Expires   int64              `json:"exp"`
}

// The two types of token, so that one is never taken for the other.
const (
	typeAccess = "at+jwt"
	typeID     = "JWT"
)

// sign makes a token that is good for accessTime.
func (i *Identity) sign(ctx context.Context, kind string, c claims) (string, error) {
	key, err := i.tokens.signing(ctx)
	if err != nil {
		return "", err
	}
	now := i.now()
	c.IssuedAt, c.NotBefore, c.Expires = now.Unix(), now.Add(-time.Minute).Unix(), now.Add(accessTime).Unix()
	c.Version = "1.0"
	c.ID = base64.RawURLEncoding.EncodeToString(random(16))
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(kind)).WithHeader("kid", key.ID)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key.key}, options)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(c) //nolint:gosec // it holds the id of a secret, not the secret
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// verifyAccess gives what an access token says, after its signature, type, times and audience were checked.
func (i *Identity) verifyAccess(ctx context.Context, token, audience string) (claims, error) {
	var c claims
	malformed := access.Fault(access.KindUnauthenticated, "accessTokenInvalid",
		"the access token is not one of ours: sign in again")
	if len(token) > maxToken {
		return c, malformed
	}
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || len(parsed.Signatures) != 1 {
		return c, malformed
	}
	header := parsed.Signatures[0].Protected
	if header.ExtraHeaders[jose.HeaderType] != typeAccess {
		return c, malformed
	}
	key, known, err := i.tokens.verifying(ctx, header.KeyID)
	if err != nil {
		return c, err
	}
	if !known {
		return c, malformed
	}
	payload, err := parsed.Verify(key.key.Public())
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return c, malformed
	}
	now := i.now().Unix()
	switch {
	case now >= c.Expires:
		return c,
			access.Fault(access.KindUnauthenticated, "accessTokenExpired",
				"the access token expired at %s: get a new one",
				time.Unix(c.Expires, 0).UTC().Format(time.RFC3339))
	case now < c.NotBefore:
		return c, access.Fault(access.KindUnauthenticated, "accessTokenInvalid",
			"the access token is not good yet: set the clocks right")
	case c.Audience != audience:
		return c, access.Fault(access.KindUnauthenticated, "accessTokenAudience",
			"the access token was made for %q, and this is %q: ask for a token for this resource", clip(c.Audience),
			clip(audience))
	}
	return c, nil
}

// AuthenticateToken finds the caller behind an Authorization header that holds an access token for audience, or the
// token of a session or an API token, and counts the call. It fails with access.KindUnauthenticated, or
// access.KindLimited.
func (i *Identity) AuthenticateToken(ctx context.Context, header, audience string,
	address netip.Addr,
) (engine.Caller, error) {
	scheme, token, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		if err := i.AllowAnonymous(address); err != nil {
			return engine.Caller{}, err
		}
		return engine.Caller{}, access.Fault(access.KindUnauthenticated, "credentialsMissing",
			"sign in first: this call has no header Authorization: Bearer TOKEN")
	}
	if strings.HasPrefix(token, tokenPrefix) || strings.HasPrefix(token, directory.APITokenPrefix) {
		return i.Authenticate(ctx, token, address, "arm")
	}
	said, err := i.verifyAccess(ctx, token, audience)
	var c engine.Caller
	if err == nil {
		c, err = i.engine.Directory.TokenCaller(ctx,
			directory.TokenSubject{Principal: said.Subject, Session: said.Session, Secret: said.Secret})
	}
	if access.KindOf(err) == access.KindUnauthenticated {
		if limited := i.AllowAnonymous(address); limited != nil {
			return engine.Caller{}, limited
		}
	}
	if err != nil {
		return engine.Caller{}, err
	}
	c.Address, c.Via = address, "arm"
	if err := i.allowKnown(c, cmp.Or(said.Session, string(said.Secret), string(c.Principal))); err != nil {
		return c, err
	}
	return c, i.engine.Directory.UseSession(ctx, c)
}
