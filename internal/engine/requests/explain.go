package requests

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// Question asks what would happen to a request for one port of one machine.
type Question struct {
	Person        string // name or id; empty: the caller
	Machine       string // name, id or resource id
	Ports         access.PortRange
	Protocol      access.Protocol
	Sources       []netip.Prefix
	Networks      []string      // names of networks; where both are empty: the caller's own address
	Duration      time.Duration // 0: one hour
	At            time.Time     // when it would be asked; zero: now
	Start         time.Time     // for when; zero: at once
	Justification string        // empty: one that fits is assumed
	Ticket        string        // empty: one that fits is assumed
}

// ExplainOutcome is what would become of a request.
type ExplainOutcome string

// The outcomes of an explanation.
const (
	ExplainAutomatic ExplainOutcome = "automatic"
	ExplainApproval  ExplainOutcome = "approval"
	ExplainRefused   ExplainOutcome = "refused"
)

// ExplainStep is one step of an explanation.
type ExplainStep struct {
	Step string
	OK   bool
	Text string
}

// Explanation is every step that a request would go through, and what they come to.
type Explanation struct {
	Outcome   ExplainOutcome
	Steps     []ExplainStep
	Reasons   []access.Reason
	Chain     *Chain        // how long it would be open with what there is beside it; nil where that is not known
	Cases     []access.Case // under which it would fall; none where the rule has none
	Names     map[access.PrincipalID]string
	Approvers []string // names of who may decide in some stage; at most maxDeciders

	unnamed bool // the caller is not told whom the policy names
}

func (x *Explanation) step(ok bool, step, format string, args ...any) {
	x.Steps = append(x.Steps, ExplainStep{Step: step, OK: ok, Text: fmt.Sprintf(format, args...)})
	if !ok {
		x.Outcome = ExplainRefused
	}
}

// Explain tells what would happen to a request, without making it. Whoever may read the machine's policy may ask, about
// themselves, and about others where they may read principals.
func (e *Service) Explain(ctx context.Context, c engine.Caller, q Question) (x Explanation, err error) {
	err = e.kernel.Look(ctx, c,
		engine.Attempt{Action: rbac.PoliciesRead, Details: map[string]string{"machine": q.Machine, "person": q.Person}},
		func(r engine.Reader, may engine.Rights) error {
			x = Explanation{Outcome: ExplainAutomatic, Names: map[access.PrincipalID]string{}}
			m, err := engine.FindMachine(ctx, r, may, q.Machine, rbac.PoliciesRead)
			if err != nil {
				return err
			}
			person := access.Principal{ID: c.Principal, Name: c.Name}
			if q.Person != "" && !directory.IsSelf(may, q.Person) {
				if err := may.Require(rbac.PrincipalsRead, access.Root); err != nil {
					return err
				}
				if person, err = directory.FindPrincipal(ctx, r, c.Tenant, q.Person); err != nil {
					return err
				}
			}
			return e.explain(ctx, r, may, q, m, person, &x)
		})
	return x, err
}

