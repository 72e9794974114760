// Package inbox holds the use cases of what people are told in the portal and on the command line.
package inbox

import "github.com/postern-dev/postern/internal/engine"

// Service runs the use cases. It is safe for concurrent use.
type Service struct{ kernel *engine.Kernel }

// New makes the service.
func New(kernel *engine.Kernel) *Service { return &Service{kernel: kernel} }
