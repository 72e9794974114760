package cli

import (
	"bufio"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/internal/agent"
	"github.com/postern-dev/postern/internal/core/access"
)

func (a *app) agentBreakGlassCommand(config *agent.Config) *cobra.Command {
	var in agent.GlassConfig
	var codeFile, from, length, protocol string
	c := &cobra.Command{
		Use:   "break-glass --port PORT --from PREFIX --for TIME --reason TEXT",
		Short: "Open a port of this host with a break-glass code",
		Long: `Open a port of this host with a break-glass code that an administrator issued in advance with postern break-glass
issue, while the server is unreachable. A code works once; its use is recorded before anything opens. The opening
ends by itself, at the latest after the break-glass duration that the policy allows, or one hour. Everyone on this
host is notified, and the server as soon as it is back. The command also works when the agent is not running.

The command prompts for the code and does not echo it. --code-file reads it from a file instead; - is standard
input.`,
		Example: "  sudo postern agent break-glass --port 22 --from 203.0.113.7 --for 30m --reason \"site down, " +
			"server unreachable\"\n" +
			"  sudo postern agent break-glass --code-file code --port 22 --from 203.0.113.7 --reason \"site down, " +
			"server unreachable\"",
		Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if from == "" || in.Reason == "" {
				return usage(c, "--from and --reason are required")
			}
			var err error
			if in.Source, err = access.ParsePrefix(from); err != nil {
				return usage(c, "--from: %s", err)
			}
			if in.For, err = parseDuration(length); err != nil {
				return usage(c, "--for: %s", err)
			}
			in.Protocol = access.Protocol(protocol)
			if in.Code, err = a.password(c, bufio.NewReader(a.in), "Code: ", codeFile, "--code-file"); err != nil {
				return err
			}
			config.Version, config.Log = version(), a.agentLog()
			opened, err := agent.BreakGlass(c.Context(), *config, in)
			if err != nil {
				return fail(exitRefused, "", "%s", err)
			}
			a.say("Port %d of %s is open for %s for %s, until %s.", opened.Port, opened.Machine, in.Source,
				opened.For.Round(time.Second), a.style().time(opened.Until))
			if opened.Direct {
				a.say("The agent is not running; the port was opened in the kernel directly, which closes it on time.")
			}
			return nil
		},
	}
	f := c.Flags()
	secretFlag(c, &codeFile, "code", "the code")
	f.StringVar(&in.Machine, "machine", "", "on a gateway: the machine to open")
	f.Uint16Var(&in.Port, "port", 22, "port to open")
	f.StringVar(&protocol, "protocol", "tcp", "tcp or udp")
	f.StringVar(&from, "from", "", "address or prefix to open for")
	f.StringVar(&length, "for", "30m", "duration")
	f.StringVar(&in.Reason, "reason", "", "description of the emergency")
	return c
}
