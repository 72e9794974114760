//go:build linux

package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeAgrees holds the README to what it tells of: the release of Go that builds it, and how long the
// demonstration takes, which its help tells too.
func TestReadmeAgrees(t *testing.T) {
	t.Parallel()
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	readme := read("../../README.md")
	release := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(read("../../go.mod"))[1]
	if !strings.Contains(readme, "Go "+release) {
		t.Errorf("go.mod asks for Go %s, and the README does not say so", release)
	}
	for _, where := range []string{readme, read("../../internal/cli/demo_linux.go")} {
		if !strings.Contains(where, "about 15 seconds") {
			t.Error("the README and the help differ in how long the demonstration takes")
		}
	}
}

// TestBuildHasAVersion holds that make build hands the program the version that git tells of.
func TestBuildHasAVersion(t *testing.T) {
	t.Parallel()
	said, err := exec.CommandContext(t.Context(), "make", "--no-print-directory", "-C", "../..", "-n",
		"build").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	found := regexp.MustCompile(`-X (\S+)\.release=(\S+?)'`).FindSubmatch(said)
	if found == nil {
		t.Fatalf("make build gives the program no version:\n%s", said)
	}
	// The linker does not mind where there is no such variable.
	folder, ok := strings.CutPrefix(string(found[1]), "github.com/postern-dev/postern/")
	code, err := os.ReadFile(filepath.Join("..", "..", folder, "version.go"))
	if !ok || err != nil || !strings.Contains(string(code), "\nvar release string") {
		t.Errorf("make build sets %s.release, which nothing reads: %v", found[1], err)
	}
	if _, err := os.Stat("../../.git"); err != nil {
		t.Skip("this is no repository")
	}
	if !regexp.MustCompile(`^v\d+\.\d+\.\d+`).Match(found[2]) {
		t.Errorf("the version is %q", found[2])
	}
}
