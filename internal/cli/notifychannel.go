package cli

import (
	"bytes"
	"context"
	"io"
	"iter"
	"os"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func channelColumns() []column[api.Channel] {
	return []column[api.Channel]{
		{"NAME", func(_ style, c api.Channel) string { return c.Name }},
		{"KIND", func(_ style, c api.Channel) string { return c.Kind }},
		{"ENABLED", func(_ style, c api.Channel) string { return yesNo(c.Enabled) }},
		{"TO", func(_ style, c api.Channel) string {
			if c.Mail != nil {
				return c.Mail.Host
			}
			return c.URL
		}},
		{"SECRET", func(_ style, c api.Channel) string {
			switch {
			case c.SecretFile != "":
				return "file " + c.SecretFile
			case c.HasSecret:
				return "sealed"
			default:
				return ""
			}
		}},
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (a *app) channelCommand() *cobra.Command {
	return group("channel", "Manage channels",
		"Channels are ways to reach people: email, Slack, Teams, a signed webhook, PagerDuty.",
		a.listing(a.channelListCommand()), a.channelShowCommand(), a.channelAddCommand(), a.channelSetCommand(),
		a.channelDeleteCommand())
}

func (a *app) channelListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List channels", Long: "List channels.", Example: "  postern notify channel list",
		Args: takes(0, 0),
		RunE: list(a, channelColumns(), "There are no channels. Add one with: postern notify channel add",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.Channel, error] {
				return cl.Channels(ctx)
			}),
	}
}

func (a *app) channelShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show CHANNEL", Short: "Show a channel", Long: "Show a channel, by name or id. Its secret is never shown.",
		Example: "  postern notify channel show ops-chat", Args: takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			channel, err := cl.Channel(c.Context(), args[0])
			if err != nil {
				return err
			}
			return printItem(a, channel,
				append([]column[api.Channel]{{"ID", func(_ style, c api.Channel) string { return c.ID }}},
					channelColumns()...))
		}),
	}
}

// channelFlags are what add and set share.
type channelFlags struct {
	url, ca, secretFile, serverFile, host, tls, username, from, fromName, helo string
	port                                                                       int
	private                                                                    bool
}

func (f *channelFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.url, "url", "", "URL that a webhook posts to")
	flags.StringVar(&f.secretFile, "secret-file", "",
		"file with the secret, or - for standard input: password, webhook URL, signing key or routing key")
	flags.StringVar(&f.serverFile, "secret-on-server", "",
		"name of a file with the secret in the server's secrets folder")
	flags.StringVar(&f.ca, "ca", "", "file with CA certificates to trust instead of the system's")
	flags.BoolVar(&f.private, "allow-private", false, "allow a private or loopback address for the receiver")
	flags.StringVar(&f.host, "host", "", "mail server")
	flags.IntVar(&f.port, "port", 0, "port of the mail server (default the usual one)")
	flags.StringVar(&f.tls, "tls", "", "starttls, tls or none (default starttls)")
	flags.StringVar(&f.username, "username", "", "user name at the mail server")
	flags.StringVar(&f.from, "from", "", "sender address")
	flags.StringVar(&f.fromName, "from-name", "", "sender name")
	flags.StringVar(&f.helo, "helo", "", "host name for EHLO (default the host of the server's public URL)")
}

func (f *channelFlags) mail() *api.Mail {
	m := api.Mail{
		Host: f.host, Port: f.port, TLS: f.tls, Username: f.username, From: f.from, FromName: f.fromName,
		Helo: f.helo,
	}
	if m == (api.Mail{}) {
		return nil
	}
	return &m
}

// mailChange gives what the flags name; nil where they name nothing.
func (f *channelFlags) mailChange(changed func(string) bool) *api.MailChange {
	var m api.MailChange
	for name, field := range map[string]struct {
		to   **string
		from *string
	}{
		"host": {&m.Host, &f.host}, "tls": {&m.TLS, &f.tls}, "username": {&m.Username, &f.username},
		"from": {&m.From, &f.from}, "from-name": {&m.FromName, &f.fromName},
		"helo": {&m.Helo, &f.helo},
	} {
		if changed(name) {
			*field.to = field.from
		}
	}
	if changed("port") {
		m.Port = &f.port
	}
	if m == (api.MailChange{}) {
		return nil
	}
	return &m
}

