package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) roleShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ROLE",
		Short: "Show a role with its actions and scopes",
		Long: "Show a role with its actions and assignable scopes. The YAML output is valid input for postern " +
			"role update.",
		Example: "  postern role show \"JIT Access Requester\" -o yaml",
		Args:    takes(1, 1),
		RunE: a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
			r, err := cl.Role(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.printRole(r)
		}),
	}
}

func (a *app) printRole(r api.Role) error {
	gather := func(s style, get func(api.Permission) []string) string {
		var all []string
		for _, p := range r.Permissions {
			all = append(all, get(p)...)
		}
		const shown = 40 // roles with more are for programs to read
		if !s.plain && len(all) > shown {
			return s.list(all)
		}
		return strings.Join(all, ", ")
	}
	return printItem(a, r, []column[api.Role]{
		{"Name", func(_ style, r api.Role) string { return r.Name }},
		{"Id", func(_ style, r api.Role) string { return r.ID }},
		{"Description", func(_ style, r api.Role) string { return r.Description }},
		{"Actions", func(s style, _ api.Role) string {
			return gather(s, func(p api.Permission) []string { return p.Actions })
		}},
		{"Not actions", func(s style, _ api.Role) string {
			return gather(s, func(p api.Permission) []string { return p.NotActions })
		}},
		{"Data actions", func(s style, _ api.Role) string {
			return gather(s, func(p api.Permission) []string { return p.DataActions })
		}},
		{"Not data actions", func(s style, _ api.Role) string {
			return gather(s, func(p api.Permission) []string { return p.NotDataActions })
		}},
		{"Assignable at", func(_ style, r api.Role) string { return strings.Join(r.AssignableScopes, ", ") }},
	})
}

// roleFile is a custom role in a file: the native API's form, or the one of Azure's own tools, in which the actions
// stand beside the name.
type roleFile struct {
	api.RoleInput

	ID             string   `json:"id,omitempty"`       // of a role that was printed
	Revision       int64    `json:"revision,omitempty"` // likewise
	BuiltIn        bool     `json:"builtIn,omitempty"`  // likewise; it does not count
	IsCustom       *bool    `json:"isCustom,omitempty"`
	Actions        []string `json:"actions,omitempty"`
	NotActions     []string `json:"notActions,omitempty"`
	DataActions    []string `json:"dataActions,omitempty"`
	NotDataActions []string `json:"notDataActions,omitempty"`
}

// readRole reads a role from a file, or from standard input where it is "-": YAML, of which JSON is a part.
func (a *app) readRole(c *cobra.Command, file string) (r roleFile, d document, err error) {
	const most = 1 << 20
	in := a.in
	if file != "-" {
		f, err := os.Open(file) //nolint:gosec // the user names the file
		if err != nil {
			return r, d, usage(c, "--file: %s", err)
		}
		defer f.Close() //nolint:errcheck // it was only read
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return r, d, usage(c, "--file: %s", err)
	}
	if len(data) > most {
		return r, d, usage(c, "--file: %s is longer than %d bytes", file, most)
	}
	if d, err = readDocument(file, data, &r); err != nil {
		return r, d, usage(c, "--file: %s", err)
	}
	if r.RoleInput, err = r.whole(); err != nil {
		return r, d, usage(c, "--file: %s: %s", file, err)
	}
	return r, d, nil
}

// whole gives the role with the actions that stand beside its name.
func (r roleFile) whole() (api.RoleInput, error) {
	beside := api.Permission{
		Actions: r.Actions, NotActions: r.NotActions, DataActions: r.DataActions,
		NotDataActions: r.NotDataActions,
	}
	if len(beside.Actions)+len(beside.NotActions)+len(beside.DataActions)+len(beside.NotDataActions) > 0 {
		if len(r.Permissions) > 0 {
			return api.RoleInput{}, errors.New("permissions and top-level actions exclude each other; keep one")
		}
		if beside.Actions == nil {
			beside.Actions = []string{}
		}
		r.Permissions = []api.Permission{beside}
	}
	return r.RoleInput, nil
}

