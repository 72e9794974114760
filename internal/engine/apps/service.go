// Package apps holds the use cases of managed applications: a publisher offers them, a customer deploys them, and both
// see what becomes of the access between them.
package apps

import (
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/notices"
)

// Service runs the use cases. It is safe for concurrent use.
type Service struct {
	kernel    *engine.Kernel
	directory *directory.Service
	notices   *notices.Service
}

// New makes the service.
func New(kernel *engine.Kernel, people *directory.Service, told *notices.Service) *Service {
	return &Service{kernel: kernel, directory: people, notices: told}
}
