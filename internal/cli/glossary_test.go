package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// retired is a row of the glossary's table of retired words: what to find, and what to write instead.
type retired struct {
	words *regexp.Regexp
	use   string
}

// retiredWords reads the table of docs/glossary.md, which is the one list.
func retiredWords(t *testing.T) []retired {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "glossary.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "\n| retired | use |\n|---|---|\n")
	if !ok {
		t.Fatal("docs/glossary.md has no table of retired words")
	}
	const escaped = `\|` // separates alternatives within a cell
	var all []retired
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), escaped, "\x00"), "|")
		if len(cells) != 4 {
			break
		}
		var alternatives []string
		for word := range strings.SplitSeq(cells[1], "\x00") {
			alternatives = append(alternatives,
				strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(word)), " ", `\s+`))
		}
		all = append(all,
			retired{
				regexp.MustCompile(`(?i)\b(?:` + strings.Join(alternatives, "|") + `)\b`),
				strings.TrimSpace(cells[2]),
			})
	}
	if len(all) < 20 {
		t.Fatalf("docs/glossary.md retires %d words only", len(all))
	}
	return all
}

var (
	fences = regexp.MustCompile("(?s)```.*?\n```")
	asides = regexp.MustCompile("`[^`\n]*`|<!--.*?-->|--[a-z][a-z-]*")
	quoted = regexp.MustCompile(`"[^"\n]*"|^ *postern .*`) // names and examples
)

// refuse complains of each retired word in a text.
func refuse(t *testing.T, words []retired, where, text string) {
	t.Helper()
	for _, word := range words {
		for _, found := range word.words.FindAllString(text, -1) {
			t.Errorf("%s says %q; the glossary has: %s", where, found, word.use)
		}
	}
}

// unsaid is what nobody reads of the portal's source: comments, classes, and what is imported from where.
var unsaid = regexp.MustCompile(`(?s)<!--.*?-->|/\*.*?\*/|(?m:(?:^|\s)//[^\n]*$)|\bclass="[^"]*"|(?m:^\s*import [^\n]*$)`)

// TestNoRetiredWords holds the documents, the help of every command, what commands print, and what the portal shows to
// the words of the glossary.
func TestNoRetiredWords(t *testing.T) {
	t.Parallel()
	words := retiredWords(t)

	top := filepath.Join("..", "..")
	documents := 0
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		paths, err := filepath.Glob(filepath.Join(top, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			name := strings.TrimPrefix(filepath.ToSlash(path), "../../")
			if name == "CHANGELOG.md" {
				continue // it tells of what was
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			prose, _, _ := strings.Cut(string(text), "\n| retired | use |\n")
			refuse(t, words, name, asides.ReplaceAllString(fences.ReplaceAllString(prose, ""), ""))
			documents++
		}
	}
	if documents < 30 {
		t.Errorf("found %d documents only", documents)
	}

	everyCommand(tree(), func(c *cobra.Command) {
		refuse(t, words, c.CommandPath()+" --help", asides.ReplaceAllString(c.Short+"\n"+c.Long, ""))
		c.LocalFlags().VisitAll(func(f *pflag.Flag) { refuse(t, words, c.CommandPath()+" --"+f.Name, f.Usage) })
	})

	pages := 0
	err := filepath.WalkDir(filepath.Join(top, "web", "src"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || strings.HasSuffix(path, "openapi.d.ts") || // made from the API's own document
			!strings.HasSuffix(path, ".svelte") && !strings.HasSuffix(path, ".ts") {
			return err
		}
		text, err := os.ReadFile(path)
		refuse(t, words, strings.TrimPrefix(filepath.ToSlash(path), "../../"), unsaid.ReplaceAllString(string(text), ""))
		pages++
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	signIn, err := filepath.Glob(filepath.Join(top, "internal", "portal", "pages", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range signIn {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		refuse(t, words, strings.TrimPrefix(filepath.ToSlash(path), "../../"), unsaid.ReplaceAllString(string(text), ""))
		pages++
	}
	if pages < 100 {
		t.Errorf("found %d parts of the portal only", pages)
	}

	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range sources {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		for _, text := range literals(t, path) {
			for line := range strings.Lines(text) {
				if strings.Contains(strings.TrimSpace(line), " ") { // more than a name
					refuse(t, words, "internal/cli/"+path,
						asides.ReplaceAllString(quoted.ReplaceAllString(line, ""), ""))
				}
			}
		}
	}
}

func TestRetiredWordsAreFound(t *testing.T) {
	t.Parallel()
	words := retiredWords(t)
	for text, want := range map[string]bool{
		"Whoever asks\nfor access gets it":   true,
		"open for a\n  while":                true,
		"The enrolment token":                true,
		"The enrolled host":                  false,
		"Anyone who requests access gets it": false,
	} {
		got := false
		for _, word := range words {
			got = got || word.words.MatchString(text)
		}
		if got != want {
			t.Errorf("%q: found is %t, want %t", text, got, want)
		}
	}
}
