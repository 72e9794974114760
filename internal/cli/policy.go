package cli

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

func (a *app) policyCommand() *cobra.Command {
	return group("policy", "Manage the policies of machines",
		"Policies define which ports of a machine are closed by default, and the limits within which a request may "+
			"open them.",
		a.policyListCommand(), a.policyShowCommand(), a.policySetCommand(), a.policyDeleteCommand(),
		a.policyExplainCommand(), a.policyTestCommand())
}

// guardedPort is one line of a table of policies.
type guardedPort struct {
	view api.MachinePolicyView
	rule api.PortRule
}

func guardedPorts(views []api.MachinePolicyView) []guardedPort {
	var rows []guardedPort
	for _, v := range views {
		for _, r := range v.Ports {
			rows = append(rows, guardedPort{view: v, rule: r})
		}
	}
	return rows
}

func policyColumns() []column[guardedPort] {
	return []column[guardedPort]{
		{"MACHINE", func(_ style, p guardedPort) string { return p.view.Machine }},
		{"PORTS", func(_ style, p guardedPort) string { return portText(p.rule.Ports, p.rule.Protocol) }},
		{"FROM", func(s style, p guardedPort) string {
			if len(p.rule.Sources) == 0 {
				return "any"
			}
			return s.list(p.rule.Sources)
		}},
		{"LONGEST", func(_ style, p guardedPort) string { return seconds(p.rule.MaxSeconds) }},
		{"GAP", func(_ style, p guardedPort) string { return gapText(p.view.GapSeconds) }},
		{"SESSIONS", func(_ style, p guardedPort) string { return orElse(p.view.Sessions, "cut") }},
		{"APPROVAL", func(_ style, p guardedPort) string { return approvalText(p.view.Approval) }},
		{"SERVER LOST", func(_ style, p guardedPort) string {
			if p.view.CloseAfterLossSeconds == 0 {
				return "keep until expiry"
			}
			return "close after " + seconds(p.view.CloseAfterLossSeconds)
		}},
		{"REASON", func(_ style, p guardedPort) string {
			switch j := p.view.Justification; {
			case !j.Required:
				return "optional"
			case j.MinLength > 0:
				return "at least " + strconv.Itoa(j.MinLength) + " characters"
			default:
				return "required"
			}
		}},
	}
}

func (a *app) printPolicies(views []api.MachinePolicyView, one bool) error {
	if a.output == "json" || a.output == "yaml" {
		if one {
			return printItem(a, views[0], nil)
		}
		return printList(a, views, nil, "")
	}
	return printList(a, guardedPorts(views), policyColumns(),
		"There are no policies yet. Create one with: postern policy set MACHINE")
}

func (a *app) policyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List guarded ports",
		Long:    "List the guarded ports of every machine that you may see, one line for each port.",
		Example: "  postern policy list\n  postern policy list -o yaml",
		Args:    takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			views, err := api.All(cl.Policies(c.Context()))
			if err != nil {
				return err
			}
			return a.printPolicies(views, false)
		}),
	}
}

func (a *app) policyShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show MACHINE",
		Short: "Show the policy of a machine",
		Long: "Show the policy of a machine. Its YAML or JSON can be edited and used with policy set " +
			"--file.",
		Example:           "  postern policy show web-1\n  postern policy show web-1 -o yaml > web-1.yaml",
		Args:              takes(1, 1),
		ValidArgsFunction: a.machines,
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			view, err := cl.MachinePolicy(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.printPolicies([]api.MachinePolicyView{view}, true)
		}),
	}
}

// recommended are the management ports that are guarded when nobody names any: SSH, RDP and WinRM.
func recommended() []string { return []string{"22/tcp", "3389/tcp", "5985/tcp", "5986/tcp"} }

