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
		Short: "Show the whole on this machine's kernel: closed, asked for, open, closed again",
		Long: `Show the whole on this machine's kernel. In namespaces of its own, which end with it, the demonstration starts a real
server, a real agent and a guarded sshd, has the port refused, asks for it, connects, kills server and agent, and sees
the port close on time all the same; then it verifies the activity log. It needs no root where the kernel allows user
namespaces, touches nothing of this machine, and takes about a quarter of a minute.`,
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
	c.Flags().BoolVar(&once, "once", false, "end after the story; the exit code is 0 only if every step did what it says")
	c.Flags().BoolVar(&apps, "app", false, "tell of a managed application instead: a publisher, its customer, and an activation that needs approval")
	return c
}