// secret reads the file that holds it; nil where none was named. A secret is no argument, for others see those.
func (f *channelFlags) secret(a *app) (*string, error) {
	if f.secretFile == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	const most = 8 << 10
	in := a.in
	if f.secretFile != "-" {
		file, err := os.Open(f.secretFile)
		if err != nil {
			return nil, fail(exitUsage, "", "read the secret: %w", err)
		}
		defer file.Close() //nolint:errcheck // it was only read
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return nil, fail(exitUsage, "", "read the secret: %w", err)
	}
	text := string(bytes.TrimSpace(data))
	return &text, nil
}

func (f *channelFlags) authorities() (string, error) {
	if f.ca == "" {
		return "", nil
	}
	data, err := os.ReadFile(f.ca)
	if err != nil {
		return "", fail(exitUsage, "", "read --ca: %w", err)
	}
	return string(data), nil
}

func (a *app) channelAddCommand() *cobra.Command {
	var f channelFlags
	c := &cobra.Command{
		Use:   "add NAME KIND",
		Short: "Add a channel",
		Long: "Add a channel. KIND is smtp, slack, teams, webhook or pagerduty. The secret is read from a file or " +
			"standard input.",
		Example: `  postern notify channel add ops-chat slack --secret-file slack-url
  postern notify channel add mail smtp --host mail.example.com --username postern --from postern@example.com --secret-file password
  postern notify channel add audit webhook --url https://hooks.example.com/postern --secret-file key`,
		Args: takes(2, 2),
		RunE: func(c *cobra.Command, args []string) error {
			in := api.NewChannel{
				Name: args[0], Kind: args[1], URL: f.url, Mail: f.mail(), AllowPrivate: f.private,
				SecretFile: f.serverFile,
			}
			secret, err := f.secret(a)
			if err != nil {
				return err
			}
			if secret != nil {
				in.Secret = *secret
			}
			if in.CA, err = f.authorities(); err != nil {
				return err
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			channel, err := cl.CreateChannel(c.Context(), in)
			if err != nil {
				return err
			}
			return printList(a, []api.Channel{channel}, channelColumns(), "")
		},
	}
	f.register(c)
	return c
}

func (a *app) channelSetCommand() *cobra.Command {
	var f channelFlags
	var name string
	var enable, disable bool
	c := &cobra.Command{
		Use:   "set CHANNEL",
		Short: "Change a channel",
		Long:  "Change a channel; other settings are kept.",
		Example: "  postern notify channel set ops-chat --disable\n  postern notify channel set ops-chat " +
			"--secret-file new-url",
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if enable && disable {
				return usage(c, "--enable and --disable exclude each other")
			}
			changed := c.Flags().Changed
			in := api.ChannelChange{Mail: f.mailChange(changed)}
			if changed("name") {
				in.Name = &name
			}
			if changed("url") {
				in.URL = &f.url
			}
			if changed("allow-private") {
				in.AllowPrivate = &f.private
			}
			if changed("secret-on-server") {
				in.SecretFile = &f.serverFile
			}
			if enable || disable {
				in.Enabled = &enable
			}
			var err error
			if in.Secret, err = f.secret(a); err != nil {
				return err
			}
			if changed("ca") {
				ca, err := f.authorities()
				if err != nil {
					return err
				}
				in.CA = &ca
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			channel, err := cl.ChangeChannel(c.Context(), args[0], in, 0)
			if err != nil {
				return err
			}
			return printList(a, []api.Channel{channel}, channelColumns(), "")
		},
	}
	f.register(c)
	c.Flags().StringVar(&name, "name", "", "new name")
	c.Flags().BoolVar(&enable, "enable", false, "enable the channel")
	c.Flags().BoolVar(&disable, "disable", false, "disable the channel")
	return c
}

func (a *app) channelDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete CHANNEL", Short: "Delete a channel with its routes",
		Long:    "Delete a channel with its routes. Its pending deliveries become dead.",
		Example: "  postern notify channel delete ops-chat", Args: takes(1, 1),
		RunE: a.done(func(ctx context.Context, cl *api.Client, args []string) (string, error) {
			return "The channel is deleted.", cl.DeleteChannel(ctx, args[0])
		}),
	}
}
