package cli

import (
	"context"
	"iter"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

// runs is what cobra runs.
type runs = func(*cobra.Command, []string) error

// signedIn runs a command as whoever signed in.
func (a *app) signedIn(run func(c *cobra.Command, cl *api.Client, args []string) error) runs {
	return func(c *cobra.Command, args []string) error {
		cl, err := a.client()
		if err != nil {
			return err
		}
		return run(c, cl, args)
	}
}

// list runs a command that prints all that find returns; empty is what people are told where that is nothing.
func list[T any](a *app, columns []column[T], empty string,
	find func(context.Context, *api.Client, []string) iter.Seq2[T, error],
) runs {
	return a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
		items, err := api.All(find(c.Context(), cl, args))
		if err != nil {
			return err
		}
		return printList(a, items, columns, empty)
	})
}

// show runs a command that prints the one thing that get returns.
func show[T any](a *app, columns []column[T], get func(context.Context, *api.Client, []string) (T, error)) runs {
	return a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
		item, err := get(c.Context(), cl, args)
		if err != nil {
			return err
		}
		return printItem(a, item, columns)
	})
}

// act runs a command that makes or changes a thing, and prints what became of it as a list would.
func act[T any](a *app, columns []column[T], do func(context.Context, *api.Client, []string) (T, error)) runs {
	return a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
		item, err := do(c.Context(), cl, args)
		if err != nil {
			return err
		}
		return printList(a, []T{item}, columns, "")
	})
}

// done runs a command that leaves nothing to print; do returns what people are told when it is done.
func (a *app) done(do func(context.Context, *api.Client, []string) (string, error)) runs {
	return a.signedIn(func(c *cobra.Command, cl *api.Client, args []string) error {
		text, err := do(c.Context(), cl, args)
		if err != nil {
			return err
		}
		a.say("%s", text)
		return nil
	})
}

// atMachine makes scope that of a machine, where one is named.
func atMachine(ctx context.Context, cl *api.Client, machine string, scope *string) error {
	if machine == "" {
		return nil
	}
	m, err := cl.Machine(ctx, machine)
	*scope = m.Resource
	return err
}