func (e *Service) explain(ctx context.Context, r engine.Reader, may engine.Rights, q Question, m access.Machine,
	person access.Principal, x *Explanation,
) error {
	now := may.Now
	if !q.At.IsZero() {
		now = q.At
	}
	x.step(m.Agent != "", "machine", "%s is %s", m.Name, m.Resource)
	if m.Agent == "" {
		x.Steps[0].Text += ", and no agent guards it"
		x.Reasons = append(x.Reasons, access.Reason{Code: "noAgent", Message: x.Steps[0].Text})
	}
	check := may.Dir.Check(person.ID, rbac.PoliciesInitiate, m.Resource, now)
	if check.Allowed {
		x.step(true, "authorization", "%s may ask: %s", person.Name, check.Reason)
	} else {
		x.step(false, "authorization", "%s may not ask for access here: %s", person.Name, check.Reason)
		x.Reasons = append(x.Reasons, access.Reason{Code: "forbidden", Message: check.Reason})
	}
	// of whoever wrote the policies, which the caller may be a guest of
	theirs := machines.NetworkNames{R: r, Tenant: m.Tenant}
	guards, err := theirs.Guards(ctx, m)
	if err != nil {
		return err
	}
	disabled, err := theirs.Disabled(ctx, m)
	if err != nil {
		return err
	}
	if disabled != "" {
		x.step(false, "machine", "access to %s cannot be requested: %s", m.Name, disabled)
		x.Reasons = append(x.Reasons, access.Reason{Code: policy.Disabled, Message: disabled})
	}
	p := access.Ruling(guards, q.Ports, q.Protocol)
	entry, guarded := p.Of(m.ID)
	if !guarded {
		x.step(false, "limits", "no policy guards %s", m.Name)
		x.Reasons = append(x.Reasons,
			access.Reason{Code: "machineNotConfigured", Message: "no policy guards " + m.Name})
		return nil
	}
	x.ruling(m, p, guards)
	networks := machines.NetworkNames{R: r, Tenant: may.Caller.Tenant}
	port := access.PortTarget{Machine: m.ID, Ports: q.Ports, Protocol: q.Protocol}
	if port.Sources, err = networks.Prefixes(ctx, q.Sources, q.Networks); err != nil {
		return err
	}
	if len(port.Sources) == 0 && may.Caller.Address.IsValid() {
		port.Sources = []netip.Prefix{access.SingleAddress(may.Caller.Address)}
	}
	item := access.Item{Target: port, Duration: cmp.Or(q.Duration, time.Hour)}
	if q.Justification == "" {
		entry.Justification = access.JustificationRule{}
	}
	if q.Ticket == "" {
		entry.Ticket = access.TicketRule{}
	}
	verdict := policy.Evaluate(policy.Input{
		Items: []policy.Item{{Item: item, Name: m.Name, Policy: &entry}}, Start: q.Start,
		Justification: q.Justification, Ticket: q.Ticket,
	}, now)
	for _, reason := range verdict.Refusals {
		x.step(false, "limits", "%s", reason.Message)
	}
	if x.Reasons = append(x.Reasons, verdict.Refusals...); len(verdict.Refusals) > 0 {
		return nil
	}
	x.step(true, "limits", "port %s for %s lies within policy %s, which allows %s at the most", q.Ports,
		engine.Span(item.Duration), p.Name, engine.Span(verdict.Items[0].Longest))
	if entry.Ticket.Checked {
		x.step(true, "limits", "the ticket would be checked by the ticket webhook, which is not asked here")
	}
	a := ask{
		tenant: m.Tenant, requester: person.ID, requesterName: person.Name, justification: q.Justification,
		ticket: q.Ticket, start: q.Start,
		items:   kept(verdict),
		entries: []*access.MachinePolicy{&entry}, machines: []access.Machine{m},
		longest: []time.Duration{verdict.Items[0].Longest},
	}
	if may.Caller.Address.IsValid() {
		a.address = may.Caller.Address.String()
	}
	if a.chains, err = chains(ctx, r, a, now); err != nil {
		return err
	}
	a.trim(now)
	x.chain(a.chains[0], person.Name)
	x.unnamed = !may.ReadsRules(p)
	found, err := e.choose(ctx, r, may, a, now)
	if err != nil {
		return err
	}
	return x.approvals(ctx, r, may, person, entry, found)
}

// ruling explains which of several policies applies to the ports, and why.
func (x *Explanation) ruling(m access.Machine, p access.Policy, guards []access.Policy) {
	by := "it names " + m.Name
	if p.Reach != "" {
		by = "it reaches " + m.Name + " by " + p.Reach
	}
	var others []string
	for _, g := range guards {
		if g.ID != p.ID {
			others = append(others, g.Name)
		}
	}
	switch {
	case len(others) > 0:
		x.step(true, "policy", "policy %s applies to the port: %s (other ports: %s)", p.Name, by,
			strings.Join(others, ", "))
	case p.Reach != "":
		x.step(true, "policy", "policy %s applies to the port: %s", p.Name, by)
	}
}

