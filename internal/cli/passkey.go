package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) passkeyCommand() *cobra.Command {
	return group("passkey", "Manage your passkeys",
		"Passkeys are credentials in your computer, phone or security key. They require a browser, so these "+
			"commands use one.",
		a.passkeyAddCommand(), a.listing(a.passkeyListCommand()), a.passkeyDeleteCommand())
}

// The ceremonies as the server's page knows them.
const (
	passkeyAdd     = "add"
	passkeySignIn  = "signIn"
	passkeyConfirm = "confirm"
)

// usePasskey has a browser on this machine use a passkey: it prints an address of the server, whose page gives the
// answer to a port of the loopback interface.
func (a *app) usePasskey(ctx context.Context, server, what string,
	challenge api.PasskeyChallenge,
) (api.PasskeyResponse, error) {
	out := api.PasskeyResponse{Ceremony: challenge.Ceremony}
	if err := rightHost(server, challenge); err != nil {
		return out, err
	}
	waiting, err := listenForBrowser(ctx)
	if err != nil {
		return out, err
	}
	asked, err := json.Marshal(map[string]any{
		"what": what, "options": challenge.Options, "back": waiting.URL,
		"state": waiting.State,
	})
	if err != nil {
		return out, err
	}
	a.say("Open this address in a browser on this machine:\n\n  %s/passkey#%s\n", server,
		base64.RawURLEncoding.EncodeToString(asked))
	response, err := waiting.receive(ctx, "response")
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal([]byte(response), &out.Response); err != nil {
		return out, fmt.Errorf("read the browser's answer: %w", err)
	}
	return out, nil
}

// rightHost refuses where the server is known under another name than passkeys are for.
func rightHost(server string, challenge api.PasskeyChallenge) error {
	var options struct {
		PublicKey struct {
			RPID string `json:"rpId"`
			RP   struct {
				ID string `json:"id"`
			} `json:"rp"`
		} `json:"publicKey"`
	}
	text, err := json.Marshal(challenge.Options)
	if err == nil {
		err = json.Unmarshal(text, &options)
	}
	if err != nil {
		return fmt.Errorf("read the server's challenge: %w", err)
	}
	host := options.PublicKey.RPID
	if host == "" {
		host = options.PublicKey.RP.ID
	}
	u, err := url.Parse(server)
	if err != nil || u.Hostname() != host {
		return fail(exitUsage, "Sign in under that name: postern login --server https://"+host+":PORT",
			"passkeys of this server are for the name %s", host)
	}
	return nil
}

// signedInServer gives a client with the address of its server.
func (a *app) signedInServer() (*api.Client, string, error) {
	conf, err := a.effective()
	if err != nil {
		return nil, "", err
	}
	cl, err := a.client()
	return cl, conf.Server, err
}

func (a *app) passkeyAddCommand() *cobra.Command {
	var passwordFile string
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a passkey, in a browser on this machine",
		Long: `Add a passkey. The command prints an address of the server; open it in a browser on this machine and create the
passkey there. NAME helps you recognize it. If you have a passkey already, confirm with it first: postern confirm.
For the first one, your password is required unless you signed in within the last five minutes.`,
		Example: "  postern passkey add laptop",
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			cl, server, err := a.signedInServer()
			if err != nil {
				return err
			}
			var challenge api.PasskeyChallenge
			err = a.proven(c, cl, passwordFile, func() error {
				challenge, err = cl.BeginPasskey(c.Context())
				return err
			})
			if err != nil {
				return err
			}
			response, err := a.usePasskey(c.Context(), server, passkeyAdd, challenge)
			if err != nil {
				return err
			}
			if _, err := cl.AddPasskey(c.Context(),
				api.NewPasskey{PasskeyResponse: response, Name: args[0]}); err != nil {
				return err
			}
			a.say("The passkey %s is added.", args[0])
			return nil
		},
	}
	c.Flags().StringVar(&passwordFile, "password-file", "",
		"file whose first line is your password, if it is required; - is standard input")
	return c
}

func (a *app) passkeyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List your passkeys",
		Long:    "List your passkeys, oldest first.",
		Example: "  postern passkey list",
		Args:    takes(0, 0),
		RunE: list(a, passkeyColumns(), "You have no passkeys. Add one with: postern passkey add NAME",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.Passkey, error] {
				return cl.Passkeys(ctx)
			}),
	}
}

func passkeyColumns() []column[api.Passkey] {
	return []column[api.Passkey]{
		{"NAME", func(_ style, k api.Passkey) string { return k.Name }},
		{"ADDED", func(s style, k api.Passkey) string { return s.time(k.CreatedAt) }},
		{"USED", func(s style, k api.Passkey) string { return s.ago(k.UsedAt) }},
		{"ID", func(_ style, k api.Passkey) string { return k.ID }},
	}
}

func (a *app) passkeyDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "delete PASSKEY",
		Short:   "Delete one of your passkeys",
		Long:    "Delete one of your passkeys, given by name or id. Confirm with one of them first: postern confirm.",
		Example: "  postern passkey delete laptop",
		Args:    takes(1, 1),
		RunE: a.done(func(ctx context.Context, cl *api.Client, args []string) (string, error) {
			return fmt.Sprintf("The passkey %s is deleted.", args[0]), cl.DeletePasskey(ctx, args[0])
		}),
	}
}

func (a *app) confirmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "confirm",
		Short: "Confirm your session with a passkey",
		Long: `Confirm your session with a passkey, in a browser on this machine. For five minutes, you may then request and decide
what a rule requires confirmation for.`,
		Example: "  postern confirm && postern approve 7f3a9c12",
		Args:    takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			cl, server, err := a.signedInServer()
			if err != nil {
				return err
			}
			challenge, err := cl.BeginStepUp(c.Context())
			if err != nil {
				return err
			}
			response, err := a.usePasskey(c.Context(), server, passkeyConfirm, challenge)
			if err != nil {
				return err
			}
			if err := cl.StepUp(c.Context(), response); err != nil {
				return err
			}
			a.say("Confirmed.")
			return nil
		},
	}
}

// passkeySession signs in with a passkey, which says who it is.
func (a *app) passkeySession(ctx context.Context, conf config) (api.Session, error) {
	cl, err := a.connect(conf)
	if err != nil {
		return api.Session{}, err
	}
	challenge, err := cl.BeginPasskeySignIn(ctx)
	if err != nil {
		return api.Session{}, err
	}
	response, err := a.usePasskey(ctx, conf.Server, passkeySignIn, challenge)
	if err != nil {
		return api.Session{}, err
	}
	return cl.PasskeySignIn(ctx, response)
}
