package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) reviewCommand() *cobra.Command {
	return group("review", "Review break-glass access",
		`Each use of break-glass must be reviewed: until an approver has closed the review, the same person cannot use
break-glass again.`,
		a.listing(a.reviewListCommand()), a.reviewCloseCommand())
}

func reviewColumns() []column[api.Review] {
	return []column[api.Review]{
		{"ID", func(s style, v api.Review) string { return s.id(v.ID) }},
		{"WHO", func(_ style, v api.Review) string { return v.Person }},
		{"WHEN", func(s style, v api.Review) string { return s.ago(&v.CreatedAt) }},
		{"FOR", func(s style, v api.Review) string {
			if v.Request == nil {
				return "opened on the machine"
			}
			return s.list(placeTexts(s, *v.Request))
		}},
		{"FROM", func(s style, v api.Review) string {
			if v.Request == nil {
				return ""
			}
			return s.list(sourceTexts(s, *v.Request))
		}},
		{"LENGTH", func(s style, v api.Review) string {
			if v.Request == nil {
				return ""
			}
			return s.list(lengthTexts(s, *v.Request))
		}},
		{"REASON", func(_ style, v api.Review) string {
			if v.Request == nil {
				return ""
			}
			return v.Request.Justification
		}},
		{"STATE", func(_ style, v api.Review) string {
			switch {
			case v.ClosedAt != nil:
				return "closed"
			case v.Mine:
				return "open, yours to close"
			default:
				return "open"
			}
		}},
		{"FOUND", func(_ style, v api.Review) string { return v.Comment }},
	}
}

func (a *app) reviewListCommand() *cobra.Command {
	var all bool
	var limit int
	c := &cobra.Command{
		Use:     "list",
		Short:   "List open reviews, newest first",
		Long:    "List open reviews: your own, and those of requests that you may see or decide.",
		Example: "  postern review list\n  postern review list --all -o json",
		Args:    takes(0, 0),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, _ []string) error {
			reviews, err := shown(a, cl.Reviews(c.Context(), !all), limit)
			if err != nil {
				return err
			}
			return printList(a, reviews, reviewColumns(), "There are no reviews.")
		}),
	}
	c.Flags().BoolVar(&all, "all", false, "include closed reviews")
	amountFlag(c, &limit, "limit", 100, "maximum number of results")
	return c
}

func (a *app) reviewCloseCommand() *cobra.Command {
	var comment string
	c := &cobra.Command{
		Use:   "close REVIEW --comment TEXT",
		Short: "Close a review with your findings",
		Long: "Close the review of someone's break-glass access, as an approver, with your findings. Nobody " +
			"closes their own review.",
		Example: "  postern review close 7f3a9c12 --comment \"the disk was full, as reported\"",
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if strings.TrimSpace(comment) == "" {
				return usage(c, "describe your findings with --comment")
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			id := args[0]
			if !whole(id) {
				reviews, err := take(cl.Reviews(c.Context(), false), searched)
				if err != nil {
					return err
				}
				v, err := byTail("review", "postern review list --all", id, reviews,
					func(v api.Review) string { return v.ID })
				if err != nil {
					return err
				}
				id = v.ID
			}
			v, err := cl.CloseReview(c.Context(), id, comment)
			if err != nil {
				return err
			}
			return printList(a, []api.Review{v}, reviewColumns(), "")
		},
	}
	c.Flags().StringVar(&comment, "comment", "", "your findings")
	return c
}
