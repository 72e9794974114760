package machines

import (
	"context"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// Judge looks whether grants would still be given by the rights and the policies as one transaction sees them.
type Judge struct {
	R        engine.Reader
	Dir      *rbac.Directory
	Now      time.Time
	Names    engine.NameCache
	networks map[access.TenantID]*NetworkNames
	guards   map[access.MachineID][]access.Policy // what guards a machine; nothing where no policy does
	Inquiry  *policy.Inquiry
	Approval map[access.RequestID]string // why a request has no approval any more; empty where it has
	Requests map[access.RequestID]access.Request
	Groups   map[Guest][]string // names of the groups that a requester is in
}

// NewJudge makes a judge of grants by the directory and policies as r sees them now.
func (e *Service) NewJudge(ctx context.Context, r engine.Reader, now time.Time) (*Judge, error) {
	dir, err := e.kernel.Compiled(ctx, r)
	return &Judge{
		R: r, Dir: dir, Now: now, Names: engine.NameCache{R: r},
		networks: map[access.TenantID]*NetworkNames{}, guards: map[access.MachineID][]access.Policy{},
		Inquiry: policy.NewInquiry(e.rules.Compile, e.rules.Zone), Approval: map[access.RequestID]string{},
		Requests: map[access.RequestID]access.Request{}, Groups: map[Guest][]string{},
	}, err
}

// Entry returns what holds for ports of a machine, with prefixes in the place of names of networks; nil where no policy
// guards the machine.
func (j *Judge) Entry(ctx context.Context, m access.Machine, ports access.PortRange,
	protocol access.Protocol,
) (*access.MachinePolicy, error) {
	guards, known := j.guards[m.ID]
	if !known {
		if j.networks[m.Tenant] == nil {
			j.networks[m.Tenant] = &NetworkNames{R: j.R, Tenant: m.Tenant}
		}
		var err error
		if guards, err = j.networks[m.Tenant].Guards(ctx, m); err != nil {
			return nil, err
		}
		j.guards[m.ID] = guards
	}
	if entry, guarded := access.Ruling(guards, ports, protocol).Of(m.ID); guarded {
		return &entry, nil
	}
	return nil, nil //nolint:nilnil // that nothing guards the machine is no error
}

// Disabled says by what just-in-time access is disabled on the machine of a grant; empty where it is not. What is open
// runs to its end all the same.
func (j *Judge) Disabled(ctx context.Context, g access.Grant) (string, error) {
	if g.Place().Machine == "" {
		return "", nil
	}
	m, err := j.Names.Machine(ctx, g.Place().Machine)
	if err != nil {
		return "", err
	}
	disabled, err := (&engine.Guards{R: j.R}).Disabled(ctx, m)
	if err != nil || !disabled.Off {
		return "", err
	}
	return disabled.Text(), nil
}

// Recalled gives the recall by which a grant is to end, and why; nil where it is to end by none.
func (j *Judge) Recalled(ctx context.Context, recalls []access.Recall, g access.Grant) (*access.Recall, string, error) {
	for _, c := range recalls {
		if g.State.Ended() {
			continue
		}
		site, err := j.siteOf(ctx, c, g)
		if err != nil {
			return nil, "", err
		}
		if !c.Covers(g, site) {
			continue
		}
		if !c.Judge {
			return &c, c.Reason, nil
		}
		if why, err := j.Outlawed(ctx, g); err != nil || why != "" {
			return &c, why, err
		}
	}
	return nil, "", nil
}

// siteOf returns where a grant takes effect, where a recall looks at that.
func (j *Judge) siteOf(ctx context.Context, c access.Recall, g access.Grant) (access.ResourceID, error) {
	if !c.OfScope() || g.Place().Machine == "" {
		return "", nil
	}
	m, err := j.Names.Machine(ctx, g.Place().Machine)
	return m.Resource, err
}

// OrderedBy gives who gave a recall, as events of a tenant record it.
func (j *Judge) OrderedBy(c access.Recall, tenant access.TenantID) access.Actor {
	by := engine.Caller{Principal: c.By.ID, Name: c.By.Name, Tenant: c.Tenant, Address: c.By.Address, Via: c.By.Via}
	if by.Principal == "" { // Postern itself has one name everywhere
		by.Tenant = tenant
	}
	return engine.Rights{Dir: j.Dir, Caller: by}.Actor(tenant)
}
