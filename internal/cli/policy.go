package cli

import (
	"context"
	"fmt"
	"slices"
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
		a.listing(a.policyListCommand()), a.policyShowCommand(), a.policySetCommand(), a.policyDeleteCommand(),
		a.policyConfirmCommand(), a.policyUndoCommand(), a.policyScopeCommand(), a.policyDisableCommand(),
		a.policyEnableCommand(), a.listing(a.policyDisabledCommand()), a.policyExplainCommand(), a.policyTestCommand())
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
		{"POLICY", func(_ style, p guardedPort) string {
			if p.view.Reach == "" {
				return p.view.Name
			}
			return p.view.Name + ", by " + p.view.Reach
		}},
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

// policyDetails are what a list of guarded ports says where there is room for it.
func policyDetails() []column[guardedPort] {
	return []column[guardedPort]{
		{"TICKET", func(_ style, p guardedPort) string {
			if p.view.Ticket.Required {
				return "required"
			}
			return "optional"
		}},
		{"BREAK-GLASS", func(_ style, p guardedPort) string {
			b := p.view.BreakGlass
			if b == nil {
				return "nobody"
			}
			return strings.Join(append(slices.Clone(b.Groups), b.People...), ",") + " for " + seconds(b.MaxSeconds)
		}},
		{"PENDING FOR", func(_ style, p guardedPort) string {
			if p.view.PendingTimeoutSeconds == 0 {
				return seconds(int64(access.DefaultPending / time.Second))
			}
			return seconds(p.view.PendingTimeoutSeconds)
		}},
		{"POLICY ID", func(_ style, p guardedPort) string { return p.view.Policy }},
	}
}

func (a *app) printPolicies(views []api.MachinePolicyView, one bool) error {
	if a.output == "json" || a.output == "yaml" {
		if one {
			return printItem(a, views[0], nil)
		}
		return printList(a, views, nil, "")
	}
	if one {
		a.sayTrial(views[0])
		views = append(views, views[0].Others...)
	}
	return printList(a, guardedPorts(views), policyColumns(),
		"There are no policies yet. Create one with: postern policy set MACHINE, or for many machines at once with: "+
			"postern policy scope set SCOPE-POLICY", policyDetails()...)
}

func (a *app) policyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List guarded ports",
		Long: "List the guarded ports of every machine that you may see and that has a policy of its own, one line for " +
			"each port. postern policy scope list shows the policies that guard many machines at once.",
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
		Short: "Show what guards a machine",
		Long: "Show what guards a machine, port by port: the policy of the machine itself, or a policy of its " +
			"labels, its resource group or its subscription. YAML or JSON can be edited and used with policy set " +
			"--file.",
		Example: "  postern policy show web-1\n  postern policy show web-1 -o yaml > web-1.yaml",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			view, err := cl.MachinePolicy(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.printPolicies([]api.MachinePolicyView{view}, true)
		}),
	}
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
		Long: `Delete a machine's own policy. Policies of its labels, its resource group or its subscription then guard it,
where there are any; otherwise, Postern's rules for its ports are removed, and only other firewalls still protect them.
To keep ports closed to everyone, keep the policy. The command first lists what will end and asks for confirmation;
--yes confirms in advance.`,
		Example: "  postern policy delete web-1\n  postern policy delete web-1 --yes",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			view, err := cl.MachinePolicy(c.Context(), args[0])
			if err != nil {
				return err
			}
			if view.Reach == "" {
				lines, err := a.policyDeletion(c.Context(), cl, view)
				if err != nil {
					return err
				}
				if err := a.confirm(yes, lines...); err != nil {
					return err
				}
			}
			if err := cl.DeleteMachinePolicy(c.Context(), args[0], view.Revision); err != nil {
				return err
			}
			if len(view.Instead) > 0 {
				a.say("%s has no policy of its own any more; what guards it: postern policy show %s", args[0], args[0])
				return nil
			}
			a.say("%s is no longer guarded.", args[0])
			return nil
		}),
	}
	yesFlag(c, &yes)
	return c
}

// policyDeletion says what follows when a machine has no policy of its own any more.
func (a *app) policyDeletion(ctx context.Context, cl *api.Client, view api.MachinePolicyView) ([]string, error) {
	var instead []api.PortRule
	var lines []string
	for _, other := range view.Instead {
		instead = append(instead, other.Ports...)
		lines = append(lines,
			fmt.Sprintf("The policy %s, by %s, guards %s of %s instead; grants outside its limits are revoked.",
				other.Name, other.Reach, ports(other.Ports), view.Machine))
	}
	gone := dropped(view.Ports, instead)
	if len(gone) == 0 {
		return lines, nil
	}
	ends, err := a.policyEnds(ctx, cl, view.Machine, gone)
	return append(lines, ends...), err
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
