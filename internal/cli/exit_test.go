package cli

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	problem := func(status int) error { return fmt.Errorf("ask: %w", &api.Problem{Status: status}) }
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"done":             {nil, 0},
		"anything else":    {errors.New("broken"), 1},
		"a server's fault": {problem(http.StatusInternalServerError), 1},
		"usage":            {usage(&cobra.Command{Use: "x"}, "wrong"), 2},
		"invalid":          {problem(http.StatusBadRequest), 2},
		"too large":        {problem(http.StatusRequestEntityTooLarge), 2},
		"not signed in":    {problem(http.StatusUnauthorized), 3},
		"forbidden":        {problem(http.StatusForbidden), 3},
		"outside policy": {
			&api.Problem{
				Status: http.StatusBadRequest, Code: "tooShort",
				Reasons: []api.Reason{{Code: "tooShort"}, {Code: "durationTooLong"}},
			},
			3,
		},
		"not found":         {problem(http.StatusNotFound), 4},
		"conflict":          {problem(http.StatusConflict), 5},
		"stale":             {problem(http.StatusPreconditionFailed), 5},
		"limited":           {problem(http.StatusTooManyRequests), 6},
		"unavailable":       {problem(http.StatusServiceUnavailable), 6},
		"no connection":     {fmt.Errorf("reach: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), 6},
		"connection broken": {fmt.Errorf("reach: %w", io.ErrUnexpectedEOF), 6},
		"timed out waiting": {fail(exitTimedOut, "", "late"), 7},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%s: exit code %d, want %d", name, got, c.want)
		}
	}
}

func TestEveryExitCodeIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/operate/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(exitHelp()), "\n") {
		found := regexp.MustCompile(`^  (\d)  (.+)$`).FindStringSubmatch(line)
		if found == nil {
			continue
		}
		if row := "| " + found[1] + " | " + found[2] + " |"; !strings.Contains(string(page), row) {
			t.Errorf("docs/operate/cli.md lacks %q", row)
		}
	}
}

func TestExplainSaysEveryReason(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := &app{err: &out}
	a.explain(&api.Problem{
		Status: http.StatusForbidden, Detail: "the request is outside the policy",
		Reasons: []api.Reason{
			{Field: "items[0].ports", Message: "port 23 is not guarded; 22/tcp is"},
			{Message: "8h is too long; 3h is allowed"},
		},
	})
	want := "Error: the request is outside the policy\n  - ports: port 23 is not guarded; 22/tcp is\n  - " +
		"8h is too long; 3h is allowed\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	out.Reset()
	a.explain(fmt.Errorf("reach: %w", x509.UnknownAuthorityError{}))
	if !strings.Contains(out.String(), "--ca-fingerprint") {
		t.Errorf("an unknown authority is explained by %q, which does not say what to do", out.String())
	}
}

// TestEveryCommandExplainsItself holds for whatever command is added.
func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	a := &app{in: strings.NewReader(""), out: io.Discard, err: io.Discard, getenv: func(string) string { return "" }}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "help" || c.Name() == "completion" {
			return
		}
		if c.Short == "" || c.Long == "" {
			t.Errorf("%s does not say what it does", c.CommandPath())
		}
		if !c.HasSubCommands() && c.Example == "" && !c.Hidden {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(a.root())
}

func TestWrongCommandLines(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"machin"},
		{"machine", "lst"},
		{"machine", "show"},
		{"machine", "show", "a", "b"},
		{"request", "web-1"},
		{"request", "web-1", "--port", "22", "--for", "soon"},
		{"request", "web-1", "--port", "22", "--for", "1h", "--until", "15:04"},
		{"whoami", "-o", "xml"},
		{"whoami", "--nonsense"},
		{"role", "assign", "Reader"},
		{"policy", "set", "web-1", "--max", "0s"},
		{"audit", "verify", "x.ndjson"},
		{"login"},
		{"login", "--server", "http://insecure.example"},
	} {
		var problems bytes.Buffer
		a := &app{in: strings.NewReader(""), out: io.Discard, err: &problems, getenv: func(name string) string {
			if name == "POSTERN_CONFIG" {
				return t.TempDir() + "/config.json"
			}
			return ""
		}, now: nowFixed, local: nowFixed().Location()}
		if code := a.run(t.Context(), args); code != exitUsage {
			t.Errorf("postern %s: exit code %d, want 2: %s", strings.Join(args, " "), code, problems.String())
		}
		if !strings.Contains(problems.String(), "See: postern") {
			t.Errorf("postern %s: says %q, which does not say where help is", strings.Join(args, " "),
				problems.String())
		}
	}
}
