package engine

import "github.com/postern-dev/postern/internal/core/access"

// PolicyDetail is what guards one machine: the policy, its entry for the machine, and the machine.
type PolicyDetail struct {
	Policy  access.Policy
	Entry   access.MachinePolicy
	Machine access.Machine
}

// PolicyInput is a whole policy. Its resource id says where it lies and what it is called.
type PolicyInput struct {
	Resource access.ResourceID
	Machines []access.MachinePolicy
}
