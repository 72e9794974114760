package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

// yesFlag is the flag by which a script says in advance what a person is asked for.
func yesFlag(c *cobra.Command, yes *bool) {
	c.Flags().BoolVar(yes, "yes", false, "confirm in advance; required without a terminal")
}

// confirm says what a command ends or takes away before it does so, and has a person agree to it.
func (a *app) confirm(yes bool, consequence ...string) error {
	for _, line := range consequence {
		a.say("%s", visible(line)) // nobody's text makes a line of its own
	}
	switch {
	case yes:
		return nil
	case !a.interactive():
		return fail(exitUsage, "Use --yes to confirm in advance.",
			"nothing was changed: there is no terminal to confirm on")
	}
	_, _ = fmt.Fprint(a.err, "Continue? [y/N] ")
	answer, err := line(bufio.NewReader(a.in))
	if err != nil {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return fail(exitError, "", "nothing was changed")
	}
	return nil
}

// agree has a person agree to what follows; where nothing does, there is nothing to ask.
func (a *app) agree(yes bool, follows []string) error {
	if len(follows) == 0 {
		return nil
	}
	return a.confirm(yes, follows...)
}

// isScheduled reports whether a grant is still to open.
func isScheduled(g api.Grant) bool { return g.State == "scheduled" }

// ends says what ends with grants, whose are named and counted: what is open, and what is still to open.
func (a *app) ends(grants []api.Grant) []string {
	var lines []string
	open := slices.DeleteFunc(slices.Clone(grants), isScheduled)
	if len(open) > 0 {
		lines = append(lines,
			fmt.Sprintf("  - ends %s: %s", count(len(open), "open grant"),
				some(open, func(g api.Grant) string { return whatOf(g) + " of " + g.Principal })))
	}
	later := slices.DeleteFunc(slices.Clone(grants), func(g api.Grant) bool { return !isScheduled(g) })
	if len(later) > 0 {
		lines = append(lines,
			fmt.Sprintf("  - cancels %s: %s", count(len(later), "scheduled window"), some(series(later), a.windows)))
	}
	return lines
}

// series gathers windows of the same holder at the same place, in order of their first.
func series(later []api.Grant) (found [][]api.Grant) {
	at := map[string]int{}
	for _, g := range byStart(later) {
		of := g.PrincipalID + " " + g.MachineID + " " + whatOf(g)
		if _, ok := at[of]; !ok {
			at[of] = len(found)
			found = append(found, nil)
		}
		found[at[of]] = append(found[at[of]], g)
	}
	return found
}

// windows writes a series by its first window, and how many there are.
func (a *app) windows(of []api.Grant) string {
	if len(of) == 1 {
		return a.window(of[0])
	}
	return fmt.Sprintf("%s (%d in total)", a.window(of[0]), len(of))
}

// window writes a grant that is still to open.
func (a *app) window(g api.Grant) string {
	return whatOf(g) + " of " + g.Principal + ", " + a.style().clock(g.Start)
}

func byStart(grants []api.Grant) []api.Grant {
	return slices.SortedStableFunc(slices.Values(grants), func(x, y api.Grant) int { return x.Start.Compare(y.Start) })
}

// some names the first few of a list, and how many more there are.
func some[T any](items []T, name func(T) string) string {
	const few = 5
	var names []string
	for _, item := range items[:min(few, len(items))] {
		names = append(names, name(item))
	}
	text := strings.Join(names, "; ")
	if len(items) > few {
		text += fmt.Sprintf("; and %d more", len(items)-few)
	}
	return text
}

// liveOn gives what is open or scheduled on a machine, as far as the caller may see it.
func liveOn(ctx context.Context, cl *api.Client, machine string) ([]api.Grant, error) {
	return api.All(cl.Grants(ctx, api.GrantQuery{States: live(), Machine: machine}))
}

// personEnds says what ends with everything that a person or a program holds.
func (a *app) personEnds(ctx context.Context, cl *api.Client, what, principal string) ([]string, error) {
	grants, err := api.All(cl.Grants(ctx, api.GrantQuery{States: live(), Principal: principal}))
	// who may end it may not always list it, and of whom there is none the server says next
	if err != nil && !missing(err) {
		return nil, err
	}
	return append(append([]string{what}, a.ends(grants)...), "  - cancels their pending requests"), nil
}

