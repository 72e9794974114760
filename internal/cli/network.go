package cli

import (
	"context"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) networkCommand() *cobra.Command {
	return group("network", "Manage named networks",
		"Named networks can be used wherever a policy or a request takes a prefix.",
		a.networkSetCommand(), a.listing(a.networkListCommand()), a.networkDeleteCommand())
}

func networkColumns() []column[api.Network] {
	return []column[api.Network]{
		{"NAME", func(_ style, n api.Network) string { return n.Name }},
		{"PREFIXES", func(s style, n api.Network) string { return s.list(n.Prefixes) }},
		{"CHANGED", func(s style, n api.Network) string { return s.time(n.UpdatedAt) }},
	}
}

func (a *app) networkSetCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "set NETWORK PREFIX…",
		Short: "Create a named network, or replace its prefixes",
		Long: `Create a named network, or replace its prefixes. A request resolves the name when it is submitted. A policy always
allows what its networks contain now: when a network shrinks, access from outside it ends. If policies name the network,
the command first says what follows and asks for confirmation; --yes confirms in advance.`,
		Example: "  postern network set office 203.0.113.0/24 2001:db8::/48\n  postern policy set web-1 --port 22 " +
			"--from office --max 3h\n  postern network set office 203.0.113.0/25 --yes",
		Args: takes(2, -1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			lines, seen, err := a.networkEnds(c.Context(), cl, args[0], args[1:])
			if err != nil {
				return err
			}
			if err := a.agree(yes, lines); err != nil {
				return err
			}
			n, err := cl.SetNetwork(c.Context(), args[0], api.NetworkInput{Prefixes: args[1:]}, seen)
			if err != nil {
				return err
			}
			return printList(a, []api.Network{n}, networkColumns(), "")
		}),
	}
	yesFlag(c, &yes)
	return c
}

func (a *app) networkListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the named networks",
		Long:    "List the named networks by name.",
		Example: "  postern network list",
		Args:    takes(0, 0),
		RunE: list(a, networkColumns(),
			"There are no named networks. Create one with: postern network set NETWORK PREFIX…",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.Network, error] {
				return cl.Networks(ctx)
			}),
	}
}

func (a *app) networkDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "delete NETWORK",
		Short: "Delete an unused named network",
		Long: "Delete a named network. A network named in a policy cannot be deleted; the error lists where it " +
			"is used.",
		Example: "  postern network delete office",
		Args:    takes(1, 1),
		RunE: a.done(func(ctx context.Context, cl *api.Client, args []string) (string, error) {
			return fmt.Sprintf("The network %s is deleted.", args[0]), cl.DeleteNetwork(ctx, args[0])
		}),
	}
}
