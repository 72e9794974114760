package cli

import "github.com/spf13/cobra"

// hostCommands returns the commands that run on Linux only: what runs on hosts and not where people sit.
func (a *app) hostCommands() []*cobra.Command {
	return []*cobra.Command{newServerCommand(a), newAgentCommand(a), a.demoCommand()}
}
