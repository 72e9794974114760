package cli

import (
	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

// machines completes the names of machines; where the server cannot be asked there is nothing to offer.
func (a *app) machines(c *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	const enough = 100
	cl, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	found, err := take(cl.Machines(c.Context(), api.MachineQuery{Prefix: prefix}), enough)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := make([]string, len(found))
	for i, m := range found {
		names[i] = m.Name
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
