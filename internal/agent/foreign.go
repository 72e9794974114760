package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce/nftables"
)

const foreignEvery = time.Minute

// keepLooking looks at the firewall tables of others now and then, until ctx ends. What it finds goes with each report.
func (a *agent) keepLooking(ctx context.Context) {
	if a.Enforcer != nil {
		return // it drives no kernel
	}
	for ctx.Err() == nil {
		a.mu.Lock()
		state := a.holding.DesiredState
		a.mu.Unlock()
		a.looked(ctx, func() ([]access.ForeignRule, error) { return nftables.Foreign(nftables.Config{}, state) })
		select {
		case <-ctx.Done():
		case <-time.After(foreignEvery):
		}
	}
}

// lookTries is how often a look is made that fails: another program may change its rules while they are read.
const lookTries = 3

// looked takes over what a look finds. Of one that fails nothing is known, which goes with each report until one does
// not.
func (a *agent) looked(ctx context.Context, look func() ([]access.ForeignRule, error)) {
	var found []access.ForeignRule
	var err error
	for range lookTries {
		if found, err = look(); err == nil {
			a.setProblem(ctx, "insight", "")
			a.findings(ctx, found)
			return
		}
	}
	a.setProblem(ctx, "insight",
		"the firewall tables of others could not be read, so it is not known what their rules do to guarded ports: "+
			err.Error())
}

// findings takes over what was found, and has it reported where it is new.
func (a *agent) findings(ctx context.Context, found []access.ForeignRule) {
	a.mu.Lock()
	news := !slices.Equal(found, a.foreign)
	a.foreign = found
	unguarded := ""
	for _, r := range found {
		if r.Effect == access.ForeignBypasses {
			unguarded = fmt.Sprintf("port %s/%s is not guarded on every path: %s in chain %s of table %s", r.Ports,
				r.Protocol, r.Text, r.Chain, r.Table)
			break // they come first, and insight has them all
		}
	}
	a.problem(ctx, "path", unguarded)
	a.mu.Unlock()
	if news {
		a.Log.WarnContext(ctx, "rules of other firewall tables touch guarded ports", "rules", len(found))
		a.out.ring()
	}
}

func (a *agent) foreigners() []access.ForeignRule {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.foreign)
}
