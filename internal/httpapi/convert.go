package httpapi

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/records"
	"github.com/postern-dev/postern/internal/engine/requests"
)

// page converts one page of a list; items is never null on the wire.
func page[F, T any](l engine.Listed[F], convert func(F) T) api.Page[T] {
	out := api.Page[T]{Items: make([]T, 0, len(l.Items)), Next: l.Next}
	for _, item := range l.Items {
		out.Items = append(out.Items, convert(item))
	}
	return out
}

// instant is t for the wire: absent where it is zero.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// moment is an instant that was sent, or zero where none was. The zero instant itself stands for what is absent, so
// whoever sends that gets the one behind it, which is long over: an end that was said must not become none.
func moment(t *time.Time) time.Time {
	switch {
	case t == nil:
		return time.Time{}
	case t.IsZero():
		return time.Time{}.Add(time.Microsecond)
	}
	return t.UTC()
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func texts[T interface{ String() string }](list []T) []string {
	out := make([]string, 0, len(list))
	for _, item := range list {
		out = append(out, item.String())
	}
	return out
}

func principalOut(p access.Principal) api.Principal {
	return api.Principal{
		ID: string(p.ID), Tenant: string(p.Tenant), Kind: string(p.Kind), Name: p.Name, DisplayName: p.DisplayName,
		Email: p.Email, Disabled: p.Disabled, CreatedAt: p.CreatedAt.UTC(),
	}
}

func agentOut(a access.Agent) api.Agent {
	return api.Agent{
		ID: string(a.ID), Name: a.Name, Mode: string(a.Mode), Version: a.Version, EnrolledAt: a.EnrolledAt.UTC(),
		LastSeenAt: instant(a.LastSeenAt), SkewMillis: a.Skew.Milliseconds(), Revision: a.Revision,
		Reported: a.Reported, Problem: a.Problem,
		ResourceGroup: a.Scope.Segment("resourceGroups"), Foreign: agentwire.EncodeForeign(a.Foreign),
	}
}

func machineOut(d machines.MachineDetail) api.Machine {
	m := d.Machine
	out := api.Machine{
		ID: string(m.ID), Resource: string(m.Resource), Name: m.Name, Location: m.Location, OS: m.OS, Labels: m.Labels,
		Addresses: texts(m.Addresses), Standing: string(d.Standing), Reason: d.StandingReason,
		CreatedAt: m.CreatedAt.UTC(), LastAccess: instant(m.LastAccess), Group: m.ResourceGroup(),
		Subscription: d.Subscription,
	}
	for _, r := range d.Ports {
		out.Ports = append(out.Ports, api.GuardedPort{Ports: r.Ports.String(), Protocol: string(r.Protocol)})
	}
	out.DisabledBy = string(d.Disabled.Scope)
	if len(d.Guards) > 0 {
		out.Policy = string(d.Guards[0].Resource)
	}
	if act := d.Activity; act != nil {
		out.Activity = &api.MachineActivity{
			Approved: act.Approved, LastUser: act.LastUser,
			Live: make([]api.Grant, 0, len(act.Live)),
		}
		for _, g := range act.Live {
			out.Activity.Live = append(out.Activity.Live, grantOut(engine.GrantDetail{Grant: g, MachineName: m.Name}))
		}
		for _, held := range act.NotClosed {
			held.MachineName = m.Name
			out.Activity.NotClosed = append(out.Activity.NotClosed, accessOut(held))
		}
	}
	if d.Agent != nil {
		agent := agentOut(*d.Agent)
		out.Agent = &agent
	}
	return out
}

func policyOut(e access.MachinePolicy, names map[access.PrincipalID]string) api.MachinePolicy {
	out := api.MachinePolicy{
		Ports: make([]api.PortRule, 0, len(e.Ports)), Sessions: string(e.Sessions),
		CloseAfterLossSeconds: int64(e.WhenServerIsLost / time.Second),
		PendingTimeoutSeconds: int64(e.PendingTimeout / time.Second),
		GapSeconds:            int64(e.Gap / time.Second),
		Justification:         api.JustificationRule(e.Justification), Ticket: api.TicketRule(e.Ticket),
	}
	for _, c := range e.Approval.Cases {
		out.Approval = append(out.Approval, caseOut(c, names))
	}
	if g := e.BreakGlass; g != nil {
		out.BreakGlass = &api.BreakGlassRule{
			Groups: namesOut(g.Groups, names), People: namesOut(g.People, names),
			MaxSeconds: int64(g.Max / time.Second),
		}
	}
	for _, r := range e.Ports {
		out.Ports = append(out.Ports, portRuleOut(r))
	}
	return out
}

func portRuleOut(r access.PortRule) api.PortRule {
	return api.PortRule{
		Ports: r.Ports.String(), Protocol: string(r.Protocol), Sources: sourcesOut(r.Sources, r.Networks),
		MaxSeconds: int64(r.Max / time.Second),
	}
}

func viewOut(p access.Policy, e access.MachinePolicy, machine string,
	names map[access.PrincipalID]string,
) api.MachinePolicyView {
	out := api.MachinePolicyView{
		MachinePolicy: policyOut(e, names), Machine: machine, Policy: string(p.Resource), Name: p.Name, Reach: p.Reach,
		Revision: e.Revision,
	}
	if p.Reach != "" {
		out.Revision = 0 // which a policy of the machine alone would have: there is none
	}
	if t := e.Trial; t != nil {
		out.Trial = &api.PolicyTrial{
			By: cmp.Or(names[t.By], string(t.By)), BeganAt: t.Began.UTC(), Until: t.Until.UTC(), HadPolicy: t.Named,
		}
	}
	return out
}

func scopePolicyOut(d machines.ScopePolicyDetail, names map[access.PrincipalID]string) api.ScopePolicy {
	p := d.Policy
	return api.ScopePolicy{
		MachinePolicy: policyOut(p.Rules, names), Name: p.Name, Resource: string(p.Resource), Scope: string(p.Scope),
		ResourceGroup: p.Scope.Segment("resourceGroups"), Labels: p.Labels, Order: p.Order, Reach: p.Reach(),
		Machines: d.Machines, Revision: p.Revision, UpdatedAt: p.UpdatedAt.UTC(),
	}
}

func requestOut(d requests.RequestDetail) api.Request {
	r := d.Request
	out := api.Request{
		ID: string(r.ID), Requester: r.RequesterName, RequesterID: string(r.Requester), Address: addressText(r.Address),
		Items: make([]api.Item, 0, len(r.Items)), Start: instant(r.Start), Justification: r.Justification,
		Ticket: r.Ticket,
		State:  string(r.State), Reason: r.Reason, CreatedAt: r.CreatedAt.UTC(), DecidedAt: instant(r.DecidedAt),
		Digest: r.Digest,
	}
	if r.State == access.RequestPending {
		out.PendingUntil = instant(r.PendingUntil)
	}
	for _, it := range r.Items {
		item := itemOut(it, d.Machines)
		if item.Role != nil {
			item.Role.Application = d.Applications[access.EligibilityID(item.Role.Eligibility)]
		}
		out.Items = append(out.Items, item)
	}
	out.Windows, out.BreakGlass, out.Mine = r.Windows, r.BreakGlass, d.Mine
	out.Extends, out.Moves = string(r.Extends), string(r.Moves)
	for _, x := range d.Decisions {
		out.Decisions = append(out.Decisions, api.Decision{
			Person: x.Name, PersonID: string(x.Person), Approve: x.Approve, Comment: x.Comment, At: x.At.UTC(),
			Approval: x.Case, Stage: x.Stage,
		})
	}
	for _, c := range d.Chains {
		out.Chains = append(out.Chains, chainOut(c))
	}
	for _, p := range d.Progress {
		out.Approvals = append(out.Approvals, approvalOut(p, d.Names))
	}
	for _, g := range d.Grants {
		out.Grants = append(out.Grants, grantOut(engine.GrantDetail{Grant: g, MachineName: d.Machines[g.Place().Machine]}))
	}
	return out
}

func grantOut(d engine.GrantDetail) api.Grant {
	g := d.Grant
	out := granted(g.Target, d.MachineName)
	out.ID, out.Request, out.Principal, out.PrincipalID = string(g.ID), string(g.Request), g.PrincipalName,
		string(g.Principal)
	out.Start, out.End, out.State, out.InPart, out.Reason = g.Start.UTC(), g.End.UTC(), string(g.State), g.InPart(),
		g.Reason
	out.OpenedAt, out.EndedAt, out.ClosedAt = instant(g.OpenedAt), instant(g.EndedAt), instant(g.ClosedAt)
	out.Packets, out.Bytes, out.MovedFrom, out.Since = g.Packets, g.Bytes, string(g.Moved), instant(g.Since)
	return out
}

func roleOut(d rbac.Definition) api.Role {
	out := api.Role{
		ID: string(d.ID), Name: d.Name, Description: d.Description, BuiltIn: d.BuiltIn,
		Permissions:      make([]api.Permission, 0, len(d.Permissions)),
		AssignableScopes: make([]string, 0, len(d.AssignableScopes)),
		Revision:         d.Revision(),
	}
	for _, p := range d.Permissions {
		out.Permissions = append(out.Permissions, api.Permission{
			Actions: append([]string{}, p.Actions...), NotActions: p.NotActions,
			DataActions: p.DataActions, NotDataActions: p.NotDataActions,
		})
	}
	for _, s := range d.AssignableScopes {
		out.AssignableScopes = append(out.AssignableScopes, string(s))
	}
	return out
}

func assignmentOut(d engine.AssignmentDetail) api.RoleAssignment {
	a := d.Assignment
	return api.RoleAssignment{
		ID: string(a.ID), Principal: d.Principal.Name, PrincipalID: string(a.Principal), Role: d.Role.Name,
		RoleID: string(a.Definition), Scope: string(a.Scope), Start: instant(a.Start), End: instant(a.End),
		CreatedAt: a.CreatedAt.UTC(),
	}
}

func eventOut(d records.EventDetail) api.Event {
	e := d.Event
	return api.Event{
		Summary: d.Summary, MachineName: d.Machine, Subscription: d.Subscription, ResourceGroup: d.ResourceGroup,
		Seq: e.Seq, At: e.At.UTC(), Kind: string(e.Kind), Outcome: string(e.Outcome), Actor: e.Actor.Name,
		ActorID: string(e.Actor.ID),
		Address: addressText(e.Actor.Address), Via: e.Actor.Via, Scope: string(e.Scope), Action: e.Action,
		Request: string(e.Request),
		Grant:   string(e.Grant), Machine: string(e.Machine), Agent: string(e.Agent), Details: e.Details,
	}
}
