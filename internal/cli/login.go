package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) loginCommand() *cobra.Command {
	var server, user, tenant, caFile, fingerprint, passwordFile, newPasswordFile string
	var byOIDC, byPasskey bool
	c := &cobra.Command{
		Use:   "login --server URL [--user NAME | --oidc [--tenant NAME] | --passkey]",
		Short: "Sign in to a server",
		Long: `Sign in to a server. The server's address, its CA and the session token are stored in
$XDG_CONFIG_HOME/postern/config.json, readable by you alone, until postern logout.

To trust a server with its own CA, use --ca FILE, or --ca-fingerprint with the fingerprint that the server prints
when it starts: the CA certificate is then downloaded, compared with the fingerprint, and stored.

Environment variables override the stored values: POSTERN_SERVER, POSTERN_TOKEN, POSTERN_CA (a file) and
POSTERN_CONFIG (the file with the stored values).`,
		Example: `  postern login --server https://postern.example:8443 --ca-fingerprint SHA256:9f2c… --user anna
  postern login --server https://postern.example:8443 --ca ca.pem --user anna --password-file -
  postern login --server https://postern.example:8443 --oidc --tenant contoso
  postern login --passkey`,
		Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			for _, pair := range [][2]string{
				{"ca", "ca-fingerprint"},
				{"oidc", "passkey"},
				{"oidc", "user"},
				{"passkey", "user"},
			} {
				if err := oneOf(c, pair[0], pair[1]); err != nil {
					return err
				}
			}
			if tenant != "" && !byOIDC {
				return usage(c, "--tenant requires --oidc; otherwise use --user NAME@TENANT")
			}
			conf, err := a.stored()
			if err != nil {
				return err
			}
			if server == "" {
				server = a.getenv("POSTERN_SERVER")
			}
			if err := a.chooseServer(c, &conf, server); err != nil {
				return err
			}
			if err := a.chooseCA(c, &conf, caFile, fingerprint); err != nil {
				return err
			}
			if byOIDC || byPasskey {
				signIn := func(ctx context.Context,
					conf config,
				) (api.Session, error) {
					return a.oidcSession(ctx, conf, tenant)
				}
				if byPasskey {
					signIn = a.passkeySession
				}
				session, err := signIn(c.Context(), conf)
				if err != nil {
					return err
				}
				return a.keep(conf, session)
			}
			if err := reach(c.Context(), conf); err != nil { // before anything is typed for it
				return err
			}
			in := bufio.NewReader(a.in)
			if user == "" {
				if user, err = a.ask(c, in, "User: ", "--user"); err != nil {
					return err
				}
			}
			ask := api.SignIn{Name: user}
			if ask.Password, err = a.password(c, in, "Password: ", passwordFile, "--password-file"); err != nil {
				return err
			}
			if newPasswordFile != "" {
				if ask.NewPassword, err = a.password(c, in, "", newPasswordFile, "--new-password-file"); err != nil {
					return err
				}
			}
			cl, err := a.connect(conf)
			if err != nil {
				return err
			}
			session, err := cl.SignIn(c.Context(), ask)
			if mustChange(err) && a.interactive() {
				a.say("This is a one-time password. Choose your own.")
				if ask.NewPassword, err = a.chooseNew(c, in); err != nil {
					return err
				}
				session, err = cl.SignIn(c.Context(), ask)
			}
			if mustChange(err) {
				return fail(exitRefused, "Use --new-password-file FILE, or sign in on a terminal.",
					"this is a one-time password and must be replaced")
			}
			if err != nil {
				return err
			}
			return a.keep(conf, session)
		},
	}
	f := c.Flags()
	f.StringVar(&server, "server", "", "server address, such as https://postern.example:8443 (default the last one)")
	f.StringVar(&user, "user", "", "name to sign in with")
	f.StringVar(&caFile, "ca", "", "file with the server's CA certificate")
	f.StringVar(&fingerprint, "ca-fingerprint", "",
		"SHA-256 fingerprint of the server's CA certificate, as the server prints it")
	f.BoolVar(&byOIDC, "oidc", false, "sign in with the identity provider of your tenant, in a browser on this machine")
	f.StringVar(&tenant, "tenant", "", "your tenant, with --oidc (default the one that runs the server)")
	f.BoolVar(&byPasskey, "passkey", false, "sign in with a passkey, in a browser on this machine")
	f.StringVar(&passwordFile, "password-file", "", "file whose first line is the password; - is standard input")
	f.StringVar(&newPasswordFile, "new-password-file", "",
		"file whose first line is the new password; - is standard input; required with a one-time password")
	return c
}

