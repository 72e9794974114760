package cli

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) appRefreshCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "refresh APP",
		Short: "Accept the current version of the definition",
		Long: `Accept the current version of the definition: the publisher gets the roles that it names now. Until you do, changes
to the definition do not affect you. The command first lists what changes and asks for confirmation; --yes confirms in
advance. If the publisher changes the definition in between, nothing is accepted.`,
		Example: "  postern app definition show vendor/shop\n  postern app refresh shop",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			v, err := cl.Application(c.Context(), args[0])
			if err != nil {
				return err
			}
			d, err := cl.ApplicationDefinition(c.Context(), v.Definition)
			if problem, ok := errors.AsType[*api.Problem](err); ok && problem.Status == http.StatusNotFound {
				return fail(exitConflict, "The application keeps the terms of version "+v.Version+".",
					"the definition of %s is withdrawn, or not offered to you any more", v.Name)
			}
			if err != nil {
				return err
			}
			if err := a.confirm(yes, updates(v, d)...); err != nil {
				return err
			}
			if v, err = cl.RefreshApplication(c.Context(), v.ID, d.Digest); err != nil {
				return err
			}
			return printItem(a, v, applicationDetail())
		}),
	}
	yesFlag(c, &yes)
	return c
}

// updates says what changes for an application when its customer accepts a definition.
func updates(v api.Application, d api.ApplicationDefinition) []string {
	lines := []string{fmt.Sprintf("Accepting version %s of %s by %s, instead of %s:", d.Version, d.Name, d.Publisher,
		v.Version)}
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf("  - "+format, args...)) }
	now := rolesOf(d.Unmanaged, d.Authorizations, v.Settings.JIT, d.JIT)
	was := rolesOf(v.Unmanaged, v.Authorizations, v.Settings.JIT, v.JIT)
	for _, role := range now {
		if !slices.Contains(was, role) {
			say("gives %s", role.text)
		}
	}
	for _, role := range was {
		if !slices.Contains(now, role) {
			say("removes %s", role.text)
		}
	}
	differ := func(what, was, now string) {
		if was != now {
			say("changes %s from %s to %s", what, was, now)
		}
	}
	named := func(actions []string) string {
		if len(actions) == 0 {
			return "none"
		}
		return strings.Join(actions, ", ")
	}
	differ("the lock on the managed resource group", v.LockLevel, d.LockLevel)
	differ("the actions that the lock allows", named(v.AllowedActions), named(d.AllowedActions))
	differ("the data actions that the lock allows", named(v.AllowedDataActions), named(d.AllowedDataActions))
	differ("just-in-time access", offerText(v.JIT), offerText(d.JIT))
	if len(lines) == 1 {
		say("changes no role and no lock")
	}
	return lines
}

// heldRole is a role of a publisher in words, and who has it.
type heldRole struct{ holder, text string }

// rolesOf gives each role that a publisher has, with how it has it.
func rolesOf(unmanaged bool, given []api.ApplicationAuthorization, jit bool, offer api.ApplicationOffer) []heldRole {
	if unmanaged {
		return nil
	}
	var held []heldRole
	for _, one := range given {
		how := "PERMANENTLY"
		if jit {
			most := offer.MaxSeconds
			if one.MaxSeconds > 0 && (most == 0 || one.MaxSeconds < most) {
				most = one.MaxSeconds
			}
			how = "to activate, as your settings allow"
			if most > 0 {
				how += ", for at most " + seconds(most)
			}
		}
		held = append(held, heldRole{
			holder: one.PrincipalID,
			text:   fmt.Sprintf("%s for the %s %s, %s", one.Role, one.Kind, one.Principal, how),
		})
	}
	return held
}
