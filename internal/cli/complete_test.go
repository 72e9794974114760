package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestArgument(t *testing.T) {
	t.Parallel()
	for use, want := range map[string][]string{
		"show MACHINE":      {"MACHINE", ""},
		"add GROUP MEMBER…": {"GROUP", "MEMBER", "MEMBER", "MEMBER"},
		"revoke GRANT|REQUEST|MACHINE | --principal PERSON":            {"GRANT|REQUEST|MACHINE", ""},
		"request {MACHINE… --port PORT… | --item ITEM…} --reason TEXT": {"MACHINE", "MACHINE"},
		"roles [APP]":           {"APP", ""},
		"list":                  {""},
		"who --machine MACHINE": {""},
	} {
		for i, one := range want {
			if got := strings.Join(argument(use, i), "|"); got != one {
				t.Errorf("argument %d of %q is %q, want %q", i, use, got, one)
			}
		}
	}
}

// Every argument of every command has names that a shell completes, or is known to have none.
func TestEveryNameIsCompleted(t *testing.T) {
	t.Parallel()
	words := placeholders()
	none := []string{
		"NAME", "KIND", "FILE", "ID", "PREFIX", "NAME=VALUE", "NUMBER", // what does not exist yet, or is no name
	}
	everyCommand(tree(), func(c *cobra.Command) {
		if !c.Runnable() || c.Name() == "help" || c.Name() == "__complete" {
			return
		}
		for i := range 3 {
			for _, word := range argument(c.Use, i) {
				if word != "" && words[word] == nil && !slices.Contains(none, word) {
					t.Errorf("%s: nothing completes %s", c.CommandPath(), word)
				}
			}
		}
	})
	for flag, word := range flagPlaceholders() {
		if words[word] == nil {
			t.Errorf("--%s: nothing completes %s", flag, word)
		}
	}
}
