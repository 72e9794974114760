package alert_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/alert"
)

var update = flag.Bool("update", false, "write the manual's table anew")

// TestManualListsRules proves that the manual's table is what the code says.
func TestManualListsRules(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../../../docs/operate/alerts.md", "<!-- rules -->\n", "<!-- /rules -->\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatal("the manual has no place for the rules")
	}
	var b strings.Builder
	b.WriteString("| rule | severity | threshold | detects |\n|---|---|---|---|\n")
	for _, r := range alert.Rules() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.ID, r.Severity, r.What(), r.Doc)
	}
	want := before + begin + b.String() + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, string(page)); diff != "" && !*update {
		t.Errorf("docs/operate/alerts.md is not what the code says; run: go test ./internal/core/alert -update\n%s",
			diff)
	}
}
