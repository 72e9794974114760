package engine

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Config is what the engine is made of. Store, Now and Log are required.
type Config struct {
	Store Store
	Now   func() time.Time // the server's wall clock
	Log   *slog.Logger
}

// Caller is who calls, as identity found out. The engine decides what they may do.
type Caller struct {
	Principal access.PrincipalID
	Name      string
	Tenant    access.TenantID
	Address   netip.Addr // from the connection, or from a trusted proxy
	Via       string     // cli, api, arm, portal
	Session   string     // hash of the session's token; empty where there is none
}

// Actor gives the caller as events record it.
func (c Caller) Actor() access.Actor {
	return access.Actor{ID: c.Principal, Name: c.Name, Address: c.Address, Via: c.Via}
}
