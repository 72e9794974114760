//go:build !linux

package cli

import (
	"runtime"

	"github.com/spf13/cobra"
)

// hostCommands returns, for each command that runs on Linux only, one that says so.
func (a *app) hostCommands() []*cobra.Command {
	var all []*cobra.Command
	for _, name := range []string{"server", "agent", "demo"} {
		all = append(all, &cobra.Command{
			Use:                name,
			Short:              "Not available in this build: runs on Linux only",
			Hidden:             true,
			DisableFlagParsing: true, // whatever is typed after it
			RunE: func(*cobra.Command, []string) error {
				return fail(exitUsage, "", "postern %s runs on Linux only; this program was built for %s", name,
					runtime.GOOS)
			},
		})
	}
	return all
}
