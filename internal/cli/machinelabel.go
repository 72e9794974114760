package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) machineLabelCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "label MACHINE NAME=VALUE… [NAME-…]",
		Short: "Set or remove labels of a machine",
		Long: `Set labels of a machine; NAME- removes one. Requests select machines by label, and conditions of approval rules can
use labels.`,
		Example: "  postern machine label web-1 env=prod role=web\n  postern machine label web-1 role-",
		Args:    takes(2, -1),
		RunE: func(c *cobra.Command, args []string) error {
			in := api.LabelChange{Set: map[string]string{}}
			for _, arg := range args[1:] {
				if name, value, sets := strings.Cut(arg, "="); sets {
					in.Set[name] = value
				} else if name, removes := strings.CutSuffix(arg, "-"); removes {
					in.Remove = append(in.Remove, name)
				} else {
					return usage(c, "%q is neither NAME=VALUE nor NAME-", arg)
				}
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			m, err := cl.LabelMachine(c.Context(), args[0], in)
			if err != nil {
				return err
			}
			return printItem(a, m, machineColumns())
		},
	}
}
