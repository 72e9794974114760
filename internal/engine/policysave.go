package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// savePolicy checks and saves next over was, and applies it to the grants of every machine that either names.
func (w *work) savePolicy(ctx context.Context, was, next access.Policy, by access.Actor) (access.Policy, error) {
	if err := checkPolicy(next); err != nil {
		return next, err
	}
	if was.ID == "" {
		next.ID = access.PolicyID(newID())
		next.CreatedAt = w.now
	}
	next.UpdatedAt = w.now
	next.Revision = was.Revision + 1
	if err := w.tx.SavePolicy(ctx, next, was.Revision); err != nil {
		return next, fmt.Errorf("save policy: %w", err)
	}
	details := map[string]string{"name": next.Name, "machines": fmt.Sprint(len(next.Machines))}
	networks := networkNames{r: w.tx, tenant: next.Tenant}
	for _, entry := range next.Machines {
		m, err := w.machine(ctx, entry.Machine)
		if err != nil {
			return next, err
		}
		if err := networks.check(ctx, entry); err != nil {
			return next, err
		}
		inForce, err := networks.entry(ctx, entry)
		if err != nil {
			return next, err
		}
		old, had := was.Of(entry.Machine)
		if text := describeEntry(entry); !had || text != describeEntry(old) {
			details["machine."+nameOf(m, entry.Machine)] = text
		}
		err = w.applyPolicy(ctx, m, by, "the policy was changed", true, func(g access.Grant) (string, bool) {
			why := outside(inForce, m.Name, g)
			return why, why != ""
		})
		if err != nil {
			return next, err
		}
	}
	for _, entry := range was.Machines {
		if _, still := next.Of(entry.Machine); !still {
			if err := w.unguard(ctx, entry.Machine, by); err != nil {
				return next, err
			}
		}
	}
	w.event(access.Event{Kind: access.PolicyWritten, Actor: by, Tenant: next.Tenant, Scope: next.Resource, Action: rbac.PoliciesWrite, Details: details})
	return next, nil
}

// applyPolicy gives the enforcement point of a machine a new state, and revokes the grants that outside has a reason for.
func (w *work) applyPolicy(ctx context.Context, m access.Machine, by access.Actor, reason string, judged bool, outside func(access.Grant) (string, bool)) error {
	if m.Agent != "" {
		w.bumps[m.Agent] = true
	}
	return w.revokeOn(ctx, m, by, reason, judged, outside)
}

// unguard applies that no policy names a machine any more.
func (w *work) unguard(ctx context.Context, id access.MachineID, by access.Actor) error {
	m, err := w.machine(ctx, id)
	if err != nil || m.ID == "" {
		return err
	}
	return w.applyPolicy(ctx, m, by, unguarded, false, func(access.Grant) (string, bool) { return unguarded, true })
}

// dropPolicyEntry takes a machine out of the policy that names it, if any does; a policy that then names none is deleted.
func (w *work) dropPolicyEntry(ctx context.Context, m access.Machine, by access.Actor) error {
	was, err := w.tx.PolicyOfMachine(ctx, m.ID)
	switch {
	case isKind(err, access.KindNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("read policy: %w", err)
	case len(was.Machines) == 1:
		return w.deletePolicy(ctx, was, by)
	}
	next := was
	next.Machines = slices.DeleteFunc(slices.Clone(was.Machines), func(p access.MachinePolicy) bool { return p.Machine == m.ID })
	_, err = w.savePolicy(ctx, was, next, by)
	return err
}

func (w *work) deletePolicy(ctx context.Context, was access.Policy, by access.Actor) error {
	if err := w.tx.DeletePolicy(ctx, was.ID, was.Revision); err != nil {
		return fmt.Errorf("delete policy: %w", err)
	}
	for _, entry := range was.Machines {
		if err := w.unguard(ctx, entry.Machine, by); err != nil {
			return err
		}
	}
	w.event(access.Event{
		Kind: access.PolicyDeleted, Actor: by, Tenant: was.Tenant, Scope: was.Resource, Action: rbac.PoliciesDelete,
		Details: map[string]string{"name": was.Name},
	})
	return nil
}

func checkPolicy(p access.Policy) error {
	var reasons []access.Reason
	if len(p.Machines) > maxPolicyMachines {
		reasons = append(reasons, access.Reason{
			Code: "tooManyMachines", Field: "machines",
			Message: fmt.Sprintf("the policy names %d machines; %d are allowed", len(p.Machines), maxPolicyMachines),
		})
	}
	seen := map[access.MachineID]bool{}
	for i, entry := range p.Machines {
		field := fmt.Sprintf("machines[%d]", i)
		if seen[entry.Machine] {
			reasons = append(reasons, access.Reason{Code: "machineTwice", Field: field, Message: "the policy names this machine twice"})
		}
		seen[entry.Machine] = true
		for _, r := range policy.Validate(entry) {
			r.Field = strings.TrimSuffix(field+"."+r.Field, ".")
			reasons = append(reasons, r)
		}
	}
	return malformedPolicy(reasons)
}

func malformedPolicy(reasons []access.Reason) error {
	if len(reasons) == 0 {
		return nil
	}
	refusal := access.Fault(access.KindInvalid, "malformedPolicy", "the policy cannot be taken as it is: nothing was changed")
	refusal.Reasons = reasons
	return refusal
}

// outside says why a grant is not one that the entry would allow; empty where it would.
func outside(entry access.MachinePolicy, name string, g access.Grant) string {
	verdict := policy.Evaluate(policy.Input{Items: []policy.Item{{
		Machine: g.Machine, Name: name, Policy: &entry, Ports: g.Ports, Protocol: g.Protocol,
		Sources: g.Sources, Duration: max(g.End.Sub(g.Start), access.MinDuration),
	}}}, g.Start)
	for _, r := range verdict.Refusals {
		if strings.HasPrefix(r.Field, "items[") { // a justification that is required now was not when it was given
			return "the policy was changed: " + r.Message
		}
	}
	return ""
}

// describeEntry gives what a policy says of a machine as an event records it.
func describeEntry(p access.MachinePolicy) string {
	var b strings.Builder
	for _, rule := range p.Ports {
		fmt.Fprintf(&b, "%s/%s", rule.Ports, rule.Protocol)
		var sources []string
		for _, source := range rule.Sources {
			sources = append(sources, source.String())
		}
		if sources = append(sources, rule.Networks...); len(sources) > 0 {
			b.WriteString(" from " + strings.Join(sources, ","))
		}
		fmt.Fprintf(&b, " max %s; ", rule.Max)
	}
	fmt.Fprintf(&b, "sessions %s", p.Sessions)
	if p.WhenServerIsLost > 0 {
		fmt.Fprintf(&b, "; closes %s after the server is lost", p.WhenServerIsLost)
	}
	if p.Justification.Required {
		fmt.Fprintf(&b, "; justification of %d characters", p.Justification.MinLength)
	}
	if p.PendingTimeout > 0 {
		fmt.Fprintf(&b, "; waits %s", p.PendingTimeout.Truncate(time.Second))
	}
	b.WriteString(describeRules(p))
	return b.String()
}
