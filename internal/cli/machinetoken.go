package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) machineTokensCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "tokens",
		Short: "List unused enrollment tokens",
		Long: "List enrollment tokens that are unused and have not expired. The tokens themselves are never " +
			"shown again.",
		Example: "  postern machine tokens",
		Args:    takes(0, 0),
		RunE: list(a, []column[api.WaitingToken]{
			{"ID", func(_ style, t api.WaitingToken) string { return t.ID }},
			{"NAME", func(_ style, t api.WaitingToken) string { return t.Name }},
			{"MODE", func(_ style, t api.WaitingToken) string { return t.Mode }},
			{"RESOURCE GROUP", func(_ style, t api.WaitingToken) string { return t.ResourceGroup }},
			{"EXPIRES", func(s style, t api.WaitingToken) string { return s.time(t.ExpiresAt) }},
		}, "There are no unused enrollment tokens.",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.WaitingToken, error] {
				return cl.EnrollmentTokens(ctx)
			}),
	}
}

func (a *app) machineWithdrawCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "withdraw ID",
		Short:   "Revoke an unused enrollment token",
		Long:    "Revoke an unused enrollment token. ID is shown by postern machine tokens.",
		Example: "  postern machine withdraw 7c1f09ab44d2e8a0",
		Args:    takes(1, 1),
		RunE: a.done(func(ctx context.Context, cl *api.Client, args []string) (string, error) {
			return fmt.Sprintf("The token %s is revoked.", args[0]), cl.DeleteEnrollmentToken(ctx, args[0])
		}),
	}
}

func (a *app) machineTokenCommand() *cobra.Command {
	var in api.NewEnrollmentToken
	var ttl, caFile string
	var gateway bool
	c := &cobra.Command{
		Use:   "token [NAME]",
		Short: "Create an enrollment token for one agent",
		Long: `Create an enrollment token for one agent. NAME becomes the machine's name; the default is the host's own name. The
token is shown only once. Run the printed command on the machine.`,
		Example: "  postern machine token web-1\n  postern machine token --gateway edge-1 --ttl 15m",
		Args:    takes(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				in.Name = args[0]
			}
			if gateway {
				in.Mode = "gateway"
			}
			if ttl != "" {
				d, err := parseDuration(ttl)
				if err != nil {
					return usage(c, "--ttl: %s", err)
				}
				in.TTLSeconds = int64(d / time.Second)
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			token, err := cl.CreateEnrollmentToken(c.Context(), in)
			if err != nil {
				return err
			}
			if caFile != "" {
				if err := os.WriteFile(caFile, []byte(token.CA), 0o644); err != nil { //nolint:gosec // a CA certificate is public
					return err
				}
			}
			if !a.forPeople() {
				return printItem(a, token, []column[api.EnrollmentToken]{
					{"Token", func(_ style, t api.EnrollmentToken) string { return t.Token }},
					{"Expires", func(s style, t api.EnrollmentToken) string { return s.time(t.ExpiresAt) }},
				})
			}
			conf, err := a.effective()
			if err != nil {
				return err
			}
			trust, err := enrolCA(token.CA, caFile)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(a.out, "%s\n", token.Token)
			a.say("\nValid for one agent until %s. On the machine, as root; it prompts for the token:\n\n  postern "+
				"agent enroll --server %s%s",
				a.style().time(token.ExpiresAt), conf.Server, trust)
			return nil
		},
	}
	f := c.Flags()
	f.BoolVar(&gateway, "gateway", false, "for an agent that guards the machines behind it")
	f.StringVar(&in.ResourceGroup, "resource-group", "", "resource group of the machine (default \"default\")")
	f.StringVar(&ttl, "ttl", "", "how long the token is valid (default 1h)")
	f.StringVar(&caFile, "ca-out", "", "also write the server's CA certificate to this file, to copy to the machine")
	return c
}

// enrolCA gives the flag by which the machine trusts the server's own CA: the file that was written, or the
// fingerprint, so that nothing need be copied there.
func enrolCA(ca, file string) (string, error) {
	switch {
	case file != "":
		return " --ca " + file, nil
	case ca != "":
		block, _ := pem.Decode([]byte(ca))
		if block == nil {
			return "", errors.New("the CA in the server's response is not PEM; does the server have this version?")
		}
		sum := sha256.Sum256(block.Bytes)
		return " --ca-fingerprint " + hex.EncodeToString(sum[:]), nil
	default:
		return "", nil
	}
}
