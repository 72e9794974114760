// Package roles holds the use cases of roles: their definitions, who has them, who may activate them, and which are
// needed.
package roles

import (
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/requests"
)

// Service runs the use cases. It is safe for concurrent use.
type Service struct {
	kernel   *engine.Kernel
	machines *machines.Service
	requests *requests.Service
}

// New makes the service.
func New(kernel *engine.Kernel, hosts *machines.Service, access *requests.Service) *Service {
	return &Service{kernel: kernel, machines: hosts, requests: access}
}
