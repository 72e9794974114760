package identity

import (
	"context"
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

var errPending = access.Fault(access.KindInternal, "pending", "not written yet")

// SignInInput is a name, a password and where they come from.
type SignInInput struct {
	Name        string
	Password    string
	NewPassword string // replaces the password; needed with a one-time password
	Address     netip.Addr
	Via         string // cli, api, arm, portal
	Client      string // what the client calls itself
}

// SignedIn is a new session.
type SignedIn struct {
	Token     string // the bearer token; shown here and never again
	ExpiresAt time.Time
	Principal access.Principal
}

// SignIn checks a password and opens a session. Wrong names and wrong passwords are told apart by nothing. It fails with
// the codes "wrongCredentials", "locked", "passwordChangeRequired" and "weakPassword", and "tooManyAttempts" by address.
func (i *Identity) SignIn(ctx context.Context, in SignInInput) (SignedIn, error) {
	return SignedIn{}, errPending
}

// Authenticate finds the caller behind a session's token; address and via go into the events that the caller causes.
func (i *Identity) Authenticate(ctx context.Context, token string, address netip.Addr, via string) (engine.Caller, error) {
	return engine.Caller{}, errPending
}

// SignOut ends the caller's session.
func (i *Identity) SignOut(ctx context.Context, c engine.Caller) error { return errPending }

// ParseBearer gives the token of an Authorization header.
func ParseBearer(header string) (token string, err error) { return "", errPending }

// HashPassword makes the PHC string of a password with argon2id. It waits while too many others do the same.
func (i *Identity) HashPassword(ctx context.Context, password string) (string, error) {
	return "", errPending
}

// HashPassword makes the PHC string of a password with argon2id; for the first start.
func HashPassword(password string) (string, error) { return "", errPending }

// CreatePrincipal adds a principal. A user without a password gets a one-time one, which it gives back.
func (i *Identity) CreatePrincipal(ctx context.Context, c engine.Caller, in engine.PrincipalInput, password string) (p access.Principal, oneTime string, err error) {
	return access.Principal{}, "", errPending
}

// AllowAnonymous counts one unauthenticated call from an address: access.KindLimited when there were too many.
func (i *Identity) AllowAnonymous(address netip.Addr) error { return nil }

// AllowKnown counts one call of a principal: access.KindLimited when there were too many.
func (i *Identity) AllowKnown(c engine.Caller) error { return nil }

// ClientAddress gives the address that a call comes from: that of the connection (host:port, as http.Request.RemoteAddr),
// unless that is a trusted proxy; then the last address of forwardedFor, the values of X-Forwarded-For, that is not one.
// warning says why the address is a poor source for an opening, if it is.
func (i *Identity) ClientAddress(remote string, forwardedFor []string) (address netip.Addr, warning string, err error) {
	return netip.Addr{}, "", errPending
}

// AgentFromCertificate gives the agent that a connection belongs to. A certificate that is foreign, ended, or no longer
// counts is access.KindUnauthenticated, and on the activity log.
func (i *Identity) AgentFromCertificate(ctx context.Context, state *tls.ConnectionState, address netip.Addr) (access.Agent, error) {
	return access.Agent{}, errPending
}

// AgentCertificate is what an agent receives.
type AgentCertificate struct {
	PEM       []byte // its client certificate
	NotAfter  time.Time
	Authority []byte // the CA's certificate, PEM
}

// Enroll uses an enrolment token up and issues the agent's certificate for the key of csr (PEM).
func (i *Identity) Enroll(ctx context.Context, address netip.Addr, in engine.EnrollInput, csr []byte) (engine.Enrolled, AgentCertificate, error) {
	return engine.Enrolled{}, AgentCertificate{}, errPending
}

// Renew issues a fresh certificate to an agent for the key of csr (PEM).
func (i *Identity) Renew(ctx context.Context, agent access.AgentID, address netip.Addr, csr []byte) (engine.Enrolled, AgentCertificate, error) {
	return engine.Enrolled{}, AgentCertificate{}, errPending
}

// CA is the certificate authority of one installation.
type CA struct{}

// OpenCA loads the authority from dir, and makes it at the first start: ca.pem and, readable by the owner alone, ca.key.
func OpenCA(dir string, now time.Time) (*CA, error) { return nil, errPending }

// PEM gives the authority's certificate.
func (ca *CA) PEM() []byte { return nil }

// ServerCertificate loads the server's certificate from dir, and makes it anew where there is none, where it does not hold
// for all the names (host names or addresses), or where less than a third of its time is left.
func (ca *CA) ServerCertificate(dir string, names []string, now time.Time) (tls.Certificate, error) {
	return tls.Certificate{}, errPending
}

// TLSConfig gives the server's configuration: TLS 1.3, and client certificates of this authority verified where given.
func (ca *CA) TLSConfig(server tls.Certificate) *tls.Config { return nil }
