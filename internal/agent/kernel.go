package agent

import (
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
	"github.com/postern-dev/postern/internal/enforce/nftables"
)

// openKernel gives the firewall of this host.
func openKernel(c Config) (enforce.Enforcer, error) {
	kernel, err := nftables.New(nftables.Config{Log: c.Log, Now: c.Clock.Boot})
	if err != nil {
		return nil, fmt.Errorf("open the kernel's firewall, which takes the capability CAP_NET_ADMIN: %w", err)
	}
	return kernel, nil
}

// readKernel gives what the kernel holds, as openings of one port each, and whether our table is there. It changes
// nothing, and the agent may run meanwhile.
func readKernel(d access.DesiredState, now reading) (held []enforce.Held, present bool, err error) {
	return nftables.Look(nftables.Config{}, d, now.boot)
}
