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

// border lies between a tenant and another that is told of what is the first one's: on a log of its own, in a notice, or as its
// people read it who are guests there. What became of something crosses it, and so do words that people wrote for others to read;
// who the people of the first tenant are that decided, ended or wrote it does not: neither a name nor an id nor an address, by which
// each of them would be known the next time. Whatever crosses goes through here; within one tenant the border is nil, and gives
// everything as it is.
type border struct {
	r    Reader
	from string          // name of the tenant that it is of
	to   access.TenantID // that is told
	as   string          // what follows the names of its people in the other: "@vendor"
}

// border gives the border between a tenant and the caller's own; nil where they are one.
func (r rights) border(reader Reader, from access.TenantID) *border {
	if r.isHome(from) {
		return nil
	}
	return &border{r: reader, from: r.dir.TenantName(from), to: r.caller.Tenant, as: "@" + r.dir.TenantName(r.caller.Tenant)}
}

// person gives the id of a principal of the tenant that is told; empty for others.
func (b *border) person(ctx context.Context, id access.PrincipalID) (access.PrincipalID, error) {
	if id == "" {
		return "", nil
	}
	p, err := b.r.Principal(ctx, id)
	switch {
	case isKind(err, access.KindNotFound), err == nil && p.Tenant != b.to:
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read principal: %w", err)
	}
	return id, nil
}

// actor gives an actor who is of the tenant that is told, or Postern itself, or an agent; of others it gives their tenant.
func (b *border) actor(ctx context.Context, a access.Actor) (access.Actor, error) {
	if a.ID == "" {
		return access.Actor{Name: a.Name, Via: a.Via}, nil
	}
	ours, err := b.person(ctx, a.ID)
	if err != nil || ours != "" {
		return a, err
	}
	return access.Actor{Name: b.from}, nil
}

// crossing names the details of events that cross a border; of those that are numbered, such as item.0, it is the name before the
// point. A detail that is not named here stays on its side.
var crossing = map[string]bool{ //nolint:gochecknoglobals // a constant table; Go has no constant maps
	"application": true, "definition": true, "version": true, "wasVersion": true, "publisher": true, "customer": true, "managedResourceGroup": true,
	"jit": true, "mode": true, "longest": true, "was": true, "right": true, "machines": true, "ended": true,
	"requester": true, "principal": true, "principalId": true, "role": true, "roleId": true, "eligibility": true, "max": true,
	"ports": true, "protocol": true, "sources": true, "start": true, "end": true, "item": true, "chain": true,
	"justification": true, "ticket": true, "digest": true, "before": true, "tag": true, "released": true,
	"decision": true, "approval": true, "comment": true, "reason": true, "code": true, "name": true, "removed": true,
}

