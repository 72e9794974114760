//go:build linux

package browser_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// needs skips a test where the portal's source misses a package, unless everything must be there.
func needs(t *testing.T, module string) {
	t.Helper()
	_, err := os.Stat(filepath.Join("../../web/node_modules", module))
	switch {
	case err == nil:
	case os.Getenv("POSTERN_TESTS_REQUIRED") != "":
		t.Fatal(err)
	default:
		t.Skip("web/node_modules is missing: run hack/prepare-tests")
	}
}

// TestUnitsOfThePortal runs the tests of web/test, which need no browser.
func TestUnitsOfThePortal(t *testing.T) {
	t.Parallel()
	needs(t, "typescript")
	units := exec.CommandContext(t.Context(), "npm", "run", "--silent", "test")
	units.Dir = "../../web"
	if out, err := units.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestBuiltFilesAreFresh builds the portal anew: what is committed, and embedded in the program, is what web/ makes.
func TestBuiltFilesAreFresh(t *testing.T) {
	needs(t, "vite")
	fresh := t.TempDir()
	build := exec.CommandContext(t.Context(), "node_modules/.bin/vite", "build", "--outDir", fresh, "--logLevel",
		"error")
	build.Dir = "../../web"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	committed := "../../internal/portal/dist"
	built, kept := listing(t, fresh), listing(t, committed)
	if strings.Join(built, "\n") != strings.Join(kept, "\n") {
		t.Fatalf("web/ makes %v, and committed are %v: run make web", built, kept)
	}
	for _, name := range built {
		want, err := os.ReadFile(filepath.Join(fresh, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(committed, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what web/ makes: run make web", name)
		}
		packed := filepath.Join(committed, name+".br")
		if _, err := os.Stat(packed); err != nil {
			continue // it did not shrink
		}
		unpack := exec.CommandContext(t.Context(), "node", "-e",
			"process.stdout.write(require('zlib').brotliDecompressSync(require('fs').readFileSync(process.argv[1])))",
			packed)
		if got, err := unpack.Output(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s.br holds something else: run make web (%v)", name, err)
		}
	}
}

func listing(t *testing.T, folder string) (names []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(folder), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(name) != ".br" {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
