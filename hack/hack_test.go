// Package hack_test holds that the scripts of this folder fail when what they run fails.
package hack_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// stubGo answers the calls that the scripts make of the go command; running a test ends with the given status.
const stubGo = `#!/bin/sh
case "$*" in
  list*TestImports*) echo "pgregory.net/rapid $PWD/internal/core/policy"; echo "testing $PWD/api" ;;
  list*) echo example.org/a; echo example.org/b ;;
  *-list*) echo FuzzOne; echo "ok" ;;
  *) echo "ran $*"; exit %d ;;
esac
`

func TestScriptsFailWithWhatTheyRun(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"cross-build", "run-fuzz", "run-properties", "run-tests"} {
		for _, status := range []int{0, 1} {
			t.Run(fmt.Sprint(script, " ", status), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				stub := fmt.Appendf(nil, stubGo, status)
				if err := os.WriteFile(filepath.Join(dir, "go"), stub, 0o700); err != nil { //nolint:gosec // it is a program
					t.Fatal(err)
				}
				cmd := exec.CommandContext(t.Context(), "./"+script) //nolint:gosec // one of those above
				cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
				out, err := cmd.CombinedOutput()
				if failed := err != nil; failed != (status != 0) {
					t.Errorf("what it runs ends with %d, and the script with %v:\n%s", status, err, out)
				}
				if !strings.Contains(string(out), "ran ") {
					t.Errorf("it ran nothing:\n%s", out)
				}
			})
		}
	}
}
