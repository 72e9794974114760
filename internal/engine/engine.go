package engine

import (
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Kernel is what every use case stands on: who calls and what they may do, one transaction, its events and notices, and
// the record of a refusal. The capabilities below this folder hold the use cases. It is safe for concurrent use, and
// any number of kernels may share one store.
type Kernel struct {
	Store Store
	Log   *slog.Logger
	Wake  chan struct{} // buffered 1: there may be due work sooner than the reconciler knows

	clock     func() time.Time
	seal      seal // of secret settings
	attempts  attempts
	directory atomic.Pointer[rbac.Directory] // the newest that was needed
}

// New makes a kernel. sealKey is what secret settings are sealed with in the store: SealKeySize random bytes that live
// apart from it, the same for all kernels that share it. now is the server's wall clock.
func New(store Store, now func() time.Time, log *slog.Logger, sealKey []byte) (*Kernel, error) {
	if store == nil || now == nil || log == nil {
		return nil, errors.New("the engine needs a store, a clock and a log")
	}
	seal, err := newSeal(sealKey)
	if err != nil {
		return nil, err
	}
	return &Kernel{
		Store: store, Log: log, Wake: make(chan struct{}, 1), clock: now, seal: seal,
		attempts: newAttempts(),
	}, nil
}

// Now reads the clock as the records keep it: UTC, microseconds.
func (e *Kernel) Now() time.Time { return e.clock().UTC().Truncate(time.Microsecond) }

// Poke tells the reconciler to look again.
func (e *Kernel) Poke() {
	select {
	case e.Wake <- struct{}{}:
	default:
	}
}

// NewID makes an identifier that sorts by age.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// Caller is who calls, as identity found out. The engine decides what they may do.
type Caller struct {
	Principal access.PrincipalID
	Name      string
	Tenant    access.TenantID
	Address   netip.Addr // from the connection, or from a trusted proxy
	Via       string     // cli, api, arm, portal
	Session   string     // hash of the session's token; empty where there is none

	// when the connection of the call was accepted; zero where that is not known. Behind a proxy it is the proxy's
	ConnectedAt time.Time
	SteppedUpAt time.Time // when the session was last confirmed with a passkey; zero where it never was
	ProvedAt    time.Time // when whoever holds the session last proved who they are; zero where there is none
	UsedAt      time.Time // about when the session was last used
	Bounds      *Bounds   // of the API token that calls; nil where the caller may do all that their roles allow
}

// Actor gives the caller as events record it.
func (c Caller) Actor() access.Actor {
	return access.Actor{ID: c.Principal, Name: c.Name, Address: c.Address, Via: c.Via}
}
