// Package hosts holds the use cases of what concerns a machine's host beside what guards it: codes that open it while
// the server is out of reach, what its agent found there, and whether a change of its policy is confirmed from outside.
package hosts

import "github.com/postern-dev/postern/internal/engine"

// Service runs the use cases. It is safe for concurrent use.
type Service struct{ kernel *engine.Kernel }

// New makes the service.
func New(kernel *engine.Kernel) *Service { return &Service{kernel: kernel} }
