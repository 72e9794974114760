package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func (a *app) extendCommand() *cobra.Command {
	var length, until string
	var in api.Extension
	c := &cobra.Command{
		Use:   "extend GRANT --for DURATION | --until TIME",
		Short: "Extend open access",
		Long: `Request more time on one of your grants, under the same rule as the original request. If that approves
automatically, the grant ends later at once, without interruption. It never exceeds the policy's maximum duration
from its start.`,
		Example: "  postern grant list --who me\n  postern extend 7f3a9c12 --for 30m\n  postern extend 7f3a9c12 " +
			"--until 18:00 --reason \"not done yet\"",
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf(c, "for", "until"); err != nil {
				return err
			}
			if until != "" {
				at, err := parseTime(until, a.now(), a.local)
				if err != nil {
					return usage(c, "--until: %s", err)
				}
				in.Until = &at
			} else {
				d, err := parseDuration(length)
				if err != nil {
					return usage(c, "--for: %s", err)
				}
				in.ForSeconds = int64(d / time.Second)
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			g, err := findGrant(c.Context(), cl, args[0])
			if err != nil {
				return err
			}
			r, err := cl.Extend(c.Context(), g.ID, in)
			if err != nil {
				return err
			}
			if err := a.printRequest(r); err != nil || r.State != "approved" || !a.forPeople() {
				return err
			}
			if g, err = cl.Grant(c.Context(), g.ID, 0); err != nil {
				return err
			}
			a.line("\n%s is open until %s.", whatOf(g), a.style().time(g.End))
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&length, "for", "1h", "how much longer")
	f.StringVar(&until, "until", "", "new end")
	f.StringVar(&in.Justification, "reason", "", "reason (default that of the original request)")
	f.StringVar(&in.Ticket, "ticket", "", "ticket reference (default that of the original request)")
	return c
}