// applicationEnds says what deleting a managed application ends.
func (a *app) applicationEnds(ctx context.Context, cl *api.Client, app api.Application,
	activations bool,
) ([]string, error) {
	machines, err := api.All(cl.Machines(ctx, api.MachineQuery{Scope: app.ManagedResourceGroup}))
	if err != nil {
		return nil, err
	}
	lines := []string{
		"Deleting the application " + app.Name + ":",
		"  - ends all access that " + app.Publisher + " has in its managed resource group",
	}
	if activations {
		lines = append(lines, a.ends(app.Active)...)
	}
	if len(machines) == 0 {
		return lines, nil
	}
	return append(lines,
		fmt.Sprintf("  - removes %s with what is open on them: %s", count(len(machines), "machine"),
			some(machines, func(m api.Machine) string { return m.Name })),
		"  - an agent on such a machine keeps its ports closed to everyone; "+comesFree), nil
}

// ports writes the ports of rules: 22/tcp, 8000-8010/udp.
func ports(rules []api.PortRule) string {
	texts := make([]string, len(rules))
	for i, r := range rules {
		texts[i] = portText(r.Ports, r.Protocol)
	}
	return strings.Join(texts, ", ")
}

// machineEnds says what deleting a machine ends, and what becomes of its ports.
func (a *app) machineEnds(ctx context.Context, cl *api.Client, m api.Machine) ([]string, error) {
	grants, err := liveOn(ctx, cl, m.ID)
	if err != nil {
		return nil, err
	}
	lines := append([]string{"Deleting " + m.Name + ":"}, a.ends(grants)...)
	if m.Policy == "" {
		return append(lines, "  - removes the machine; its ports are no longer guarded"), nil
	}
	guarded := "its ports"
	if view, err := cl.MachinePolicy(ctx, m.ID); err == nil { // who may delete it may not always read its policy
		guarded = ports(view.Ports)
	}
	lines = append(lines, "  - deletes its policy: nobody can request "+guarded+" any more")
	if m.Agent != nil && m.Agent.Mode == "gateway" {
		return append(lines,
			fmt.Sprintf("  - the gateway %s no longer guards it: its ports are then open to everyone, unless "+
				"another firewall closes them",
				m.Agent.Name)), nil
	}
	return append(lines, "  - the agent on it keeps "+guarded+" closed to everyone; "+comesFree), nil
}

// comesFree says how the host of a deleted machine comes free: its agent does not take orders any more.
const comesFree = "to release the host, run on it as root: systemctl disable --now postern-agent postern-guard && " +
	"postern agent uninstall --yes"

// policyEnds says what becomes of ports that a policy no longer guards.
func (a *app) policyEnds(ctx context.Context, cl *api.Client, machine string,
	dropped []api.PortRule,
) ([]string, error) {
	grants, err := liveOn(ctx, cl, machine)
	if err != nil {
		return nil, err
	}
	grants = slices.DeleteFunc(grants, func(g api.Grant) bool {
		return !slices.ContainsFunc(dropped, func(r api.PortRule) bool { return meets(r, g.Ports, g.Protocol) })
	})
	lines := []string{
		"No longer guarding " + ports(dropped) + " of " + machine + ":",
		"  - they are then open to everyone, at any time, unless another firewall closes them",
	}
	return append(lines, a.ends(grants)...), nil
}

// confirmDropped has a person agree where a new policy leaves out ports of a machine that are guarded now, or anything
// else that was set; usual says that the longest opening was not given, but is the usual one. It returns the revision
// of what it looked at, or 0 where nothing is guarded.
func (a *app) confirmDropped(ctx context.Context, cl *api.Client, machine string, will api.MachinePolicy,
	usual, yes bool,
) (seen int64, err error) {
	was, err := cl.MachinePolicy(ctx, machine)
	problem, refused := errors.AsType[*api.Problem](err)
	switch {
	case refused && problem.Status == http.StatusNotFound:
		return 0, nil // nothing is guarded there, or the server says better what is wrong
	case refused && problem.Status == http.StatusForbidden && yes:
		return 0, nil // who may write it may not always read it
	case refused && problem.Status == http.StatusForbidden:
		a.say("You may not read what guards %s, so nobody can tell you what would be lost. Use --yes to write it "+
			"nevertheless.", machine)
	}
	if err != nil || was.Reach != "" {
		return 0, err // a policy of a scope guards it, and goes on to guard whatever the new one says nothing of
	}
	var lines []string
	if gone := dropped(was.Ports, will.Ports); len(gone) > 0 {
		if lines, err = a.policyEnds(ctx, cl, was.Machine, gone); err != nil {
			return 0, err
		}
	}
	rest := lost(was.MachinePolicy, will)
	if usual {
		rest = append(rest, lengthened(was.Ports, will.Ports)...)
	}
	if len(rest) > 0 {
		lines = append(append(lines, "Settings of "+was.Machine+" that will be lost:"), rest...)
	}
	return was.Revision, a.agree(yes, lines)
}
