// Package fleet holds the use cases of what is done to many machines at once: just-in-time access that is disabled for
// a subscription or a resource group, policies of several machines that are edited together, and what lists and
// counts of machines show beside them.
package fleet

import (
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// Service runs the use cases. It is safe for concurrent use.
type Service struct {
	kernel   *engine.Kernel
	machines *machines.Service
}

// New makes the service.
func New(kernel *engine.Kernel, guarded *machines.Service) *Service {
	return &Service{kernel: kernel, machines: guarded}
}
