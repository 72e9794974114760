package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) tokenCommand() *cobra.Command {
	return group("token", "API tokens for your own programs",
		"API tokens for your own programs. A program that has one may do what you may, within the token's own bounds, until it expires.",
		a.tokenCreateCommand(), a.tokenListCommand(), a.tokenRevokeCommand())
}

func (a *app) tokenCreateCommand() *cobra.Command {
	in := api.NewAPIToken{}
	var length, machine string
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Make an API token and print it this one time",
		Long: `Make an API token and print it this one time. It is good for 90 days, or as long as --for says, a year at the most.
With --scope or --machine it is good there and below alone, and with --action for those actions alone; it never may more
than you. Give it to a program in POSTERN_TOKEN, or as the header Authorization: Bearer.`,
		Example: `  postern token create nightly-report --action "*/read" --for 30d
  postern token create deploy --machine web-1 --action Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action`,
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf(c, "scope", "machine"); err != nil {
				return err
			}
			in.Name = args[0]
			if length != "" {
				d, err := parseDuration(length)
				if err != nil {
					return usage(c, "--for: %s", err)
				}
				in.TTLSeconds = int64(d / time.Second)
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			if machine != "" {
				m, err := cl.Machine(c.Context(), machine)
				if err != nil {
					return err
				}
				in.Scope = m.Resource
			}
			made, err := cl.CreateAPIToken(c.Context(), in)
			if err != nil {
				return err
			}
			return printItem(a, made, []column[api.CreatedAPIToken]{
				{"Name", func(_ style, t api.CreatedAPIToken) string { return t.Name }},
				{"Token", func(_ style, t api.CreatedAPIToken) string { return t.Token }},
				{"Expires", func(s style, t api.CreatedAPIToken) string { return s.time(t.ExpiresAt) }},
				{"Scope", func(_ style, t api.CreatedAPIToken) string { return t.Scope }},
				{"Actions", func(_ style, t api.CreatedAPIToken) string { return strings.Join(t.Actions, " ") }},
			})
		},
	}
	f := c.Flags()
	f.StringVar(&length, "for", "", "how long it is good for (default 90d)")
	f.StringVar(&in.Scope, "scope", "", "resource id: the token is good there and below (default everywhere)")
	f.StringVar(&machine, "machine", "", "the token is good for this machine alone")
	f.StringSliceVar(&in.Actions, "action", nil, "an action, or a pattern of actions, that it is good for; may be repeated (default all)")
	return c
}

func (a *app) tokenListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List your API tokens",
		Long:    "List your API tokens that have not expired. The tokens themselves are never shown again.",
		Example: "  postern token list",
		Args:    takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			tokens, err := api.All(cl.APITokens(c.Context()))
			if err != nil {
				return err
			}
			return printList(a, tokens, []column[api.APIToken]{
				{"NAME", func(_ style, t api.APIToken) string { return t.Name }},
				{"EXPIRES", func(s style, t api.APIToken) string { return s.time(t.ExpiresAt) }},
				{"SCOPE", func(s style, t api.APIToken) string { return shortScope(s, t.Scope) }},
				{"ACTIONS", func(s style, t api.APIToken) string { return s.list(t.Actions) }},
				{"ID", func(s style, t api.APIToken) string { return s.id(t.ID) }},
			}, "You have no API tokens.")
		},
	}
}

func (a *app) tokenRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke NAME",
		Short:   "End one of your API tokens at once",
		Long:    "End one of your API tokens at once. NAME is its name or whole id.",
		Example: "  postern token revoke nightly-report",
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			if err := cl.RevokeAPIToken(c.Context(), args[0]); err != nil {
				return err
			}
			a.say("The token %s is revoked.", args[0])
			return nil
		},
	}
}
