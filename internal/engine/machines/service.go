// Package machines holds the use cases of what is guarded: machines and their agents, the policies of their ports,
// networks, and what agents are asked for and report.
package machines

import (
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// Service runs the use cases. It is safe for concurrent use.
type Service struct {
	kernel    *engine.Kernel
	directory *directory.Service
	rules     *Rulebook
	tickets   engine.TicketChecker

	denials engine.Flood[access.AgentID] // of denied attempts
	words   engine.Flood[access.AgentID] // of agents about themselves
	moves   engine.Flood[access.AgentID] // of grants to and fro
}

// New makes the service. A policy that wants tickets checked cannot be written where tickets is nil.
func New(kernel *engine.Kernel, people *directory.Service, rules *Rulebook, tickets engine.TicketChecker) *Service {
	return &Service{
		kernel: kernel, directory: people, rules: rules, tickets: tickets,
		denials: engine.Flood[access.AgentID]{Most: maxDeniedAnHour},
		words:   engine.Flood[access.AgentID]{Most: maxWordsAnHour},
		moves:   engine.Flood[access.AgentID]{Most: maxMovesAnHour},
	}
}
