package engine

import (
	"net/netip"

	"github.com/postern-dev/postern/internal/core/access"
)

// EnrollInput is an agent's first message.
type EnrollInput struct {
	Token     string
	Name      string // the host's own name, used where the token names none
	OS        string
	Addresses []netip.Addr
	Version   string
}

// Enrolled is what an enrolment made.
type Enrolled struct {
	Agent   access.Agent
	Machine access.Machine // its zero value in gateway mode
}