func (a *app) policySetCommand() *cobra.Command {
	var ports, from, approvers []string
	var longest, gap, loss, sessions, file string
	var requireReason, yes bool
	var minReason int
	c := &cobra.Command{
		Use:   "set MACHINE [--port PORTS[/PROTOCOL]]… [--from PREFIX]… [--max DURATION]",
		Short: "Guard ports of a machine and set limits for requests",
		Long: `Guard ports of a machine: from then on they are closed, and a request may open them within these limits. Replaces the
machine's previous settings. Without --port, the recommended management ports are guarded: 22, 3389, 5985 and 5986. To
set different limits per port, use a file; postern policy show -o yaml prints one. If a port would no longer be guarded,
or another setting would be lost, such as approvers, the break-glass rule, a ticket or a gap, the command first lists it
and asks for confirmation; --yes confirms in advance.`,
		Example: `  postern policy set web-1
  postern policy set web-1 --port 22/tcp --from 203.0.113.0/24 --max 3h
  postern policy set web-1 --port 22 --port 8000-8010/udp --sessions keep --close-after-loss 10m --require-reason
  postern policy set web-1 --port 22 --approvers ops:2 --require-reason --gap 1h
  postern policy set web-1 --file web-1.yaml`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.machines,
		RunE: func(c *cobra.Command, args []string) error {
			var in api.MachinePolicy
			var revision int64 // 0 takes it as it is
			var where document
			if file != "" {
				for _, other := range []string{
					"port", "from", "max", "gap", "sessions", "close-after-loss",
					"require-reason", "min-reason", "approvers",
				} {
					if c.Flags().Changed(other) {
						return usage(c, "--file contains all settings; omit --%s", other)
					}
				}
				data, err := readText(file)
				if err != nil {
					return usage(c, "--file: %s", err)
				}
				// What policy show prints may be given back: a revision in it makes sure that nobody changed it in
				// between.
				var view api.MachinePolicyView
				if where, err = readDocument(file, data, &view); err != nil {
					return usage(c, "--file: %s", err)
				}
				in, revision = view.MachinePolicy, view.Revision
			} else {
				most, err := parseDuration(longest)
				if err != nil {
					return usage(c, "--max: %s", err)
				}
				if len(ports) == 0 {
					ports = recommended()
				}
				for _, p := range ports {
					number, protocol := splitPort(p)
					in.Ports = append(in.Ports,
						api.PortRule{
							Ports: number, Protocol: protocol, Sources: from,
							MaxSeconds: int64(most / time.Second),
						})
				}
				if in.GapSeconds, err = gapSeconds(gap); err != nil {
					return usage(c, "--gap: %s", err)
				}
				in.Sessions = sessions
				if loss != "" {
					d, err := parseDuration(loss)
					if err != nil {
						return usage(c, "--close-after-loss: %s", err)
					}
					in.CloseAfterLossSeconds = int64(d / time.Second)
				}
				if in.Approval, err = approverCase(approvers); err != nil {
					return usage(c, "--approvers: %s", err)
				}
				in.Justification = api.JustificationRule{Required: requireReason || minReason > 0, MinLength: minReason}
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			if err := a.confirmDropped(c.Context(), cl, args[0], in, file == "" && !c.Flags().Changed("max"),
				yes); err != nil {
				return err
			}
			view, err := cl.SetMachinePolicy(c.Context(), args[0], in, revision)
			if err != nil {
				return where.locate(err)
			}
			return a.printPolicies([]api.MachinePolicyView{view}, true)
		},
	}
	f := c.Flags()
	f.StringArrayVar(&ports, "port", nil,
		"port or range to guard, such as 22, 22/tcp, 53/udp, 8000-8010/any; may be repeated")
	f.StringSliceVar(&from, "from", nil,
		"prefix or named network that must contain a request's sources; may be repeated (default any address)")
	f.StringVar(&longest, "max", "3h", "maximum duration of a request")
	f.StringVar(&gap, "gap", "", gapUsage())
	f.StringVar(&sessions, "sessions", "cut", "what happens to established connections at the end: cut or keep")
	f.StringVar(&loss, "close-after-loss", "",
		"close openings this long after the machine lost the server (default keep until expiry)")
	f.BoolVar(&requireReason, "require-reason", false, "require a reason")
	f.IntVar(&minReason, "min-reason", 0, "minimum length of the reason, in characters; implies --require-reason")
	f.StringSliceVar(&approvers, "approvers", nil,
		"required approvers as GROUP:COUNT, such as ops:2; all of them if repeated (default none)")
	f.StringVar(&file, "file", "", "read the whole policy from a YAML or JSON file")
	yesFlag(c, &yes)
	return c
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
	d, err := parseDuration(text)
	if err == nil && d%time.Second != 0 {
		err = fmt.Errorf("%s has a fraction of a second", text)
	}
	return int64(d / time.Second), err
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

// approvalText sums up who must agree.
func approvalText(cases []api.ApprovalCase) string {
	switch {
	case len(cases) == 0:
		return "automatic"
	case len(cases) > 1:
		return count(len(cases), "case")
	case len(cases[0].Stages) == 1 && len(cases[0].Stages[0].AnyOf) == 0:
		return quorumTexts(cases[0].Stages[0].AllOf)
	default:
		return count(len(cases[0].Stages), "stage")
	}
}

func (a *app) policyDeleteCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "delete MACHINE",
		Short: "Delete a machine's policy",
		Long: `Delete a machine's policy: Postern's rules for its ports are removed, and only other firewalls still protect them.
To keep ports closed to everyone, keep the policy. The command first lists what will end and asks for confirmation;
--yes confirms in advance.`,
		Example:           "  postern policy delete web-1\n  postern policy delete web-1 --yes",
		Args:              takes(1, 1),
		ValidArgsFunction: a.machines,
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			view, err := cl.MachinePolicy(c.Context(), args[0])
			if err != nil {
				return err
			}
			lines, err := a.policyEnds(c.Context(), cl, view.Machine, view.Ports)
			if err != nil {
				return err
			}
			if err := a.confirm(yes, lines...); err != nil {
				return err
			}
			if err := cl.DeleteMachinePolicy(c.Context(), args[0], view.Revision); err != nil {
				return err
			}
			a.say("%s is no longer guarded.", args[0])
			return nil
		}),
	}
	yesFlag(c, &yes)
	return c
}

// splitPort cuts "22/tcp" at the slash; what the parts are worth is the server's to say.
func splitPort(s string) (ports, protocol string) {
	ports, protocol, _ = strings.Cut(s, "/")
	return ports, strings.ToLower(protocol)
}

func portText(ports, protocol string) string { return ports + "/" + orElse(protocol, "tcp") }

func seconds(n int64) string { return shortDuration(time.Duration(n) * time.Second) }

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// count writes "1 grant", "2 grants".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
