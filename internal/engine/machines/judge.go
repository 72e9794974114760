package machines

import (
	"context"
	"fmt"
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
	entries  map[access.MachineID]*access.MachinePolicy // nil where no policy guards the machine
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
		networks: map[access.TenantID]*NetworkNames{}, entries: map[access.MachineID]*access.MachinePolicy{},
		Inquiry: policy.NewInquiry(e.rules.Compile, e.rules.Zone), Approval: map[access.RequestID]string{},
		Requests: map[access.RequestID]access.Request{}, Groups: map[Guest][]string{},
	}, err
}

// Entry gives what the policy says of a machine, with prefixes in the place of names of networks.
func (j *Judge) Entry(ctx context.Context, m access.Machine) (*access.MachinePolicy, error) {
	if entry, ok := j.entries[m.ID]; ok {
		return entry, nil
	}
	p, err := j.R.GuardOf(ctx, m.ID)
	if err != nil && !engine.IsKind(err, access.KindNotFound) {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	var found *access.MachinePolicy
	if entry, ok := p.Of(m.ID); ok {
		if j.networks[m.Tenant] == nil {
			j.networks[m.Tenant] = &NetworkNames{R: j.R, Tenant: m.Tenant}
		}
		if entry, err = j.networks[m.Tenant].Entry(ctx, entry); err != nil {
			return nil, err
		}
		found = &entry
	}
	j.entries[m.ID] = found
	return found, nil
}

// Recalled gives the recall by which a grant is to end, and why; nil where it is to end by none.
func (j *Judge) Recalled(ctx context.Context, recalls []access.Recall, g access.Grant) (*access.Recall, string, error) {
	for _, c := range recalls {
		if !c.Covers(g) || g.State.Ended() {
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

// OrderedBy gives who gave a recall, as events of a tenant record it.
func (j *Judge) OrderedBy(c access.Recall, tenant access.TenantID) access.Actor {
	by := engine.Caller{Principal: c.By.ID, Name: c.By.Name, Tenant: c.Tenant, Address: c.By.Address, Via: c.By.Via}
	if by.Principal == "" { // Postern itself has one name everywhere
		by.Tenant = tenant
	}
	return engine.Rights{Dir: j.Dir, Caller: by}.Actor(tenant)
}
