package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/postern-dev/postern/api"
)

const (
	machineName   = "web-1"
	serverAddress = personAddress + ":8443"
	guarded       = machineAddress + ":22"
	opening       = 8 * time.Second // long enough to look at, on a slow machine too
)

// story is the state of the telling.
type story struct {
	options Options
	dir     string
	page    *page
	machine *netspace

	apiListener, sshListener net.Listener
	server, agent, service   *process

	password string // of the administrator
	client   *api.Client
	request  api.Request
	deadline time.Time // when the opening ends
	session  net.Conn  // opened while the port was open, and left alone
}

// step is one line of the story. It gives what to print and the time that it took, if that is not simply how long it
// ran.
type step struct {
	name string
	run  func(ctx context.Context) (text, took string, err error)
}

// tell goes through the steps until one fails.
func (s *story) tell(ctx context.Context) {
	for _, step := range s.steps() {
		s.page.waiting("%s …", step.name)
		begun := s.options.Now()
		text, took, err := step.run(ctx)
		if ctx.Err() != nil {
			return // interrupted: whether it would have failed is not known
		}
		if err != nil {
			s.page.fail(step.name, err)
			return
		}
		if took == "" {
			took = milliseconds(s.options.Now().Sub(begun))
		}
		s.page.done(text, took)
	}
}

func (s *story) steps() []step {
	if s.options.Apps {
		return s.appSteps()
	}
	return []step{
		{"start the server", s.startServer},
		{"sign in", s.signIn},
		{"enroll the machine", s.enrol},
		{"find the port open to everybody", s.findOpen},
		{"guard the port", s.guard},
		{"be refused at the port", s.beRefused},
		{"ask for the port and have it opened", s.ask},
		{"connect for real", s.connect},
		{"be refused from where nobody asked for", s.elsewhere},
		{"kill server and agent", s.killBoth},
		{"see the port close on time", s.seeClosed},
		{"see the session cut", s.seeCut},
		{"start server and agent again", s.restart},
		{"export and verify the activity log", s.verify},
		{"have a forgery refused", s.forge},
	}
}

func (s *story) path(name string) string { return filepath.Join(s.dir, name) }

// postern runs a client command as the administrator would type it and gives its output.
func (s *story) postern(ctx context.Context, args ...string) (string, error) {
	return s.as(ctx, "config.json", args...)
}

// as runs a client command with the sign-in that a file holds.
func (s *story) as(ctx context.Context, config string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.options.Program, args...) //nolint:gosec // ourselves
	cmd.Env = append(os.Environ(), "POSTERN_CONFIG="+s.path(config))
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("postern %s: %w\n%s", strings.Join(args[:min(2, len(args))], " "), err,
			strings.TrimSpace(problems.String()))
	}
	return out.String(), nil
}

// eventually asks until the answer is yes, an error that will not pass, or the patience is over.
func (s *story) eventually(ctx context.Context, patience time.Duration, p *process, ask func() (bool, error)) error {
	deadline := s.options.Now().Add(patience)
	for {
		yes, err := ask()
		if yes {
			return nil
		}
		if err == nil {
			err = errors.New("it did not happen")
		}
		if p != nil && p.ended() {
			return fmt.Errorf("%w; the process has ended:\n%s", err, p.tail())
		}
		if s.options.Now().After(deadline) {
			if p != nil {
				return fmt.Errorf("%w within %s; its log ends:\n%s", err, patience, p.tail())
			}
			return fmt.Errorf("%w within %s", err, patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// signedIn is what a sign-in leaves behind.
type signedIn struct {
	Server   string `json:"server"`
	CA       string `json:"ca,omitempty"`
	User     string `json:"user,omitempty"`
	Token    string `json:"token,omitempty"`
	AuditKey string `json:"auditKey,omitempty"`
}

func (s *story) readConfig() (signedIn, error) {
	data, err := os.ReadFile(s.path("config.json"))
	if err != nil {
		return signedIn{}, err
	}
	var c signedIn
	err = json.Unmarshal(data, &c)
	return c, err
}

// copyConfig writes what a sign-in left, for another way to the same server.
func (s *story) copyConfig(to, server string) error {
	c, err := s.readConfig()
	if err != nil {
		return err
	}
	c.Server = server
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}
