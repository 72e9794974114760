package cli

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

// settingsFlags are the flags of the customer's terms.
type settingsFlags struct {
	jit, approval, longest string
	approvers              []string
	yes                    bool
}

func (f *settingsFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.jit, "jit", "",
		"yes: the publisher activates its roles when needed; no: it has them permanently")
	c.Flags().StringVar(&f.approval, "approval", "", "automatic or manual (default automatic)")
	c.Flags().StringVar(&f.longest, "max", "", "longest activation (default 8h, or less if the definition says so)")
	c.Flags().StringSliceVar(&f.approvers, "approver", nil,
		"person or group of your tenant who may approve; may be repeated")
	c.Flags().BoolVar(&f.yes, "yes", false, "confirm in advance; required without a terminal where something follows")
}

// settings reads the flags over what there is; nil where none is given.
func (f *settingsFlags) settings(c *cobra.Command, was *api.ApplicationSettings) (*api.ApplicationSettings, error) {
	given := false
	for _, name := range []string{"jit", "approval", "max", "approver"} {
		given = given || c.Flags().Changed(name)
	}
	if !given {
		return nil, nil //nolint:nilnil // there is nothing to set, and that is no error
	}
	s := api.ApplicationSettings{JIT: true}
	if was != nil {
		s = *was
	}
	switch f.jit {
	case "":
	case "yes":
		s.JIT = true
	case "no":
		s = api.ApplicationSettings{}
		if f.approval != "" || f.longest != "" || len(f.approvers) > 0 {
			return nil, usage(c, "with --jit no there is nothing to approve: omit --approval, --max and --approver")
		}
	default:
		return nil, usage(c, "--jit must be yes or no")
	}
	if f.approval != "" {
		s.Approval = f.approval
	}
	if f.longest != "" {
		d, err := parseDuration(f.longest)
		if err != nil {
			return nil, usage(c, "--max: %s", err)
		}
		s.MaxSeconds = int64(d / time.Second)
	}
	if c.Flags().Changed("approver") {
		s.Approvers = nil
		for _, name := range f.approvers {
			s.Approvers = append(s.Approvers, api.ApplicationApprover{Name: name})
		}
	}
	return &s, nil
}

// confirmPermanent says what permanent access means, and has it confirmed.
func (a *app) confirmPermanent(c *cobra.Command, f settingsFlags, s *api.ApplicationSettings,
	d api.ApplicationDefinition,
) error {
	if s == nil && d.JIT.Available || s != nil && s.JIT {
		return nil
	}
	a.say("Without just-in-time access, %s has these roles on the managed resource group PERMANENTLY, at any time "+
		"and without a request:",
		d.Publisher)
	for _, given := range d.Authorizations {
		a.say("  %s  for %s %s", given.Role, given.Kind, given.Principal)
	}
	a.say("Nobody approves, nothing expires, and you are not notified. It ends when you delete the application or " +
		"turn on just-in-time access.")
	if f.yes {
		return nil
	}
	answer, err := a.ask(c, bufio.NewReader(a.in), "Type the publisher's name to give it permanent access: ",
		"--yes, to confirm that,")
	if err != nil {
		return err
	}
	if !strings.EqualFold(strings.TrimSpace(answer), d.Publisher) {
		return fail(exitRefused, "", "nothing was created")
	}
	return nil
}

