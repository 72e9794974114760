package cli

import "github.com/spf13/cobra"

// secretFlag declares --NAME-file, which a secret is read from, and refuses --NAME: every user of a host reads the
// command lines of all processes, and a shell keeps its own.
func secretFlag(c *cobra.Command, file *string, name, what string) {
	f := c.Flags()
	f.StringVar(file, name+"-file", "", "file whose first line is "+what+"; - is standard input")
	f.String(name, "", "refused")
	f.Lookup(name).Hidden = true
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		if !c.Flags().Changed(name) {
			return nil
		}
		return usage(c,
			"every user of this host can read a command line, so %s is not taken from --%s: use --%[2]s-file FILE "+
				"(- is standard input), or omit both to be prompted for it. If you passed a secret that is in use, "+
				"replace it",
			what, name)
	}
}
