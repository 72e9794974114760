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
		Short: "Open a port of this host with a code, while the server is out of reach",
		Long: `Open a port of this host with a code that an administrator issued beforehand with postern break-glass issue, while the
server is out of reach. The code is good once; it is written down as used before anything opens. The opening ends by itself,
at the latest after what the policy allowed for emergencies, else an hour. Everybody on this host is told, and the server is
as soon as it is back. It works also when the agent does not run.

The code is asked for, and is not shown while it is typed. --code-file reads it from a file instead; - is standard input.`,
		Example: "  sudo postern agent break-glass --port 22 --from 203.0.113.7 --for 30m --reason \"site down, server unreachable\"\n" +
			"  sudo postern agent break-glass --code-file code --port 22 --from 203.0.113.7 --reason \"site down, server unreachable\"",
		Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if from == "" || in.Reason == "" {
				return usage(c, "--from and --reason are needed")
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
			a.say("Port %d of %s is open for %s for %s, until %s.", opened.Port, opened.Machine, in.Source, opened.For.Round(time.Second), a.style().time(opened.Until))
			if opened.Direct {
				a.say("The agent does not run; the kernel was told without it, and ends the opening by itself.")
			}
			return nil
		},
	}
	f := c.Flags()
	secretFlag(c, &codeFile, "code", "the code")
	f.StringVar(&in.Machine, "machine", "", "on a gateway: the machine to open")
	f.Uint16Var(&in.Port, "port", 22, "the port to open")
	f.StringVar(&protocol, "protocol", "tcp", "tcp or udp")
	f.StringVar(&from, "from", "", "address or prefix to open for")
	f.StringVar(&length, "for", "30m", "how long")
	f.StringVar(&in.Reason, "reason", "", "what the emergency is")
	return c
}
