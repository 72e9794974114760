package cli

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) accessReviewCommand() *cobra.Command {
	return group("access-review", "Review who has access, and remove what is not needed",
		`An access review lists who has access at a scope: role assignments, eligibilities, memberships of the groups that
have them, and the people and groups whom policies name. Reviewers keep or remove each entry by a due date; nobody
reviews their own access. Afterwards a file proves what was decided, without the server.`,
		a.listing(a.accessReviewListCommand()), a.accessReviewCreateCommand(), a.accessReviewShowCommand(),
		a.listing(a.accessReviewItemsCommand()), a.accessReviewDecideCommand(), a.accessReviewChangeCommand(),
		a.accessReviewCloseCommand(), a.accessReviewCancelCommand(), a.accessReviewExportCommand(),
		a.accessReviewVerifyCommand())
}

func accessReviewColumns() []column[api.AccessReview] {
	return []column[api.AccessReview]{
		{"NAME", func(_ style, r api.AccessReview) string { return r.Name }},
		{"STATE", func(_ style, r api.AccessReview) string { return r.State }},
		{"DUE", func(s style, r api.AccessReview) string { return s.time(r.Due) }},
		{"SCOPE", func(s style, r api.AccessReview) string { return shortScope(s, r.Scope) }},
		{"ITEMS", func(_ style, r api.AccessReview) string { return strconv.Itoa(r.Items) }},
		{"UNDECIDED", func(_ style, r api.AccessReview) string { return strconv.Itoa(r.Counts.Undecided) }},
		{"KEEP", func(_ style, r api.AccessReview) string { return strconv.Itoa(r.Counts.Keep) }},
		{"REMOVE", func(_ style, r api.AccessReview) string { return strconv.Itoa(r.Counts.Remove) }},
		{"REMOVED", func(_ style, r api.AccessReview) string { return strconv.Itoa(r.Counts.Removed) }},
		{"FAILED", func(_ style, r api.AccessReview) string { return strconv.Itoa(r.Counts.Failed) }},
		{"REVIEWERS", func(s style, r api.AccessReview) string {
			var names []string
			for _, one := range r.Reviewers {
				names = append(names, one.Name)
			}
			return s.list(names)
		}},
	}
}

// accessReviewTerms are what one access review says beside what a list of them does.
func accessReviewTerms() []column[api.AccessReview] {
	return append(accessReviewColumns(), []column[api.AccessReview]{
		{"KINDS", func(s style, r api.AccessReview) string { return s.list(r.Kinds) }},
		{"OWNER", func(_ style, r api.AccessReview) string { return r.Owner }},
		{"TAKES EFFECT", func(_ style, r api.AccessReview) string { return effectText(r.Effect) }},
		{"IF UNDECIDED", func(_ style, r api.AccessReview) string { return r.Undecided }},
		{"REASON", func(_ style, r api.AccessReview) string { return r.Reason }},
	}...)
}

func effectText(effect string) string {
	if effect == "atOnce" {
		return "at once"
	}
	return "at the end"
}

func (a *app) accessReviewListCommand() *cobra.Command {
	var state string
	c := &cobra.Command{
		Use:     "list",
		Short:   "List access reviews, newest first",
		Long:    "List the access reviews that you own or review, and those that you may read.",
		Example: "  postern access-review list\n  postern access-review list --state open -o json",
		Args:    takes(0, 0),
		RunE: list(a, accessReviewColumns(),
			"There are no access reviews. Create one with: postern access-review create NAME --reviewer PRINCIPAL",
			func(c context.Context, cl *api.Client, _ []string) iter.Seq2[api.AccessReview, error] {
				return cl.AccessReviews(c, state)
			}),
	}
	c.Flags().StringVar(&state, "state", "", "filter by state: open, closing, closed or canceled")
	return c
}