func (a *app) appCreateCommand() *cobra.Command {
	var flags settingsFlags
	var in api.NewApplication
	var answers string
	c := &cobra.Command{
		Use: "create NAME --definition DEFINITION [--jit yes|no] [--approval automatic|manual] [--max DURATION] " +
			"[--approver NAME]…",
		Short: "Deploy an application",
		Long: `Deploy an application. This creates its managed resource group; machines enrolled into that group belong to it. With
--jit yes, the publisher can read there and activates its roles when needed, under your settings; with --jit no, it
has them permanently.`,
		Example: `  postern app create shop --definition vendor/shop --approval manual --max 2h --approver ann --approver on-call
  postern app create shop --definition vendor/shop --answers answers.yaml
  postern app create shop --definition vendor/shop --jit no`,
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if in.Definition == "" {
				return usage(c, "which definition? Use --definition NAME or --definition PUBLISHER/NAME")
			}
			in.Name = args[0]
			settings, err := flags.settings(c, nil)
			if err != nil {
				return err
			}
			in.Settings = settings
			if answers != "" {
				data, err := readText(answers)
				if err != nil {
					return usage(c, "--answers: %s", err)
				}
				var filled struct {
					Basics api.Answers            `json:"basics"`
					Steps  map[string]api.Answers `json:"steps"`
				}
				if _, err := readDocument(answers, data, &filled); err != nil {
					return usage(c, "%s", err)
				}
				in.Basics, in.Steps = filled.Basics, filled.Steps
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			d, err := cl.ApplicationDefinition(c.Context(), in.Definition)
			if err != nil {
				return err
			}
			if err := a.confirmPermanent(c, flags, settings, d); err != nil {
				return err
			}
			in.Definition, in.DefinitionDigest = d.ID, d.Digest // what was shown, and nothing else
			made, err := cl.DeployApplication(c.Context(), in)
			if err != nil {
				return err
			}
			return printItem(a, made, applicationDetail())
		},
	}
	c.Flags().StringVar(&in.Definition, "definition", "", "definition name; another tenant's as PUBLISHER/NAME")
	c.Flags().StringVar(&in.ResourceGroup, "group", "", "resource group of the application itself (default default)")
	c.Flags().StringVar(&in.ManagedResourceGroup, "managed-group", "",
		"name of the managed resource group (default mrg-NAME)")
	c.Flags().StringVar(&answers, "answers", "", "file with answers to the definition's form, as basics and steps")
	flags.add(c)
	return c
}

func (a *app) appSetCommand() *cobra.Command {
	var flags settingsFlags
	c := &cobra.Command{
		Use:   "set APP [--jit yes] [--approval automatic|manual] [--max DURATION] [--approver NAME]…",
		Short: "Change the settings for the publisher's access",
		Long: `Change the settings for the publisher's access; omitted settings are kept. Activations longer than the new settings
allow end at once, and pending requests are never loosened. Just-in-time access can be turned on later, but not off.
If this ends access, or loosens who approves or for how long, the command first says so and asks for confirmation;
--yes confirms in advance.`,
		Example: "  postern app set shop --approval manual --approver ann --max 1h\n  postern app set shop --jit yes",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			v, err := cl.Application(c.Context(), args[0])
			if err != nil {
				return err
			}
			settings, err := flags.settings(c, &v.Settings)
			if err != nil {
				return err
			}
			if settings == nil {
				return usage(c, "nothing to set; use --jit, --approval, --max or --approver")
			}
			if err := a.agree(flags.yes, a.settingsEnd(v, *settings)); err != nil {
				return err
			}
			for i, one := range settings.Approvers {
				if one.ID != "" { // as it was answered
					settings.Approvers[i] = api.ApplicationApprover{Name: one.ID}
				}
			}
			// the settings that stay are those that were read
			change := api.ApplicationChange{Settings: settings}
			if v, err = cl.ChangeApplication(c.Context(), v.ID, change, v.Revision); err != nil {
				return err
			}
			return printItem(a, v, applicationDetail())
		}),
	}
	flags.add(c)
	return c
}

// settingsEnd says what follows where the publisher's access to an application has other settings.
func (a *app) settingsEnd(v api.Application, will api.ApplicationSettings) []string {
	was := v.Settings
	var lines []string
	if was.JIT && !will.JIT {
		return nil // the server refuses it
	}
	if !was.JIT && will.JIT {
		lines = append(lines, "  - ends the publisher's permanent roles; it activates them when needed")
	}
	if was.Approval == "manual" && will.Approval != "manual" {
		lines = append(lines, "  - nobody has to approve the publisher's activations any more")
	}
	names := func(s api.ApplicationSettings) (texts []string) {
		for _, one := range s.Approvers {
			texts = append(texts, one.Name)
		}
		return texts
	}
	if gone := without(names(was), names(will)); len(gone) > 0 {
		lines = append(lines, "  - may no longer approve: "+strings.Join(gone, ", "))
	}
	if will.MaxSeconds > was.MaxSeconds && was.MaxSeconds > 0 {
		lines = append(lines, fmt.Sprintf("  - activations may last %s (was: %s)", seconds(will.MaxSeconds),
			seconds(was.MaxSeconds)))
	}
	ending := slices.DeleteFunc(slices.Clone(v.Active), func(g api.Grant) bool {
		return will.MaxSeconds == 0 || int64(g.End.Sub(g.Start).Seconds()) <= will.MaxSeconds
	})
	lines = append(lines, a.ends(ending)...)
	if len(lines) == 0 {
		return nil
	}
	return append([]string{"Changing the settings for " + v.Publisher + "'s access to " + v.Name + ":"}, lines...)
}
