package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/server"
)

var update = flag.Bool("update", false, "rewrite the expected output in the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"postern": program})
}

// program is what cmd/postern does, but for signals.
func program() {
	process := Process{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Now: time.Now,
		Local: time.Local,
	}
	os.Exit(Main(context.Background(), process, os.Args[1:]))
}

// TestScripts runs each session of testdata against a server of its own, over real TLS, with the real program as a
// process of its own.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup:               serve,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":   code,
			"normal": normal,
			"agent":  joins,
			"text":   text,

			"receiver": receiver,
			"until":    until,
		},
	})
}

// serve starts a server for one script, and signs nobody in.
func serve(env *testscript.Env) error { return serveAs(env, func(*server.Config) {}) }

func serveAs(env *testscript.Env, change func(*server.Config)) error {
	var out, log bytes.Buffer
	ready := make(chan server.Ready, 1)
	config := server.Default()
	config.Data = filepath.Join(env.WorkDir, "data")
	config.Listen, config.MetricsListen = "127.0.0.1:0", "off"
	config.Out, config.Log = &out, &log
	change(&config)
	config.Ready = func(r server.Ready) { ready <- r }
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, config) }()
	env.Defer(func() {
		stop()
		if err := <-ended; err != nil {
			env.T().Log(err, log.String())
		}
	})
	var is server.Ready
	select {
	case is = <-ready:
	case err := <-ended:
		ended <- nil
		return fmt.Errorf("the server ended: %w\n%s", err, log.String())
	}
	found := regexp.MustCompile(`SHA-256 ([0-9a-f]{64})`).FindSubmatch(out.Bytes())
	if found == nil {
		return errors.New("the server printed no fingerprint")
	}
	env.Setenv("SERVER", "https://"+is.Address)
	env.Setenv("FINGERPRINT", string(found[1]))
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
	env.Setenv("TZ", "UTC")
	return errors.Join(
		os.WriteFile(filepath.Join(env.WorkDir, "ca.pem"), is.CA, 0o600),
		os.WriteFile(filepath.Join(env.WorkDir, "first-password"), []byte(is.AdminPassword+"\n"), 0o600),
		os.WriteFile(filepath.Join(env.WorkDir, "password"), []byte("correct horse battery staple\n"), 0o600))
}

// code N COMMAND… runs a command and wants exactly that exit code.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// normal FILE (or stdout, stderr) writes the file "normal": what differs from run to run is replaced, and runs of
// blanks, which depend on it, become one.
func normal(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	for _, r := range []struct{ pattern, with string }{
		{`127\.0\.0\.1:\d+`, "ADDRESS"},
		{`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, "ID"},
		{`\b(\d{4}-\d\d-\d\d )?\d\d:\d\d(:\d\d)? UTC\b`, "TIME"},
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`, "TIME"},
		{`\b(\d+[dhms]){1,2} (left|ago)\b`, "SPAN $2"},
		{`\b[0-9a-f]{8}\b`, "ID"},
		{`(?m) +`, " "},
		{`(?m) +$`, ""},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	ts.Check(os.WriteFile(ts.MkAbs("normal"), []byte(text), 0o600))
}

// text FILE PATTERN puts the first group that the pattern finds in the file into the environment variable FOUND.
func text(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile(args[0]))
	if found == nil {
		ts.Fatalf("%s has nothing like %s", args[0], args[1])
	}
	ts.Setenv("FOUND", found[1])
}

// agent TOKENFILE [ends] enrols over the real protocol and from then on reports whatever is desired as in force; one
// that ends does so once only.
func joins(ts *testscript.TestScript, _ bool, args []string) {
	ca := []byte(ts.ReadFile("ca.pem"))
	a, err := enrolFake(ts.Getenv("SERVER"), ca, strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.follow(ctx) }()
	ts.Defer(func() {
		stop()
		if err := <-ended; err != nil && ctx.Err() == nil {
			ts.Logf("agent: %v", err)
		}
	})
	ts.Check(a.wait(10 * time.Second))
	if len(args) > 1 {
		stop()
	}
}

func follows(d *agentwire.Desired) []agentwire.Observation {
	var seen []agentwire.Observation
	for _, o := range d.Openings {
		for _, g := range o.Grants {
			seen = append(seen, agentwire.Observation{Grant: g, Status: "open"})
		}
	}
	for _, g := range d.Ended {
		seen = append(seen, agentwire.Observation{Grant: g, Status: "closed"})
	}
	return seen
}
