package engine

import (
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// TokenInput asks for an enrolment token.
type TokenInput struct {
	Name          string // of the machine; empty takes the host's own name
	Mode          access.Mode
	ResourceGroup string        // name; empty is the default one
	TTL           time.Duration // 0: one hour
}
