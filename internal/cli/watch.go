package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// every is how often a watched list asks the server.
const every = 2 * time.Second

// listing gives a command that prints a list the flags that say how, and runs it again and again with --watch.
func (a *app) listing(c *cobra.Command) *cobra.Command {
	f := c.Flags()
	f.StringSliceVar(&a.view.columns, "columns", nil, "columns to show, such as name,state; -o wide shows all of them")
	f.StringVar(&a.view.sort, "sort", "", "sort what is listed by this column; with a leading - in falling order")
	f.BoolVarP(&a.view.watch, "watch", "w", false, "go on, and show what changes, until interrupted")
	once := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if !a.view.watch {
			return once(c, args)
		}
		return a.watchEvery(c.Context(), every, func() error { return once(c, args) })
	}
	return c
}

// watchEvery lists again and again until it is interrupted. A terminal is drawn anew where something changed; anything
// else gets the rows that are new or changed. A server that is away for a moment is waited for.
func (a *app) watchEvery(ctx context.Context, pause time.Duration, once func() error) error {
	out, notes := a.out, a.err
	defer func() { a.out, a.err = out, notes }()
	terminal := a.columnsOfTerminal() > 0
	var shown, noted string
	for {
		var text, said bytes.Buffer
		a.out, a.err = &text, &said
		err := once()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (exitCode(err) != exitUnavailable || noted == "" && shown == ""):
			return err // at first, or for good
		case err != nil:
			a.explain(err)
		}
		a.out, a.err = out, notes
		switch now := text.String() + said.String(); {
		case !terminal:
			if _, err := io.WriteString(out, text.String()); err != nil {
				return err
			}
			if said.String() != noted {
				_, _ = io.WriteString(notes, said.String())
			}
		case now != shown:
			const anew = "\x1b[H\x1b[2J"
			if _, err := io.WriteString(out, anew+now); err != nil {
				return err
			}
		}
		shown, noted = text.String()+said.String(), said.String()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// printChanged prints those items that were not there the last time, or not as they are now.
func printChanged[T any](a *app, items []T, columns []column[T]) error {
	plain := style{plain: true, whole: true, now: a.now(), local: a.local}
	var changed []T
	there := map[string]bool{}
	for _, item := range items {
		whole, err := json.Marshal(item)
		if err != nil {
			return err
		}
		key := string(whole)
		if a.forPeople() || a.output == "csv" { // what is not shown has not changed
			key = strings.Join(cells(plain, item, columns), "\x00")
		}
		if there[key] = true; !a.view.seen[key] {
			changed = append(changed, item)
		}
	}
	a.view.seen = there
	first := !a.view.headed
	a.view.headed = true
	switch a.output {
	case "json", "yaml":
		for _, item := range changed {
			var err error
			if a.output == "json" {
				err = a.printJSON(item)
			} else if _, err = io.WriteString(a.out, "---\n"); err == nil {
				err = a.printYAML(item)
			}
			if err != nil {
				return err
			}
		}
		return nil
	case "csv":
		return printCSV(a, changed, columns, first)
	}
	if len(changed) == 0 && !first {
		return nil
	}
	return printTable(a, changed, columns, first)
}