// chain explains what counts together with the request.
func (x *Explanation) chain(c Chain, who string) {
	x.Chain = &c
	switch {
	case c.Beyond():
		x.step(true, "chain",
			"with what %s has of it less than %s before or after, it would be open for %s without a break; more "+
				"than %s is approved by people alone",
			who, engine.Span(c.Gap), engine.Span(c.Length()), engine.Span(c.Longest))
	case c.Joined():
		x.step(true, "chain",
			"with what %s has of it less than %s before or after, it would be open for %s without a break, which is "+
				"what the rule is asked about",
			who, engine.Span(c.Gap), engine.Span(c.Length()))
	}
}

// approvals explains the cases that apply, their stages and who decides.
func (x *Explanation) approvals(ctx context.Context, r engine.Reader, may engine.Rights, person access.Principal,
	entry access.MachinePolicy, found chosen,
) error {
	for _, reason := range found.refusals {
		x.step(false, "case", "%s", reason.Message)
	}
	x.Reasons = append(x.Reasons, found.refusals...)
	if entry.Approval.Automatic() && len(found.refusals) > 0 {
		return nil
	}
	if entry.Approval.Automatic() {
		x.step(true, "case", "the policy has no approval rule: requests inside its limits are approved at once")
		return nil
	}
	var deciders []access.PrincipalID
	for _, c := range found.cases[0] {
		number := slices.IndexFunc(entry.Approval.Cases,
			func(other access.Case) bool { return reflect.DeepEqual(other, c) }) + 1
		if x.unnamed {
			c = engine.UnnamedCase(c)
		}
		x.Cases = append(x.Cases, c)
		x.step(true, "case", "case %d applies%s", number, named(c.Name))
		who, err := x.stages(ctx, r, may, person, c)
		if err != nil {
			return err
		}
		deciders = append(deciders, who...)
	}
	slices.Sort(deciders)
	deciders = slices.Compact(deciders)
	names, err := engine.NamesOf(ctx, r, may, deciders[:min(len(deciders), maxDeciders)])
	if err != nil {
		return err
	}
	for _, name := range names {
		x.Approvers = append(x.Approvers, name)
	}
	slices.SortFunc(x.Approvers, strings.Compare)
	return nil
}

// stages explains what one case asks for, and gives who may decide in it.
func (x *Explanation) stages(ctx context.Context, r engine.Reader, may engine.Rights, person access.Principal,
	c access.Case,
) ([]access.PrincipalID, error) {
	if c.StepUp {
		x.step(true, "step-up", "asking and deciding need a fresh sign-in with a passkey")
	}
	if len(c.Stages) == 0 {
		x.step(true, "stage", "it has no stages: it approves at once")
		return nil, nil
	}
	if x.Outcome != ExplainRefused {
		x.Outcome = ExplainApproval
	}
	var deciders []access.PrincipalID
	for i, s := range c.Stages {
		wanted, err := describeStage(ctx, r, may, s)
		if err != nil {
			return nil, err
		}
		who := policy.Deciders(s, person.ID, engine.People{Dir: may.Dir})
		deciders = append(deciders, who...)
		text := fmt.Sprintf("stage %d wants %s; %d people may decide", i+1, wanted, len(who))
		if x.unnamed {
			text = fmt.Sprintf("stage %d wants %s", i+1, wanted)
		}
		if s.Timeout > 0 {
			text += fmt.Sprintf("; after %s the next stage decides in its place", engine.Span(s.Timeout))
		}
		x.step(true, "stage", "%s", text)
		names, err := engine.NamesOf(ctx, r, may, engine.NamedIn(s))
		if err != nil {
			return nil, err
		}
		maps.Copy(x.Names, names)
	}
	return deciders, nil
}

func named(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf(" (%q)", name)
}
