package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) userClaimsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "claims USER",
		Short: "Show what an identity provider reported about a user",
		Long: `Show what an identity provider reported about a user at the last sign-in: each claim, its value, and its source.
Group memberships that the provider does not report stay unchanged.`,
		Example: "  postern user claims anna",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			list, err := api.All(cl.ExternalIdentities(c.Context(), args[0]))
			if err != nil {
				return err
			}
			if a.output == "json" || a.output == "yaml" {
				return printList(a, list, nil, "")
			}
			var claims []api.ClaimRead
			for _, e := range list {
				a.say("%s is %s at %s; last sign-in: %s", args[0], e.Subject, e.Issuer, a.style().timeIf(e.SignedInAt))
				claims = append(claims, e.Claims...)
			}
			return printList(a, claims, claimColumns(), args[0]+" has never signed in by an identity provider.")
		}),
	}
}

func claimColumns() []column[api.ClaimRead] {
	return []column[api.ClaimRead]{
		{"FOR", func(_ style, c api.ClaimRead) string { return c.Use }},
		{"CLAIM", func(_ style, c api.ClaimRead) string { return c.Claim }},
		{"FROM", func(_ style, c api.ClaimRead) string { return c.From }},
		{"VALUE", func(_ style, c api.ClaimRead) string {
			if c.Problem != "" {
				return "(" + c.Problem + ")"
			}
			return strings.Join(c.Values, ", ")
		}},
	}
}
