package server_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/server"
)

// What stands in testdata/plainkeys.db.gz, which a program wrote that kept its keys in plain text: the password of its
// first start, the key that signed checkpoints and its public part, the key that signed tokens and its name.
const (
	plainPassword   = "9yedwv-s6g9jw-uf7iyt-zgwtjb"
	plainCheckpoint = "AQuNMc9/MgfjP39kG8eSE2MEUjxjlnx/6VfudDDfYjvj"
	plainVerifier   = "5c1fc8e1-179b-47db-8e10-d3998f9c05b5+e933026d+"
	plainToken      = "FpbzuljDKHgsSSgT3Jz5B+OKB7GEKaWT88YPNpA/f3jeOscWnsnI8uYic"
	plainTokenName  = "kLgiumzCB3wu7e05"
)

// TestPlainKeysOfAnOlderProgram proves that a database of an older program opens, and that no file of the folder holds
// one of its keys afterwards, neither while the server runs nor when it has ended.
func TestPlainKeysOfAnOlderProgram(t *testing.T) {
	t.Parallel()
	database := unpacked(t, "testdata/plainkeys.db.gz")
	for _, secret := range plainSecrets() {
		if !bytes.Contains(database, secret) {
			t.Fatalf("the older database does not hold %q", secret)
		}
	}
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "postern.db"), database, 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, func(c *server.Config) { c.Data = data })
	holdsNoPlainKey(t, data)
	checkpoint, err := r.signIn("admin", plainPassword, adminPassword).Checkpoint(t.Context())
	if err != nil || !strings.HasPrefix(checkpoint.Key, plainVerifier) {
		t.Errorf("the checkpoint is signed with %q, %v; want the key that people know", checkpoint.Key, err)
	}
	if status, body := r.get("/adfs/discovery/keys"); status != http.StatusOK || strings.Contains(body,
		plainTokenName) || !strings.Contains(body, `"kid"`) {
		t.Errorf("tokens are signed with %d %s; want a new key", status, body)
	}
	r.end()
	holdsNoPlainKey(t, data)
}

func unpacked(tb testing.TB, path string) []byte {
	tb.Helper()
	packed, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer closed(tb, packed)
	reader, err := gzip.NewReader(packed)
	if err != nil {
		tb.Fatal(err)
	}
	data, err := io.ReadAll(reader)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func plainSecrets() [][]byte {
	return [][]byte{[]byte(plainCheckpoint), []byte(plainToken)}
}

func holdsNoPlainKey(t *testing.T, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		for _, secret := range plainSecrets() {
			if bytes.Contains(content, secret) {
				t.Errorf("%s holds %q", path, secret)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSealKeyMissingOrWrong proves that a server without the key that its database was sealed with does not start, says
// what to do, makes none in its place, and starts once the key is back.
func TestSealKeyMissingOrWrong(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.end()
	path := filepath.Join(r.config.Data, "notify.key")
	right, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what, says string) {
		t.Helper()
		config := r.config
		config.Ready = func(server.Ready) { t.Errorf("with %s the server started", what) }
		err := server.Run(t.Context(), config)
		if key, ok := errors.AsType[*server.KeyError](err); !ok || key.Key != "data" {
			t.Fatalf("with %s Run gave %v, want an error of the key data", what, err)
		}
		contains(t, "the error with "+what, err.Error(), says)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	refused("no key", "notify.key is missing")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key was made in the place of the one that is missing: %v", err)
	}
	for what, c := range map[string]struct {
		key  []byte
		says string
	}{
		"another key": {bytes.Repeat([]byte{1}, 32), "sealed with another key than " + path},
		"half a key":  {right[:16], "16 bytes"},
	} {
		if err := os.WriteFile(path, c.key, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(what, c.says)
	}
	if err := os.WriteFile(path, right, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, func(c *server.Config) { c.Data = r.config.Data })
}
