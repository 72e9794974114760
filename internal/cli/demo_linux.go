package cli

import (
	"errors"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/postern-dev/postern/internal/demo"
)

func (a *app) demoCommand() *cobra.Command {
	var once, apps bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run the demo on this host's kernel",
		Long: `Run the demo on this host's kernel. In its own namespaces, which are removed at the end, it starts a real server, a
real agent and a guarded sshd, shows the port refused, requests access, connects, kills server and agent, and shows
that the port still closes on time. Then it verifies the activity log. It needs no root privileges if the kernel
allows user namespaces, changes nothing on this host, and takes about 15 seconds.`,
		Example: "  postern demo\n  postern demo --once\n  postern demo --app --once",
		Args:    takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			program, err := os.Executable()
			if err != nil {
				return err
			}
			in, isIn := a.in.(*os.File)
			out, isOut := a.out.(*os.File)
			problems, isErr := a.err.(*os.File)
			if !isIn || !isOut || !isErr {
				return errors.New("the demo hands its streams down, so they must be files")
			}
			err = demo.Run(c.Context(), demo.Options{
				Apps:    apps,
				Once:    once,
				Colour:  term.IsTerminal(int(out.Fd())) && a.getenv("NO_COLOR") == "",
				Program: program,
				In:      in,
				Out:     out,
				Err:     problems,
				Now:     a.now,
			})
			if errors.Is(err, demo.ErrFailed) {
				return &silentError{code: exitError}
			}
			return err
		},
	}
	c.Flags().BoolVar(&once, "once", false, "exit at the end; the exit code is 0 only if every step succeeded")
	c.Flags().BoolVar(&apps, "app", false,
		"demonstrate a managed application: a publisher, a customer, and an activation that needs approval")
	return c
}
