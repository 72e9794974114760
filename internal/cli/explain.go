package cli

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

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
	if a.output != "table" {
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

// policyCase is one case of a file of policy test.
type policyCase struct {
	Name      string   `yaml:"name"`
	Person    string   `yaml:"person"`
	Machine   string   `yaml:"machine"`
	Port      string   `yaml:"port"`
	From      []string `yaml:"from"`
	For       string   `yaml:"for"`
	At        string   `yaml:"at"`
	Start     string   `yaml:"start"`
	Reason    string   `yaml:"reason"`
	Ticket    string   `yaml:"ticket"`
	Expect    string   `yaml:"expect"`    // automatic, approval or refused
	Reasons   []string `yaml:"reasons"`   // codes that a refusal must have
	Approvers []string `yaml:"approvers"` // who must be able to decide, all of them
}

func (a *app) policyTestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test FILE",
		Short: "Test the policies against a file of cases, for your CI",
		Long: `Test the policies against a file of cases. Each case has person, machine, port, from, for, at, start, reason and
ticket like a request, and the expected result: automatic, approval or refused; optionally reasons, the codes of a
refusal, and approvers, who must be able to decide. The exit code is 1 if a case has a different result.`,
		Example: `  postern policy test access.yaml

  # access.yaml
  - name: ann at night
    person: ann
    machine: web-1
    port: 22/tcp
    from: [203.0.113.7]
    for: 1h
    at: 2030-01-07T23:00:00Z
    expect: approval
    approvers: [bob, cy]`,
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			data, err := readText(args[0])
			if err != nil {
				return usage(c, "%s", err)
			}
			var cases []policyCase
			d := yaml.NewDecoder(bytes.NewReader(data))
			d.KnownFields(true)
			if err := d.Decode(&cases); err != nil {
				return usage(c, "%s: %s", args[0], err)
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			failed := 0
			for i, one := range cases {
				wrong, err := a.checkCase(c.Context(), cl, one)
				if err != nil {
					return usage(c, "%s: case %d (%s): %s", args[0], i+1, one.Name, err)
				}
				name := orElse(one.Name, fmt.Sprintf("%s %s:%s", one.Person, one.Machine, one.Port))
				if len(wrong) == 0 {
					a.line("ok   %s", name)
					continue
				}
				failed++
				a.line("FAIL %s", name)
				for _, w := range wrong {
					a.line("     %s", w)
				}
			}
			if failed > 0 {
				return fail(exitError, "See why with: postern policy explain", "%s had a different result, of %d",
					count(failed, "case"), len(cases))
			}
			return nil
		},
	}
}

// checkCase gives what of a case came out otherwise than expected.
func (a *app) checkCase(ctx context.Context, cl *api.Client, one policyCase) ([]string, error) {
	if !slices.Contains([]string{"automatic", "approval", "refused"}, one.Expect) {
		return nil, fmt.Errorf("expect is %q; use automatic, approval or refused", one.Expect)
	}
	q := api.Question{
		Person: one.Person, Machine: one.Machine, Sources: one.From, Justification: one.Reason,
		Ticket: one.Ticket,
	}
	q.Ports, q.Protocol = splitPort(one.Port)
	if word, err := a.readTimes(&q, orElse(one.For, "1h"), one.At, one.Start); err != nil {
		return nil, fmt.Errorf("%s: %w", word, err)
	}
	x, err := cl.Explain(ctx, q)
	if err != nil {
		return nil, err
	}
	var wrong []string
	if x.Outcome != one.Expect {
		parts := []string{fmt.Sprintf("is %s, expected %s", x.Outcome, one.Expect)}
		for _, r := range x.Reasons {
			parts = append(parts, r.Code+": "+r.Message)
		}
		wrong = append(wrong, strings.Join(parts, "; "))
	}
	codes := reasonCodes(x.Reasons)
	for _, code := range one.Reasons {
		if !slices.Contains(codes, code) {
			wrong = append(wrong, fmt.Sprintf("has the reasons %v, expected %s among them", codes, code))
		}
	}
	for _, person := range one.Approvers {
		if !slices.Contains(x.Approvers, person) {
			wrong = append(wrong, fmt.Sprintf("could be decided by %v, expected %s among them", x.Approvers, person))
		}
	}
	return wrong, nil
}
