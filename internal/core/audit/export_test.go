package audit_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
)

// exported is a log of n records with a checkpoint after each.
type exported struct {
	verifier    string
	lines       [][]byte
	checkpoints []string // by size
}

func export(tb testing.TB, n int) exported {
	tb.Helper()
	signer, verifier, err := audit.GenerateKey(rand.Reader, "log-1")
	if err != nil {
		tb.Fatal(err)
	}
	x := exported{verifier: verifier}
	var tree audit.Tree
	for i := range n + 1 {
		c, err := audit.Sign(signer, tree.Size, tree.Root(), at(i))
		if err != nil {
			tb.Fatal(err)
		}
		x.checkpoints = append(x.checkpoints, c.Text)
		record, err := audit.Encode(access.Event{
			At: at(i), Kind: access.SignedIn, Outcome: access.Succeeded,
			Actor: access.Actor{Name: "Ada"},
		})
		if err != nil {
			tb.Fatal(err)
		}
		x.lines = append(x.lines, audit.AppendRecordLine(nil, int64(i), record))
		tree, _ = tree.Append(audit.LeafHash(record))
	}
	x.lines = x.lines[:n]
	return x
}

func at(i int) time.Time { return time.Date(2026, 3, 1, 9, 0, i, 0, time.UTC) }

// text is the export of the first n records.
func (x exported) text(tb testing.TB, n int) []byte {
	tb.Helper()
	text, err := audit.AppendCheckpointLine(bytes.Join(x.lines[:n], nil), x.checkpoints[n])
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func TestVerifyExport(t *testing.T) {
	t.Parallel()
	x := export(t, 20)
	for n := range 21 {
		got, err := audit.VerifyExport(bytes.NewReader(x.text(t, n)), x.verifier, x.checkpoints[:n+1]...)
		if err != nil {
			t.Fatalf("%d records: %v", n, err)
		}
		if got.Records != int64(n) || got.Previous != n+1 || got.Checkpoint.Text != x.checkpoints[n] ||
			n > 0 && (!got.First.Equal(
				at(0)) || !got.Last.Equal(at(n-1))) {
			t.Errorf("%d records: %+v", n, got)
		}
	}
}

func TestVerifyExportFindsEveryByte(t *testing.T) {
	t.Parallel()
	x := export(t, 5)
	whole := x.text(t, 5)
	rapid.Check(t, func(t *rapid.T) {
		text := bytes.Clone(whole)
		i := rapid.IntRange(0, len(text)-1).Draw(t, "byte")
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			text[i] ^= rapid.ByteRange(1, 255).Draw(t, "bits")
		case 1:
			text = append(text[:i], text[i+1:]...)
		case 2:
			text = append(text[:i], append([]byte{rapid.Byte().Draw(t, "new")}, text[i:]...)...)
		}
		if bytes.Equal(text, whole) {
			return // the same byte again, beside its twin
		}
		if _, err := audit.VerifyExport(bytes.NewReader(text), x.verifier); err == nil {
			t.Fatalf("not found at byte %d: %s", i, text)
		}
	})
}

func TestVerifyExportSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	x, other := export(t, 9), export(t, 9)
	line := func(i int) string { return string(x.lines[i]) }
	forged, err := audit.Encode(access.Event{
		At: at(5), Kind: access.SignedIn, Outcome: access.Succeeded,
		Actor: access.Actor{Name: "Eve"},
	})
	if err != nil {
		t.Fatal(err)
	}
	whole := string(x.text(t, 9))
	for name, c := range map[string]struct {
		text     string
		previous []string
		want     string
	}{
		"record forged": {
			strings.Replace(whole, line(5), string(audit.AppendRecordLine(nil, 5, forged)), 1),
			nil, "records 0 to 8: one of them is not what was signed",
		},
		"record forged, narrow": {
			strings.Replace(whole, line(5), string(audit.AppendRecordLine(nil, 5, forged)), 1),
			[]string{x.checkpoints[5], x.checkpoints[6]},
			"record 5: one of them is not",
		},
		"record missing": {
			strings.Replace(whole, line(5), "", 1), nil,
			`line 6: record 5: the line does not begin with {"seq":5`,
		},
		"records swapped": {strings.Replace(whole, line(5)+line(6), line(6)+line(5), 1), nil, "line 6: record 5"},
		"record twice":    {strings.Replace(whole, line(5), line(5)+line(5), 1), nil, "line 7: record 6"},
		"not base64": {
			strings.Replace(whole, `"record":"`, `"record":"!`, 1), nil,
			"line 1: record 0: the record is not base64",
		},
		"not canonical": {
			strings.Replace(whole, line(0), string(audit.AppendRecordLine(nil, 0, []byte(`{"v":1 }`))),
				1),
			nil, "line 1: record 0: not a record",
		},
		"cut before the end": {whole[:strings.LastIndex(whole, `{"checkpoint"`)], nil, "without a checkpoint"},
		"cut in a line":      {whole[:len(line(0))-3], nil, "line 1: record 0: the line does not end"},
		"older, newer was seen": {
			string(x.text(t, 5)),
			[]string{x.checkpoints[8]},
			"over 8 records, and the log has 5 now",
		},
		"checkpoint too small": {
			string(
				bytes.Join(x.lines, nil)) + string(x.text(t, 5)[len(bytes.Join(x.lines[:5], nil)):]),
			nil, "over 5 records, and the export has 9",
		},
		"another log":      {string(other.text(t, 9)), nil, "not signed by log-1"},
		"something behind": {whole + line(0), nil, "line 11: there is something behind"},
		"empty":            {"", nil, "without a checkpoint"},
	} {
		_, err := audit.VerifyExport(strings.NewReader(c.text), x.verifier, c.previous...)
		if _, ok := errors.AsType[*audit.BrokenError](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if _, err := audit.VerifyExport(strings.NewReader(whole), x.verifier, other.checkpoints[3]); err == nil {
		t.Error("a previous checkpoint of another log counts")
	}
}

func FuzzVerifyExport(f *testing.F) {
	x := export(f, 2)
	whole := x.text(f, 2)
	f.Add(whole)
	f.Fuzz(func(t *testing.T, text []byte) {
		summary, err := audit.VerifyExport(bytes.NewReader(text), x.verifier, x.checkpoints[1])
		records := bytes.Join(x.lines, nil)
		// others may add signatures to the checkpoint
		if err == nil && (summary.Records != 2 || !bytes.HasPrefix(text, records)) {
			t.Fatalf("another export counts: %+v %s", summary, text)
		}
	})
}

func BenchmarkVerifyExport(b *testing.B) {
	const n = 10_000
	x := export(b, n)
	whole := x.text(b, n)
	b.SetBytes(int64(len(whole)))
	for b.Loop() {
		if _, err := audit.VerifyExport(bytes.NewReader(whole), x.verifier); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
