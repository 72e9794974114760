package engine

import (
	"net/netip"

	"github.com/postern-dev/postern/internal/core/access"
)

// MachineDetail is a machine and how it is guarded.
type MachineDetail struct {
	Machine        access.Machine
	Standing       access.Standing
	StandingReason string
	Agent          *access.Agent         // nil where no agent guards it
	Policy         *access.MachinePolicy // nil where no policy names it
	PolicyResource access.ResourceID     // of the policy that names it
	PolicyName     string
}

// AddMachineInput is a machine that cannot run an agent.
type AddMachineInput struct {
	Name          string
	Gateway       string // name or id of the agent that guards it, which must be in gateway mode
	Addresses     []netip.Addr
	ResourceGroup string // name; empty is the default one
	OS            string
	Labels        map[string]string
}
