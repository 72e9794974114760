package internal_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
)

// TestEveryNamedTestExists holds the documents that name tests to what there is: each is in the tree.
func TestEveryNamedTestExists(t *testing.T) {
	t.Parallel()
	there := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	walk(t, "_test.go", func(_, content string) {
		for _, found := range function.FindAllStringSubmatch(content, -1) {
			there[found[1]] = true
		}
	})
	test := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`)
	for document, least := range map[string]int{"threat-model.md": 100, "testing.md": 25} {
		text, err := os.ReadFile(filepath.Join("..", "docs", document))
		if err != nil {
			t.Fatal(err)
		}
		named := test.FindAllString(string(text), -1)
		if len(named) < least {
			t.Errorf("%s names %d tests only", document, len(named))
		}
		for _, name := range named {
			if !there[name] {
				t.Errorf("%s names %s, and there is no such test", document, name)
			}
		}
	}
}

// TestDecisionsAreNumbered holds that each record of a decision has a number of its own, the same in its name and
// title.
func TestDecisionsAreNumbered(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "docs", "adr")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		text, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(file.Name(), fmt.Sprintf("%04d-", i+1)) {
			t.Errorf("%s is number %d of the decisions", file.Name(), i+1)
		}
		if title := fmt.Sprintf("# %d. ", i+1); !strings.HasPrefix(string(text), title) {
			t.Errorf("%s does not begin with %q", file.Name(), title)
		}
	}
}

// TestManualHasTheLimits holds what the manual says of the size of requests to what the code allows.
func TestManualHasTheLimits(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "docs", "operate", "approvals.md"))
	if err != nil {
		t.Fatal(err)
	}
	manual := strings.Join(strings.Fields(string(text)), " ")
	for _, says := range []string{
		fmt.Sprintf("at most %d machine ports", access.MaxItems),
		fmt.Sprintf("at most %d windows, within a year", access.MaxWindows),
		fmt.Sprintf("it becomes at most %d grants", access.MaxItems),
	} {
		if !strings.Contains(manual, says) {
			t.Errorf("docs/operate/approvals.md does not say %q", says)
		}
	}
}

// TestLinksResolve finds links between documents, and to headings in them, that lead nowhere.
func TestLinksResolve(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	count := 0
	walk(t, ".md", func(path, content string) {
		for _, found := range link.FindAllStringSubmatch(withoutCode(content), -1) {
			target, anchor, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, ":") {
				continue // elsewhere
			}
			count++
			to := path
			if target != "" {
				to = filepath.Join(filepath.Dir(path), filepath.FromSlash(target))
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s, which is not there", path, found[1])
				continue
			}
			if anchor == "" || filepath.Ext(to) != ".md" {
				continue
			}
			text, err := os.ReadFile(to)
			if err != nil {
				t.Fatal(err)
			}
			if !anchors(string(text))[anchor] {
				t.Errorf("%s links to %s, which has no such heading", path, found[1])
			}
		}
	})
	if count < 10 {
		t.Errorf("found %d links only", count)
	}
}

// walk gives every file with that ending, of ours alone.
func walk(t *testing.T, ending string, with func(path, content string)) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "tmp" || d.Name() == "node_modules" || len(
			d.Name()) > 2 && strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ending):
			return nil
		}
		content, err := os.ReadFile(path)
		if err == nil {
			with(path, string(content))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// withoutCode leaves out what stands in code, where brackets are no links.
func withoutCode(text string) string {
	text = regexp.MustCompile("(?s)```.*?```").ReplaceAllString(text, "")
	return regexp.MustCompile("`[^`\n]*`").ReplaceAllString(text, "")
}

// anchors gives the names of a document's headings as links use them.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ +(.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		all[strings.ReplaceAll(name, " ", "-")] = true
	}
	return all
}
