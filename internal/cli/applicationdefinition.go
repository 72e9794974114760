package cli

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) appDefinitionCommand() *cobra.Command {
	return group("definition", "Manage the definitions of a publisher",
		`A definition says which of the publisher's principals get which role on each application deployed from it, and under
which conditions.`,
		a.appDefinitionCreateCommand(), a.listing(a.appDefinitionListCommand()), a.appDefinitionShowCommand(),
		a.appDefinitionDeleteCommand())
}

func appDefinitionColumns() []column[api.ApplicationDefinition] {
	return []column[api.ApplicationDefinition]{
		{"NAME", func(_ style, d api.ApplicationDefinition) string { return d.Name }},
		{"PUBLISHER", func(_ style, d api.ApplicationDefinition) string { return d.Publisher }},
		{"VERSION", func(_ style, d api.ApplicationDefinition) string { return d.Version }},
		{"JIT", func(_ style, d api.ApplicationDefinition) string { return offerText(d.JIT) }},
		{"LOCK", func(_ style, d api.ApplicationDefinition) string { return d.LockLevel }},
		{"ROLES", func(s style, d api.ApplicationDefinition) string { return s.list(authorizationTexts(d)) }},
		{"DEPLOYED", func(_ style, d api.ApplicationDefinition) string { return fmt.Sprint(d.Deployed) }},
	}
}

func offerText(o api.ApplicationOffer) string {
	switch {
	case !o.Available:
		return "not offered"
	case o.Required:
		return "required" + atMost(o)
	default:
		return "offered" + atMost(o)
	}
}

func atMost(o api.ApplicationOffer) string {
	if o.MaxSeconds == 0 {
		return ""
	}
	return ", at most " + seconds(o.MaxSeconds)
}

func authorizationTexts(d api.ApplicationDefinition) []string {
	var texts []string
	for _, given := range d.Authorizations {
		texts = append(texts, given.Role+" for "+given.Principal)
	}
	return texts
}

func (a *app) appDefinitionCreateCommand() *cobra.Command {
	var in api.ApplicationDefinitionInput
	var authorize []string
	var longest, ui, template, file string
	c := &cobra.Command{
		Use:   "create NAME --authorize PRINCIPAL=ROLE… [--jit] [--max DURATION] [--tenant NAME]… | --file FILE",
		Short: "Create a definition, or replace its settings",
		Long: `Create a definition, or replace all of its settings. Each change creates a revision with a higher version. Deployed
applications stay as they are until their customers accept the change. PRINCIPAL is a user, a service principal or,
preferably, a group, whose members activate the role individually.`,
		Example: `  postern app definition create shop --authorize vendors=Contributor --jit --max 4h --tenant customer
  postern app definition create shop --authorize vendors=Contributor --jit --ui createUiDefinition.json --public
  postern app definition create shop --file shop.yaml`,
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := readDefinition(c, &in, authorize, longest, ui, template, file); err != nil {
				return err
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			d, err := cl.SetApplicationDefinition(c.Context(), args[0], in, 0)
			if err != nil {
				return err
			}
			return printList(a, []api.ApplicationDefinition{d}, appDefinitionColumns(), "")
		},
	}
	f := c.Flags()
	f.StringSliceVar(&authorize, "authorize", nil, "role assignment as PRINCIPAL=ROLE; may be repeated")
	f.BoolVar(&in.JIT.Available, "jit", false, "let customers choose just-in-time access")
	f.BoolVar(&in.JIT.Required, "jit-required", false, "require just-in-time access")
	f.StringVar(&longest, "max", "", "longest activation that a customer may allow (default 24h)")
	f.StringVar(&in.LockLevel, "lock", "",
		"restriction for customers in the managed resource group: ReadOnly, CanNotDelete or None (default ReadOnly)")
	f.StringSliceVar(&in.AllowedActions, "allow", nil,
		"action that customers may perform despite the lock; may be repeated")
	f.StringSliceVar(&in.Audience, "tenant", nil, "tenant that may deploy it; may be repeated")
	f.BoolVar(&in.Public, "public", false, "let every tenant deploy it")
	f.BoolVar(&in.Disabled, "disabled", false, "stop new deployments")
	f.StringVar(&in.Version, "version", "", "version of three numbers, such as 1.4.0 (default the next patch)")
	f.StringVar(&in.DisplayName, "display-name", "", "display name")
	f.StringVar(&in.Description, "description", "", "description")
	f.StringVar(&in.NotificationEndpoint, "notify", "", "URL that receives events about applications in Azure's format")
	f.StringVar(&ui, "ui", "", "file with the createUiDefinition")
	f.StringVar(&template, "template", "", "file with the mainTemplate")
	f.StringVar(&in.ResourceGroup, "group", "", "resource group of the definition (default default)")
	f.StringVar(&file, "file", "", "read the whole definition from a YAML or JSON file")
	return c
}

