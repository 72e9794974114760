package cli

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agent"
	"github.com/postern-dev/postern/internal/logging"
)

// newAgentCommand makes the command that runs the host side, and those that set it up and look at it.
func newAgentCommand(a *app) *cobra.Command {
	var config agent.Config
	c := &cobra.Command{
		Use:   "agent",
		Short: "Guard this host, or the machines behind it",
		Long: `Guard this host or the machines behind it: keep the protected ports closed in the kernel's firewall, and open what
the server grants for as long as the grant lasts. Openings end on time even if the agent or the server is not
running. The agent only connects to the server that this host is enrolled with. It needs the capability
CAP_NET_ADMIN and no other. Run it with systemd: see postern-agent.service.`,
		Example: "  postern agent\n  postern agent --state /srv/postern --skew-limit 10s",
		Args:    takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			config.Version, config.Log = version(), a.agentLog()
			return agentError(agent.Run(c.Context(), config))
		},
	}
	c.PersistentFlags().StringVar(&config.StateDir, "state", agent.DefaultStateDir,
		"folder with the enrollment and the last desired state")
	c.Flags().DurationVar(&config.SkewLimit, "skew-limit", agent.DefaultSkewLimit,
		"maximum difference between this host's clock and the server's before nothing new is opened")
	c.AddCommand(a.agentEnrollCommand(&config), a.agentGuardCommand(&config), a.agentStatusCommand(&config),
		a.agentBreakGlassCommand(&config), a.agentUninstallCommand(&config))
	return c
}

// agentLog writes to standard error, where systemd's journal takes it up; the agent does not wait for it.
func (a *app) agentLog() *slog.Logger {
	return logging.New(a.err, func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) })
}

func (a *app) agentEnrollCommand(config *agent.Config) *cobra.Command {
	var in agent.EnrollConfig
	var ca, fingerprint, tokenFile string
	c := &cobra.Command{
		Use:   "enroll --server URL",
		Short: "Enroll this host with a server",
		Long: `Enroll this host with a server, using a one-time token that an administrator creates with "postern machine token".
The private key is generated on this host and never leaves it. The token determines whether the agent guards this
host or is a gateway for others.

The token is read from the file named by --token-file ("-" is standard input) or from POSTERN_ENROLLMENT_TOKEN in
the environment; otherwise the command prompts for it. It is never read from the command line, where every user of
this host could see it and enroll first.`,
		Example: "  postern agent enroll --server https://postern.example:8443 --ca ca.pem\n" +
			"  postern agent enroll --server https://postern.example:8443 --token-file token --ca-fingerprint " +
			"SHA256:9f2c… --name web-1\n" +
			"  postern agent enroll --server https://postern.example:8443 --token-file - --ca ca.pem < token",
		Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if in.Server == "" {
				return usage(c,
					"--server and a token are required; an administrator creates one with: postern machine token")
			}
			if err := oneOf(c, "ca", "ca-fingerprint"); err != nil {
				return err
			}
			if tokenFile == "" {
				in.Token = a.getenv("POSTERN_ENROLLMENT_TOKEN")
			}
			if in.Token == "" {
				var err error
				if in.Token, err = a.password(c, bufio.NewReader(a.in), "Enrollment token: ", tokenFile,
					"--token-file"); err != nil {
					return err
				}
			}
			switch {
			case fingerprint != "":
				text, err := fetchCA(c.Context(), in.Server, fingerprint)
				if err != nil {
					return err
				}
				in.CA = []byte(text)
			case ca != "":
				data, err := os.ReadFile(ca) //nolint:gosec // the operator names the file
				if err != nil {
					return fail(exitUsage, "", "read the CA: %s", err)
				}
				in.CA = data
			}
			in.StateDir, in.Version, in.Now = config.StateDir, version(), a.now
			id, err := agent.Enroll(c.Context(), in)
			if err != nil {
				return agentError(err)
			}
			a.say("Enrolled as %s (mode %s) with %s.\nStart the agent: systemctl enable --now postern-guard "+
				"postern-agent",
				id.Name, id.Mode, id.Server)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&in.Server, "server", "", "the server, such as https://postern.example:8443")
	secretFlag(c, &tokenFile, "token", "the enrollment token")
	f.StringVar(&ca, "ca", "", "file with the server's CA certificate (default the system's CAs)")
	f.StringVar(&fingerprint, "ca-fingerprint", "",
		"SHA-256 fingerprint of the server's CA certificate, which is then downloaded and compared")
	f.StringVar(&in.Name, "name", "", "name of this machine, if the token has none (default the host's name)")
	f.BoolVar(&in.Replace, "replace", false, "enroll again even if this host is enrolled")
	return c
}

