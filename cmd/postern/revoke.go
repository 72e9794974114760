package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) revokeCommand() *cobra.Command {
	var reason string
	var everybody bool
	var principal string
	c := &cobra.Command{
		Use:   "revoke GRANT|REQUEST|MACHINE | --principal PERSON",
		Short: "Close what is open, now",
		Long: `Close what is open, now: one grant, everything that a request opened, or everything that you opened on a machine, and
with --everybody what others opened there too. Established connections are cut where the policy says so. GRANT and
REQUEST are ids, or their last characters as lists show them.`,
		Example: `  postern revoke 7f3a9c12
  postern revoke web-1 --reason "done early"
  postern revoke web-1 --everybody --reason "incident 12"
  postern revoke --principal ann --reason "left the team"`,
		Args:              takes(0, 1),
		ValidArgsFunction: a.machines,
		RunE: func(c *cobra.Command, args []string) error {
			if (principal != "") == (len(args) == 1) {
				return usage(c, "what shall be closed? Name a grant, a request or a machine, or a person with --principal")
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			if principal != "" {
				ended, err := cl.RevokePrincipal(c.Context(), principal, reason)
				if err != nil {
					return err
				}
				return printList(a, ended, grantColumns(), "Nothing was open.")
			}
			grants, err := a.revocable(c.Context(), cl, args[0], everybody)
			if err != nil {
				return err
			}
			var done []api.Grant
			var failures []error
			for _, g := range grants {
				g, err := cl.Revoke(c.Context(), g.ID, reason)
				if err != nil {
					failures = append(failures, err)
					continue
				}
				done = append(done, g)
			}
			if len(done) > 0 || len(failures) == 0 {
				if err := printList(a, done, grantColumns(), "Nothing was open."); err != nil {
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
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the activity log")
	c.Flags().StringVar(&principal, "principal", "", "everything that this person or program holds, and its pending requests")
	c.Flags().BoolVar(&everybody, "everybody", false, "on a machine: what others opened too")
	return c
}

// revocable finds the live grants that ref stands for: a machine's, a request's, or one.
func (a *app) revocable(ctx context.Context, cl *api.Client, ref string, everybody bool) ([]api.Grant, error) {
	if m, err := cl.Machine(ctx, ref); err == nil {
		q := api.GrantQuery{States: live(), Machine: m.ID, Principal: "me"}
		if everybody {
			q.Principal = ""
		}
		return api.All(cl.Grants(ctx, q))
	} else if !missing(err) {
		return nil, err
	}
	g, err := findGrant(ctx, cl, ref)
	if err == nil {
		return []api.Grant{g}, nil
	}
	if !missing(err) {
		return nil, err
	}
	r, err := findRequest(ctx, cl, ref)
	if missing(err) {
		return nil, fail(exitNotFound, "See: postern grant list", "there is no machine, grant or request %q", ref)
	}
	if err != nil {
		return nil, err
	}
	if r.State == "pending" {
		return nil, fail(exitConflict, "Take it back with: postern request cancel "+ref, "the request is still pending, so nothing is open")
	}
	var open []api.Grant
	for _, g := range r.Grants {
		if g.EndedAt == nil {
			open = append(open, g)
		}
	}
	return open, nil
}

// missing tells whether err says that there is no such thing, or that it is no id at all.
func missing(err error) bool {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p.Status == http.StatusNotFound || p.Status == http.StatusForbidden || p.Status == http.StatusBadRequest || p.Status == http.StatusUnprocessableEntity
	}
	return err != nil && exitCode(err) == exitNotFound
}
