package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/internal/server"
)

// newServerCommand makes the command that runs the control plane.
func newServerCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "server --data DIR",
		Short: "Run the control plane",
		Long: `Run the control plane. The first start creates the certificate authority and the user "admin", and prints that user's
` +
			`one-time password. Every option is also a key of the file named by --config, and an environment variable.
` +
			"SIGTERM and SIGINT drain and stop the server; a second signal stops it at once.",
		Example: "  postern server --data /var/lib/postern\n" +
			"  postern server --data /var/lib/postern --listen 192.0.2.7:8443 --database " +
			"postgres://postern@db.example/postern",
		Args: takes(0, 0),
	}
	file := c.Flags().String("config", "", "YAML file of settings [$POSTERN_SERVER_CONFIG]")
	for _, s := range server.Settings() {
		doc := s.Doc + " [key " + s.Key + ", $" + s.Env + "]"
		if s.Default != "" {
			doc += " (default " + s.Default + ")"
		}
		c.Flags().String(s.Flag, "", doc)
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		flags := map[string]string{}
		for _, s := range server.Settings() {
			if f := c.Flags().Lookup(s.Flag); f.Changed {
				flags[s.Flag] = f.Value.String()
			}
		}
		name := *file
		if name == "" {
			name = a.getenv("POSTERN_SERVER_CONFIG")
		}
		config, err := server.Load(name, a.getenv, flags)
		if err != nil {
			return fail(exitUsage, "See: postern server --help", "%w", err)
		}
		config.Out, config.Log = a.out, a.err
		err = server.Run(c.Context(), config)
		if _, ok := errors.AsType[*server.KeyError](err); ok {
			return fail(exitUsage, "See: postern server --help", "%w", err)
		}
		return err
	}
	return c
}
