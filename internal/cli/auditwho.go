package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) auditWhoCommand() *cobra.Command {
	var machine, at string
	c := &cobra.Command{
		Use: "who --machine MACHINE [--at TIME]", Short: "Show who had access to a machine at a given time",
		Long: `Show who had access to a machine at a given time: through grants, whether an agent saw them open or never reported
on them; and with break-glass codes on the machine itself. The default time is now.`,
		Example: "  postern audit who --machine web-1\n  postern audit who --machine web-1 --at \"2026-01-31 15:04\"",
		Args:    takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if machine == "" {
				return usage(c, "which machine? Use --machine NAME")
			}
			var instant time.Time
			if at != "" {
				var err error
				if instant, err = parseTime(at, a.now(), a.local); err != nil {
					return usage(c, "--at: %s", err)
				}
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			list, err := api.All(cl.WhoHad(c.Context(), machine, instant))
			if err != nil {
				return err
			}
			return printList(a, list, accessColumns(), "Nobody had access at that time.")
		},
	}
	c.Flags().StringVar(&machine, "machine", "", "name or id of the machine")
	c.Flags().StringVar(&at, "at", "", "time (default now)")
	return c
}
