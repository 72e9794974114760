package cli

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func accessReviewItemColumns() []column[api.AccessReviewItem] {
	return []column[api.AccessReviewItem]{
		{"ITEM", func(_ style, it api.AccessReviewItem) string { return strconv.Itoa(it.Number) }},
		{"KIND", func(_ style, it api.AccessReviewItem) string { return it.Kind }},
		{"WHO", func(_ style, it api.AccessReviewItem) string { return it.Principal }},
		{"HAS", func(_ style, it api.AccessReviewItem) string { return orElse(orElse(it.Role, it.Group), it.Kind) }},
		{"WHERE", func(s style, it api.AccessReviewItem) string {
			if strings.HasPrefix(it.Place, "/") {
				return shortScope(s, it.Place)
			}
			return it.Place
		}},
		{"GIVES", func(_ style, it api.AccessReviewItem) string { return it.Gives }},
		{"DECISION", func(_ style, it api.AccessReviewItem) string {
			switch {
			case it.Decision != "":
				return it.Decision
			case it.Own:
				return "undecided, your own"
			case it.Changed:
				return "undecided, changed"
			}
			return "undecided"
		}},
		{"BY", func(_ style, it api.AccessReviewItem) string { return it.DecidedBy }},
		{"OUTCOME", func(_ style, it api.AccessReviewItem) string { return it.Outcome }},
		{"REASON", func(_ style, it api.AccessReviewItem) string { return orElse(it.Problem, it.Reason) }},
	}
}

// itemFlags say which items of an access review are meant.
func itemFlags(c *cobra.Command, q *api.AccessReviewItemQuery) {
	f := c.Flags()
	f.StringVar(&q.Kind, "kind", "", "only this kind: assignment, eligibility, membership, approver or breakGlass")
	f.StringVar(&q.Principal, "principal", "", "only what this user, group or service principal has")
}

func (a *app) accessReviewItemsCommand() *cobra.Command {
	var q api.AccessReviewItemQuery
	c := &cobra.Command{
		Use:   "items ACCESS-REVIEW",
		Short: "List the entries of an access review",
		Long: "List the entries of an access review: who has what, where, and what it allows. If the access has changed " +
			"since it was shown, a decision on it is refused and the entry shows the current access.",
		Example: `  postern access-review items q4-2026 --decision undecided
  postern access-review items q4-2026 --principal ops -o csv`,
		Args: takes(1, 1),
		RunE: list(a, accessReviewItemColumns(), "No items found.",
			func(c context.Context, cl *api.Client, args []string) iter.Seq2[api.AccessReviewItem, error] {
				return cl.AccessReviewItems(c, args[0], q)
			}),
	}
	itemFlags(c, &q)
	c.Flags().StringVar(&q.Decision, "decision", "", "only keep, remove or undecided")
	return c
}

