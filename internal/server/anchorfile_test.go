package server

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine/records"
)

// TestACheckpointWrittenInPartIsNone leaves the anchor's file as a full disk or a crash does, with every part of a
// checkpoint: the newest is the one before, and the next is kept behind that.
func TestACheckpointWrittenInPartIsNone(t *testing.T) {
	t.Parallel()
	note := func(n int) string {
		return fmt.Sprintf("postern activity log x\n%d\nroot\n%d\n\n\u2014 log c2lnbmF0dXJl\n", n, n)
	}
	keep := func(f anchorFile, n int) {
		t.Helper()
		if err := f.Keep(t.Context(),
			records.CheckpointDetail{Checkpoint: audit.SignedCheckpoint{Text: note(n)}}); err != nil {
			t.Fatal(err)
		}
	}
	for cut := range len(note(2)) {
		path := filepath.Join(t.TempDir(), "anchor")
		f := anchorFile(path)
		keep(f, 1)
		file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString(note(2)[:cut]); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		if newest, err := f.Newest(t.Context()); err != nil || newest != note(1) {
			t.Fatalf("after %d bytes of the second the newest is %q, %v", cut, newest, err)
		}
		keep(f, 3)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := audit.SplitCheckpoints(string(text)); !slices.Equal(got, []string{note(1), note(3)}) {
			t.Fatalf("after %d bytes of the second it holds %q", cut, got)
		}
	}
}
