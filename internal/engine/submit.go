package engine

import (
	"net/netip"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// SubmitInput asks for access.
type SubmitInput struct {
	Items          []ItemInput
	Start          time.Time // zero: at approval
	Justification  string
	Ticket         string
	IdempotencyKey string // empty: none; at most 255 bytes
	Digest         string // SHA-256 of the body, for the key
}

// ItemInput is one port of one machine. Exactly one of Duration and Until is set.
type ItemInput struct {
	Machine  string // name, id or resource id
	Ports    access.PortRange
	Protocol access.Protocol // empty: what the policy guards the ports for
	Sources  []netip.Prefix  // empty: the caller's own address
	Duration time.Duration
	Until    time.Time
}

// RequestDetail is a request and what became of it.
type RequestDetail struct {
	Request  access.Request
	Grants   []access.Grant
	Machines map[access.MachineID]string // names of the machines that it is about
}
