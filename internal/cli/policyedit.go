package cli

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/api"
)

// editPolicies sets one policy on several machines, once a person has agreed to what changes on each.
func (a *app) editPolicies(ctx context.Context, cl *api.Client, machines []string, will api.MachinePolicy,
	all, yes bool,
) error {
	list, err := cl.PreviewPolicies(ctx, api.PreviewPolicies{Policy: will, Machines: machines})
	if err != nil {
		return err
	}
	in := api.EditPolicies{Policy: will, All: all}
	var lines []string
	for _, p := range list {
		lines = append(lines, a.previewed(p, will)...)
		if p.Problem == nil {
			in.Machines = append(in.Machines, api.EditedMachine{Machine: p.Machine, Revision: p.Revision})
		}
	}
	refused := len(list) - len(in.Machines)
	if len(in.Machines) == 0 || all && refused > 0 {
		a.sayAll(lines)
		return fail(exitRefused, "Name the machines that can be changed.", "%s: nothing was changed",
			counted(refused, "machine cannot be changed", "machines cannot be changed"))
	}
	if err := a.confirm(yes, lines...); err != nil {
		return err
	}
	done, err := cl.EditPolicies(ctx, in)
	if err != nil {
		return err
	}
	saved := 0
	for _, d := range done {
		if d.Saved {
			saved++
			continue
		}
		refused++
		a.sayAll([]string{d.Machine + " was not changed: " + problemText(d.Problem)})
	}
	a.say("%s set.", counted(saved, "policy is", "policies are"))
	if refused > 0 {
		return fail(exitRefused, "", "%s not changed", counted(refused, "machine was", "machines were"))
	}
	return nil
}

func (a *app) sayAll(lines []string) {
	for _, line := range lines {
		a.say("%s", visible(line))
	}
}

// previewed says what changes on one machine.
func (a *app) previewed(p api.PolicyPreview, will api.MachinePolicy) []string {
	if p.Problem != nil {
		return []string{p.Machine + " cannot be changed: " + problemText(p.Problem)}
	}
	var lines []string
	for _, c := range p.Changes {
		port := portText(c.Ports, c.Protocol)
		switch {
		case c.Before == nil:
			lines = append(lines, fmt.Sprintf("  + %s is closed, and may be opened %s", port, limits(c.After)))
		case c.After == nil:
			lines = append(lines, fmt.Sprintf("  - %s is open to everyone, unless another firewall closes it", port))
		default:
			lines = append(lines, fmt.Sprintf("  ~ %s may be opened %s (was: %s)", port, limits(c.After),
				limits(c.Before)))
		}
	}
	if p.Before != nil && p.Before.Reach == "" {
		lines = append(lines, lost(p.Before.MachinePolicy, will)...)
	}
	lines = append(lines, a.ends(p.Ends)...)
	if p.More {
		lines = append(lines, "  - and whatever else is open there that the policy does not allow")
	}
	if len(lines) == 0 {
		return []string{p.Machine + ": its ports and limits stay as they are"}
	}
	return append([]string{p.Machine + ":"}, lines...)
}

func limits(r *api.PortRule) string {
	from := "from anywhere"
	if len(r.Sources) > 0 {
		from = "from " + some(r.Sources, func(s string) string { return s })
	}
	return from + " for at most " + seconds(r.MaxSeconds)
}

func problemText(p *api.EditProblem) string {
	if len(p.Reasons) > 0 {
		return p.Reasons[0].Message
	}
	return p.Message
}
