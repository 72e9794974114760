package main

import (
	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) machineTokensCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "tokens",
		Short:   "List tokens that no agent has enrolled with yet",
		Long:    "List tokens that no agent has enrolled with yet and that have not expired. The tokens themselves are never shown again.",
		Example: "  postern machine tokens",
		Args:    takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			tokens, err := api.All(cl.EnrollmentTokens(c.Context()))
			if err != nil {
				return err
			}
			return printList(a, tokens, []column[api.WaitingToken]{
				{"ID", func(_ style, t api.WaitingToken) string { return t.ID }},
				{"NAME", func(_ style, t api.WaitingToken) string { return t.Name }},
				{"MODE", func(_ style, t api.WaitingToken) string { return t.Mode }},
				{"RESOURCE GROUP", func(_ style, t api.WaitingToken) string { return t.ResourceGroup }},
				{"EXPIRES", func(s style, t api.WaitingToken) string { return s.time(t.ExpiresAt) }},
			}, "No token waits for its agent.")
		},
	}
}

func (a *app) machineWithdrawCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "withdraw ID",
		Short:   "Withdraw a token that no agent has enrolled with",
		Long:    "Withdraw a token that no agent has enrolled with. ID is what postern machine tokens shows.",
		Example: "  postern machine withdraw 7c1f09ab44d2e8a0",
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			if err := cl.DeleteEnrollmentToken(c.Context(), args[0]); err != nil {
				return err
			}
			a.say("The token %s is withdrawn.", args[0])
			return nil
		},
	}
}
