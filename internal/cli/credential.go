package cli

import (
	"bufio"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) credentialCommand() *cobra.Command {
	return group("credential", "List and end credentials",
		`List and end credentials: sessions, API tokens, passkeys and secrets. Check yours if you are notified of a sign-in
that was not you.`,
		a.listing(a.credentialListCommand()), a.credentialEndCommand())
}

// credentialRow is one credential of any kind.
type credentialRow struct {
	kind, name, id string
	created, ends  time.Time
	used           *time.Time
}

func (a *app) credentialListCommand() *cobra.Command {
	var of string
	c := &cobra.Command{
		Use:   "list",
		Short: "List active credentials",
		Long: `List every active session, API token, passkey and secret: your own, or with --of those of a user or service
principal. -o json also shows where they signed in from, when the password was changed, and their identity
providers.`,
		Example: "  postern credential list\n  postern credential list --of anna",
		Args:    takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			set, err := cl.Credentials(c.Context(), of)
			if err != nil {
				return err
			}
			if a.output == "json" || a.output == "yaml" {
				return printItem(a, set, []column[api.Credentials]{})
			}
			return printList(a, credentialRows(set), []column[credentialRow]{
				{"KIND", func(_ style, r credentialRow) string { return r.kind }},
				{"WHAT", func(_ style, r credentialRow) string { return r.name }},
				{"SINCE", func(s style, r credentialRow) string { return s.time(r.created) }},
				{"USED", func(s style, r credentialRow) string { return s.ago(r.used) }},
				{"ENDS", func(s style, r credentialRow) string {
					if r.ends.IsZero() {
						return ""
					}
					return s.time(r.ends)
				}},
				{"ID", func(_ style, r credentialRow) string { return r.id }},
			}, "There are no credentials.")
		}),
	}
	c.Flags().StringVar(&of, "of", "me", "name or id of a user or service principal")
	return c
}

func credentialRows(set api.Credentials) (rows []credentialRow) {
	for _, s := range set.Sessions {
		name := strings.TrimSpace(s.Client + " from " + s.Address)
		if s.Current {
			name += " (this one)"
		}
		rows = append(rows,
			credentialRow{
				kind: "session", name: name, id: s.ID, created: s.CreatedAt, ends: s.ExpiresAt,
				used: s.UsedAt,
			})
	}
	for _, t := range set.Tokens {
		rows = append(rows,
			credentialRow{kind: "token", name: t.Name, id: t.ID, created: t.CreatedAt, ends: t.ExpiresAt})
	}
	for _, k := range set.Passkeys {
		rows = append(rows,
			credentialRow{kind: "passkey", name: k.Name, id: k.ID, created: k.CreatedAt, used: k.UsedAt})
	}
	for _, s := range set.Secrets {
		rows = append(rows,
			credentialRow{kind: "secret", name: s.Name, id: s.ID, created: s.CreatedAt, ends: s.ExpiresAt})
	}
	return rows
}

func (a *app) credentialEndCommand() *cobra.Command {
	var of string
	var kinds []string
	var all bool
	c := &cobra.Command{
		Use:   "end {ID | --all | --kind KIND}",
		Short: "End a session, an API token, a passkey or a secret, or all of them",
		Long: `End a session, an API token, a passkey or a secret by the id that postern credential list shows; with --kind all of
one kind, with --all everything at once. After an account takeover, use --all and change the password. The session
of this command and the password are kept. Ending your own passkeys requires a recent postern confirm.`,
		Example: "  postern credential end 5f0c9b1e2a77d3c4\n  postern credential end --all --of anna\n  postern " +
			"credential end --kind token --of anna",
		Args: takes(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if ways := len(args) + min(1, len(kinds)); (ways != 1 || all) && (ways != 0 || !all) {
				return usage(c, "use an id, --kind or --all")
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				err = cl.EndCredential(c.Context(), of, args[0])
			} else {
				err = cl.EndCredentials(c.Context(), of, kinds...)
			}
			if err != nil {
				return err
			}
			a.say("Ended.")
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&of, "of", "me", "name or id of a user or service principal")
	f.StringSliceVar(&kinds, "kind", nil, "end all of this kind: session, token, passkey or secret; may be repeated")
	f.BoolVar(&all, "all", false, "end all of every kind")
	return c
}

// proven calls do, and where the server wants a fresh proof, asks for the password and calls it again.
func (a *app) proven(c *cobra.Command, cl *api.Client, passwordFile string, do func() error) error {
	err := do()
	if problem, ok := errors.AsType[*api.Problem](err); !ok || problem.Code != "proofRequired" {
		return err
	}
	password, err := a.password(c, bufio.NewReader(a.in), "Password: ", passwordFile, "--password-file")
	if err != nil {
		return err
	}
	if err := cl.Prove(c.Context(), api.IdentityProof{Password: password}); err != nil {
		return err
	}
	return do()
}
