package cli

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

// recommended returns the management ports that are guarded on machines of these operating systems when nobody names
// any.
func recommended(systems ...string) (ports []string) {
	for _, r := range access.RecommendedPorts(systems...) {
		ports = append(ports, portText(r.Ports.String(), string(r.Protocol)))
	}
	return ports
}

// systemsOf returns the operating systems of machines; that of one that the caller may not see is not known.
func systemsOf(ctx context.Context, cl *api.Client, machines []string) (systems []string, err error) {
	for _, name := range machines {
		m, err := cl.Machine(ctx, name)
		if err != nil && !missing(err) {
			return nil, err
		}
		systems = append(systems, m.OS)
	}
	return systems, nil
}

// policyFlags are the settings of a policy as flags.
type policyFlags struct {
	ports, from, approvers       []string
	longest, gap, loss, sessions string
	file                         string
	requireReason                bool
	minReason                    int
}

func (p *policyFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&p.ports, "port", nil,
		"port or range to guard, such as 22, 22/tcp, 53/udp, 8000-8010/any; may be repeated")
	f.StringSliceVar(&p.from, "from", nil,
		"prefix or named network that must contain a request's sources; may be repeated (default any address)")
	f.StringVar(&p.longest, "max", "3h", "maximum duration of a request")
	f.StringVar(&p.gap, "gap", "", gapUsage())
	f.StringVar(&p.sessions, "sessions", "cut", "what happens to established connections at the end: cut or keep")
	f.StringVar(&p.loss, "close-after-loss", "",
		"close openings this long after the machine lost the server (default keep until expiry)")
	f.BoolVar(&p.requireReason, "require-reason", false, "require a reason")
	f.IntVar(&p.minReason, "min-reason", 0, "minimum length of the reason, in characters; implies --require-reason")
	f.StringSliceVar(&p.approvers, "approvers", nil,
		"required approvers as GROUP:COUNT, such as ops:2; all of them if repeated (default none)")
	f.StringVar(&p.file, "file", "", "read the whole policy from a YAML or JSON file")
}

// alone refuses a file beside flags that say the same; others are further flags that the file says.
func (p *policyFlags) alone(c *cobra.Command, others ...string) error {
	for _, other := range append([]string{
		"port", "from", "max", "gap", "sessions", "close-after-loss", "require-reason", "min-reason", "approvers",
	}, others...) {
		if c.Flags().Changed(other) {
			return usage(c, "--file contains all settings; omit --%s", other)
		}
	}
	return nil
}

// read returns the policy that the flags say.
func (p *policyFlags) read(c *cobra.Command, systems ...string) (in api.MachinePolicy, err error) {
	most, err := parseDuration(p.longest)
	if err != nil {
		return in, usage(c, "--max: %s", err)
	}
	ports := p.ports
	if len(ports) == 0 {
		ports = recommended(systems...)
	}
	for _, port := range ports {
		number, protocol := splitPort(port)
		in.Ports = append(in.Ports, api.PortRule{
			Ports: number, Protocol: protocol, Sources: p.from, MaxSeconds: int64(most / time.Second),
		})
	}
	if in.GapSeconds, err = gapSeconds(p.gap); err != nil {
		return in, usage(c, "--gap: %s", err)
	}
	in.Sessions = p.sessions
	if p.loss != "" {
		d, err := parseDuration(p.loss)
		if err != nil {
			return in, usage(c, "--close-after-loss: %s", err)
		}
		in.CloseAfterLossSeconds = int64(d / time.Second)
	}
	if in.Approval, err = approverCase(p.approvers); err != nil {
		return in, usage(c, "--approvers: %s", err)
	}
	in.Justification = api.JustificationRule{Required: p.requireReason || p.minReason > 0, MinLength: p.minReason}
	return in, nil
}

