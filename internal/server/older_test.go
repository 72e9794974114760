package server_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/server"
)

// older unpacks what the program of commit 9d7d7c5 wrote while a machine was guarded and a port of it open: the
// server's data folder, the agent's state folder, an exported log, and what its API answered to an administrator
// (answers/PATH.json). The password of every user is adminPassword.
func older(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	for files := tar.NewReader(bytes.NewReader(unpacked(tb, "testdata/older.tar.gz"))); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			tb.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		body, err := io.ReadAll(files)
		if err != nil {
			tb.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, body, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestWhatAnOlderProgramWrote starts on an older program's folder: everything that its API said of what stands is said
// again, its log verifies, and the log of today goes on from there.
func TestWhatAnOlderProgramWrote(t *testing.T) {
	t.Parallel()
	dir := older(t)
	r := start(t, func(c *server.Config) { c.Data = filepath.Join(dir, "data") })
	admin := r.signIn("admin", adminPassword, "")
	key, err := admin.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(dir, "log.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	was, err := audit.VerifyExport(bytes.NewReader(log), key.Key)
	if err != nil || was.Records == 0 {
		t.Fatalf("the older log: %+v, %v", was, err)
	}
	body, err := admin.Export(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, body)
	if is, err := audit.VerifyExport(body, key.Key, was.Checkpoint.Text); err != nil || is.Records <= was.Records {
		t.Errorf("the log of today: %+v, %v; want it to go on from %d records", is, err, was.Records)
	}

	answers, err := filepath.Glob(filepath.Join(dir, "answers", "*.json"))
	if err != nil || len(answers) < 20 {
		t.Fatalf("there are %d answers, %v", len(answers), err)
	}
	for _, file := range answers {
		path := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".json"), "_", "/")
		then, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		status, now := r.call(admin, http.MethodGet, "/"+path, nil, "")
		var want, got any
		if err := errors.Join(json.Unmarshal(then, &want),
			json.Unmarshal([]byte(now), &got)); err != nil || status != http.StatusOK {
			t.Errorf("%s: %d %s, %v", path, status, now, err)
			continue
		}
		for _, gone := range lost(path, want, got) {
			t.Error(gone)
		}
	}
}

// moves are the fields that time, a start or another program change, and the words of alert rules, which are the
// program's own.
func moves(at, field string) bool {
	if strings.HasPrefix(at, "alert-rules.") && (field == "title" || field == "doc") {
		return true
	}
	return slices.Contains([]string{
		"state", "standing", "condition", "seen", "lastSeen", "reason", "revision", "etag",
		"version",
	},
		field)
}

// lost names what was said and is not said any more. The items of lists are told apart by what names them.
func lost(at string, want, got any) []string {
	switch want := want.(type) {
	case map[string]any:
		is, _ := got.(map[string]any)
		var all []string
		for field, value := range want {
			if !moves(at, field) {
				all = append(all, lost(at+"."+field, value, is[field])...)
			}
		}
		return all
	case []any:
		is, _ := got.([]any)
		var all []string
		for i, value := range want {
			at := at + "[" + name(value) + "]"
			j := slices.IndexFunc(is, func(v any) bool { return name(v) != "" && name(v) == name(value) })
			switch {
			case j >= 0:
				all = append(all, lost(at, value, is[j])...)
			case name(value) == "" && i < len(is):
				all = append(all, lost(at, value, is[i])...)
			default:
				all = append(all, at+" is gone")
			}
		}
		return all
	}
	if want != got {
		was, _ := json.Marshal(want) //nolint:errchkjson // it came from JSON
		is, _ := json.Marshal(got)   //nolint:errchkjson // the same
		return []string{at + " is " + string(is) + ", and was " + string(was)}
	}
	return nil
}

func name(value any) string {
	fields, _ := value.(map[string]any)
	for _, by := range []string{"id", "name"} {
		if text, _ := fields[by].(string); text != "" {
			return text
		}
	}
	return ""
}
