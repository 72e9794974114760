package hosts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// ConfirmMachinePolicy has what is tried on a machine stand. It takes a call over a connection that was accepted after
// the machine's agent said that the guard is in force: such a call has found its way past the guard.
func (e *Service) ConfirmMachinePolicy(ctx context.Context, c engine.Caller, machine string) error {
	return e.settleTrial(ctx, c, machine, func(w *engine.Work, m access.Machine, u access.Undo, by access.Actor) error {
		if err := confirmable(m, u, c.ConnectedAt, w.Now); err != nil {
			return err
		}
		return machines.ConfirmTrial(ctx, w, m, by)
	})
}

// UndoMachinePolicy takes back what is tried on a machine, before its time is over.
func (e *Service) UndoMachinePolicy(ctx context.Context, c engine.Caller, machine string) error {
	return e.settleTrial(ctx, c, machine, func(w *engine.Work, m access.Machine, u access.Undo, by access.Actor) error {
		return machines.UndoTrial(ctx, w, m, u, by, "it was taken back before its time was over")
	})
}

// settleTrial has end settle what is tried on a machine, by whoever may set what guards it.
func (e *Service) settleTrial(ctx context.Context, c engine.Caller, machine string,
	end func(*engine.Work, access.Machine, access.Undo, access.Actor) error,
) error {
	return e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.PoliciesWrite, Details: map[string]string{"machine": machine}},
		func(tx engine.Tx, may engine.Rights) error {
			m, err := engine.FindMachine(ctx, tx, may, machine, rbac.PoliciesWrite)
			if err != nil {
				return err
			}
			if err := may.Require(rbac.MachinesWrite, m.Resource); err != nil {
				return err
			}
			was, err := tx.GuardOf(ctx, m.ID)
			switch {
			case engine.IsKind(err, access.KindNotFound):
			case err != nil:
				return fmt.Errorf("read policy: %w", err)
			default:
				if err := may.Require(rbac.PoliciesWrite, was.Resource); err != nil {
					return err
				}
			}
			u, err := tx.TrialOf(ctx, m.ID)
			if engine.IsKind(err, access.KindNotFound) {
				return access.Fault(access.KindConflict, "policyNotOnTrial",
					"nothing waits to be confirmed on machine %q: it was confirmed, or it is undone already", m.Name)
			}
			if err != nil {
				return fmt.Errorf("read trial: %w", err)
			}
			w := e.kernel.NewWork(tx, may.Now)
			w.Machines[m.ID] = m
			if err := end(w, m, u, may.Actor(m.Tenant)); err != nil {
				return err
			}
			return w.Finish(ctx)
		})
}

// OldConnection refuses a confirmation that came over a connection which the guard may not have been asked about.
const OldConnection = "oldConnection"

// confirmable refuses a confirmation that proves nothing.
func confirmable(m access.Machine, u access.Undo, connected, now time.Time) error {
	switch {
	case !now.Before(u.Until):
		return access.Fault(access.KindConflict, "trialOver",
			"the time in which the policy of machine %q could be confirmed is over, and it is undone: set it again", m.Name)
	case u.InForce.IsZero():
		return access.Fault(access.KindConflict, "guardNotInForce",
			"the agent of machine %q has not said yet that the guard is in force: confirm it in a moment", m.Name)
	case !connected.After(u.InForce):
		return access.Fault(access.KindConflict, OldConnection,
			"this call came over a connection that was made before the guard took effect, and so it does not prove that "+
				"you still get in: call again over a new one")
	}
	return nil
}

// unconfirmed is why a trial ends by itself.
const unconfirmed = "nobody confirmed it in time"

// EndTrials ends those trials that nobody confirmed in time, each in a transaction of its own, and returns when the
// next one is over; zero where there is none. An agent has ended its own by then: this puts it on record.
func (e *Service) EndTrials(ctx context.Context) (next time.Time, err error) {
	var due []access.Undo
	now := e.kernel.Now()
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		due, next, err = r.DueTrials(ctx, now, engine.ActChunk)
		return err
	})
	if err != nil {
		return next, fmt.Errorf("read trials that are over: %w", err)
	}
	if len(due) == engine.ActChunk {
		next = now
	}
	var failed []error
	for _, u := range due {
		failed = append(failed, e.kernel.Update(ctx,
			func(tx engine.Tx) error { return e.endTrial(ctx, tx, u.Machine, u.Trial) }))
	}
	return next, errors.Join(failed...)
}

// endTrial undoes a trial of a machine, if it is still that one.
func (e *Service) endTrial(ctx context.Context, tx engine.Tx, machine access.MachineID, trial string) error {
	w := e.kernel.NewWork(tx, e.kernel.Now())
	u, err := tx.TrialOf(ctx, machine)
	if engine.IsKind(err, access.KindNotFound) || err == nil && u.Trial != trial {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read trial: %w", err)
	}
	m, err := w.Machine(ctx, machine)
	if err != nil {
		return err
	}
	if m.ID == "" {
		return tx.DeleteTrial(ctx, machine)
	}
	if err := machines.UndoTrial(ctx, w, m, u, access.System(), unconfirmed); err != nil {
		return err
	}
	return w.Finish(ctx)
}

// maxTrials is of how many trials one message of an agent may speak.
const maxTrials = 1000

// Find takes in what an agent found on its host. Of trials on machines of other agents, and of those that are over, it
// takes no notice.
func (e *Service) Find(ctx context.Context, agent access.AgentID, f access.Findings) error {
	if len(f.Trials) > maxTrials {
		return access.Fault(access.KindInvalid, "findingsTooLong", "the findings speak of more than %d trials", maxTrials)
	}
	err := e.kernel.Update(ctx, func(tx engine.Tx) error {
		a, err := tx.Agent(ctx, agent)
		if err != nil {
			return fmt.Errorf("read agent: %w", err)
		}
		if refusal := machines.Known(a); refusal != nil {
			return refusal
		}
		if err := tx.SaveFound(ctx, access.Found{Agent: a.ID, Version: f.Version, At: e.kernel.Now()}); err != nil {
			return fmt.Errorf("save findings: %w", err)
		}
		if len(f.Trials) == 0 {
			return nil
		}
		return e.trialsSeen(ctx, tx, a, f.Trials)
	})
	if err == nil {
		e.kernel.Poke()
	}
	return err
}

// trialsSeen takes in what an agent says of the trials on its machines.
func (e *Service) trialsSeen(ctx context.Context, tx engine.Tx, a access.Agent, seen []access.TrialSeen) error {
	scenes, err := tx.Scenes(ctx, []access.AgentID{a.ID})
	if err != nil {
		return fmt.Errorf("read the scene of an agent: %w", err)
	}
	for _, entry := range scenes[a.ID].Policies {
		i := slices.IndexFunc(seen, func(s access.TrialSeen) bool { return entry.Trial != nil && s.Trial == entry.Trial.ID })
		if i < 0 {
			continue
		}
		if seen[i].Undone {
			if err := e.endTrial(ctx, tx, entry.Machine, entry.Trial.ID); err != nil {
				return err
			}
			continue
		}
		u, err := tx.TrialOf(ctx, entry.Machine)
		if err != nil {
			return fmt.Errorf("read trial: %w", err)
		}
		if !u.InForce.IsZero() {
			continue // it connects anew for other reasons, too
		}
		u.InForce = e.kernel.Now()
		if err := tx.SaveTrial(ctx, u); err != nil {
			return fmt.Errorf("save trial: %w", err)
		}
	}
	return nil
}