// event gives an event as the other side may know it. What happens to machines and agents crosses with all its details, which speak
// of no people.
func (b *border) event(ctx context.Context, e access.Event) (_ access.Event, err error) {
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
func (w *work) border(ctx context.Context, a app.Application) (*border, error) {
	tenants, err := w.tx.Tenants(ctx)
	if err != nil {
		return nil, fmt.Errorf("read tenants: %w", err)
	}
	b := &border{r: w.tx, from: string(a.Tenant), to: a.Publisher}
	for _, t := range tenants {
		if t.ID == a.Tenant {
			b.from = t.Name
		}
	}
	return b, nil
}

// publish gives an event of an application, or of an activation by it, as the publisher's log has it: at the definition.
func (w *work) publish(ctx context.Context, a app.Application, e access.Event) (access.Event, error) {
	b, err := w.border(ctx, a)
	if err != nil {
		return e, err
	}
	if e, err = b.event(ctx, e); err != nil {
		return e, err
	}
	e.Tenant, e.Scope = a.Publisher, a.Definition
	return e, nil
}

// across gives a notice as the other side is told it: by whom, where that is whoever asked or Postern itself.
func (n notice) across() notice {
	if n.by != access.System().Name && n.by != n.request.RequesterName && n.by != n.grant.PrincipalName {
		n.by = ""
	}
	n.abroad = true
	return n
}

// request gives a request without who approves: how many people have to agree, and what they said, and not who they are.
func (b *border) request(d RequestDetail) RequestDetail {
	if b == nil {
		return d
	}
	d.Request.Approvals = slices.Clone(d.Request.Approvals)
	for i := range d.Request.Approvals {
		d.Request.Approvals[i].Case = unnamedCase(d.Request.Approvals[i].Case)
	}
	d.Progress = slices.Clone(d.Progress)
	for i := range d.Progress {
		p := &d.Progress[i]
		p.Deciders, p.DeciderCount, p.Counted, p.Decided = nil, 0, nil, nil
		p.Open, p.Case = unnamed(p.Open), unnamedCase(p.Case)
	}
	d.Decisions = slices.Clone(d.Decisions)
	for i := range d.Decisions {
		d.Decisions[i].Person, d.Decisions[i].Name = "", ""
	}
	d.Names = nil
	return d
}

// eligibility gives an eligibility as the caller may see it: a guest who may not write it is not told whom its rule names, and who
// gave it.
func (r rights) eligibility(ctx context.Context, reader Reader, d EligibilityDetail) (_ EligibilityDetail, err error) {
	e := d.Eligibility
	b := r.border(reader, e.Tenant)
	if b == nil || e.Origin == "" && r.may(rbac.EligibilitiesWrite, e.Scope) {
		return d, nil
	}
	d.Eligibility.Approval, d.Eligibility.Loosened, d.Names = unnamedRule(d.Eligibility.Approval), nil, nil
	d.Eligibility.CreatedBy, err = b.person(ctx, d.Eligibility.CreatedBy)
	return d, err
}

// assignment gives a role assignment without who made it.
func (b *border) assignment(ctx context.Context, d AssignmentDetail) (_ AssignmentDetail, err error) {
	if b == nil {
		return d, nil
	}
	d.Assignment.CreatedBy, err = b.person(ctx, d.Assignment.CreatedBy)
	return d, err
}

// change gives the record of a change of a role without who asked for it or gave it.
func (b *border) change(ctx context.Context, d RoleChangeDetail) (_ RoleChangeDetail, err error) {
	if b == nil {
		return d, nil
	}
	if d.Change.Requester, err = b.person(ctx, d.Change.Requester); err == nil {
		d.Change.DecidedBy, err = b.person(ctx, d.Change.DecidedBy)
	}
	return d, err
}

// review gives a debt of review without who paid it.
func (b *border) review(ctx context.Context, v access.Review) (_ access.Review, err error) {
	if b == nil {
		return v, nil
	}
	v.ClosedBy, err = b.person(ctx, v.ClosedBy)
	return v, err
}

// alert gives an alert without who acknowledged or closed it.
func (b *border) alert(a alert.Alert) alert.Alert {
	if b != nil && a.ChangedBy != "" && a.ChangedBy != access.System().Name && !strings.HasSuffix(a.ChangedBy, b.as) {
		a.ChangedBy = b.from
	}
	return a
}

// readsRules reports whether the caller is told whom the rules of a policy name: a guest is not who may not write it.
func (r rights) readsRules(p access.Policy) bool {
	return r.isHome(p.Tenant) || r.may(rbac.PoliciesWrite, p.Resource)
}

// policy gives a policy as the caller may see it.
func (r rights) policy(p access.Policy) access.Policy {
	if r.readsRules(p) {
		return p
	}
	p.Machines = slices.Clone(p.Machines)
	for i := range p.Machines {
		p.Machines[i] = unnamedEntry(p.Machines[i])
	}
	return p
}

// unnamedEntry gives what a policy says of a machine without whom it names.
func unnamedEntry(p access.MachinePolicy) access.MachinePolicy {
	p.Approval, p.Loosened = unnamedRule(p.Approval), nil
	if p.BreakGlass != nil {
		glass := *p.BreakGlass
		glass.Groups, glass.People = nil, nil
		p.BreakGlass = &glass
	}
	return p
}

func unnamed(all []access.Quorum) []access.Quorum {
	counts := slices.Clone(all)
	for i := range counts {
		counts[i].Groups, counts[i].People = nil, nil
	}
	return counts
}

func unnamedCase(c access.Case) access.Case {
	c.Stages = slices.Clone(c.Stages)
	for i := range c.Stages {
		c.Stages[i].AllOf, c.Stages[i].AnyOf = unnamed(c.Stages[i].AllOf), unnamed(c.Stages[i].AnyOf)
	}
	return c
}

func unnamedRule(r access.Rule) access.Rule {
	r.Cases = slices.Clone(r.Cases)
	for i := range r.Cases {
		r.Cases[i] = unnamedCase(r.Cases[i])
	}
	return r
}
