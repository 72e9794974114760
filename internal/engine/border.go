package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Border lies between a tenant and another that is told of what is the first one's: on a log of its own, in a notice,
// or as its people read it who are guests there. What became of something crosses it, and so do words that people wrote
// for others to read; who the people of the first tenant are that decided, ended or wrote it does not: neither a name
// nor an id nor an address, by which each of them would be known the next time. Whatever crosses goes through here;
// within one tenant the border is nil, and gives everything as it is.
type Border struct {
	r    Reader
	from string          // name of the tenant that it is of
	to   access.TenantID // that is told
	as   string          // what follows the names of its people in the other: "@vendor"
}

// Border gives the border between a tenant and the caller's own; nil where they are one.
func (r Rights) Border(reader Reader, from access.TenantID) *Border {
	if r.IsHome(from) {
		return nil
	}
	return &Border{
		r: reader, from: r.Dir.TenantName(from), to: r.Caller.Tenant,
		as: "@" + r.Dir.TenantName(r.Caller.Tenant),
	}
}

// Person gives the id of a principal of the tenant that is told; empty for others.
func (b *Border) Person(ctx context.Context, id access.PrincipalID) (access.PrincipalID, error) {
	if id == "" {
		return "", nil
	}
	p, err := b.r.Principal(ctx, id)
	switch {
	case IsKind(err, access.KindNotFound), err == nil && p.Tenant != b.to:
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read principal: %w", err)
	}
	return id, nil
}

// actor gives an actor who is of the tenant that is told, or Postern itself, or an agent; of others it gives their
// tenant.
func (b *Border) actor(ctx context.Context, a access.Actor) (access.Actor, error) {
	if a.ID == "" {
		return access.Actor{Name: a.Name, Via: a.Via}, nil
	}
	ours, err := b.Person(ctx, a.ID)
	if err != nil || ours != "" {
		return a, err
	}
	return access.Actor{Name: b.from}, nil
}

// crossing names the details of events that cross a border; of those that are numbered, such as item.0, it is the name
// before the point. A detail that is not named here stays on its side.
var crossing = map[string]bool{ //nolint:gochecknoglobals // a constant table; Go has no constant maps
	"application": true, "definition": true, "version": true, "wasVersion": true, "publisher": true, "customer": true,
	"managedResourceGroup": true,
	"jit":                  true, "mode": true, "longest": true, "was": true, "right": true, "machines": true,
	"ended":     true,
	"requester": true, "principal": true, "principalId": true, "role": true, "roleId": true, "eligibility": true,
	"max":   true,
	"ports": true, "protocol": true, "sources": true, "start": true, "end": true, "item": true, "chain": true,
	"justification": true, "ticket": true, "digest": true, "before": true, "tag": true, "released": true,
	"decision": true, "approval": true, "comment": true, "reason": true, "code": true, "name": true, "removed": true,
}

// Event gives an event as the other side may know it. What happens to machines and agents crosses with all its details,
// which speak of no people.
func (b *Border) Event(ctx context.Context, e access.Event) (_ access.Event, err error) {
	if b == nil {
		return e, nil
	}
	if e.Actor, err = b.actor(ctx, e.Actor); err != nil {
		return e, err
	}
	e.Details = maps.Clone(e.Details)
	maps.DeleteFunc(e.Details, func(detail, _ string) bool {
		name, _, _ := strings.Cut(detail, ".")
		things := strings.HasPrefix(string(e.Kind), "agent.") || strings.HasPrefix(string(e.Kind), "machine.")
		return !things && !crossing[name]
	})
	return e, nil
}

// border gives the border between the customer of an application and its publisher.
func (w *Work) border(ctx context.Context, a app.Application) (*Border, error) {
	tenants, err := w.Tx.Tenants(ctx)
	if err != nil {
		return nil, fmt.Errorf("read tenants: %w", err)
	}
	b := &Border{r: w.Tx, from: string(a.Tenant), to: a.Publisher}
	for _, t := range tenants {
		if t.ID == a.Tenant {
			b.from = t.Name
		}
	}
	return b, nil
}

