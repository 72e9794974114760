package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// IdentityReader is the part of a Reader that API tokens, named networks, passkeys, identity providers and codes for
// emergencies need. What is not found is access.KindNotFound.
type IdentityReader interface {
	APITokens(ctx context.Context, principal access.PrincipalID) ([]APIToken, error) // by id, so by age; at most 100
	APIToken(ctx context.Context, id APITokenID) (APIToken, error)
	APITokenByHash(ctx context.Context, hash string) (APIToken, error)

	Network(ctx context.Context, tenant access.TenantID, name string) (access.Network, error)
	Networks(ctx context.Context, tenant access.TenantID) ([]access.Network, error) // by name; at most 1,000
	// when one was made or changed last, of whatever tenant; zero where there is none
	NetworksChanged(ctx context.Context) (time.Time, error)

	ExternalIdentity(ctx context.Context, tenant access.TenantID, issuer, subject string) (ExternalIdentity, error)
	ExternalIdentities(ctx context.Context, principal access.PrincipalID) ([]ExternalIdentity, error) // oldest first

	SignInPlace(ctx context.Context, principal access.PrincipalID, place string) (SignInPlace, error)
	// where they signed in, the newest first; at most 100
	SignInPlaces(ctx context.Context, principal access.PrincipalID) ([]SignInPlace, error)

	Passkey(ctx context.Context, id string) (Passkey, error)
	Passkeys(ctx context.Context, principal access.PrincipalID) ([]Passkey, error) // by age; at most 100

	Ceremony(ctx context.Context, hash string) (Ceremony, error)

	GlassCode(ctx context.Context, id GlassCodeID) (GlassCode, error)

	// GlassCodes gives at most 1,000 codes of a machine, and those first that are not used and end last: what still
	// opens it is among them, however many there were.
	GlassCodes(ctx context.Context, machine access.MachineID) ([]GlassCode, error)

	// GlassCodesOfAgents gives the codes of the machines that the agents guard, each with the agent that does.
	GlassCodesOfAgents(ctx context.Context, agents []access.AgentID) ([]GlassCode, error)

	// SharedAddress counts the principals of a tenant other than except that asked for access from an address since
	// then; at most 100.
	SharedAddress(ctx context.Context, tenant access.TenantID, address string, except access.PrincipalID,
		since time.Time) (int, error)
}

// IdentityWriter is the part of a Tx that API tokens, named networks, passkeys, identity providers and codes for
// emergencies need.
type IdentityWriter interface {
	SaveAPIToken(ctx context.Context, t APIToken) error      // inserts
	DeleteAPIToken(ctx context.Context, id APITokenID) error // not found if it is not there
	DeleteAPITokensOf(ctx context.Context, principal access.PrincipalID) error

	SaveNetwork(ctx context.Context, n access.Network, was int64) error
	DeleteNetwork(ctx context.Context, tenant access.TenantID, name string) error // not found if it is not there

	SeeExternalIdentity(ctx context.Context, i ExternalIdentity) error // writes SeenAt and Read of one that is there
	// inserts; conflict if the subject is bound in the tenant already
	SaveExternalIdentity(ctx context.Context, i ExternalIdentity) error

	SaveSignInPlace(ctx context.Context, p SignInPlace) error // inserts or replaces

	SavePasskey(ctx context.Context, p Passkey, was int64) error
	DeletePasskey(ctx context.Context, id string) error // not found if it is not there

	SaveCeremony(ctx context.Context, c Ceremony) error // inserts
	UseCeremony(ctx context.Context, hash string) error // deletes it; conflict if it is not there any more

	SaveGlassCode(ctx context.Context, c GlassCode) error                 // inserts
	UseGlassCode(ctx context.Context, id GlassCodeID, at time.Time) error // conflict if it was used already
	// it expires then; not found if it is not there
	EndGlassCode(ctx context.Context, id GlassCodeID, at time.Time) error

	// Purge deletes what nobody needs any more, at most limit rows of each kind, and gives how many there were:
	// sessions, API tokens, ceremonies, pending sign-ins and unused codes that expired before expired, enrollment
	// tokens that were used or expired before expired, places of sign-ins that were to be forgotten before expired, and
	// idempotency keys from before keys.
	Purge(ctx context.Context, expired, keys time.Time, limit int) (int, error)
}

// APITokenID names an API token.
type APITokenID string

// APIToken lets a program act for the principal that made it, within bounds. Of the token only the hash is kept.
type APIToken struct {
	ID        APITokenID
	Principal access.PrincipalID
	Name      string // for people
	Hash      string // SHA-256 of the token, hex
	Bounds    Bounds
	CreatedAt time.Time
	ExpiresAt time.Time
}

