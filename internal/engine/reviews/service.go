// Package reviews holds the use cases of access reviews: who has access at a scope is listed at one moment, reviewers
// confirm each entry or remove it by a due date, and what came of it is proved by the activity log.
package reviews

import (
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/records"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// Service runs the use cases. It is safe for concurrent use.
type Service struct {
	kernel    *engine.Kernel
	records   *records.Service
	directory *directory.Service
	machines  *machines.Service
	roles     *roles.Service
}

// New makes the service.
func New(kernel *engine.Kernel, log *records.Service, people *directory.Service, hosts *machines.Service,
	access *roles.Service,
) *Service {
	return &Service{kernel: kernel, records: log, directory: people, machines: hosts, roles: access}
}
