package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) approveCommand() *cobra.Command {
	return a.decideCommand(true, "approve", "Approve a request", "comment, for the activity log",
		"Approve a request as a person, or member of a group, named in the policy. Nobody decides their own request.",
		"  postern request list --needs-me\n  postern approve 7f3a9c12\n  postern approve 7f3a9c12 --comment \"seen "+
			"with Ann\"")
}

func (a *app) denyCommand() *cobra.Command {
	return a.decideCommand(false, "deny", "Deny a request", "comment, shown to the requester",
		`Deny a request as a person, or member of a group, named in the policy. Unless the policy's rule says otherwise, a
single denial ends it.`,
		"  postern deny 7f3a9c12 --comment \"use the bastion instead\"")
}

func (a *app) decideCommand(approve bool, name, short, comment, long, example string) *cobra.Command {
	in := api.NewDecision{Approve: approve}
	var yes bool
	c := &cobra.Command{
		Use:   name + " REQUEST",
		Short: short,
		Long: long + " The decision applies to what the server shows now; use --digest to decide only what you " +
			"were shown earlier.",
		Example: example,
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			r, err := findRequest(c.Context(), cl, args[0])
			if err != nil {
				return err
			}
			if in.Digest == "" {
				in.Digest = r.Digest
			}
			if approve {
				if err := a.confirm(yes || !a.interactive(), a.approves(r)...); err != nil {
					return err
				}
			}
			if r, err = cl.Decide(c.Context(), r.ID, in); err != nil {
				return err
			}
			return a.printRequest(r)
		}),
	}
	c.Flags().StringVar(&in.Comment, "comment", "", comment)
	if approve {
		c.Flags().BoolVar(&yes, "yes", false, "do not ask for confirmation")
	}
	c.Flags().StringVar(&in.Digest, "digest", "", "decide only if the request still has this digest")
	return c
}

// approves says what the approval of a request gives.
func (a *app) approves(r api.Request) []string {
	s := a.style()
	lines := []string{fmt.Sprintf("%s asks for this, because: %s", r.Requester, r.Justification)}
	for _, text := range accessTexts(s, r) {
		lines = append(lines, "  "+text)
	}
	if n := len(r.Windows); n > 0 {
		lines = append(lines,
			fmt.Sprintf("in %d windows, from %s to %s", n, s.time(r.Windows[0]), s.time(r.Windows[n-1])))
	} else if r.Start != nil {
		lines = append(lines, "starting at "+s.time(*r.Start))
	}
	return lines
}

func (a *app) extendCommand() *cobra.Command {
	var length, until string
	var in api.Extension
	c := &cobra.Command{
		Use:   "extend GRANT --for DURATION | --until TIME",
		Short: "Extend open access",
		Long: `Request more time on one of your grants, under the same rule as the original request. If that approves
automatically, the grant ends later at once, without interruption. It never exceeds the policy's maximum duration
from its start.`,
		Example: "  postern grant list --who me\n  postern extend 7f3a9c12 --for 30m\n  postern extend 7f3a9c12 " +
			"--until 18:00 --reason \"not done yet\"",
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf(c, "for", "until"); err != nil {
				return err
			}
			if until != "" {
				at, err := parseTime(until, a.now(), a.local)
				if err != nil {
					return usage(c, "--until: %s", err)
				}
				in.Until = &at
			} else {
				d, err := parseDuration(length)
				if err != nil {
					return usage(c, "--for: %s", err)
				}
				in.ForSeconds = int64(d / time.Second)
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			g, err := findGrant(c.Context(), cl, args[0])
			if err != nil {
				return err
			}
			r, err := cl.Extend(c.Context(), g.ID, in)
			if err != nil {
				return err
			}
			if err := a.printRequest(r); err != nil || r.State != "approved" || a.output != "table" {
				return err
			}
			if g, err = cl.Grant(c.Context(), g.ID, 0); err != nil {
				return err
			}
			a.line("\n%s is open until %s.", whatOf(g), a.style().time(g.End))
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&length, "for", "1h", "how much longer")
	f.StringVar(&until, "until", "", "new end")
	f.StringVar(&in.Justification, "reason", "", "reason (default that of the original request)")
	f.StringVar(&in.Ticket, "ticket", "", "ticket reference (default that of the original request)")
	return c
}

func (a *app) reviewCommand() *cobra.Command {
	return group("review", "Review break-glass access",
		`Each use of break-glass must be reviewed: until an approver has closed the review, the same person cannot use
break-glass again.`,
		a.reviewListCommand(), a.reviewCloseCommand())
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
			return s.list(itemTexts(*v.Request))
		}},
		{"REASON", func(s style, v api.Review) string {
			switch {
			case v.Request == nil:
				return ""
			case s.plain:
				return v.Request.Justification
			default:
				return clip(v.Request.Justification, 32)
			}
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

// approvalTexts says how deciding stands, a line for each approval: "stage 1: 1 more of ops (ann, bob may decide)".
func approvalTexts(r api.Request) []string {
	var lines []string
	for _, p := range r.Approvals {
		line := p.State
		if p.State == "waiting" {
			line = fmt.Sprintf("stage %d of %d waits for %s", p.Stage+1, len(p.Case.Stages), quorumTexts(p.Wanted))
			if len(p.Deciders) > 0 {
				line += fmt.Sprintf("; %s may decide", namesText(p.Deciders, p.DeciderCount))
			}
		}
		if p.Case.Name != "" {
			line = p.Case.Name + ": " + line
		}
		lines = append(lines, line)
	}
	return lines
}

// decisionTexts says who decided what: "bob approved: seen with Ann".
func decisionTexts(r api.Request) []string {
	var lines []string
	for _, d := range r.Decisions {
		d.Person = orElse(d.Person, "an approver") // of another tenant, whom the caller is not told of
		verb := "denied"
		if d.Approve {
			verb = "approved"
		}
		line := d.Person + " " + verb
		if d.Comment != "" {
			line += ": " + d.Comment
		}
		lines = append(lines, line)
	}
	return lines
}

func quorumTexts(quorums []api.Quorum) string {
	var texts []string
	for _, q := range quorums {
		texts = append(texts,
			fmt.Sprintf("%d of %s", q.Count, strings.Join(append(append([]string{}, q.Groups...), q.People...), ", ")))
	}
	return strings.Join(texts, " and ")
}

// namesText writes the first few of count names.
func namesText(names []string, count int) string {
	const most = 5
	shown := strings.Join(names[:min(len(names), most)], ", ")
	if count > most {
		shown += fmt.Sprintf(" and %d more", count-most)
	}
	return shown
}