// Publish gives an event of an application, or of an activation by it, as the publisher's log has it: at the
// definition.
func (w *Work) Publish(ctx context.Context, a app.Application, e access.Event) (access.Event, error) {
	b, err := w.border(ctx, a)
	if err != nil {
		return e, err
	}
	if e, err = b.Event(ctx, e); err != nil {
		return e, err
	}
	e.Tenant, e.Scope = a.Publisher, a.Definition
	return e, nil
}

// Across gives a notice as the other side is told it: by whom, where that is whoever asked or Postern itself.
func (n Notice) Across() Notice {
	if n.By != access.System().Name && n.By != n.Request.RequesterName && n.By != n.grant.PrincipalName {
		n.By = ""
	}
	n.abroad = true
	return n
}

// Eligibility gives an eligibility as the caller may see it: a guest who may not write it is not told whom its rule
// names, and who gave it.
func (r Rights) Eligibility(ctx context.Context, reader Reader, d EligibilityDetail) (_ EligibilityDetail, err error) {
	e := d.Eligibility
	b := r.Border(reader, e.Tenant)
	if b == nil || e.Origin == "" && r.May(rbac.EligibilitiesWrite, e.Scope) {
		return d, nil
	}
	d.Eligibility.Approval, d.Eligibility.Loosened, d.Names = unnamedRule(d.Eligibility.Approval), nil, nil
	d.Eligibility.CreatedBy, err = b.Person(ctx, d.Eligibility.CreatedBy)
	return d, err
}

// Assignment gives a role assignment without who made it.
func (b *Border) Assignment(ctx context.Context, d AssignmentDetail) (_ AssignmentDetail, err error) {
	if b == nil {
		return d, nil
	}
	d.Assignment.CreatedBy, err = b.Person(ctx, d.Assignment.CreatedBy)
	return d, err
}

// Review gives a debt of review without who paid it.
func (b *Border) Review(ctx context.Context, v access.Review) (_ access.Review, err error) {
	if b == nil {
		return v, nil
	}
	v.ClosedBy, err = b.Person(ctx, v.ClosedBy)
	return v, err
}

// Alert gives an alert without who acknowledged or closed it.
func (b *Border) Alert(a alert.Alert) alert.Alert {
	if b != nil && a.ChangedBy != "" && a.ChangedBy != access.System().Name && !strings.HasSuffix(a.ChangedBy, b.as) {
		a.ChangedBy = b.from
	}
	return a
}

// ReadsRules reports whether the caller is told whom the rules of a policy name: a guest is not who may not write it.
func (r Rights) ReadsRules(p access.Policy) bool {
	return r.IsHome(p.Tenant) || r.May(rbac.PoliciesWrite, p.Resource)
}

// Policy gives a policy as the caller may see it.
func (r Rights) Policy(p access.Policy) access.Policy {
	if r.ReadsRules(p) {
		return p
	}
	p.Machines = slices.Clone(p.Machines)
	for i := range p.Machines {
		p.Machines[i] = UnnamedEntry(p.Machines[i])
	}
	return p
}

// UnnamedEntry gives what a policy says of a machine without whom it names.
func UnnamedEntry(p access.MachinePolicy) access.MachinePolicy {
	p.Approval, p.Loosened = unnamedRule(p.Approval), nil
	if p.BreakGlass != nil {
		glass := *p.BreakGlass
		glass.Groups, glass.People = nil, nil
		p.BreakGlass = &glass
	}
	return p
}

// Unnamed returns quorums without the groups and people that they name.
func Unnamed(all []access.Quorum) []access.Quorum {
	counts := slices.Clone(all)
	for i := range counts {
		counts[i].Groups, counts[i].People = nil, nil
	}
	return counts
}

// UnnamedCase is Unnamed for each stage of a case.
func UnnamedCase(c access.Case) access.Case {
	c.Stages = slices.Clone(c.Stages)
	for i := range c.Stages {
		c.Stages[i].AllOf, c.Stages[i].AnyOf = Unnamed(c.Stages[i].AllOf), Unnamed(c.Stages[i].AnyOf)
	}
	return c
}

func unnamedRule(r access.Rule) access.Rule {
	r.Cases = slices.Clone(r.Cases)
	for i := range r.Cases {
		r.Cases[i] = UnnamedCase(r.Cases[i])
	}
	return r
}
