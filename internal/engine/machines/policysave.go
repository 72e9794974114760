package machines

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// revised gives next as it is to be saved over was, without what it says of machines.
func revised(w *engine.Work, was, next access.Policy) access.Policy {
	if was.ID == "" {
		next.ID = access.PolicyID(engine.NewID())
		next.CreatedAt = w.Now
	}
	next.UpdatedAt = w.Now
	next.Revision = was.Revision + 1
	return next
}

// savePolicy checks and saves the whole of next over the whole of was, and applies it to the grants of every machine of
// which it says something else.
func savePolicy(ctx context.Context, w *engine.Work, was, next access.Policy, by access.Actor) (access.Policy, error) {
	if err := checkPolicy(next); err != nil {
		return next, err
	}
	next = revised(w, was, next)
	next.Machines = slices.Clone(next.Machines)
	changed := map[access.MachineID]bool{}
	for i := range next.Machines {
		entry := &next.Machines[i]
		old, had := was.Of(entry.Machine)
		entry.Trial = old.Trial
		var err error
		if *entry, err = remember(ctx, w, old, had, *entry, by); err != nil {
			return next, err
		}
		entry.Revision = old.Revision
		if !had || !reflect.DeepEqual(old, *entry) {
			if old.Trial != nil {
				return next, onTrial(ctx, w, entry.Machine)
			}
			entry.Revision, changed[entry.Machine] = next.Revision, true
		}
	}
	if err := w.Tx.SavePolicy(ctx, next, was.Revision); err != nil {
		return next, fmt.Errorf("save policy: %w", err)
	}
	details := map[string]string{"name": next.Name, "machines": fmt.Sprint(len(next.Machines))}
	networks := NetworkNames{R: w.Tx, Tenant: next.Tenant}
	for _, entry := range next.Machines {
		if !changed[entry.Machine] {
			continue
		}
		m, err := w.Machine(ctx, entry.Machine)
		if err != nil {
			return next, err
		}
		if err := networks.MayConfigure(ctx, m); err != nil {
			return next, err
		}
		old, _ := was.Of(entry.Machine)
		if err := enterPolicy(ctx, w, &networks, m, old, entry, by, details); err != nil {
			return next, err
		}
	}
	removed := 0
	for _, entry := range was.Machines {
		if _, still := next.Of(entry.Machine); !still {
			m, err := w.Machine(ctx, entry.Machine)
			if err != nil {
				return next, err
			}
			details[fmt.Sprintf("removed.%d", removed)] = engine.NameOf(m, entry.Machine)
			removed++
			if err := unguard(ctx, w, entry, by); err != nil {
				return next, err
			}
		}
	}
	w.Event(access.Event{
		Kind: access.PolicyWritten, Actor: by, Tenant: next.Tenant, Scope: next.Resource,
		Action: rbac.PoliciesWrite, Details: details,
	})
	return next, nil
}

// enterPolicy applies what a policy says of a machine by now, and describes it in details where it is new.
func enterPolicy(ctx context.Context, w *engine.Work, networks *NetworkNames, m access.Machine,
	old, entry access.MachinePolicy, by access.Actor, details map[string]string,
) error {
	if err := networks.check(ctx, entry); err != nil {
		return err
	}
	if text := describeEntry(entry); old.Revision == 0 || text != describeEntry(old) {
		details["machine."+engine.NameOf(m, entry.Machine)] = text
	}
	guards, err := networks.Guards(ctx, m)
	if err != nil {
		return err
	}
	return applyPolicies(ctx, w, guards, m, by, "the policy was changed")
}

// saveEntry saves what a policy, which may be new, says of one machine; the machines beside it are not looked at. It
// gives the policy with that entry alone.
func saveEntry(ctx context.Context, w *engine.Work, was access.Policy, entry access.MachinePolicy, m access.Machine,
	by access.Actor,
) (access.Policy, error) {
	next := revised(w, was, was)
	old, had := was.Of(m.ID)
	entry, err := remember(ctx, w, old, had, entry, by)
	if err != nil {
		return next, err
	}
	entry.Revision = next.Revision
	next.Machines = []access.MachinePolicy{entry}
	if err := w.Tx.SavePolicyEntry(ctx, next, was.Revision, entry); err != nil {
		return next, fmt.Errorf("save policy: %w", err)
	}
	details := map[string]string{"name": next.Name}
	if t := entry.Trial; t != nil {
		details["confirmWithin"] = t.Until.Sub(t.Began).String()
	}
	if err := enterPolicy(ctx, w, &NetworkNames{R: w.Tx, Tenant: next.Tenant}, m, old, entry, by, details); err != nil {
		return next, err
	}
	w.Event(access.Event{
		Kind: access.PolicyWritten, Actor: by, Tenant: next.Tenant, Scope: next.Resource, Machine: m.ID,
		Action: rbac.PoliciesWrite, Details: details,
	})
	return next, nil
}

