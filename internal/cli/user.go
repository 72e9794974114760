package cli

import (
	"bufio"
	"context"
	"iter"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) userCommand() *cobra.Command {
	return group("user", "Manage users", "Manage the people who sign in.",
		a.userCreateCommand(), a.listing(a.userListCommand()), a.userDisableCommand(true), a.userDisableCommand(false),
		a.userPasswordCommand(), a.listing(a.userPasskeysCommand()), a.userForgetPasskeyCommand(),
		a.listing(a.userClaimsCommand()))
}

func principalColumns() []column[api.Principal] {
	return []column[api.Principal]{
		{"NAME", func(_ style, p api.Principal) string { return p.Name }},
		{"KIND", func(_ style, p api.Principal) string { return p.Kind }},
		{"DISPLAY NAME", func(_ style, p api.Principal) string { return p.DisplayName }},
		{"EMAIL", func(_ style, p api.Principal) string { return p.Email }},
		{"STATE", func(_ style, p api.Principal) string {
			if p.Disabled {
				return "disabled"
			}
			return "enabled"
		}},
		{"ID", func(s style, p api.Principal) string { return s.id(p.ID) }},
	}
}

func (a *app) userCreateCommand() *cobra.Command {
	in := api.NewPrincipal{Kind: "user"}
	var passwordFile string
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a user with a one-time password",
		Long: `Create a user. Without --password-file, Postern generates a one-time password and prints it once; it only works for
choosing a new one. A new user has no permissions: assign a role with postern role assign.`,
		Example: `  postern user create anna --display-name "Anna Berg" --email anna@example.org
  postern role assign "JIT Access Requester" --to anna`,
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			in.Name = args[0]
			if passwordFile != "" {
				var err error
				if in.Password, err = a.password(c, bufio.NewReader(a.in), "", passwordFile,
					"--password-file"); err != nil {
					return err
				}
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			created, err := cl.CreatePrincipal(c.Context(), in)
			if err != nil {
				return err
			}
			return printItem(a, created, []column[api.CreatedPrincipal]{
				{"Name", func(_ style, p api.CreatedPrincipal) string { return p.Principal.Name }},
				{"Id", func(_ style, p api.CreatedPrincipal) string { return p.Principal.ID }},
				{"One-time password", func(_ style, p api.CreatedPrincipal) string { return p.Password }},
			})
		},
	}
	f := c.Flags()
	f.StringVar(&in.DisplayName, "display-name", "", "display name")
	f.StringVar(&in.Email, "email", "", "email address for notifications")
	f.StringVar(&passwordFile, "password-file", "", "file whose first line is the password; - is standard input")
	return c
}

func (a *app) userListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List users",
		Long:    "List users by name.",
		Example: "  postern user list -o csv",
		Args:    takes(0, 0),
		RunE: list(a, principalColumns(), "There are no users.",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.Principal, error] {
				return cl.Principals(ctx, api.PrincipalQuery{Kind: "user"})
			}),
	}
}

func (a *app) userDisableCommand(disable bool) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "disable USER",
		Short: "Disable a user and end their sessions",
		Long: `Disable a user and end their sessions. Their permissions are suspended until they are enabled again, and their open
and scheduled access ends. The command first lists what will end and asks for confirmation; --yes confirms in
advance.`,
		Example: "  postern user disable anna\n  postern user disable anna --yes",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			if disable {
				lines, err := a.personEnds(c.Context(), cl, "Disabling "+args[0]+":", args[0])
				if err != nil {
					return err
				}
				if err := a.confirm(yes, append(lines, "  - signs them out everywhere")...); err != nil {
					return err
				}
			}
			p, err := cl.ChangePrincipal(c.Context(), args[0], api.PrincipalChange{Disabled: &disable})
			if err != nil {
				return err
			}
			return printList(a, []api.Principal{p}, principalColumns(), "")
		}),
	}
	if !disable {
		c.Use, c.Short, c.Example = "enable USER", "Enable a disabled user", "  postern user enable anna"
		c.Long = "Enable a disabled user. Their permissions apply as before."
		return c
	}
	yesFlag(c, &yes)
	return c
}
