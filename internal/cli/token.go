package cli

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) tokenCommand() *cobra.Command {
	return group("token", "Manage your API tokens",
		"API tokens let your programs do what you may do, within the token's restrictions, until it expires.",
		a.tokenCreateCommand(), a.listing(a.tokenListCommand()), a.tokenRevokeCommand())
}

func (a *app) tokenCreateCommand() *cobra.Command {
	in := api.NewAPIToken{}
	var length, machine string
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Create an API token and print it once",
		Long: `Create an API token and print it once. It is valid for 90 days, or as set with --for, up to a year. --scope or
--machine restrict it to a scope and below, and --action to certain actions; it can never exceed your own
permissions. Pass it to a program as POSTERN_TOKEN, or in the header Authorization: Bearer.`,
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
			if err := atMachine(c.Context(), cl, machine, &in.Scope); err != nil {
				return err
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
	f.StringVar(&length, "for", "", "validity (default 90d)")
	f.StringVar(&in.Scope, "scope", "", "restrict the token to this resource id and below (default everywhere)")
	f.StringVar(&machine, "machine", "", "restrict the token to this machine")
	f.StringSliceVar(&in.Actions, "action", nil,
		"restrict the token to this action or pattern of actions; may be repeated (default all)")
	return c
}

func (a *app) tokenListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List your API tokens",
		Long:    "List your API tokens that have not expired. The tokens themselves are never shown again.",
		Example: "  postern token list",
		Args:    takes(0, 0),
		RunE: list(a, []column[api.APIToken]{
			{"NAME", func(_ style, t api.APIToken) string { return t.Name }},
			{"EXPIRES", func(s style, t api.APIToken) string { return s.time(t.ExpiresAt) }},
			{"SCOPE", func(s style, t api.APIToken) string { return shortScope(s, t.Scope) }},
			{"ACTIONS", func(s style, t api.APIToken) string { return s.list(t.Actions) }},
			{"ID", func(s style, t api.APIToken) string { return s.id(t.ID) }},
		}, "You have no API tokens.",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.APIToken, error] {
				return cl.APITokens(ctx)
			}),
	}
}

func (a *app) tokenRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke NAME",
		Short:   "Revoke one of your API tokens",
		Long:    "Revoke one of your API tokens at once. NAME is its name or whole id.",
		Example: "  postern token revoke nightly-report",
		Args:    takes(1, 1),
		RunE: a.done(func(ctx context.Context, cl *api.Client, args []string) (string, error) {
			return fmt.Sprintf("The token %s is revoked.", args[0]), cl.RevokeAPIToken(ctx, args[0])
		}),
	}
}