// ExternalIdentity binds a subject of a tenant's identity provider to a principal of that tenant, for ever. One issuer
// may serve several tenants: the same subject is then somebody else in each.
type ExternalIdentity struct {
	Tenant    access.TenantID
	Issuer    string
	Subject   string
	Principal access.PrincipalID
	CreatedAt time.Time
	SeenAt    time.Time   // of the last sign-in
	Read      []ClaimRead // then
}

// Passkey is a credential that a person signs in with.
type Passkey struct {
	ID        string // of the credential, base64url
	Principal access.PrincipalID
	Name      string // for people
	Body      string // the public part, as identity wrote it
	CreatedAt time.Time
	UsedAt    time.Time // zero while unused
	Revision  int64
}

// Ceremony is the first half of a sign-in that waits for its second.
type Ceremony struct {
	Hash      string // SHA-256 of the ceremony's name, hex
	Kind      string
	Principal access.PrincipalID // empty where nobody is known yet
	Body      string             // as identity wrote it
	CreatedAt time.Time
	ExpiresAt time.Time
}

// GlassCodeID names a code for an emergency.
type GlassCodeID string

// GlassCode opens a machine once while the server is out of reach. Of the code only the hash is kept, here and by the
// agent.
type GlassCode struct {
	ID        GlassCodeID
	Machine   access.MachineID
	Agent     access.AgentID // which guarded it then
	Hash      string         // SHA-256 of the code, which has 128 random bits, hex
	Most      time.Duration  // the longest opening with it
	IssuedBy  access.PrincipalID
	IssuedAt  time.Time
	ExpiresAt time.Time
	UsedAt    time.Time // zero while unused, as far as the server knows
}

// SignInPlace is a part of the network that somebody signs in from, or that others try their name from.
type SignInPlace struct {
	Principal  access.PrincipalID
	Place      string    // a prefix; empty: all places together where nobody signed in before
	SignedInAt time.Time // the last time; zero where nobody did
	Failures   int       // wrong passwords since then, in a row
	FailedAt   time.Time // the last of them
	LockedTill time.Time
	ForgetAt   time.Time // when it counts no more
}

// Event returns the event of what became of the secret.
func (s Secret) Event(kind access.EventKind, p access.Principal, c Caller, now time.Time) access.Event {
	what := "secret"
	if s.Certificate != "" {
		what = "certificate"
	}
	return access.Event{
		At: now, Kind: kind, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: p.Tenant,
		Action: rbac.PrincipalsWrite,
		Details: map[string]string{
			"principal": string(p.ID), "name": p.Name, "secret": string(s.ID), "secretName": s.Name, "what": what,
			"expires": s.ExpiresAt.Format(time.RFC3339),
		},
	}
}

// Event returns the event of what became of the token.
func (t APIToken) Event(kind access.EventKind, c Caller, now time.Time) access.Event {
	return access.Event{
		At: now, Kind: kind, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: c.Tenant, Scope: t.Bounds.Scope,
		Details: map[string]string{
			"token": string(t.ID), "name": t.Name, "expires": t.ExpiresAt.Format(time.RFC3339),
			"actions": strings.Join(t.Bounds.Actions, " "),
		},
	}
}

// Familiar reports whether the person signed in from there.
func (p SignInPlace) Familiar() bool { return !p.SignedInAt.IsZero() }

// Failed counts a wrong password.
func (p SignInPlace) Failed(lockAfter int, now time.Time) SignInPlace {
	p.Failures, p.FailedAt = p.Failures+1, now
	if p.Failures >= lockAfter {
		p.LockedTill = now.Add(lockTime(p.Failures - lockAfter))
	}
	if end := now.Add(FailuresCount); end.After(p.ForgetAt) {
		p.ForgetAt = end
	}
	return p
}

const maxClaimValues = 200

// Bounded gives what is kept of it.
func (r ClaimRead) Bounded() ClaimRead {
	values := r.Values[:min(len(r.Values), maxClaimValues)]
	r.Claim, r.Values = Clip(r.Claim), make([]string, len(values))
	for i, v := range values {
		r.Values[i] = Clip(v)
	}
	return r
}

// Event returns the event of what became of the passkey.
func (p Passkey) Event(kind access.EventKind, by access.Actor, tenant access.TenantID) access.Event {
	return access.Event{
		At: p.CreatedAt, Kind: kind, Outcome: access.Succeeded, Actor: by, Tenant: tenant,
		Details: map[string]string{"passkey": Clip(p.ID), "name": p.Name},
	}
}

// PublicID names a session without its token's hash.
func (s Session) PublicID() string {
	sum := sha256.Sum256([]byte("session " + s.Hash))
	return hex.EncodeToString(sum[:8])
}
