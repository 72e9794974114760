package store_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/postern-dev/postern/internal/engine"
)

// TestScrub proves that the store works on after a scrub, and that what a setting held before is in no file of
// SQLite's.
func TestScrub(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := dsn(t)
			f := newFixture(t, path)
			save := func(value []byte) {
				t.Helper()
				if err := f.Update(t.Context(),
					func(tx engine.Tx) error { return tx.SaveSetting(t.Context(), "x", value) }); err != nil {
					t.Fatal(err)
				}
			}
			before := bytes.Repeat([]byte("what it held before "), 400) // more than a page
			save(before)
			save([]byte("now"))
			if err := f.Scrub(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{path, path + "-wal"} {
				if content, err := os.ReadFile(
					file); err == nil && bytes.Contains(content, []byte("what it held before")) {
					t.Errorf("%s holds it still", file)
				}
			}
			save([]byte("later"))
			var got []byte
			err := f.View(t.Context(), func(r engine.Reader) (err error) {
				got, err = r.Setting(t.Context(), "x")
				return err
			})
			if err != nil || string(got) != "later" {
				t.Errorf("after it: %q, %v", got, err)
			}
		})
	}
}
