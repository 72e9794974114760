// Package directory holds the use cases of who there is and how they sign in: tenants, subscriptions, resource groups,
// people, groups, programs, and the credentials of each.
package directory

import (
	"time"

	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/records"
)

// Service runs the use cases. It is safe for concurrent use.
type Service struct {
	kernel      *engine.Kernel
	records     *records.Service
	sessionIdle time.Duration
}

// New makes the service. A session that is not used for sessionIdle ends.
func New(kernel *engine.Kernel, log *records.Service, sessionIdle time.Duration) *Service {
	return &Service{kernel: kernel, records: log, sessionIdle: sessionIdle}
}
