package cli

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// receiver FILE starts a program that takes webhooks and appends each body to the file. HOOK is its URL, hook-ca.pem
// its authority.
func receiver(ts *testscript.TestScript, _ bool, args []string) {
	file := ts.MkAbs(args[0])
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			var f *os.File
			if f, err = os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
				_, err = fmt.Fprintf(f, "%s\n", body)
				_ = f.Close()
			}
		}
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	ts.Defer(s.Close)
	ts.Setenv("HOOK", s.URL)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	ts.Check(os.WriteFile(ts.MkAbs("hook-ca.pem"), authority, 0o600))
	ts.Check(os.WriteFile(file, nil, 0o600))
}

// until PATTERN COMMAND… runs the command again and again until its output matches; until PATTERN < FILE looks at a
// file.
func until(ts *testscript.TestScript, neg bool, args []string) {
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	var text string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if args[1] == "<" {
			text = ts.ReadFile(args[2])
		} else {
			ts.Check(ts.Exec(args[1], args[2:]...))
			text = ts.ReadFile("stdout") + ts.ReadFile("stderr")
		}
		if pattern.MatchString(text) != neg {
			return
		}
	}
	ts.Fatalf("waited in vain for %s in:\n%s", args[0], text)
}

// TestManualCommands proves that each command which the manual shows is run by a script.
func TestManualCommands(t *testing.T) {
	t.Parallel()
	for page, script := range map[string]string{
		"alerts.md": "alerts.txtar", "insight.md": "insight.txtar",
		"notifications.md": "notify.txtar",
	} {
		manual, err := os.ReadFile(filepath.Join("..", "..", "docs", "operate", page))
		if err != nil {
			t.Fatal(err)
		}
		run, err := os.ReadFile(filepath.Join("testdata", script))
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(manual), -1)
		if len(blocks) == 0 {
			t.Errorf("%s shows no command", page)
		}
		for _, block := range blocks {
			for line := range strings.Lines(block[1]) {
				line = strings.ReplaceAll(strings.TrimSpace(line), `"`, "'")
				if line != "" && !strings.Contains(string(run), line+"\n") {
					t.Errorf("%s shows a command that %s does not run: %s", page, script, line)
				}
			}
		}
	}
}
