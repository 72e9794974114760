package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) machineRevokeGatewayCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "revoke-gateway AGENT",
		Short: "Revoke a gateway that no machine is behind",
		Long: `Revoke a gateway, given by name or id: its certificate becomes invalid at once. While machines are behind it, nothing
would guard them: the command is refused and lists them. Delete them first, or replace the gateway instead by enrolling
another with a token of "postern machine token --gateway NAME", which takes the machines along. The command asks for
confirmation; --yes confirms in advance.`,
		Example: "  postern machine revoke-gateway edge-1",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			if err := a.confirm(yes, fmt.Sprintf("Revoking the gateway %s:", args[0]),
				"  - makes its certificate invalid at once; it comes back with a new enrollment token alone"); err != nil {
				return err
			}
			if err := cl.RevokeGateway(c.Context(), args[0]); err != nil {
				return err
			}
			a.say("The gateway %s is revoked.", args[0])
			return nil
		}),
	}
	yesFlag(c, &yes)
	return c
}
