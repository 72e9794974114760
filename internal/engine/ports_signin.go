package engine

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Wrong passwords lock a name at the place that they come from, and not elsewhere: a stranger cannot keep others out.
// Where nobody signed in before, all places together are locked after more of them, so that many places do not give
// many guesses.
const (
	LockAfter    = 5  // wrong passwords in a row from one place
	LockAllAfter = 50 // and from all unfamiliar places together
	lockFirst    = 30 * time.Second
	lockMost     = 15 * time.Minute
)

// How long sign-ins from a place are remembered, and what counts as one place.
const (
	FamiliarFor   = 180 * 24 * time.Hour // after the last sign-in from a place
	FailuresCount = 24 * time.Hour       // after the last failure
	Unfamiliar    = "*"                  // all places together where nobody signed in before
	PlaceBits4    = 24
	PlaceBits6    = 48 // what one site has, at the usual provider
)

// lockTime gives how long a lock lasts after so many more failures than it takes.
func lockTime(more int) time.Duration {
	lock := lockFirst
	for range more {
		if lock *= 2; lock >= lockMost {
			return lockMost
		}
	}
	return lock
}

// SignInReader is the part of a Reader that signing in by OAuth 2 needs. What is not found is access.KindNotFound.
type SignInReader interface {
	Secrets(ctx context.Context, principal access.PrincipalID) ([]Secret, error) // by id, so by age; at most 100
	Secret(ctx context.Context, id SecretID) (Secret, error)
	PendingSignIn(ctx context.Context, hash string) (PendingSignIn, error)
	PendingSignInByCode(ctx context.Context, userCode string) (PendingSignIn, error)
}

// SignInWriter is the part of a Tx that signing in by OAuth 2 needs.
type SignInWriter interface {
	SaveSecret(ctx context.Context, s Secret) error               // inserts; bumps the directory
	DeleteSecret(ctx context.Context, id SecretID) error          // not found if it is not there
	SavePendingSignIn(ctx context.Context, p PendingSignIn) error // inserts or replaces
	DeletePendingSignIn(ctx context.Context, hash string) error   // not found if it is not there
	DeletePendingSignInsBefore(ctx context.Context, t time.Time) error
	// bumps the directory; conflict while it is assigned
	DeleteRoleDefinition(ctx context.Context, id rbac.DefinitionID) error
}

// ViewReader is the part of a Reader that shows many things at once, with few queries.
type ViewReader interface {
	// MachinesByID gives those of the machines that exist, in no order.
	MachinesByID(ctx context.Context, ids []access.MachineID) ([]access.Machine, error)
	// FormerMachines gives machines within a scope that a policy ceased to name at some time, and of which something
	// was asked at since or later, by id; at most limit.
	FormerMachines(ctx context.Context, scope access.ResourceID, since time.Time, limit int) ([]access.MachineID, error)
	// RequestsOfMachines gives the requests that name one of the machines and were made at since or later, newest
	// first; at most limit (1 to 1,000).
	RequestsOfMachines(ctx context.Context, machines []access.MachineID, since time.Time,
		limit int) ([]access.Request, error)
	// GrantsOfRequests gives the grants of all the requests, by request and id.
	GrantsOfRequests(ctx context.Context, ids []access.RequestID) ([]access.Grant, error)
	// MachineUses gives, for those of the machines that exist, how many requests that name it and were made at since or
	// later were approved, and who last had it open; in no order.
	MachineUses(ctx context.Context, machines []access.MachineID, since time.Time) ([]MachineUse, error)
	// MachineLocations gives the locations of the machines of a list, each once; at most 1,000.
	MachineLocations(ctx context.Context, f MachineFilter) ([]string, error)
	// MachineCounts counts the machines of a list by their standing.
	MachineCounts(ctx context.Context, f MachineFilter) (map[access.Standing]int, error)
}

// MachineUse is how a machine was used.
type MachineUse struct {
	Machine  access.MachineID
	Approved int
	LastUser string // name; empty where nobody had it open yet
}

// SecretID names a secret or certificate of a service principal.
type SecretID string

// Secret is what a service principal proves itself with: a secret of 32 random bytes, of which only the hash is kept,
// or a certificate.
type Secret struct {
	ID          SecretID
	Principal   access.PrincipalID
	Name        string // for people
	Hash        string // SHA-256 of the secret, or of the certificate, hex
	Certificate string // PEM; empty for a secret
	CreatedBy   access.PrincipalID
	CreatedAt   time.Time
	ExpiresAt   time.Time
}

// PendingSignIn is a sign-in by OAuth 2 that is under way: a client waits for its code to be exchanged for a session.
type PendingSignIn struct {
	Hash      string // SHA-256 of the device code or authorization code, hex
	UserCode  string // what a person types to approve a device; empty for an authorization code
	Client    string // what the client calls itself
	Audience  string // whom the tokens are for
	Redirect  string // where the authorization code was sent
	Challenge string // of PKCE, method S256
	Nonce     string // to be repeated in the id token
	Address   string // where the client asked from
	Session   string // hash of the session that a person opened for it; empty while nobody has
	Denied    bool
	CreatedAt time.Time
	ExpiresAt time.Time
}
