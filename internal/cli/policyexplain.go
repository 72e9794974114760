package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) policyExplainCommand() *cobra.Command {
	var q api.Question
	var from []string
	var length, at, start string
	c := &cobra.Command{
		Use:   "explain MACHINE:PORT [--as PERSON]",
		Short: "Preview the outcome of a request, step by step",
		Long: `Preview the outcome of a request without submitting it: whether the person may request, which limits apply, which
case of the approval rule applies, who would have to approve, and whether it would be approved at once.`,
		Example: `  postern policy explain web-1:22
  postern policy explain web-1:22/tcp --as ann --from 203.0.113.7 --for 2h --at "tomorrow 22:00"
  postern policy explain web-1:22 --as ann --for 2h --start "tomorrow 22:00"`,
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			machine, port, ok := cutLast(args[0], ":")
			if !ok || machine == "" || port == "" {
				return usage(c, "%q is not MACHINE:PORT, such as web-1:22", args[0])
			}
			q.Machine, q.Sources = machine, from
			q.Ports, q.Protocol = splitPort(port)
			if word, err := a.readTimes(&q, length, at, start); err != nil {
				return usage(c, "--%s: %s", word, err)
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			x, err := cl.Explain(c.Context(), q)
			if err != nil {
				return err
			}
			return a.printExplanation(x)
		},
	}
	f := c.Flags()
	f.StringVar(&q.Person, "as", "", "requester (default you)")
	f.StringSliceVar(&from, "from", nil,
		"address, prefix or named network to open for (default your address as the server sees it)")
	f.StringVar(&length, "for", "1h", "duration")
	f.StringVar(&at, "at", "", "time of the request (default now)")
	f.StringVar(&start, "start", "", "start of the access (default at once)")
	f.StringVar(&q.Justification, "reason", "", "reason (default one that satisfies the policy)")
	f.StringVar(&q.Ticket, "ticket", "", "ticket (default one that satisfies the policy)")
	return c
}

// readTimes reads how long a question is for, when it would be asked, and for when, which counts from there; both may
// be empty. word names the one that is wrong.
func (a *app) readTimes(q *api.Question, length, at, start string) (word string, err error) {
	d, err := parseDuration(length)
	if err != nil {
		return "for", err
	}
	q.ForSeconds = int64(d / time.Second)
	asked := a.now()
	if at != "" {
		if asked, err = parseTime(at, asked, a.local); err != nil {
			return "at", err
		}
		q.At = &asked
	}
	if start != "" {
		when, err := parseTime(start, asked, a.local)
		if err != nil {
			return "start", err
		}
		q.Start = &when
	}
	return "", nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func (a *app) printExplanation(x api.Explanation) error {
	if !a.forPeople() {
		return printItem(a, x, []column[api.Explanation]{
			{"Outcome", func(_ style, x api.Explanation) string { return x.Outcome }},
			{"Reasons", func(_ style, x api.Explanation) string { return strings.Join(reasonCodes(x.Reasons), ",") }},
			{"Approvers", func(_ style, x api.Explanation) string { return strings.Join(x.Approvers, ",") }},
		})
	}
	for _, s := range x.Steps {
		mark := "ok"
		if !s.OK {
			mark = "no"
		}
		a.line("%-3s %-14s %s", mark, s.Step, s.Text)
	}
	switch x.Outcome {
	case "automatic":
		a.line("It would be approved at once.")
	case "approval":
		a.line("It would be pending; %s could decide.", namesText(x.Approvers, len(x.Approvers)))
	default:
		a.line("It would be refused.")
	}
	return nil
}

func reasonCodes(reasons []api.Reason) []string {
	codes := make([]string, 0, len(reasons))
	for _, r := range reasons {
		codes = append(codes, r.Code)
	}
	return codes
}
