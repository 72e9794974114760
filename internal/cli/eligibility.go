package cli

import (
	"context"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) eligibilityCommand() *cobra.Command {
	return group("eligibility", "Manage who may activate which role",
		"An eligibility grants nothing by itself: its holder activates the role when needed, and the role expires "+
			"by itself.",
		a.listing(a.eligibilityListCommand()), a.eligibilityShowCommand(), a.eligibilityCreateCommand(),
		a.eligibilityChangeCommand(), a.eligibilityDeleteCommand())
}

func eligibilityColumns() []column[api.Eligibility] {
	return []column[api.Eligibility]{
		{"ID", func(s style, e api.Eligibility) string { return s.id(e.ID) }},
		{"WHO", func(_ style, e api.Eligibility) string { return e.Principal }},
		{"ROLE", func(_ style, e api.Eligibility) string { return e.Role }},
		{"SCOPE", func(s style, e api.Eligibility) string { return shortScope(s, e.Scope) }},
		{"MAX", func(_ style, e api.Eligibility) string { return seconds(e.MaxSeconds) }},
		{"APPROVAL", func(_ style, e api.Eligibility) string { return approvalText(e.Approval) }},
		{"ENDS", func(s style, e api.Eligibility) string { return s.timeIf(e.End) }},
	}
}

func (a *app) eligibilityListCommand() *cobra.Command {
	var q api.EligibilityQuery
	c := &cobra.Command{
		Use:     "list",
		Short:   "List eligibilities",
		Long:    "List eligibilities at the scopes that you may read. postern role eligible lists your own.",
		Example: "  postern eligibility list\n  postern eligibility list --who vendors -o json",
		Args:    takes(0, 0),
		RunE: list(a, eligibilityColumns(),
			"There are no eligibilities. Create one with: postern eligibility create ROLE --to PRINCIPAL",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.Eligibility, error] {
				return cl.Eligibilities(ctx, q)
			}),
	}
	c.Flags().StringVar(&q.Principal, "who", "", "filter by user, group or service principal")
	c.Flags().StringVar(&q.Scope, "scope", "", "only at this resource id or below")
	return c
}

func (a *app) eligibilityShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ELIGIBILITY",
		Short: "Show an eligibility, with the whole rule as JSON or YAML",
		Long: `Show an eligibility. Its YAML can be edited and used with eligibility change --file. ELIGIBILITY is an id or its
last characters.`,
		Example: "  postern eligibility show 7f3a9c12 -o yaml",
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			e, _, err := a.oneEligibility(c, args[0])
			if err != nil {
				return err
			}
			return printItem(a, e, []column[api.Eligibility]{
				{"Id", func(_ style, e api.Eligibility) string { return e.ID }},
				{"Who", func(_ style, e api.Eligibility) string { return e.Principal + " (" + e.PrincipalKind + ")" }},
				{"Role", func(_ style, e api.Eligibility) string { return e.Role }},
				{"Scope", func(_ style, e api.Eligibility) string { return e.Scope }},
				{"Longest", func(_ style, e api.Eligibility) string { return seconds(e.MaxSeconds) }},
				{"Gap", func(_ style, e api.Eligibility) string { return gapText(e.GapSeconds) }},
				{"Approval", func(_ style, e api.Eligibility) string { return approvalText(e.Approval) }},
				{"From", func(s style, e api.Eligibility) string { return s.timeIf(e.Start) }},
				{"Until", func(s style, e api.Eligibility) string { return s.timeIf(e.End) }},
				{"Application", func(_ style, e api.Eligibility) string { return e.Application }},
			})
		},
	}
}

// oneEligibility finds an eligibility by its id or the end of it.
func (a *app) oneEligibility(c *cobra.Command, ref string) (api.Eligibility, *api.Client, error) {
	cl, err := a.client()
	if err != nil {
		return api.Eligibility{}, nil, err
	}
	if whole(ref) {
		e, err := cl.Eligibility(c.Context(), ref)
		return e, cl, err
	}
	all, err := api.All(cl.Eligibilities(c.Context(), api.EligibilityQuery{}))
	if err != nil {
		return api.Eligibility{}, nil, err
	}
	e, err := byTail("eligibility", "postern eligibility list", ref, all,
		func(e api.Eligibility) string { return e.ID })
	return e, cl, err
}

// termsFlags are the flags that say how long a role may be active and what is asked for it.
type termsFlags struct {
	longest, gap, end, file      string
	approvers                    []string
	requireReason, requireTicket bool
	minReason                    int
}

func (t *termsFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&t.longest, "max", "8h", "longest activation")
	f.StringVar(&t.gap, "gap", "", gapUsage())
	f.StringVar(&t.end, "end", "", "end of the eligibility (default never)")
	f.StringSliceVar(&t.approvers, "approvers", nil,
		"required approvers as GROUP:COUNT, such as ops:2; all of them if repeated (default none)")
	f.BoolVar(&t.requireReason, "require-reason", false, "require a reason")
	f.IntVar(&t.minReason, "min-reason", 0, "minimum length of the reason, in characters; implies --require-reason")
	f.BoolVar(&t.requireTicket, "require-ticket", false, "require a ticket")
	f.StringVar(&t.file, "file", "", "read the settings from a YAML or JSON file")
}