// keep keeps a session for the commands that follow.
func (a *app) keep(conf config, session api.Session) error {
	conf.User, conf.Token = session.Principal.Name, session.Token
	if err := a.save(conf); err != nil {
		return err
	}
	a.say("Signed in to %s as %s until %s.", conf.Server, conf.User, a.style().time(session.ExpiresAt))
	return nil
}

func (a *app) chooseServer(c *cobra.Command, conf *config, server string) error {
	if server == "" {
		if conf.Server == "" {
			return usage(c, "which server? Use --server URL")
		}
		return nil
	}
	if !strings.Contains(server, "://") {
		server = "https://" + server
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "https" || strings.Trim(u.Path,
		"/") != "" || u.RawQuery != "" || u.User != nil {
		return usage(c, "--server %q is not an address such as https://postern.example:8443", server)
	}
	server = "https://" + u.Host
	if server != conf.Server {
		*conf = config{Server: server} // a CA and a token are good for their own server only
	}
	return nil
}

func (a *app) chooseCA(c *cobra.Command, conf *config, file, fingerprint string) error {
	if file == "" && fingerprint == "" {
		file = a.getenv("POSTERN_CA")
	}
	switch {
	case file != "":
		pem, err := os.ReadFile(file) //nolint:gosec // the user names the file
		if err != nil {
			return usage(c, "--ca: %s", err)
		}
		conf.CA = string(pem)
	case fingerprint != "":
		pem, err := fetchCA(c.Context(), conf.Server, fingerprint)
		if err != nil {
			return err
		}
		conf.CA = pem
	}
	return nil
}

func mustChange(err error) bool {
	p, ok := errors.AsType[*api.Problem](err)
	return ok && p.Code == "passwordChangeRequired"
}

func (a *app) logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "Sign out and delete the session token",
		Long: "End the session on the server and delete its token. The server's address and CA are kept for the " +
			"next sign-in.",
		Example: "  postern logout",
		Args:    takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := a.stored()
			if err != nil {
				return err
			}
			if conf.Token == "" {
				a.say("You are not signed in.")
				return nil
			}
			cl, err := a.connect(conf)
			if err != nil {
				return err
			}
			gone := cl.SignOut(c.Context())
			if p, ok := errors.AsType[*api.Problem](gone); ok && p.Status == http.StatusUnauthorized {
				gone = nil // it had ended already
			}
			conf.Token = ""
			if err := a.save(conf); err != nil {
				return err
			}
			if gone != nil {
				return fmt.Errorf("the token was deleted here, but the server did not end the session: %w", gone)
			}
			a.say("Signed out of %s.", conf.Server)
			return nil
		},
	}
}

func (a *app) whoamiCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "whoami",
		Short:   "Show your identity and address as the server sees them",
		Long:    "Show your identity, and your address as the server sees it, which is what --from me stands for.",
		Example: "  postern whoami\n  postern whoami -o json",
		Args:    takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			me, err := cl.Me(c.Context())
			if err != nil {
				return err
			}
			conf, err := a.effective()
			if err != nil {
				return err
			}
			return printItem(a, me, []column[api.Me]{
				{"Name", func(_ style, m api.Me) string { return m.Principal.Name }},
				{"Display name", func(_ style, m api.Me) string { return m.Principal.DisplayName }},
				{"Kind", func(_ style, m api.Me) string { return m.Principal.Kind }},
				{"Id", func(_ style, m api.Me) string { return m.Principal.ID }},
				{"Address", func(_ style, m api.Me) string { return m.Address }},
				{"Warning", func(_ style, m api.Me) string { return m.Warning }},
				{"Server", func(style, api.Me) string { return conf.Server }},
			})
		}),
	}
}