func (a *app) accessReviewDecideCommand() *cobra.Command {
	var keep, remove, all, yes bool
	var reason string
	q := api.AccessReviewItemQuery{}
	c := &cobra.Command{
		Use:   "decide ACCESS-REVIEW [NUMBER…] (--keep | --remove --reason TEXT)",
		Short: "Keep or remove access",
		Long: `Keep or remove entries of an access review, named by their numbers, or with --all every undecided one that
--kind and --principal leave. Entries that are your own access are left to another reviewer. Each entry is decided
separately: one that has changed, or that another reviewer was faster to decide, is listed with the reason, and the
exit code is 3.`,
		Example: `  postern access-review decide q4-2026 12 14 --keep
  postern access-review decide q4-2026 13 --remove --reason "left the team"
  postern access-review decide q4-2026 --all --kind membership --principal ben --remove --reason "left" --yes`,
		Args: takes(1, 1000),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case keep == remove:
				return usage(c, "say either --keep or --remove")
			case remove && strings.TrimSpace(reason) == "":
				return usage(c, "say with --reason why the access is to be removed")
			case all == (len(args) > 1):
				return usage(c, "name items by their numbers, or use --all")
			}
			numbers := make([]int, len(args)-1)
			for i, text := range args[1:] {
				n, err := strconv.Atoi(text)
				if err != nil || n < 1 {
					return usage(c, "%q is not the number of an item: see postern access-review items", text)
				}
				numbers[i] = n
			}
			if all {
				q.Decision = "undecided"
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			items, err := chosenItems(c.Context(), cl, args[0], q, numbers)
			if err != nil {
				return err
			}
			in := api.AccessDecisions{Decision: "keep", Reason: reason}
			if remove {
				in.Decision = "remove"
				if err := a.confirmRemoval(c.Context(), cl, args[0], items, yes); err != nil {
					return err
				}
			}
			return a.decideItems(c.Context(), cl, args[0], in, items)
		},
	}
	itemFlags(c, &q)
	f := c.Flags()
	f.BoolVar(&keep, "keep", false, "the access is needed")
	f.BoolVar(&remove, "remove", false, "the access is not needed")
	f.BoolVar(&all, "all", false, "every undecided entry that --kind and --principal leave")
	f.StringVar(&reason, "reason", "", "why; required with --remove")
	yesFlag(c, &yes)
	return c
}

// chosenItems returns the items of the numbers as they are shown now; all that the query finds, but for what is the
// caller's own, where there are none.
func chosenItems(ctx context.Context, cl *api.Client, review string, q api.AccessReviewItemQuery,
	numbers []int,
) (items []api.AccessReviewItem, err error) {
	for it, err := range cl.AccessReviewItems(ctx, review, q) {
		if err != nil {
			return nil, err
		}
		if slices.Contains(numbers, it.Number) || len(numbers) == 0 && !it.Own && it.Outcome == "" {
			items = append(items, it)
		}
	}
	for _, n := range numbers {
		if !slices.ContainsFunc(items, func(it api.AccessReviewItem) bool { return it.Number == n }) {
			return nil, fail(exitError, "See: postern access-review items "+review, "there is no item %d", n)
		}
	}
	if len(items) == 0 {
		return nil, fail(exitError, "See: postern access-review items "+review, "there is nothing to decide")
	}
	return items, nil
}

// confirmRemoval says what a decision removes at once.
func (a *app) confirmRemoval(ctx context.Context, cl *api.Client, review string, items []api.AccessReviewItem,
	yes bool,
) error {
	r, err := cl.AccessReview(ctx, review)
	if err != nil || r.Effect != "atOnce" {
		return err
	}
	const most = 20
	lines := []string{fmt.Sprintf("This removes %s at once:", count(len(items), "item"))}
	for _, it := range items[:min(len(items), most)] {
		lines = append(lines, fmt.Sprintf("  %d  %s of %s: %s", it.Number, it.Kind, it.Principal, it.Gives))
	}
	if more := len(items) - most; more > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", more))
	}
	return a.confirm(yes, lines...)
}

// decideItems decides items, a hundred in one call, and prints what came of each.
func (a *app) decideItems(ctx context.Context, cl *api.Client, review string, in api.AccessDecisions,
	items []api.AccessReviewItem,
) error {
	var shown []api.AccessReviewItem
	refused := 0
	for some := range slices.Chunk(items, 100) {
		in.Items = nil
		for _, it := range some {
			in.Items = append(in.Items, api.AccessReviewRef{Number: it.Number, Digest: it.Digest, Revision: it.Revision})
		}
		done, err := cl.DecideAccess(ctx, review, in)
		if err != nil {
			return err
		}
		for _, d := range done.Items {
			if d.Problem != nil {
				refused++
				d.Item.Problem = d.Problem.Detail
			}
			shown = append(shown, d.Item)
		}
	}
	if err := printList(a, shown, accessReviewItemColumns(), ""); err != nil {
		return err
	}
	if refused > 0 {
		return fail(exitRefused, "Look at them with: postern access-review items "+review,
			"%d of %d decisions were refused", refused, len(items))
	}
	return nil
}
