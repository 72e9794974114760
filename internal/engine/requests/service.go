// Package requests holds the use cases of access: it is asked for, decided, granted, extended, revoked and ended, in
// emergencies too.
package requests

import (
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// Service runs the use cases. It is safe for concurrent use.
type Service struct {
	kernel   *engine.Kernel
	machines *machines.Service
	rules    *machines.Rulebook
	tickets  engine.TicketChecker
	quotas   engine.Quotas

	strangeUses engine.Flood[access.AgentID] // of uses of unknown codes
	swept       sweep                        // of the grants whose holders may have lost the right to them
	counted     sweep                        // pending requests, likewise
}

// New makes the service. The default takes the place of each quota that is 0.
func New(kernel *engine.Kernel, hosts *machines.Service, rules *machines.Rulebook, tickets engine.TicketChecker,
	quotas engine.Quotas,
) *Service {
	return &Service{
		kernel: kernel, machines: hosts, rules: rules, tickets: tickets, quotas: quotas.OrDefault(),
		strangeUses: engine.Flood[access.AgentID]{Most: maxForgottenUses},
	}
}