func (a *app) accessReviewCreateCommand() *cobra.Command {
	var in api.NewAccessReview
	var due string
	var atOnce, yes bool
	c := &cobra.Command{
		Use:   "create NAME --reviewer PRINCIPAL… [--scope ID] [--kind KIND…] [--due TIME]",
		Short: "Start an access review",
		Long: `Start an access review of everything at a scope and below it. You become its owner: access is removed by your
right, as it is then. Decisions take effect when the review ends, and may be changed until then; with --at-once, access
is removed with the decision. --undecided says what becomes of what nobody has decided by the due date.`,
		Example: `  postern access-review create q4-2026 --reviewer audit-board --due 14d
  postern access-review create prod-admins --scope /subscriptions/4f1c… --kind assignment --kind membership \
    --reviewer rita --reviewer rob --due "2026-12-31 17:00" --at-once --undecided remove --yes`,
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if len(in.Reviewers) == 0 {
				return usage(c, "name at least one reviewer with --reviewer")
			}
			if in.Due, err = a.ahead(due); err != nil {
				return usage(c, "--due: %s", err)
			}
			in.Name, in.Effect = args[0], "atEnd"
			if atOnce {
				in.Effect = "atOnce"
			}
			if in.Undecided == "remove" {
				err = a.confirm(yes, fmt.Sprintf("Access that nobody has decided on by %s will be removed.",
					a.style().time(in.Due)))
				if err != nil {
					return err
				}
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			r, err := cl.CreateAccessReview(c.Context(), in)
			if err != nil {
				return err
			}
			if err := printItem(a, r, accessReviewTerms()); err != nil {
				return err
			}
			a.say("Reviewers see what to decide with: postern access-review items %s --decision undecided", r.Name)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&in.Scope, "scope", "/", "resource id; / is everything")
	f.StringSliceVar(&in.Kinds, "kind", nil,
		"what is reviewed: assignment, eligibility, membership, approver, breakGlass (default all)")
	f.StringSliceVar(&in.Reviewers, "reviewer", nil, "person or group that reviews; may be repeated")
	f.StringVar(&due, "due", "14d", "when the review ends: a time, or a duration from now")
	f.BoolVar(&atOnce, "at-once", false, "remove access with the decision, not when the review ends")
	f.StringVar(&in.Undecided, "undecided", "keep", "what becomes of undecided access: keep or remove")
	yesFlag(c, &yes)
	return c
}

// ahead reads a time, or a duration from now on.
func (a *app) ahead(s string) (time.Time, error) {
	if d, err := parseDuration(s); err == nil {
		return a.now().Add(d), nil
	}
	return parseTime(s, a.now(), a.local)
}

func (a *app) accessReviewShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show ACCESS-REVIEW",
		Short:   "Show an access review and its progress",
		Long:    "Show an access review and its progress. Its entries are listed by postern access-review items.",
		Example: "  postern access-review show q4-2026\n  postern access-review show q4-2026 -o json",
		Args:    takes(1, 1),
		RunE: show(a, accessReviewTerms(),
			func(c context.Context, cl *api.Client, args []string) (api.AccessReview, error) {
				return cl.AccessReview(c, args[0])
			}),
	}
}

func (a *app) accessReviewChangeCommand() *cobra.Command {
	var reviewers []string
	var due string
	c := &cobra.Command{
		Use:   "change ACCESS-REVIEW [--reviewer PRINCIPAL…] [--due TIME]",
		Short: "Change the reviewers or the due date",
		Long: "Change the reviewers or the due date of an open access review, such as when a reviewer has left. " +
			"--reviewer replaces all reviewers.",
		Example: "  postern access-review change q4-2026 --reviewer rita --reviewer audit-board --due 7d",
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			in := api.AccessReviewChange{Reviewers: reviewers}
			if due != "" {
				at, err := a.ahead(due)
				if err != nil {
					return usage(c, "--due: %s", err)
				}
				in.Due = &at
			}
			if in.Due == nil && len(reviewers) == 0 {
				return usage(c, "say what to change with --reviewer or --due")
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			r, err := cl.ChangeAccessReview(c.Context(), args[0], in, 0)
			if err != nil {
				return err
			}
			return printItem(a, r, accessReviewTerms())
		},
	}
	f := c.Flags()
	f.StringSliceVar(&reviewers, "reviewer", nil, "person or group that reviews; may be repeated")
	f.StringVar(&due, "due", "", "when the review ends: a time, or a duration from now")
	return c
}

func (a *app) accessReviewCloseCommand() *cobra.Command {
	var reason string
	var yes bool
	c := &cobra.Command{
		Use:   "close ACCESS-REVIEW --reason TEXT",
		Short: "End an access review before it is due",
		Long: "End an access review before it is due, as the due date would: what was decided takes effect, and what " +
			"is undecided is kept or removed, as was chosen when the review was created.",
		Example: "  postern access-review close q4-2026 --reason \"everything is decided\" --yes",
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return usage(c, "give a reason with --reason")
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			r, err := cl.AccessReview(c.Context(), args[0])
			if err != nil {
				return err
			}
			if err := a.agree(yes, closingRemoves(r)); err != nil {
				return err
			}
			if r, err = cl.CloseAccessReview(c.Context(), args[0], reason); err != nil {
				return err
			}
			return printItem(a, r, accessReviewTerms())
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why it ends now")
	yesFlag(c, &yes)
	return c
}

// closingRemoves says what ending a review removes.
func closingRemoves(r api.AccessReview) (lines []string) {
	if n := r.Counts.Remove - r.Counts.Removed - r.Counts.Failed; n > 0 {
		lines = append(lines, fmt.Sprintf("%s, decided so, will be removed.", count(n, "item")))
	}
	if n := r.Counts.Undecided - r.Counts.Gone; n > 0 && r.Undecided == "remove" {
		lines = append(lines, fmt.Sprintf("%s without a decision will be removed.", count(n, "item")))
	}
	return lines
}

func (a *app) accessReviewCancelCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:     "cancel ACCESS-REVIEW --reason TEXT",
		Short:   "End an access review without removing anything further",
		Long:    "End an access review without removing anything further. What it has removed stays removed.",
		Example: "  postern access-review cancel q4-2026 --reason \"wrong scope\"",
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return usage(c, "give a reason with --reason")
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			r, err := cl.CancelAccessReview(c.Context(), args[0], reason)
			if err != nil {
				return err
			}
			return printItem(a, r, accessReviewTerms())
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why it is canceled")
	return c
}
