package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/postern-dev/postern/api"
)

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
			cases, err := readCases(data)
			if err != nil {
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

// readCases reads the cases of all documents of a file: one that was passed over would have passed.
func readCases(data []byte) (cases []policyCase, err error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	for {
		var some []policyCase
		switch err := d.Decode(&some); {
		case errors.Is(err, io.EOF) && len(cases) == 0:
			return nil, errors.New("there are no cases in it")
		case errors.Is(err, io.EOF):
			return cases, nil
		case err != nil:
			return nil, err
		}
		cases = append(cases, some...)
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