// readDefinition puts the flags, or the file, into what is asked for.
func readDefinition(c *cobra.Command, in *api.ApplicationDefinitionInput, authorize []string,
	longest, ui, template, file string,
) error {
	if file != "" {
		data, err := readText(file)
		if err != nil {
			return usage(c, "--file: %s", err)
		}
		if _, err := readDocument(file, data, in); err != nil {
			return usage(c, "%s", err)
		}
	}
	for _, text := range authorize {
		principal, role, ok := strings.Cut(text, "=")
		if !ok {
			return usage(c, "--authorize %q is not PRINCIPAL=ROLE, such as vendors=Contributor", text)
		}
		in.Authorizations = append(in.Authorizations, api.ApplicationAuthorization{Principal: principal, Role: role})
	}
	if longest != "" {
		d, err := parseDuration(longest)
		if err != nil {
			return usage(c, "--max: %s", err)
		}
		in.JIT.MaxSeconds = int64(d / time.Second)
	}
	in.JIT.Available = in.JIT.Available || in.JIT.Required
	for _, doc := range []struct {
		flag, file string
		to         *string
	}{{"ui", ui, &in.CreateUIDefinition}, {"template", template, &in.MainTemplate}} {
		if doc.file == "" {
			continue
		}
		data, err := readText(doc.file)
		if err != nil {
			return usage(c, "--%s: %s", doc.flag, err)
		}
		*doc.to = string(data)
	}
	return nil
}

func (a *app) appDefinitionListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List your tenant's definitions and those offered to it",
		Long:    "List the definitions of your tenant, and those that other tenants offer to it.",
		Example: "  postern app definition list",
		Args:    takes(0, 0),
		RunE: list(a, appDefinitionColumns(),
			"There are no definitions. Create one with: postern app definition create NAME --authorize "+
				"PRINCIPAL=ROLE --jit",
			func(ctx context.Context, cl *api.Client, _ []string) iter.Seq2[api.ApplicationDefinition, error] {
				return cl.ApplicationDefinitions(ctx)
			}),
	}
}

func (a *app) appDefinitionShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show DEFINITION",
		Short:   "Show a definition, in full as JSON or YAML",
		Long:    "Show a definition by name or resource id; another tenant's as PUBLISHER/NAME.",
		Example: "  postern app definition show vendor/shop\n  postern app definition show shop -o yaml",
		Args:    takes(1, 1),
		RunE: show(a, []column[api.ApplicationDefinition]{
			{"Name", func(_ style, d api.ApplicationDefinition) string { return d.Name }},
			{"Id", func(_ style, d api.ApplicationDefinition) string { return d.ID }},
			{"Publisher", func(_ style, d api.ApplicationDefinition) string { return d.Publisher }},
			{"Version", func(_ style, d api.ApplicationDefinition) string { return d.Version }},
			{"Description", func(_ style, d api.ApplicationDefinition) string { return d.Description }},
			{"Just in time", func(_ style, d api.ApplicationDefinition) string { return offerText(d.JIT) }},
			{"Roles", func(s style, d api.ApplicationDefinition) string { return s.list(authorizationTexts(d)) }},
			{"Lock", func(_ style, d api.ApplicationDefinition) string { return d.LockLevel }},
			{"Allowed", func(s style, d api.ApplicationDefinition) string { return s.list(d.AllowedActions) }},
			{"Offered to", func(s style, d api.ApplicationDefinition) string {
				if d.Public {
					return "everyone"
				}
				return s.list(d.Audience)
			}},
			{"Endpoint", func(_ style, d api.ApplicationDefinition) string { return d.NotificationEndpoint }},
			{"Deployed", func(_ style, d api.ApplicationDefinition) string { return fmt.Sprint(d.Deployed) }},
		}, func(ctx context.Context, cl *api.Client, args []string) (api.ApplicationDefinition, error) {
			return cl.ApplicationDefinition(ctx, args[0])
		}),
	}
}

func (a *app) appDefinitionDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "delete DEFINITION",
		Short: "Withdraw a definition",
		Long: `Withdraw a definition, so that nothing new can be deployed from it. Existing applications keep the settings that
their customers agreed to.`,
		Example: "  postern app definition delete shop",
		Args:    takes(1, 1),
		RunE: a.done(func(ctx context.Context, cl *api.Client, args []string) (string, error) {
			return fmt.Sprintf("The definition %s is withdrawn.", args[0]), cl.DeleteApplicationDefinition(ctx, args[0])
		}),
	}
}