// remember gives an entry with who loosened what the policies say of its machine, now or lately: also over a time at
// which none of them named it, and where policies of scopes held for its ports before. Those that hold for ports that
// the entry leaves to them remember it, too.
func remember(ctx context.Context, w *engine.Work, old access.MachinePolicy, had bool, entry access.MachinePolicy,
	by access.Actor,
) (access.MachinePolicy, error) {
	m, err := w.Machine(ctx, entry.Machine)
	if err != nil {
		return entry, err
	}
	own := func(p access.MachinePolicy) access.Policy {
		return access.Policy{ID: its, Machines: []access.MachinePolicy{p}}
	}
	guards := engine.Guards{R: w.Tx}
	before, how := access.Policy{}, []string(nil)
	if had {
		before, how = own(old), policy.Loosened(old, entry)
	}
	was, err := guards.With(ctx, m, before)
	if err != nil {
		return entry, err
	}
	is, err := guards.With(ctx, m, own(entry))
	if err != nil {
		return entry, err
	}
	if !had {
		former, err := w.Tx.FormerEntry(ctx, entry.Machine)
		switch {
		case err == nil:
			old, how = former, policy.Loosened(former, entry)
		case !engine.IsKind(err, access.KindNotFound):
			return entry, fmt.Errorf("read former entry: %w", err)
		}
		for _, p := range was {
			old.Loosened = append(slices.Clip(old.Loosened), p.Machines[0].Loosened...)
		}
	}
	easier := policy.Easier(was, is)
	how = append(how, easier[its]...)
	delete(easier, its)
	if err := rememberEasier(ctx, w, is, easier, m, by.ID); err != nil {
		return entry, err
	}
	return entry.Remember(old, by.ID, how, w.Now), nil
}

// its stands for the policy that names a machine, where what guards that before and after a change is compared.
const its = access.PolicyID("its own")

// rememberEasier remembers in policies of scopes who let them hold for ports of a machine that stricter ones held
// before.
func rememberEasier(ctx context.Context, w *engine.Work, is []access.Policy, easier map[access.PolicyID][]string,
	m access.Machine, by access.PrincipalID,
) error {
	for _, p := range is {
		if how := easier[p.ID]; len(how) > 0 && p.Reach != "" {
			if err := rememberScope(ctx, w, p.Resource, by, append([]string{"for " + m.Name}, how...)); err != nil {
				return err
			}
		}
	}
	return nil
}

// applyPolicies gives the enforcement point of a machine a new state, and revokes the grants that what guards the
// machine by now would not allow.
func applyPolicies(ctx context.Context, w *engine.Work, guards []access.Policy, m access.Machine, by access.Actor,
	reason string,
) error {
	if m.Agent != "" {
		w.Bumps[m.Agent] = true
	}
	return w.RevokeOn(ctx, m, by, reason, true, func(g access.Grant) (string, bool) {
		entry, guarded := rulingOf(guards, g.Target).Of(m.ID)
		if !guarded {
			return unguarded, true
		}
		why := outside(entry, m.Name, g)
		return why, why != ""
	})
}

// unguard applies that no policy names a machine any more; one of a scope may still guard it. Where that allows more
// than what was said of the machine alone, it remembers who let it.
func unguard(ctx context.Context, w *engine.Work, was access.MachinePolicy, by access.Actor) error {
	m, err := w.Machine(ctx, was.Machine)
	if err != nil || m.ID == "" || m.ID == w.Leaving {
		return err
	}
	networks := NetworkNames{R: w.Tx, Tenant: m.Tenant, guards: engine.Guards{R: w.Tx}}
	before, err := networks.guards.With(ctx, m, access.Policy{ID: its, Machines: []access.MachinePolicy{was}})
	if err != nil {
		return err
	}
	guards, err := networks.guards.With(ctx, m, access.Policy{})
	if err != nil {
		return err
	}
	if err := rememberEasier(ctx, w, guards, policy.Easier(before, guards), m, by.ID); err != nil {
		return err
	}
	if was.Trial != nil {
		if err := w.Tx.DeleteTrial(ctx, m.ID); err != nil {
			return fmt.Errorf("delete trial: %w", err)
		}
	}
	if err := networks.resolve(ctx, guards); err != nil {
		return err
	}
	return applyPolicies(ctx, w, guards, m, by, unguarded)
}