func (a *app) roleCreateCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "create --file FILE",
		Short: "Create a custom role",
		Long: `Create a custom role from a YAML or JSON file: a name, permissions with actions and notActions, and assignable
scopes. Azure's format, with the actions next to the name, is accepted too. The role can be assigned at its
assignable scopes and below, and nowhere else.`,
		Example: "  postern role create --file on-call.yaml",
		Args:    takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if file == "" {
				return usage(c, "which role? Use --file FILE")
			}
			in, where, err := a.readRole(c, file)
			if err != nil {
				return err
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			r, err := cl.CreateRole(c.Context(), in.RoleInput)
			if err != nil {
				return where.locate(err)
			}
			return a.printRole(r)
		},
	}
	c.Flags().StringVar(&file, "file", "", "file with the role; - is standard input")
	return c
}

func (a *app) roleUpdateCommand() *cobra.Command {
	var file string
	var yes bool
	c := &cobra.Command{
		Use:   "update ROLE --file FILE",
		Short: "Replace a custom role",
		Long: `Replace a custom role, given by name or id, with the contents of a file. The change applies at once to everyone who
has the role: if anyone has it, the command first says what it no longer permits and what it also permits, and asks
for confirmation; --yes confirms in advance. With a file that role show printed, nothing is replaced if the role has
changed since.`,
		Example: "  postern role update on-call --file on-call.yaml\n  postern role update on-call --file " +
			"on-call.yaml --yes",
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if file == "" {
				return usage(c, "replace it with what? Use --file FILE")
			}
			in, where, err := a.readRole(c, file)
			if err != nil {
				return err
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			r, err := cl.Role(c.Context(), args[0])
			if err != nil {
				return err
			}
			// What was printed of this very role, or what is asked about now, nobody may have changed since.
			revision := r.Revision
			if own := in.ID == "" || in.ID == r.ID; own && in.Revision > 0 {
				revision = in.Revision
			}
			if revision == r.Revision { // else the server refuses it
				lines, err := a.roleEnds(c.Context(), cl, r, in.RoleInput)
				if err != nil {
					return err
				}
				if err := a.agree(yes, lines); err != nil {
					return err
				}
			}
			if r, err = cl.UpdateRole(c.Context(), r.ID, in.RoleInput, revision); err != nil {
				return where.locate(err)
			}
			return a.printRole(r)
		},
	}
	c.Flags().StringVar(&file, "file", "", "file with the role; - is standard input")
	yesFlag(c, &yes)
	return c
}

func (a *app) roleDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "delete ROLE",
		Short:   "Delete an unassigned custom role",
		Long:    "Delete a custom role, given by name or id. An assigned role cannot be deleted.",
		Example: "  postern role delete on-call",
		Args:    takes(1, 1),
		RunE: a.done(func(ctx context.Context, cl *api.Client, args []string) (string, error) {
			return fmt.Sprintf("The role %s is deleted.", args[0]), cl.DeleteRole(ctx, args[0])
		}),
	}
}

func (a *app) roleLeastPrivilegedCommand() *cobra.Command {
	var in api.NewLeastPrivilegedRole
	c := &cobra.Command{
		Use:   "create-least-privileged --subscription S [--name N] [--api-only]",
		Short: "Create the least privileged role for requesting access",
		Long: `Create a custom role with the least privileges needed to request access, assignable in one subscription. It has the
same actions as the role from Microsoft's script Set-JitLeastPrivilegedRole. It is not assigned to anyone; use
postern role assign.`,
		Example: "  postern role create-least-privileged --subscription default\n" +
			"  postern role create-least-privileged --subscription default --name \"JIT from pipelines\" --api-only",
		Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if in.Subscription == "" {
				return usage(c, "which subscription? Use --subscription NAME, such as default")
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			r, err := cl.CreateLeastPrivilegedRole(c.Context(), in)
			if err != nil {
				return err
			}
			return a.printRole(r)
		},
	}
	f := c.Flags()
	f.StringVar(&in.Subscription, "subscription", "", "name or GUID of the subscription")
	f.StringVar(&in.Name, "name", "", "role name (default \"JIT Access Role\")")
	f.BoolVar(&in.APIOnly, "api-only", false, "omit the actions that only a portal needs")
	return c
}
