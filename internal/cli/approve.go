package cli

import (
	"fmt"
	"strings"

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

// approves says all that the approval of a request is about.
func (a *app) approves(r api.Request) []string {
	lines := []string{r.Requester + " asks for this:"}
	for _, line := range factLines(a.style(), r, requestFacts(), wholeRequest(r)) {
		lines = append(lines, "  "+line)
	}
	return lines
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
