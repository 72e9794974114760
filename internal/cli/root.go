// Package cli is the command line: the commands with which people ask for access and give it, and those that run the
// server, the agent and the demonstration.
package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Process is what the command line has of the process that it runs in.
type Process struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	Now      func() time.Time
	Local    *time.Location // in which times are shown and read
}

// Main executes one command line and returns the exit code.
func Main(ctx context.Context, p Process, args []string) int {
	a := &app{
		in: p.In, out: p.Out, err: p.Err, getenv: p.Getenv, now: p.Now, local: p.Local, width: widthOf(p.Out),
	}
	return a.run(ctx, args)
}

// app is what every command works with. Nothing below main touches the process's streams, environment or clock.
type app struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	now      func() time.Time
	local    *time.Location // in which times are shown and read
	width    func() int     // characters in a line of the terminal that out is, 0 where it is none; nil is none

	output string // -o
	config string // --config
	view   view   // of the list that is printed

	ran *cobra.Command // that the command line named
}

// run executes one command line and gives the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root() //nolint:contextcheck // each command takes its context when it is run
	root.SetArgs(args)
	var err error
	if a.ran, err = root.ExecuteContextC(ctx); err != nil {
		a.explain(err)
	}
	return exitCode(err)
}

func (a *app) root() *cobra.Command {
	root := group("postern", "Time-bounded access to guarded machines",
		`Postern keeps the management ports of machines closed and opens them on request for a limited time.`)
	for _, of := range a.commands() {
		root.AddGroup(&cobra.Group{ID: of.title, Title: of.title + ":"})
		for _, c := range of.commands {
			c.GroupID = of.title
		}
		root.AddCommand(of.commands...)
	}
	root.SetHelpCommandGroupID(programTitle)
	root.SetCompletionCommandGroupID(programTitle)
	usual := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		usual(c, args)
		if !c.HasParent() {
			a.line("\n%s", exitHelp())
		}
	})
	root.Example = "  postern login --server https://postern.example:8443 --user anna\n" +
		"  postern request web-1 --port 22 --for 1h --reason \"roll back release 42\" --wait"
	root.Version = version()
	root.SetVersionTemplate(thisBuild().String() + "\n")
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.PersistentFlags().StringVarP(&a.output, "output", "o", "table", "output format: table, wide, json, yaml or csv")
	root.PersistentFlags().StringVar(&a.config, "config", "",
		"file that stores the sign-in (default $XDG_CONFIG_HOME/postern/config.json)")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c, "%s", err) })
	a.completeNames(root)
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if !slices.Contains(formats(), a.output) {
			return usage(c, "unknown output format -o %s; use %s", a.output,
				strings.Join(formats(), ", "))
		}
		return nil
	}
	return root
}

// programTitle is the title of the commands about the program itself.
const programTitle = "This program"

// titled are commands that stand below one title in the help.
type titled struct {
	title    string
	commands []*cobra.Command
}

// commands gives every command, below the titles of the help.
func (a *app) commands() []titled {
	return []titled{
		{"Sign in", []*cobra.Command{
			a.loginCommand(), a.logoutCommand(), a.statusCommand(), a.whoamiCommand(), a.confirmCommand(),
			a.passkeyCommand(), a.tokenCommand(), a.credentialCommand(),
		}},
		{"Request access", []*cobra.Command{
			a.requestCommand(), a.grantCommand(), a.extendCommand(), a.moveCommand(), a.revokeCommand(),
		}},
		{"Decide", []*cobra.Command{a.approveCommand(), a.denyCommand(), a.reviewCommand(), a.accessReviewCommand()}},
		{"Guard machines", []*cobra.Command{
			a.machineCommand(), a.policyCommand(), a.networkCommand(), a.breakGlassCommand(), a.insightCommand(),
		}},
		{"Manage people, rights and tenants", []*cobra.Command{
			a.userCommand(), a.groupCommand(), a.servicePrincipalCommand(), a.roleCommand(), a.eligibilityCommand(),
			a.applicationCommand(), a.tenantCommand(), a.subscriptionCommand(), a.resourceGroupCommand(),
		}},
		{"Watch and prove", []*cobra.Command{a.inboxCommand(), a.alertCommand(), a.notifyCommand(), a.auditCommand()}},
		{programTitle, append(a.hostCommands(), a.versionCommand())},
	}
}

// formats are the values of -o.
func formats() []string { return []string{"table", "wide", "json", "yaml", "csv"} }

// group makes a command that only holds others.
func group(use, short, long string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use:   use,
		Short: short,
		Long:  long,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return noCommand(c, args[0])
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(subs...)
	return c
}

// noCommand says that there is no such command, and which ones are like it.
func noCommand(c *cobra.Command, typed string) error {
	if near := like(c, typed); len(near) > 0 {
		return usage(c, "unknown command %q; did you mean %s?", typed, strings.Join(near, " or "))
	}
	return usage(c, "unknown command %q", typed)
}

// like gives the commands below c whose names are like what was typed: of a short word one letter may differ, of a
// longer one two.
func like(c *cobra.Command, typed string) []string {
	c.SuggestionsMinimumDistance = 1
	if len(typed) > 4 {
		c.SuggestionsMinimumDistance = 2
	}
	return c.SuggestionsFor(typed)
}

// takes checks the number of arguments; most < 0 is no limit.
func takes(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage(c, "missing argument; usage: %s", c.UseLine())
		case most >= 0 && len(args) > most:
			return usage(c, "unexpected argument %q; usage: %s", args[most], c.UseLine())
		default:
			return nil
		}
	}
}

// oneOf refuses two flags that say the same.
func oneOf(c *cobra.Command, first, second string) error {
	if c.Flags().Changed(first) && c.Flags().Changed(second) {
		return usage(c, "--%s and --%s exclude each other", first, second)
	}
	return nil
}

// say writes a line for people to standard error, so that standard output stays fit for programs. Nobody is left to be
// told when that fails.
func (a *app) say(format string, args ...any) {
	_, _ = io.WriteString(a.err, steady(fmt.Sprintf(format, args...))+"\n")
}

// line writes a line of the command's result for people.
func (a *app) line(format string, args ...any) {
	_, _ = io.WriteString(a.out, steady(fmt.Sprintf(format, args...))+"\n")
}