func (a *app) policySetCommand() *cobra.Command {
	var settings policyFlags
	var yes, all bool
	var within string
	c := &cobra.Command{
		Use:   "set MACHINE… [--port PORTS[/PROTOCOL]]… [--from PREFIX]… [--max DURATION]",
		Short: "Guard ports of machines and set limits for requests",
		Long: `Guard ports of machines: from then on they are closed, and a request may open them within these limits. Replaces
the previous settings of each machine. Without --port, the recommended management ports are guarded: 22 of Linux, 3389,
5985 and 5986 of Windows, and all of them if the operating system is not known. To set different limits per port, use a
file; postern policy show -o yaml prints one. If a port would no longer be guarded, or another setting would be lost,
such as approvers, the break-glass rule, a ticket or a gap, the command first lists it and asks for confirmation. For
several machines, it always lists what changes on each; a machine whose policy changes meanwhile is left as it is. --yes
confirms in advance. To guard machines that enroll later as well, use postern policy scope set.

With --confirm-within, the change is on trial: unless postern policy confirm MACHINE is run within that time, the
machine's agent undoes it by itself, and what guarded the machine before guards it again. Use it where a guarded port
may be the way by which you, the agents or the server are reached.`,
		Example: `  postern policy set web-1
  postern policy set web-1 --port 22/tcp --from 203.0.113.0/24 --max 3h
  postern policy set web-1 --port 22 --port 8000-8010/udp --sessions keep --close-after-loss 10m --require-reason
  postern policy set web-1 web-2 web-3 --port 22 --approvers ops:2 --require-reason --gap 1h
  postern policy set web-1 --port 22 --confirm-within 5m
  postern policy set web-1 --file web-1.yaml`,
		Args: takes(1, -1),
		RunE: func(c *cobra.Command, args []string) error {
			in, revision, where, err := a.policyToSet(c, &settings, args)
			if err != nil {
				return err
			}
			trial, err := trialLength(within, args)
			if err != nil {
				return usage(c, "--confirm-within: %s", err)
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			if len(args) > 1 {
				return where.locate(a.editPolicies(c.Context(), cl, args, in, all, yes))
			}
			seen, err := a.confirmDropped(c.Context(), cl, args[0], in,
				settings.file == "" && !c.Flags().Changed("max"), yes)
			if err != nil {
				return err
			}
			if revision == 0 {
				revision = seen // what was guarded in between is not lost unasked
			}
			view, err := cl.TryMachinePolicy(c.Context(), args[0], in, revision, trial)
			if err != nil {
				return where.locate(err)
			}
			return a.printPolicies([]api.MachinePolicyView{view}, true)
		},
	}
	settings.add(c)
	c.Flags().BoolVar(&all, "all-or-none", false, "of several machines, change none unless all can be changed")
	c.Flags().StringVar(&within, "confirm-within", "",
		"take the change back unless it is confirmed within this time, from 1m to 1h (default it stands at once)")
	yesFlag(c, &yes)
	return c
}

// policyToSet reads the policy that a file or the flags say. A revision in the file makes sure that nobody changed what
// policy show printed in between.
func (a *app) policyToSet(c *cobra.Command, settings *policyFlags, machines []string,
) (in api.MachinePolicy, revision int64, where document, err error) {
	if settings.file != "" {
		if err := settings.alone(c); err != nil {
			return in, 0, where, err
		}
		var view api.MachinePolicyView
		where, err = readFileFlag(c, settings.file, &view)
		return view.MachinePolicy, view.Revision, where, err
	}
	if _, err := settings.read(c); err != nil || len(settings.ports) > 0 {
		in, err = settings.read(c)
		return in, 0, where, err
	}
	cl, err := a.client()
	if err != nil {
		return in, 0, where, err
	}
	systems, err := systemsOf(c.Context(), cl, machines)
	if err == nil {
		in, err = settings.read(c, systems...)
	}
	return in, 0, where, err
}

// gapUsage says what --gap is of a policy and of an eligibility.
func gapUsage() string {
	return "one person's windows less than this time apart count as one, limited by --max (default " + gapText(0) + ")"
}

// gapSeconds reads a gap; empty is the usual one, which is sent as absent.
func gapSeconds(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	return wholeSeconds(text)
}

func gapText(n int64) string {
	return shortDuration(cmp.Or(time.Duration(n)*time.Second, access.DefaultGap))
}

// approverCase reads "ops:2" as the rule that two people of the group ops must agree.
func approverCase(texts []string) ([]api.ApprovalCase, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	var stage api.ApprovalStage
	for _, text := range texts {
		name, number, ok := cutLast(text, ":")
		n := 1
		if ok {
			var err error
			if n, err = strconv.Atoi(number); err != nil || n < 1 {
				return nil, fmt.Errorf("%q is not GROUP:COUNT, such as ops:2", text)
			}
		}
		stage.AllOf = append(stage.AllOf, api.Quorum{Count: n, Groups: []string{name}})
	}
	return []api.ApprovalCase{{Stages: []api.ApprovalStage{stage}}}, nil
}
