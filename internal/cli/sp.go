package cli

import (
	"context"
	"iter"
	"os"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) servicePrincipalCommand() *cobra.Command {
	return group("sp", "Manage service principals",
		`Service principals are programs that sign in. They use Azure clients and authenticate with a secret or a certificate.`,
		a.spCreateCommand(), a.listing(a.spListCommand()), a.spSecretCommand())
}

func createdSecretColumns() []column[api.CreatedSecret] {
	return []column[api.CreatedSecret]{
		{"Client id", func(_ style, s api.CreatedSecret) string { return s.ClientID }},
		{"Tenant", func(_ style, s api.CreatedSecret) string { return s.Tenant }},
		{"Secret", func(_ style, s api.CreatedSecret) string { return s.Text }},
		{"Secret id", func(_ style, s api.CreatedSecret) string { return s.Secret.ID }},
		{"Valid until", func(s style, c api.CreatedSecret) string { return s.time(c.Secret.ExpiresAt) }},
	}
}

// newSecret reads the flags that say what kind of secret it is.
type newSecret struct{ name, certificate, length string }

func (n *newSecret) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&n.certificate, "certificate", "", "file with a certificate, PEM, instead of a secret")
	f.StringVar(&n.length, "for", "", "validity, such as 90d (default 180d)")
}

func (n *newSecret) input(c *cobra.Command) (api.NewSecret, error) {
	in := api.NewSecret{Name: n.name}
	if n.length != "" {
		d, err := parseDuration(n.length)
		if err != nil {
			return in, usage(c, "--for: %s", err)
		}
		in.TTLSeconds = int64(d.Seconds())
	}
	if n.certificate != "" {
		text, err := os.ReadFile(n.certificate)
		if err != nil {
			return in, usage(c, "--certificate: %s", err)
		}
		in.Certificate = string(text)
	}
	return in, nil
}

func (a *app) spCreateCommand() *cobra.Command {
	in := api.NewPrincipal{Kind: "servicePrincipal"}
	var proof newSecret
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a service principal with a secret",
		Long: `Create a service principal with a secret, which is shown only once, or with --certificate. A new service principal
has no permissions: assign it a role with postern role assign.`,
		Example: `  postern sp create deploy
  postern sp create deploy --certificate deploy.pem
  postern role assign "JIT Access Requester" --to deploy`,
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			in.Name = args[0]
			secret, err := proof.input(c)
			if err != nil {
				return err
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			if _, err := cl.CreatePrincipal(c.Context(), in); err != nil {
				return err
			}
			made, err := cl.AddSecret(c.Context(), in.Name, secret)
			if err != nil {
				return err
			}
			return printItem(a, made, createdSecretColumns())
		},
	}
	c.Flags().StringVar(&in.DisplayName, "display-name", "", "display name")
	proof.flags(c)
	return c
}

func (a *app) spListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List service principals",
		Long:    "List service principals by name.",
		Example: "  postern sp list -o csv",
		Args:    takes(0, 0),
		RunE: list(a, principalColumns(), "There are no service principals.",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.Principal, error] {
				return cl.Principals(ctx, api.PrincipalQuery{Kind: "servicePrincipal"})
			}),
	}
}

func (a *app) spSecretCommand() *cobra.Command {
	return group("secret", "Manage the secrets and certificates of a service principal",
		"A service principal can have several secrets and certificates, so that they can be rotated.",
		a.spSecretAddCommand(), a.listing(a.spSecretListCommand()), a.spSecretDeleteCommand())
}

func (a *app) spSecretAddCommand() *cobra.Command {
	var proof newSecret
	c := &cobra.Command{
		Use:     "add SP",
		Short:   "Add a secret, or a certificate",
		Long:    "Add a secret, which is shown only once, or a certificate with --certificate.",
		Example: "  postern sp secret add deploy --name pipeline --for 90d",
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			secret, err := proof.input(c)
			if err != nil {
				return err
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			made, err := cl.AddSecret(c.Context(), args[0], secret)
			if err != nil {
				return err
			}
			return printItem(a, made, createdSecretColumns())
		},
	}
	c.Flags().StringVar(&proof.name, "name", "", "purpose")
	proof.flags(c)
	return c
}

func (a *app) spSecretListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list SP",
		Short:   "List secrets and certificates",
		Long:    "List the secrets and certificates of a service principal, oldest first.",
		Example: "  postern sp secret list deploy",
		Args:    takes(1, 1),
		RunE: list(a, []column[api.Secret]{
			{"NAME", func(_ style, s api.Secret) string { return s.Name }},
			{"KIND", func(_ style, s api.Secret) string { return s.Kind }},
			{"MADE", func(s style, x api.Secret) string { return s.time(x.CreatedAt) }},
			{"VALID UNTIL", func(s style, x api.Secret) string { return s.time(x.ExpiresAt) }},
			{"ID", func(_ style, s api.Secret) string { return s.ID }},
		}, "It has none and cannot sign in.",
			func(ctx context.Context, cl *api.Client, args []string) iter.Seq2[api.Secret, error] {
				return cl.Secrets(ctx, args[0])
			}),
	}
}

func (a *app) spSecretDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "delete SP ID",
		Short:   "Delete a secret or certificate",
		Long:    "Delete a secret or certificate by its id. Tokens issued for it become invalid at once.",
		Example: "  postern sp secret delete deploy 019a5b7e-3c1f-7d2a-9b44-6f2f0d8c1e35",
		Args:    takes(2, 2),
		RunE: a.done(func(ctx context.Context, cl *api.Client, args []string) (string, error) {
			return "The secret is deleted.", cl.DeleteSecret(ctx, args[0], args[1])
		}),
	}
}