func (a *app) agentGuardCommand(config *agent.Config) *cobra.Command {
	return &cobra.Command{
		Use:   "guard",
		Short: "Close the protected ports before the network comes up",
		Long: `Close the ports that the agent last protected, with nothing open, and exit: systemd runs this early in the boot
process, and the agent takes over from it. Without saved state it closes the management ports 22, 3389, 5985 and
5986 (TCP) of this host. On a host that is not enrolled it changes nothing.`,
		Example: "  postern agent guard",
		Args:    takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			config.Version, config.Log = version(), a.agentLog()
			_, err := agent.Guard(c.Context(), *config)
			return agentError(err)
		},
	}
}

func (a *app) agentStatusCommand(config *agent.Config) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what is protected and open on this host",
		Long: `Show what is protected and open on this host: the protected ports as the agent last saved them, and the openings
that the kernel really holds. The command must be able to read the agent's folder and the kernel's firewall; run it
as root.`,
		Example: "  sudo postern agent status\n  sudo postern agent status -o json",
		Args:    takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			s, err := agent.ReadStatus(*config)
			if err != nil {
				return agentError(err)
			}
			return a.printStatus(s)
		},
	}
}

func (a *app) printStatus(s agent.Status) error {
	switch a.output {
	case "json":
		return a.printJSON(s)
	case "yaml":
		return a.printYAML(s)
	}
	openings := []column[agent.StatusOpening]{
		{"MACHINE", func(_ style, o agent.StatusOpening) string { return o.Machine }},
		{"PORTS", func(_ style, o agent.StatusOpening) string { return o.Ports + "/" + o.Protocol }},
		{"SOURCE", func(_ style, o agent.StatusOpening) string { return o.Source }},
		{"LEFT", func(_ style, o agent.StatusOpening) string {
			return time.Duration(o.RemainingSeconds * float64(time.Second)).Round(time.Second).String()
		}},
		{"PACKETS", func(_ style, o agent.StatusOpening) string { return strconv.FormatUint(o.Packets, 10) }},
		{"GRANTS", func(st style, o agent.StatusOpening) string {
			ids := make([]string, len(o.Grants))
			for i, id := range o.Grants {
				ids[i] = st.id(id)
			}
			return st.list(ids)
		}},
	}
	if a.output == "csv" {
		return printList(a, s.Open, openings, "")
	}
	err := printItem(a, s, []column[agent.Status]{
		{"Agent", func(_ style, s agent.Status) string { return s.Name + " (" + s.Mode + ")" }},
		{"Id", func(_ style, s agent.Status) string { return s.Agent }},
		{"Server", func(_ style, s agent.Status) string { return s.Server }},
		{"Certificate until", func(st style, s agent.Status) string { return st.time(s.Certificate) }},
		{"Revision", func(_ style, s agent.Status) string { return strconv.FormatInt(s.Revision, 10) }},
		{"Problem", func(_ style, s agent.Status) string { return s.Problem }},
		{"Protected", func(_ style, s agent.Status) string { return protectedText(s.Protected) }},
	})
	if err != nil {
		return err
	}
	a.line("")
	return printList(a, s.Open, openings, "Nothing is open.")
}

func protectedText(ports []agent.StatusPort) string {
	if len(ports) == 0 {
		return "nothing: no policy names a port"
	}
	texts := make([]string, len(ports))
	for i, p := range ports {
		texts[i] = p.Ports + "/" + p.Protocol + " on " + p.Machine
		if p.Sessions == "keep" {
			texts[i] += " (sessions are kept)"
		}
	}
	return strings.Join(texts, ", ")
}

func (a *app) agentUninstallCommand(config *agent.Config) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "uninstall --yes",
		Short: "Stop guarding this host: remove the firewall table and the enrollment",
		Long: `Stop guarding this host: remove Postern's table from the kernel's firewall, so that the ports are as open as the
host's own firewall allows, and delete the enrollment. Stop the services first. The server keeps the machine until
an administrator deletes it with "postern machine delete".`,
		Example: "  systemctl disable --now postern-agent postern-guard\n  postern agent uninstall --yes",
		Args:    takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if !yes {
				return usage(c,
					"this opens the protected ports as far as the host's own firewall allows; confirm with --yes")
			}
			config.Version, config.Log = version(), a.agentLog()
			if err := agent.Uninstall(c.Context(), *config); err != nil {
				return agentError(err)
			}
			a.say(`The firewall table and the enrollment are removed: Postern guards nothing on this host any more.
Delete the machine on the server with: postern machine delete NAME`)
			return nil
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "confirm")
	return c
}

// agentError gives an error of the agent the exit code that fits, and keeps its own words: they say what to do here,
// on the host.
func agentError(err error) error {
	switch problem, ok := errors.AsType[*api.Problem](err); {
	case err == nil:
		return nil
	case ok:
		return fail(exitOfProblem(problem), "", "%s", err)
	case errors.Is(err, agent.ErrNotEnrolled):
		return fail(exitNotFound, "", "%s", err)
	case errors.Is(err, os.ErrPermission):
		return fail(exitError, "Run it as root, or with the capability CAP_NET_ADMIN.", "%s", err)
	case isUntrusted(err):
		return fail(exitUnavailable, "", "%s", err)
	}
	return err
}
