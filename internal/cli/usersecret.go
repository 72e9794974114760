package cli

import (
	"bufio"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) userPasswordCommand() *cobra.Command {
	var passwordFile string
	c := &cobra.Command{
		Use:   "password USER",
		Short: "Reset a user's password",
		Long: `Reset a user's password and end their sessions. Without --password-file, Postern generates a one-time password and
prints it once; it only works for choosing a new one. To change your own password, use postern login
--new-password-file.`,
		Example: "  postern user password anna",
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			var in api.PasswordReset
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
			reset, err := cl.ResetPassword(c.Context(), args[0], in)
			if err != nil {
				return err
			}
			if reset.Password == "" && a.forPeople() {
				a.say("%s has the new password and is signed out everywhere.", args[0])
				return nil
			}
			return printItem(a, reset, []column[api.PasswordWasReset]{
				{"One-time password", func(_ style, p api.PasswordWasReset) string { return p.Password }},
			})
		},
	}
	c.Flags().StringVar(&passwordFile, "password-file", "",
		"file whose first line is the password; - is standard input")
	return c
}

func (a *app) userPasskeysCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "passkeys USER",
		Short:   "List a user's passkeys",
		Long:    "List a user's passkeys, oldest first.",
		Example: "  postern user passkeys anna",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			keys, err := api.All(cl.PasskeysOf(c.Context(), args[0]))
			if err != nil {
				return err
			}
			return printList(a, keys, passkeyColumns(), args[0]+" has no passkeys.")
		}),
	}
}

func (a *app) userForgetPasskeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "forget-passkey USER ID",
		Short: "Delete a passkey that a user has lost",
		Long: `Delete a passkey that a user has lost. ID is shown by postern user passkeys. Delete your own passkeys with postern
passkey delete.`,
		Example: "  postern user forget-passkey anna nB3k0yq1",
		Args:    takes(2, 2),
		RunE: a.done(func(ctx context.Context, cl *api.Client, args []string) (string, error) {
			return fmt.Sprintf("The passkey of %s is deleted.", args[0]), cl.DeletePasskeyOf(ctx, args[0], args[1])
		}),
	}
}
