package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

// trialLength reads for how long a change of the policy of one machine is tried; empty is not at all.
func trialLength(text string, machines []string) (time.Duration, error) {
	switch {
	case text == "":
		return 0, nil
	case len(machines) > 1:
		return 0, errors.New("each machine is confirmed by itself; name one")
	}
	d, err := parseDuration(text)
	if err == nil && (d < access.MinTrial || d > access.MaxTrial) {
		err = fmt.Errorf("%s is not from %s to %s", text, shortDuration(access.MinTrial), shortDuration(access.MaxTrial))
	}
	return d, err
}

// sayTrial says that a policy waits to be confirmed, if it does.
func (a *app) sayTrial(view api.MachinePolicyView) {
	if view.Trial == nil {
		return
	}
	back := "it will not be guarded by a policy of its own"
	if view.Trial.HadPolicy {
		back = "its former policy will hold again"
	}
	a.say("The policy of %s is on trial until %s. Unless it is confirmed by then, %s. "+
		"To confirm: postern policy confirm %s", view.Machine, a.style().time(view.Trial.Until), back, view.Machine)
}

func (a *app) policyConfirmCommand() *cobra.Command {
	const patience = 30 * time.Second
	return &cobra.Command{
		Use:   "confirm MACHINE",
		Short: "Confirm a machine's policy that is on trial",
		Long: `Confirm a policy that was set with --confirm-within, so that it stands. The confirmation proves that you still reach
the server, and the server the machine's agent, past the guard: it counts only over a connection that was made after the
agent had said, over a new connection of its own, that the guard is in force. The command waits for that for up to 30
seconds.`,
		Example: "  postern policy confirm web-1",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			var err error
			for began := a.now(); ; {
				err = cl.ConfirmMachinePolicy(c.Context(), args[0])
				problem, _ := errors.AsType[*api.Problem](err)
				if problem == nil || problem.Code != "guardNotInForce" && problem.Code != "oldConnection" ||
					a.now().Sub(began) > patience {
					break
				}
				select {
				case <-c.Context().Done():
					return c.Context().Err()
				case <-time.After(time.Second):
				}
			}
			if err != nil {
				return err
			}
			a.say("The policy of %s stands.", args[0])
			return nil
		}),
	}
}

func (a *app) policyUndoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "undo MACHINE",
		Short: "Undo a change of a machine's policy that is on trial",
		Long: `Undo a policy that was set with --confirm-within, before its time is over. What guarded the machine before guards
it again; grants outside of that are revoked.`,
		Example: "  postern policy undo web-1",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			if err := cl.UndoMachinePolicy(c.Context(), args[0]); err != nil {
				return err
			}
			a.say("The change of the policy of %s is undone.", args[0])
			return nil
		}),
	}
}
