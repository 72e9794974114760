package audit_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/audit"
)

// TestCell holds the rule by the cells of testdata, which the portal's own CSV is held to as well.
func TestCell(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/cells.json")
	if err != nil {
		t.Fatal(err)
	}
	var cells struct{ Quoted, Plain []string }
	if err := json.Unmarshal(data, &cells); err != nil {
		t.Fatal(err)
	}
	if len(cells.Quoted) < 30 || len(cells.Plain) < 10 {
		t.Fatalf("%d cells are to be quoted and %d not", len(cells.Quoted), len(cells.Plain))
	}
	for _, text := range cells.Quoted {
		if got := audit.Cell(text); got != "'"+text {
			t.Errorf("%q is %q", text, got)
		}
	}
	for _, text := range cells.Plain {
		if got := audit.Cell(text); got != text {
			t.Errorf("%q is %q", text, got)
		}
	}
}

func FuzzCell(f *testing.F) {
	for _, text := range []string{"=1", "'x", "\ufeff=x", "-5", "plain", "\xff=1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cell := audit.Cell(text)
		if strings.TrimPrefix(cell, "'") != text {
			t.Errorf("%q is %q, which reads as another text", text, cell)
		}
		if rest := strings.TrimSpace(cell); rest != "" && strings.ContainsAny(rest[:1], "=@") {
			t.Errorf("%q is %q", text, cell)
		}
	})
}
