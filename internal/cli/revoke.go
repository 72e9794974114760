package cli

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) revokeCommand() *cobra.Command {
	var reason, principal string
	var everybody, later, yes bool
	c := &cobra.Command{
		Use:   "revoke GRANT|REQUEST|MACHINE | --principal PERSON",
		Short: "Revoke open access",
		Long: `Revoke open access: one grant, everything that a request opened, or everything that you opened on a machine, and
with --everybody other people's access there as well. Established connections are cut if the policy says so. GRANT
and REQUEST are ids or their last characters as shown in lists.

Scheduled access of a request or on a machine is kept unless --scheduled cancels it too. With --scheduled,
--everybody or --principal, the command first lists what will end and asks for confirmation; --yes confirms in
advance.`,
		Example: `  postern revoke 7f3a9c12
  postern revoke web-1 --reason "done early"
  postern revoke web-1 --scheduled --reason "the migration is over"
  postern revoke web-1 --everybody --reason "incident 12" --yes
  postern revoke --principal ann --reason "left the team" --yes`,
		Args: takes(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if (principal != "") == (len(args) == 1) {
				return usage(c, "revoke what? Name a grant, a request or a machine, or a person with --principal")
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			if principal != "" {
				return a.revokePrincipal(c, cl, principal, reason, yes)
			}
			grants, single, err := a.revocable(c.Context(), cl, args[0], everybody)
			if err != nil {
				return err
			}
			var stay []api.Grant
			if !single && !later {
				stay = slices.DeleteFunc(slices.Clone(grants), func(g api.Grant) bool { return !isScheduled(g) })
				grants = slices.DeleteFunc(grants, isScheduled)
			}
			if len(grants) > 0 && (everybody || later) {
				if err := a.confirm(yes,
					append([]string{"Revoking for " + args[0] + ":"}, a.ends(grants)...)...); err != nil {
					return err
				}
			}
			if err := a.revokeEach(c.Context(), cl, grants, reason); err != nil {
				return err
			}
			if len(stay) > 0 {
				next := byStart(stay)[0]
				a.say("%s: the next one is %s. Cancel them too with: postern revoke %s --scheduled", stays(len(stay)),
					a.window(next), args[0])
			}
			return nil
		},
	}
	c.SuggestFor = []string{"close", "end", "stop"}
	f := c.Flags()
	f.StringVar(&reason, "reason", "", "reason, for the activity log")
	f.StringVar(&principal, "principal", "",
		"all access of this person or service principal, including scheduled access and pending requests")
	f.BoolVar(&everybody, "everybody", false, "on a machine: include other people's access")
	f.BoolVar(&later, "scheduled", false, "include scheduled access")
	yesFlag(c, &yes)
	return c
}

func stays(n int) string {
	if n == 1 {
		return "1 scheduled window stays"
	}
	return count(n, "scheduled window") + " stay"
}

// revokeEach revokes one grant after the other, and goes on past one that cannot be.
func (a *app) revokeEach(ctx context.Context, cl *api.Client, grants []api.Grant, reason string) error {
	var done []api.Grant
	var failures []error
	for _, g := range grants {
		g, err := cl.Revoke(ctx, g.ID, reason)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		done = append(done, g)
	}
	if len(done) > 0 || len(failures) == 0 {
		if err := a.printEnded(ctx, cl, done); err != nil {
			return err
		}
	}
	if len(failures) > 1 {
		a.say("%s could not be revoked; the first one says:", count(len(failures), "grant"))
	}
	if len(failures) > 0 {
		return failures[0]
	}
	return nil
}

// printEnded lists grants that were just ended, once their agents had a moment to say that they are closed, and says so
// of those that were not seen closed.
func (a *app) printEnded(ctx context.Context, cl *api.Client, grants []api.Grant) error {
	open := 0
	enough := a.now().Add(2 * time.Second)
	for i, g := range grants {
		for unseen(g) && a.now().Before(enough) {
			if err := rest(ctx, true); err != nil {
				return err
			}
			again, err := cl.Grant(ctx, g.ID, 0)
			if err != nil {
				break // who may end it may not always read it
			}
			g = again
		}
		if grants[i] = g; unseen(g) {
			open++
		}
	}
	if err := printList(a, grants, grantColumns(), "There was nothing to revoke."); err != nil {
		return err
	}
	if open > 0 {
		a.say("%s may still be open: no agent has seen %s closed yet. See: postern insight not-closed",
			count(open, "grant"), itOrThem(open))
	}
	return nil
}

func itOrThem(n int) string {
	if n == 1 {
		return "it"
	}
	return "them"
}

// revokePrincipal ends everything that one principal holds.
func (a *app) revokePrincipal(c *cobra.Command, cl *api.Client, principal, reason string, yes bool) error {
	lines, err := a.personEnds(c.Context(), cl, "Revoking all access of "+principal+":", principal)
	if err != nil {
		return err
	}
	if err := a.confirm(yes, lines...); err != nil {
		return err
	}
	ended, err := cl.RevokePrincipal(c.Context(), principal, reason)
	if err != nil {
		return err
	}
	if ended.More {
		defer a.say("There are more. Agents are closing all of it now, and each grant is marked as ended within " +
			"seconds.")
	}
	return a.printEnded(c.Context(), cl, ended.Items)
}

// meaning is something that an argument of revoke may stand for.
type meaning struct {
	what, id string
	grants   func() ([]api.Grant, error)
}

// revocable finds the live grants that ref stands for: a machine's, a request's, or a single one. Where it may stand
// for more than one thing, nothing is guessed; only a whole id is what it is, whatever a machine is called.
func (a *app) revocable(ctx context.Context, cl *api.Client, ref string,
	everybody bool,
) (grants []api.Grant, single bool, err error) {
	var found []meaning
	m, err := cl.Machine(ctx, ref)
	switch {
	case err == nil:
		found = append(found, meaning{"machine", m.ID, func() ([]api.Grant, error) {
			q := api.GrantQuery{States: live(), Machine: m.ID, Principal: "me"}
			if everybody {
				q.Principal = ""
			}
			return api.All(cl.Grants(ctx, q))
		}})
	case !missing(err):
		return nil, false, err
	}
	if len(found) == 0 || likeID(ref) {
		others, err := meanings(ctx, cl, ref)
		if err != nil {
			return nil, false, err
		}
		found = append(others, found...)
	}
	if exact := slices.IndexFunc(found, func(x meaning) bool { return x.id == ref }); exact >= 0 {
		found = found[exact : exact+1]
	}
	switch len(found) {
	case 0:
		return nil, false, fail(exitNotFound, "See: postern grant list", "there is no machine, grant or request %q",
			ref)
	case 1:
		grants, err = found[0].grants()
		return grants, found[0].what == "grant", err
	}
	texts := make([]string, len(found))
	for i, x := range found {
		texts[i] = "the " + x.what + " " + x.id
	}
	return nil, false, fail(exitConflict, "Use the whole id of what you mean.", "%q may be %s", ref,
		strings.Join(texts, " or "))
}

// meanings are the grant and the request that ref may stand for.
func meanings(ctx context.Context, cl *api.Client, ref string) (found []meaning, err error) {
	g, err := findGrant(ctx, cl, ref)
	switch {
	case err == nil:
		found = append(found, meaning{"grant", g.ID, func() ([]api.Grant, error) { return []api.Grant{g}, nil }})
	case !missing(err):
		return nil, err
	}
	r, err := findRequest(ctx, cl, ref)
	if missing(err) {
		return found, nil
	}
	return append(found, meaning{"request", r.ID, func() (grants []api.Grant, err error) {
		if r.State == "pending" {
			return nil, fail(exitConflict, "Cancel it with: postern request cancel "+ref,
				"the request is still pending, so nothing is open")
		}
		for _, g := range r.Grants {
			if g.EndedAt == nil {
				grants = append(grants, g)
			}
		}
		return grants, nil
	}}), err
}

// likeID reports whether ref may be an id or the end of one.
func likeID(ref string) bool {
	return len(ref) >= 4 && strings.Trim(strings.ToLower(ref), "0123456789abcdef-") == ""
}

// missing tells whether err says that there is no such thing, or that it is no id at all.
func missing(err error) bool {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p.Status == http.StatusNotFound || p.Status == http.StatusForbidden ||
			p.Status == http.StatusBadRequest ||
			p.Status == http.StatusUnprocessableEntity
	}
	return err != nil && exitCode(err) == exitNotFound
}
