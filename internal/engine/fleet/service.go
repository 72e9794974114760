// Package fleet holds the use cases of what is done to many machines at once: just-in-time access that is disabled for a
// subscription or a resource group, and policies of several machines that are edited together.
package fleet

import (
	"github.com/postern-dev/postern/internal/engine"
)

// Service runs the use cases. It is safe for concurrent use.
type Service struct{ kernel *engine.Kernel }

// New makes the service.
func New(kernel *engine.Kernel) *Service { return &Service{kernel: kernel} }
