package armapi

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDocsNameEveryOperation proves that the table of docs/azure.md has a row for each type that is served, and that it
// says in which versions.
func TestDocsNameEveryOperation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "azure.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Supported operations")
	table, _, found := strings.Cut(table, "## Differences and design choices")
	if !found {
		t.Fatal("docs/azure.md has no table")
	}
	for _, r := range (&API{}).routes() {
		kind := ""
		for _, s := range split(r.pattern) {
			if s[0] != '{' {
				kind = s
			}
		}
		if kind == "values" {
			kind = "eventtypes/management/values"
		}
		if !strings.Contains(strings.ToLower(table), strings.ToLower(kind)) {
			t.Errorf("docs/azure.md has no row for %s %s: it does not name %q", r.method, r.pattern, kind)
		}
		named := slices.ContainsFunc(r.versions, func(version string) bool { return strings.Contains(table, version) })
		if len(r.versions) > 0 && !slices.Equal(r.versions, anyVersion()) && !named {
			t.Errorf("docs/azure.md names no version of %s", r.pattern)
		}
	}
}
