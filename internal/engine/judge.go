package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// judge looks whether grants would still be given by the rights and the policies as one transaction sees them.
type judge struct {
	r        Reader
	dir      *rbac.Directory
	now      time.Time
	names    nameCache
	networks map[access.TenantID]*networkNames
	entries  map[access.MachineID]*access.MachinePolicy // nil where no policy guards the machine
	inquiry  *policy.Inquiry
	approval map[access.RequestID]string // why a request has no approval any more; empty where it has
	requests map[access.RequestID]access.Request
	groups   map[guest][]string // names of the groups that a requester is in
}

func (e *Engine) newJudge(ctx context.Context, r Reader, now time.Time) (*judge, error) {
	dir, err := e.compiled(ctx, r)
	return &judge{
		r: r, dir: dir, now: now, names: nameCache{r: r},
		networks: map[access.TenantID]*networkNames{}, entries: map[access.MachineID]*access.MachinePolicy{},
		inquiry: policy.NewInquiry(e.rules.compile, e.rules.zone), approval: map[access.RequestID]string{}, requests: map[access.RequestID]access.Request{}, groups: map[guest][]string{},
	}, err
}

// unheld says why the holder of a grant has no right to it any more; empty where they have.
func (j *judge) unheld(ctx context.Context, g access.Grant) (string, error) {
	m, err := j.names.site(ctx, g.Role, g.Machine)
	if err != nil || m.Resource == "" { // the machine was deleted, and its grants end with it
		return "", err
	}
	why, err := lostRight(ctx, j.r, j.dir, g, m, j.now)
	if why != "" {
		why = "its holder may not ask for it any more: " + why
	}
	return why, err
}

// outlawed is unheld, and also says where the policy of the machine would not allow the grant any more.
func (j *judge) outlawed(ctx context.Context, g access.Grant) (string, error) {
	if g.Role.IsZero() {
		m, err := j.names.machine(ctx, g.Machine)
		if err != nil {
			return "", err
		}
		if m.ID == "" {
			return "the machine was deleted", nil
		}
		entry, err := j.entry(ctx, m)
		switch {
		case err != nil:
			return "", err
		case entry == nil:
			return unguarded, nil
		}
		if why := outside(*entry, m.Name, g); why != "" {
			return why, nil
		}
	}
	return j.unheld(ctx, g)
}

// unguarded is why grants end on a machine that no policy names any more.
const unguarded = "no policy guards the machine any more"

// entry gives what the policy says of a machine, with prefixes in the place of names of networks.
func (j *judge) entry(ctx context.Context, m access.Machine) (*access.MachinePolicy, error) {
	if entry, ok := j.entries[m.ID]; ok {
		return entry, nil
	}
	p, err := j.r.GuardOf(ctx, m.ID)
	if err != nil && !isKind(err, access.KindNotFound) {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	var found *access.MachinePolicy
	if entry, ok := p.Of(m.ID); ok {
		if j.networks[m.Tenant] == nil {
			j.networks[m.Tenant] = &networkNames{r: j.r, tenant: m.Tenant}
		}
		if entry, err = j.networks[m.Tenant].entry(ctx, entry); err != nil {
			return nil, err
		}
		found = &entry
	}
	j.entries[m.ID] = found
	return found, nil
}

// recalled gives the recall by which a grant is to end, and why; nil where it is to end by none.
func (j *judge) recalled(ctx context.Context, recalls []access.Recall, g access.Grant) (*access.Recall, string, error) {
	for _, c := range recalls {
		if !c.Covers(g) || g.State.Ended() {
			continue
		}
		if !c.Judge {
			return &c, c.Reason, nil
		}
		if why, err := j.outlawed(ctx, g); err != nil || why != "" {
			return &c, why, err
		}
	}
	return nil, "", nil
}

// orderedBy gives who gave a recall, as events of a tenant record it.
func (j *judge) orderedBy(c access.Recall, tenant access.TenantID) access.Actor {
	by := Caller{Principal: c.By.ID, Name: c.By.Name, Tenant: c.Tenant, Address: c.By.Address, Via: c.By.Via}
	if by.Principal == "" { // Postern itself has one name everywhere
		by.Tenant = tenant
	}
	return rights{dir: j.dir, caller: by}.actor(tenant)
}
