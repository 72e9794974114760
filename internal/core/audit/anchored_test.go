package audit_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/audit"
)

// TestSplitCheckpoints proves that the notes of a file come out as they were put in, whatever blank lines lie between
// them, and that all of them count in a verification, in any order.
func TestSplitCheckpoints(t *testing.T) {
	t.Parallel()
	x := export(t, 12)
	whole := x.text(t, 12)
	rapid.Check(t, func(t *rapid.T) {
		notes := rapid.SliceOf(rapid.SampledFrom(x.checkpoints)).Draw(t, "notes")
		var file strings.Builder
		file.WriteString(strings.Repeat("\n", rapid.IntRange(0, 2).Draw(t, "before")))
		for _, n := range notes {
			file.WriteString(n + strings.Repeat("\n", rapid.IntRange(0, 3).Draw(t, "between")))
		}
		got := audit.SplitCheckpoints(file.String())
		if !slices.Equal(got, notes) {
			t.Fatalf("%q\nis split into %q", file.String(), got)
		}
		summary, err := audit.VerifyExport(bytes.NewReader(whole), x.verifier, got...)
		if err != nil || summary.Previous != len(notes) {
			t.Fatalf("%d of %d count, %v", summary.Previous, len(notes), err)
		}
	})
}

func FuzzSplitCheckpoints(f *testing.F) {
	x := export(f, 2)
	f.Add(x.checkpoints[0] + "\n" + x.checkpoints[1])
	f.Add("")
	f.Add("postern activity log \n\n\npostern activity log x")
	f.Fuzz(func(t *testing.T, text string) {
		notes := audit.SplitCheckpoints(text)
		if again := audit.SplitCheckpoints(strings.Join(notes, "\n")); !slices.Equal(again, notes) {
			t.Errorf("%q is split into %q, and that into %q", text, notes, again)
		}
		for _, n := range notes {
			if !strings.Contains(text, strings.TrimSuffix(n, "\n")) {
				t.Errorf("%q is not of %q", n, text)
			}
		}
	})
}

// TestTornCheckpointsAreCutOff writes a part of a checkpoint behind others, wherever it is cut: it comes off, and the
// others stay.
func TestTornCheckpointsAreCutOff(t *testing.T) {
	t.Parallel()
	x := export(t, 12)
	rapid.Check(t, func(t *rapid.T) {
		before := ""
		for _, n := range rapid.SliceOfN(rapid.SampledFrom(x.checkpoints), 0, 3).Draw(t, "before") {
			before += n + "\n"
		}
		last := rapid.SampledFrom(x.checkpoints).Draw(t, "last")
		part := last[:rapid.IntRange(0, len(last)-1).Draw(t, "cut")]
		if whole, torn := audit.CutTorn(before + part); whole != before || torn != part {
			t.Fatalf("%q\nis cut into %q and %q", before+part, whole, torn)
		}
		if whole, torn := audit.CutTorn(before + last); whole != before+last || torn != "" {
			t.Fatalf("of whole checkpoints %q is taken off", torn)
		}
	})
	for _, text := range []string{"root:x:0:0:root:/root:/bin/bash\n", "no newline", x.checkpoints[0] +
		"garbage\n", ""} {
		if whole, torn := audit.CutTorn(text); whole != text || torn != "" {
			t.Errorf("of %q %q is taken for a part of a checkpoint", text, torn)
		}
	}
}

func FuzzCutTorn(f *testing.F) {
	x := export(f, 2)
	f.Add(x.checkpoints[0] + "\n" + x.checkpoints[1][:40])
	f.Add(x.checkpoints[0] + "\n" + x.checkpoints[1][:len(x.checkpoints[1])-1])
	f.Add("\u2014 ")
	f.Fuzz(func(t *testing.T, text string) {
		whole, torn := audit.CutTorn(text)
		if whole+torn != text {
			t.Errorf("%q is cut into %q and %q", text, whole, torn)
		}
	})
}
