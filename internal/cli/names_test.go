package cli

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// A text that tells people to type something is only as good as that command: names in it are those of the program.
var (
	// typed is where a text names a command: in code or after words that lead to one, and not where it tells of the
	// program.
	typed = regexp.MustCompile(`(?m)(?:^|[` + "`" + `"'>(:]|\$ |\bsudo |\bbin/|&& |\bwith |\bby |\bsay |\brun |See: |token of )\s*postern ([a-z][a-z-]*(?: [a-z][a-z-]*)*)([^` + "`" + `"';|&<\n]*)`)
	flags = regexp.MustCompile(`(?:^|[\s` + "`" + `"'\[(])--([a-z][a-z-]*)`)
)

// flagNames gives every flag of a command, inherited ones too.
func flagNames(c *cobra.Command) map[string]bool {
	names := map[string]bool{"help": true, "version": true}
	for _, found := range flags.FindAllStringSubmatch(c.LocalFlags().FlagUsages()+c.InheritedFlags().FlagUsages(), -1) {
		names[found[1]] = true
	}
	return names
}

func everyCommand(c *cobra.Command, do func(*cobra.Command)) {
	do(c)
	for _, sub := range c.Commands() {
		everyCommand(sub, do)
	}
}

// named finds the command that words begin with, and what of them comes after it.
func named(root *cobra.Command, words []string) (*cobra.Command, []string) {
	at := root
	for i, word := range words {
		next := at
		for _, sub := range at.Commands() {
			if sub.Name() == word {
				next = sub
			}
		}
		if next == at {
			return at, words[i:] // arguments
		}
		at = next
	}
	return at, nil
}

func tree() *cobra.Command {
	var none bytes.Buffer
	a := &app{
		in: &none, out: &none, err: &none, getenv: func(string) string { return "" }, now: time.Now,
		local: time.UTC,
	}
	root := a.root()
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	return root
}

// wrong gives what a line names that the program does not have.
func wrong(root *cobra.Command, line string) (missing []string) {
	for _, found := range typed.FindAllStringSubmatch(line, -1) {
		c, after := named(root, strings.Fields(found[1]))
		if len(after) > 0 && c.HasSubCommands() && (c.Args == nil || c.Args(c, after) != nil) {
			missing = append(missing, c.CommandPath()+" "+after[0])
			continue
		}
		for _, flag := range flags.FindAllStringSubmatch(found[2], -1) {
			if !flagNames(c)[flag[1]] {
				missing = append(missing, c.CommandPath()+" --"+flag[1])
			}
		}
	}
	return missing
}

// literals gives the texts of a file of Go, each with its line.
func literals(t *testing.T, path string) map[int]string {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[int]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				texts[set.Position(lit.Pos()).Line] += text + "\n"
			}
		}
		return true
	})
	return texts
}

// TestNamedCommandsExist reads every text that people get to see, of the program, the portal and the manual: whatever
// command or flag of postern it names is there.
func TestNamedCommandsExist(t *testing.T) {
	t.Parallel()
	root := tree()
	all := map[string]bool{}
	everyCommand(root, func(c *cobra.Command) { maps.Copy(all, flagNames(c)) })
	complain := func(path string, line int, missing []string) {
		for _, what := range missing {
			t.Errorf("%s:%d names %q, which there is not", path, line, what)
		}
	}
	everyText(t, func(path string, line int, text string) {
		if !strings.HasSuffix(path, ".go") {
			if strings.HasSuffix(path, ".ts") {
				text = strings.ReplaceAll(text, "`", " ") // these are quotes there
			}
			complain(path, line, wrong(root, text))
			return
		}
		if !strings.HasPrefix(path, "internal/cli/") {
			text = "… " + text // what begins with the name is there a sentence about the program, or the name of a key
		}
		complain(path, line, wrong(root, text))
		// An error that tells of a flag has no command beside it: somebody's flag it must be.
		if strings.HasPrefix(path,
			"internal/engine/") || strings.HasPrefix(path,
			"internal/core/") || strings.HasPrefix(path, "internal/httpapi/") {
			for _, flag := range flags.FindAllStringSubmatch(text, -1) {
				if !all[flag[1]] {
					complain(path, line, []string{"--" + flag[1]})
				}
			}
		}
	})
}

// everyText gives every text that people get to see, of the program, the portal and the manual: a line of it, or a
// literal of Go.
func everyText(t *testing.T, do func(path string, line int, text string)) {
	t.Helper()
	top, looked := filepath.Join("..", ".."), 0
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "node_modules" || name == "testdata" || name == "dist" || name == "tmp" ||
				strings.HasPrefix(
					name, ".") && path != top {
				return filepath.SkipDir
			}
			return nil
		}
		name := strings.TrimPrefix(path, top+"/")
		switch ext := filepath.Ext(path); {
		case ext == ".go" && !strings.HasSuffix(path, "_test.go"):
			for line, text := range literals(t, path) {
				do(name, line, text)
				looked++
			}
		case ext == ".md" || ext == ".svelte" || ext == ".html" || ext == ".service" || ext == ".conf" ||
			ext == ".yaml" || ext == ".ts" || d.Name() == "agent.sh":
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for i, line := range strings.Split(string(text), "\n") {
				do(name, i+1, line)
			}
			looked++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked < 1000 {
		t.Fatalf("only %d texts were found", looked)
	}
}

func TestWrongNamesAreFound(t *testing.T) {
	t.Parallel()
	root := tree()
	for line, want := range map[string]string{
		"Sign in with: postern login --server URL":            "",
		"`postern machine token web-1 --gateway`":             "",
		"make one with postern machine token NAME --mode x":   "postern machine token --mode",
		"`postern machine tokken web-1 --gateway`":            "postern machine tokken",
		"ExecStart=/usr/bin/postern agent gard":               "postern agent gard",
		"`postern frobnicate`":                                "postern frobnicate",
		"postern login --server https://x --fingerprint 12":   "postern login --fingerprint",
		"    postern agent uninstall --yes && reboot --force": "",
	} {
		if got := strings.Join(wrong(root, line), ","); got != want {
			t.Errorf("%q: %q is missing, want %q", line, got, want)
		}
	}
}
