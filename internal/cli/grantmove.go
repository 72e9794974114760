package cli

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) moveCommand() *cobra.Command {
	var in api.Move
	var wait bool
	var waitFor string
	c := &cobra.Command{
		Use:   "move GRANT|REQUEST|MACHINE [--from me|PREFIX]…",
		Short: "Move open access to another address",
		Long: `Move access that is open for you to another address, such as the one that you have now: one grant, everything
that a request opened, or everything that you opened on a machine. It closes for the old address as it opens for the
new one, and ends when it would have ended. Established connections from the old address are cut if the policy says so.

The new address needs the policy's approval like a new request: if that is automatic, access moves at once; otherwise
it stays at the old address until someone approves.`,
		Example: `  postern move web-1
  postern move 7f3a9c12 --from 198.51.100.9 --reason "working from the train"
  postern move web-1 --from office --wait`,
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			patience, err := parseDuration(waitFor)
			if err != nil {
				return usage(c, "--wait-timeout: %s", err)
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			grants, single, err := a.revocable(c.Context(), cl, args[0], false)
			if err != nil {
				return err
			}
			if !single {
				grants = slices.DeleteFunc(grants, func(g api.Grant) bool { return isScheduled(g) || g.Role != nil })
			}
			if len(grants) == 0 {
				return fail(exitNotFound, "Request access with: postern request MACHINE --port PORT --reason TEXT",
					"nothing is open for you on %s", args[0])
			}
			moved, err := moveEach(c.Context(), cl, grants, in, single)
			for i := range moved {
				for _, warning := range moved[i].Warnings {
					a.say("Warning: %s.", warning)
				}
				if wait && err == nil {
					moved[i], err = a.waitOpen(c.Context(), cl, moved[i], patience)
				}
			}
			return errors.Join(a.printMoved(c.Context(), cl, moved, wait && err == nil), err)
		},
	}
	c.SuggestFor = []string{"relocate", "roam"}
	f := c.Flags()
	f.StringSliceVar(&in.Sources, "from", nil,
		"address, prefix or named network to move to; me is your address as the server sees it (default me)")
	f.StringVar(&in.Justification, "reason", "", "reason (default that of the original request)")
	f.StringVar(&in.Ticket, "ticket", "", "ticket reference (default that of the original request)")
	f.BoolVar(&wait, "wait", false, "wait until everything is open at the new address; exit code 7 on timeout")
	f.StringVar(&waitFor, "wait-timeout", (2 * time.Minute).String(), "timeout for --wait")
	return c
}

// moveEach moves one grant after the other, up to the first that cannot be. Of several, those stay as they are that are
// open from there already.
func moveEach(ctx context.Context, cl *api.Client, grants []api.Grant, in api.Move,
	single bool,
) (moved []api.Request, err error) {
	var there error
	for _, g := range openSorted(grants) {
		r, err := cl.Move(ctx, g.ID, in, "")
		problem, refused := errors.AsType[*api.Problem](err)
		switch {
		case err == nil:
			moved = append(moved, r)
		case !single && refused && problem.Code == "sameSources":
			there = err
		default:
			return moved, err
		}
	}
	if len(moved) == 0 {
		return nil, there
	}
	return moved, nil
}

// printMoved prints what came of moves: what is open where the caller waited for it, or else the requests.
func (a *app) printMoved(ctx context.Context, cl *api.Client, moved []api.Request, open bool) error {
	switch {
	case len(moved) == 0:
		return nil
	case open && a.forPeople():
		for _, r := range moved {
			if err := a.printOpen(ctx, cl, r); err != nil {
				return err
			}
		}
		return nil
	case len(moved) == 1:
		return a.printRequest(moved[0])
	}
	return printList(a, moved, requestColumns(), "")
}
