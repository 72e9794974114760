package server_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/server"
)

// TestAnchoredLogShowsRewriting rewrites the activity log with the server's own keys: it goes back to an earlier copy
// of the whole data folder and has other things happen than did. The export verifies by itself. With the checkpoints
// that were anchored it does not, and the server says so too.
func TestAnchoredLogShowsRewriting(t *testing.T) {
	t.Parallel()
	anchor := filepath.Join(t.TempDir(), "checkpoints")
	anchored := func(data string) func(*server.Config) {
		return func(c *server.Config) {
			c.Data, c.AnchorFile, c.AnchorEvery = data, anchor, 50*time.Millisecond
		}
	}
	r := start(t, anchored(t.TempDir()))
	r.admin()
	r.end()
	earlier := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(earlier, os.DirFS(r.config.Data)); err != nil {
		t.Fatal(err)
	}

	r = start(t, anchored(r.config.Data))
	admin := r.signIn("admin", adminPassword, "")
	if _, err := admin.CreatePrincipal(t.Context(), api.NewPrincipal{Kind: "user", Name: "anna"}); err != nil {
		t.Fatal(err)
	}
	export, checkpoint := exported(t, admin)
	waitFor(t, "the checkpoint is anchored",
		func() bool { return newestIn(t, anchor, checkpoint.Key).Size >= checkpoint.Size })
	if summary, err := audit.VerifyExport(bytes.NewReader(export), checkpoint.Key,
		upTo(t, anchor, checkpoint)...); err != nil || summary.Previous < 2 {
		t.Errorf("the export against the anchored checkpoints: %+v, %v", summary, err)
	}
	r.end()
	size := newestIn(t, anchor, checkpoint.Key).Size
	before, err := os.ReadFile(anchor)
	if err != nil {
		t.Fatal(err)
	}

	r = start(t, anchored(earlier))
	admin = r.signIn("admin", adminPassword, "")
	for i := 0; ; i++ {
		if _, err := admin.CreatePrincipal(t.Context(),
			api.NewPrincipal{Kind: "user", Name: strings.Repeat("x", i+1)}); err != nil {
			t.Fatal(err)
		}
		if export, checkpoint = exported(t, admin); checkpoint.Size > size {
			break
		}
	}
	if _, err := audit.VerifyExport(bytes.NewReader(export), checkpoint.Key); err != nil {
		t.Errorf("the rewritten log does not verify by itself: %v", err)
	}
	_, err = audit.VerifyExport(bytes.NewReader(export), checkpoint.Key, audit.SplitCheckpoints(string(before))...)
	if err == nil || !strings.Contains(err.Error(), "not what was signed") {
		t.Errorf("the rewritten log against the anchored checkpoints: %v", err)
	}
	waitFor(t, "the server raises an alert", func() bool { return tampered(t, admin) })
	if after, err := os.ReadFile(anchor); err != nil || !bytes.Equal(before, after) {
		t.Errorf("what was anchored was not left alone: %v", err)
	}
}

// TestADatabaseThatWasWrittenAnewIsSeen puts an earlier database in the place of the server's own while it is stopped,
// as somebody may who has the database and nothing else. The next start says so, with an anchor that cannot be read
// back and with none at all, and the anchor is sent nothing of it.
func TestADatabaseThatWasWrittenAnewIsSeen(t *testing.T) {
	t.Parallel()
	for what, anchored := range map[string]bool{"with a webhook": true, "without an anchor": false} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex // guards sent
			var sent []string
			count := func() int { mu.Lock(); defer mu.Unlock(); return len(sent) }
			receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				sent = append(sent, string(body))
			}))
			t.Cleanup(receiver.Close)
			data := t.TempDir()
			again := func() *running {
				return start(t, func(c *server.Config) {
					c.Data = data
					if anchored {
						c.AnchorWebhook, c.AnchorEvery = receiver.URL, 50*time.Millisecond
					}
				})
			}
			r := again()
			r.admin()
			r.end()
			earlier := databaseIn(t, data)

			r = again()
			admin := r.signIn("admin", adminPassword, "")
			if _, err := admin.CreatePrincipal(t.Context(), api.NewPrincipal{Kind: "user", Name: "anna"}); err != nil {
				t.Fatal(err)
			}
			checkpoint, err := admin.Checkpoint(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if anchored {
				waitFor(t, "the checkpoint is sent", func() bool {
					mu.Lock()
					defer mu.Unlock()
					return len(sent) > 0 && strings.Contains(sent[len(sent)-1], `"root":"`+checkpoint.Root+`"`)
				})
			}
			if tampered(t, admin) {
				t.Error("a restart alone is taken for a log that was written anew")
			}
			r.end()
			for name := range databaseIn(t, data) {
				if err := os.Remove(filepath.Join(data, name)); err != nil {
					t.Fatal(err)
				}
			}
			for name, content := range earlier {
				if err := os.WriteFile(filepath.Join(data, name), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			before := count()

			r = again()
			admin = r.signIn("admin", adminPassword, "")
			waitFor(t, "the server raises an alert", func() bool { return tampered(t, admin) })
			r.end() // which anchors no more, and waits for what is under way
			if n := count(); n != before {
				t.Errorf("%d checkpoints of the other log were sent, such as %s", n-before, sent[before])
			}
		})
	}
}

// databaseIn gives the files of the database in a data folder.
func databaseIn(t *testing.T, data string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(data, "postern.db*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no database in %s: %v", data, err)
	}
	files := map[string][]byte{}
	for _, path := range paths {
		if files[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// tampered tells whether the alert of a log that was written anew is open.
func tampered(t *testing.T, admin *api.Client) bool {
	t.Helper()
	for a, err := range admin.Alerts(t.Context(), api.AlertQuery{State: "open"}) {
		if err != nil {
			t.Fatal(err)
		}
		if a.Rule == "audit.tampered" {
			return true
		}
	}
	return false
}

func exported(t *testing.T, admin *api.Client) ([]byte, api.Checkpoint) {
	t.Helper()
	body, err := admin.Export(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, body)
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := admin.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	checkpoint.Size = int64(bytes.Count(text, []byte("\n")) - 1)
	return text, checkpoint
}

// newestIn gives the newest checkpoint of the file; the zero one where there is none.
func newestIn(t *testing.T, file, key string) audit.SignedCheckpoint {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	notes := audit.SplitCheckpoints(string(text))
	if len(notes) == 0 {
		return audit.SignedCheckpoint{}
	}
	c, err := audit.Open(key, notes[len(notes)-1])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// upTo gives the checkpoints of the file that are over no more records than c.
func upTo(t *testing.T, file string, c api.Checkpoint) (notes []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, note := range audit.SplitCheckpoints(string(text)) {
		if one, err := audit.Open(c.Key, note); err != nil {
			t.Fatal(err)
		} else if one.Size <= c.Size {
			notes = append(notes, note)
		}
	}
	return notes
}

// waitFor looks until something is so.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for over := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(over) {
			t.Fatalf("it is not so in time that %s", what)
		}
	}
}
