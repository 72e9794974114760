package machines

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// tryEntry returns the trial of what a policy is to say of a machine, and keeps what was says of it, to be given back;
// nil where within is 0. Nobody changes an entry that waits to be confirmed: what would an end of the trial give back?
func tryEntry(ctx context.Context, w *engine.Work, m access.Machine, was access.Policy, within time.Duration,
	by access.PrincipalID,
) (*access.Trial, error) {
	old, had := was.Of(m.ID)
	if old.Trial != nil {
		return nil, onTrial(ctx, w, m.ID)
	}
	if within == 0 {
		return nil, nil //nolint:nilnil // no trial is an answer
	}
	if err := mayTry(ctx, w, m); err != nil {
		return nil, err
	}
	t, undo, err := access.NewTrial(engine.NewID(), m.ID, old, had, within, w.Now)
	if err != nil {
		return nil, err
	}
	t.By = by
	if err := w.Tx.SaveTrial(ctx, undo); err != nil {
		return nil, fmt.Errorf("save trial: %w", err)
	}
	return &t, nil
}

// mayTry refuses a trial that the machine's agent would not end by itself.
func mayTry(ctx context.Context, w *engine.Work, m access.Machine) error {
	if m.Agent == "" {
		return access.Fault(access.KindConflict, "noAgent",
			"no agent guards machine %q, so nothing can be tried on it: enroll one first", m.Name)
	}
	agent, err := w.Tx.Agent(ctx, m.Agent)
	if err != nil {
		return fmt.Errorf("read agent: %w", err)
	}
	found, err := w.Tx.FoundBy(ctx, m.Agent)
	if err != nil && !engine.IsKind(err, access.KindNotFound) {
		return fmt.Errorf("read findings: %w", err)
	}
	if found.Agent == "" || found.Version != agent.Version {
		return access.Fault(access.KindConflict, "agentTooOld",
			"the agent of machine %q has not said that it can take a guard away by itself: start it, upgrade it if it "+
				"is older than this server, or set the policy without a time in which to confirm it",
			m.Name)
	}
	return nil
}

func onTrial(ctx context.Context, w *engine.Work, id access.MachineID) error {
	m, err := w.Machine(ctx, id)
	if err != nil {
		return err
	}
	return access.Fault(access.KindConflict, "policyOnTrial",
		"what guards machine %q waits to be confirmed: confirm it, or undo it, before you change it", m.Name)
}

// ConfirmTrial has the entry of a machine stand. What it says stays the same, and so does its revision.
func ConfirmTrial(ctx context.Context, w *engine.Work, m access.Machine, by access.Actor) error {
	was, err := w.Tx.GuardOf(ctx, m.ID)
	if err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	next := revised(w, was, was)
	next.Machines = slices.Clone(was.Machines)
	next.Machines[0].Trial = nil
	if err := w.Tx.SavePolicyEntry(ctx, next, was.Revision, next.Machines[0]); err != nil {
		return fmt.Errorf("save policy: %w", err)
	}
	if err := w.Tx.DeleteTrial(ctx, m.ID); err != nil {
		return fmt.Errorf("delete trial: %w", err)
	}
	if m.Agent != "" {
		w.Bumps[m.Agent] = true
	}
	w.Event(access.Event{
		Kind: access.PolicyConfirmed, Actor: by, Tenant: m.Tenant, Scope: next.Resource, Machine: m.ID, Agent: m.Agent,
		Action: rbac.PoliciesWrite, Details: map[string]string{"name": next.Name},
	})
	return nil
}

// UndoTrial gives back what was said of a machine before a trial, exactly: no policy names it where none did.
func UndoTrial(ctx context.Context, w *engine.Work, m access.Machine, u access.Undo, by access.Actor,
	why string,
) error {
	was, err := w.Tx.GuardOf(ctx, m.ID)
	switch {
	case engine.IsKind(err, access.KindNotFound):
		return w.Tx.DeleteTrial(ctx, u.Machine)
	case err != nil:
		return fmt.Errorf("read policy: %w", err)
	}
	tried := was.Machines[0]
	if tried.Trial == nil || tried.Trial.ID != u.Trial {
		return w.Tx.DeleteTrial(ctx, u.Machine)
	}
	details := map[string]string{"name": was.Name, "by": string(tried.Trial.By), "reason": why}
	if u.Named {
		former := u.Former
		former.Machine, former.Trial = m.ID, nil
		former.Loosened = tried.Loosened // which remembers more than what was before
		details["machine."+m.Name] = describeEntry(former)
		err = giveBack(ctx, w, was, former, m, by)
	} else {
		err = dropPolicyEntry(ctx, w, m, by)
	}
	if err != nil {
		return err
	}
	w.Event(access.Event{
		Kind: access.PolicyUndone, Actor: by, Tenant: m.Tenant, Scope: was.Resource, Machine: m.ID, Agent: m.Agent,
		Action: rbac.PoliciesWrite, Details: details,
	})
	return nil
}

// giveBack saves what a policy said of a machine before.
func giveBack(ctx context.Context, w *engine.Work, was access.Policy, former access.MachinePolicy, m access.Machine,
	by access.Actor,
) error {
	next := revised(w, was, was)
	former.Revision = next.Revision
	next.Machines = []access.MachinePolicy{former}
	if err := w.Tx.SavePolicyEntry(ctx, next, was.Revision, former); err != nil {
		return fmt.Errorf("save policy: %w", err)
	}
	if err := w.Tx.DeleteTrial(ctx, m.ID); err != nil {
		return fmt.Errorf("delete trial: %w", err)
	}
	guards, err := (&NetworkNames{R: w.Tx, Tenant: next.Tenant}).Guards(ctx, m)
	if err != nil {
		return err
	}
	return applyPolicies(ctx, w, guards, m, by, "the policy before holds again")
}
