// Package alerts holds the use cases of alerts: what happens, and what is so, is watched by rules, and people
// acknowledge and close what was raised.
package alerts

import (
	"sync/atomic"

	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/notices"
	"github.com/postern-dev/postern/internal/engine/records"
)

// Service runs the use cases. It is safe for concurrent use.
type Service struct {
	kernel  *engine.Kernel
	records *records.Service
	notices *notices.Service
	forgot  atomic.Int64 // when old watches of alerts were last deleted, in microseconds
}

// New makes the service.
func New(kernel *engine.Kernel, log *records.Service, told *notices.Service) *Service {
	return &Service{kernel: kernel, records: log, notices: told}
}