// terms reads the flags, or the file, into what is asked for. A file may be one that eligibility show printed: then it
// says which eligibility that was, and its revision.
func (a *app) terms(c *cobra.Command, t termsFlags) (whole api.Eligibility, where document, err error) {
	terms := &whole.EligibilityTerms
	if t.file != "" {
		for _, other := range []string{
			"max", "gap", "end", "approvers", "require-reason", "min-reason",
			"require-ticket",
		} {
			if c.Flags().Changed(other) {
				return whole, document{}, usage(c, "--file contains all settings; omit --%s", other)
			}
		}
		where, err = readFileFlag(c, t.file, &whole)
		return whole, where, err
	}
	most, err := parseDuration(t.longest)
	if err != nil {
		return whole, document{}, usage(c, "--max: %s", err)
	}
	terms.MaxSeconds = int64(most / time.Second)
	if terms.GapSeconds, err = gapSeconds(t.gap); err != nil {
		return whole, document{}, usage(c, "--gap: %s", err)
	}
	if t.end != "" {
		end, err := parseTime(t.end, a.now(), a.local)
		if err != nil {
			return whole, document{}, usage(c, "--end: %s", err)
		}
		terms.End = &end
	}
	if terms.Approval, err = approverCase(t.approvers); err != nil {
		return whole, document{}, usage(c, "--approvers: %s", err)
	}
	terms.Justification = api.JustificationRule{Required: t.requireReason || t.minReason > 0, MinLength: t.minReason}
	terms.Ticket = api.TicketRule{Required: t.requireTicket}
	return whole, document{}, nil
}

func (a *app) eligibilityCreateCommand() *cobra.Command {
	var in api.NewEligibility
	var flags termsFlags
	var machine string
	c := &cobra.Command{
		Use: "create ROLE --to PRINCIPAL [--scope ID | --machine MACHINE] [--max DURATION] [--approvers " +
			"GROUP:COUNT]…",
		Short: "Make a principal eligible for a role",
		Long: `Make a user, the members of a group or a service principal eligible for a role at a scope: a resource id and
everything below it, or one machine. The default is the default subscription. Each member of a group activates the
role individually.`,
		Example: `  postern eligibility create Contributor --to vendors --max 4h --approvers ops:1 --require-reason
  postern eligibility create "Security Admin" --to anna --machine web-1
  postern eligibility create Contributor --to vendors --file terms.yaml`,
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf(c, "scope", "machine"); err != nil {
				return err
			}
			if in.Principal == "" {
				return usage(c, "for whom? Use --to NAME")
			}
			said, where, err := a.terms(c, flags)
			if err != nil {
				return err
			}
			in.Role, in.EligibilityTerms = args[0], said.EligibilityTerms
			cl, err := a.client()
			if err != nil {
				return err
			}
			if err := atMachine(c.Context(), cl, machine, &in.Scope); err != nil {
				return err
			}
			e, err := cl.CreateEligibility(c.Context(), in)
			if err != nil {
				return where.locate(err)
			}
			return printList(a, []api.Eligibility{e}, eligibilityColumns(), "")
		},
	}
	c.Flags().StringVar(&in.Principal, "to", "", "name or id of the user, group or service principal")
	c.Flags().StringVar(&in.Scope, "scope", "", "resource id; / is everything")
	c.Flags().StringVar(&machine, "machine", "", "only this machine")
	flags.add(c)
	return c
}

func (a *app) eligibilityChangeCommand() *cobra.Command {
	var flags termsFlags
	var yes bool
	c := &cobra.Command{
		Use:   "change ELIGIBILITY [--max DURATION] [--approvers GROUP:COUNT]… | --file FILE",
		Short: "Replace the settings of an eligibility",
		Long: `Replace all settings of an eligibility; omitted options get their defaults. Activations longer than the new settings
allow end at once, and pending requests are never loosened. With a file that eligibility show printed, nothing is
replaced if the eligibility has changed since. If this ends activations, or a setting would be lost, such as approvers,
a ticket or a gap, the command first says so and asks for confirmation; --yes confirms in advance.`,
		Example: "  postern eligibility change 7f3a9c12 --max 2h --approvers ops:2\n  postern eligibility change 7f3a9c12 " +
			"--file terms.yaml --yes",
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			said, where, err := a.terms(c, flags)
			if err != nil {
				return err
			}
			e, cl, err := a.oneEligibility(c, args[0])
			if err != nil {
				return err
			}
			// Of this eligibility's own settings, nobody may have changed them since they were printed.
			now := e.Revision
			if own := said.ID == "" || said.ID == e.ID; own && said.Revision > 0 {
				e.Revision = said.Revision
			}
			if e.Revision == now { // else the server refuses it
				lines, err := a.eligibilityEnds(c.Context(), cl, e, said.EligibilityTerms)
				if err != nil {
					return err
				}
				if err := a.agree(yes, lines); err != nil {
					return err
				}
			}
			if e, err = cl.ChangeEligibility(c.Context(), e.ID, e.Revision, said.EligibilityTerms); err != nil {
				return where.locate(err)
			}
			return printList(a, []api.Eligibility{e}, eligibilityColumns(), "")
		},
	}
	flags.add(c)
	yesFlag(c, &yes)
	return c
}

func (a *app) eligibilityDeleteCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "delete ELIGIBILITY",
		Short: "Delete an eligibility and end its activations",
		Long: `Delete an eligibility and end its activations. ELIGIBILITY is an id or its last characters. The command first lists
what will end and asks for confirmation; --yes confirms in advance.`,
		Example: "  postern eligibility delete 7f3a9c12\n  postern eligibility delete 7f3a9c12 --yes",
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			e, cl, err := a.oneEligibility(c, args[0])
			if err != nil {
				return err
			}
			if err := a.confirm(yes, "Taking the eligibility for "+e.Role+" from "+e.Principal+":",
				"  - ends all active and scheduled activations under it"); err != nil {
				return err
			}
			if err := cl.DeleteEligibility(c.Context(), e.ID); err != nil {
				return err
			}
			a.say("%s is no longer eligible for %s.", e.Principal, e.Role)
			return nil
		},
	}
	yesFlag(c, &yes)
	return c
}
