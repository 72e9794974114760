package audit_test

import (
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/audit"
)

func TestCell(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"=1+1", "+1+1", "-1-1", "@SUM(A1)", "\n=1", "\r=1", "\t=1", " =1", "\u00a0=1", "\ufeff=1", "\u200b=1", "\u202e=1", "\x00=1", "＝1", "＋1", "－1", "＠x", "\ufeff＝1",
		"\nplain", "'=1", "'", "-1-", "+", "--1", "−1+1",
	} {
		if got := audit.Cell(text); got != "'"+text {
			t.Errorf("%q is %q", text, got)
		}
	}
	for _, text := range []string{"", "plain", "-1", "+1.5", "10.0.0.0/8", `{"a":"=1"}`, "a=b", "2026-01-01T00:00:00.000000Z", "é"} {
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