// dropPolicyEntry takes a machine out of the policy that names it, if any does; a policy that then names none is
// deleted.
func dropPolicyEntry(ctx context.Context, w *engine.Work, m access.Machine, by access.Actor) error {
	was, err := w.Tx.GuardOf(ctx, m.ID)
	switch {
	case engine.IsKind(err, access.KindNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("read policy: %w", err)
	}
	some, err := w.Tx.PolicyEntries(ctx, was.ID, 2)
	switch {
	case err != nil:
		return fmt.Errorf("read policy: %w", err)
	case len(some) == 1:
		return deletePolicy(ctx, w, was, by)
	}
	return dropEntries(ctx, w, was, by)
}

// dropEntries takes the machines that are given with a policy out of it; it names more.
func dropEntries(ctx context.Context, w *engine.Work, was access.Policy, by access.Actor) error {
	next := revised(w, was, was)
	details := map[string]string{"name": next.Name}
	var machines []access.MachineID
	for i, entry := range was.Machines {
		m, err := w.Machine(ctx, entry.Machine)
		if err != nil {
			return err
		}
		machines = append(machines, entry.Machine)
		details[fmt.Sprintf("removed.%d", i)] = engine.NameOf(m, entry.Machine)
	}
	if err := w.Tx.DeletePolicyEntries(ctx, next, was.Revision, machines); err != nil {
		return fmt.Errorf("save policy: %w", err)
	}
	for _, entry := range was.Machines {
		if err := unguard(ctx, w, entry, by); err != nil {
			return err
		}
	}
	w.Event(access.Event{
		Kind: access.PolicyWritten, Actor: by, Tenant: next.Tenant, Scope: next.Resource,
		Action: rbac.PoliciesWrite, Details: details,
	})
	return nil
}

// deletePolicy deletes a policy that names no machines but those that are given with it.
func deletePolicy(ctx context.Context, w *engine.Work, was access.Policy, by access.Actor) error {
	if err := w.Tx.DeletePolicy(ctx, was.ID, was.Revision); err != nil {
		return fmt.Errorf("delete policy: %w", err)
	}
	for _, entry := range was.Machines {
		if err := unguard(ctx, w, entry, by); err != nil {
			return err
		}
	}
	w.Event(access.Event{
		Kind: access.PolicyDeleted, Actor: by, Tenant: was.Tenant, Scope: was.Resource, Action: rbac.PoliciesDelete,
		Details: map[string]string{"name": was.Name},
	})
	return nil
}

func checkPolicy(p access.Policy) error {
	var reasons []access.Reason
	if len(p.Machines) > maxPolicyMachines {
		reasons = append(reasons, tooManyMachines(fmt.Sprint(len(p.Machines))))
	}
	seen := map[access.MachineID]bool{}
	for i, entry := range p.Machines {
		field := fmt.Sprintf("machines[%d]", i)
		if seen[entry.Machine] {
			reasons = append(reasons,
				access.Reason{Code: "machineTwice", Field: field, Message: "the policy names this machine twice"})
		}
		seen[entry.Machine] = true
		for _, r := range policy.Validate(entry) {
			r.Field = strings.TrimSuffix(field+"."+r.Field, ".")
			reasons = append(reasons, r)
		}
	}
	return malformedPolicy(reasons)
}

// tooManyMachines is why a policy is not written as a whole. Set one by one, it may name any number of machines.
func tooManyMachines(named string) access.Reason {
	return access.Reason{
		Code: "tooManyMachines", Field: "machines",
		Message: fmt.Sprintf("the policy names %s machines; %d are allowed where it is written as a whole: set what "+
			"guards each machine instead",
			named, maxPolicyMachines),
	}
}

func malformedPolicy(reasons []access.Reason) error {
	if len(reasons) == 0 {
		return nil
	}
	refusal := access.Fault(access.KindInvalid, "malformedPolicy",
		"the policy is not valid: nothing was changed")
	refusal.Reasons = reasons
	return refusal
}

// outside says why a grant is not one that the entry would allow; empty where it would.
func outside(entry access.MachinePolicy, name string, g access.Grant) string {
	item := access.Item{Target: g.Target, Duration: max(g.End.Sub(g.From()), access.MinDuration)}
	verdict := policy.Evaluate(policy.Input{
		Items: []policy.Item{{Item: item, Name: name, Policy: &entry}},
	}, g.From())
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
	if p.Gap > 0 {
		fmt.Fprintf(&b, "; windows less than %s apart are one", p.Gap)
	}
	b.WriteString(engine.DescribeRules(p))
	return b.String()
}
