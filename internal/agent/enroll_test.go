package agent

import (
	"context"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
)

func TestEnroll(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	dir := filepath.Join(t.TempDir(), "postern", "agent")
	h := &host{t: t, server: s, dir: dir}
	id, err := Enroll(t.Context(), h.enrolment("good"))
	if err != nil {
		t.Fatal(err)
	}
	want := Identity{Server: s.URL, Agent: "agent-1", Machine: "machine-1", Name: "web-1", Mode: access.ModeHost}
	if diff := cmp.Diff(want, id); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	loaded, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, loaded); diff != "" {
		t.Errorf("identity on disk (-want +got):\n%s", diff)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v), want 0600", f.Name(), info.Mode(), err)
		}
	}
	if diff := cmp.Diff([]string{identityFile, caFile, credentialsFile, protectedFile, stateFile}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the state folder has mode %v (%v), want 0700", info.Mode(), err)
	}
}

func TestEnrollRefusals(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	maps.Copy(s.tokens, map[string]string{"expired": "tokenExpired", "used": "tokenUsed", "taken": "nameTaken"})
	other := newServer(t)
	closed, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "https://" + closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		edit func(*EnrollConfig)
		want []string
	}{
		{
			"expired token", func(c *EnrollConfig) { c.Token = "expired" },
			[]string{"tokenExpired", "postern machine token"},
		},
		{"used token", func(c *EnrollConfig) { c.Token = "used" }, []string{"tokenUsed", "postern machine token"}},
		{"unknown token", func(c *EnrollConfig) { c.Token = "guessed" }, []string{"tokenUnknown"}},
		{"name taken", func(c *EnrollConfig) { c.Token = "taken" }, []string{"nameTaken", "another --name"}},
		{"no token", func(c *EnrollConfig) { c.Token = " " }, []string{"postern machine token"}},
		{"foreign CA", func(c *EnrollConfig) { c.CA = other.caPEM }, []string{"does not trust", "--ca FILE"}},
		{"system's CAs", func(c *EnrollConfig) { c.CA = nil }, []string{"does not trust", "--ca FILE"}},
		{"CA is no certificate", func(c *EnrollConfig) { c.CA = []byte("hello") }, []string{"no CA certificate"}},
		{"server unreachable", func(c *EnrollConfig) { c.Server = nobody }, []string{"cannot be reached"}},
		{"plain HTTP", func(c *EnrollConfig) { c.Server = "http://127.0.0.1" }, []string{"https://HOST:PORT"}},
		{
			"another name", func(c *EnrollConfig) { c.Server = strings.Replace(c.Server, "127.0.0.1", "localhost", 1) },
			[]string{"another name"},
		},
		{"malformed name", func(c *EnrollConfig) { c.Name = "-x" }, []string{"is not allowed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			config := EnrollConfig{Server: s.URL, Token: "good", CA: s.caPEM, StateDir: t.TempDir(), Name: "web-1"}
			c.edit(&config)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := Enroll(ctx, config)
			if err == nil {
				t.Fatal("enrolled")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if files, err := os.ReadDir(config.StateDir); err != nil || len(files) > 0 {
				t.Errorf("left %v (%v)", files, err)
			}
		})
	}
	if _, used := s.tokens["good"]; !used || s.tokens["good"] != "" {
		t.Error("a refused enrolment spent the token")
	}
}

func TestEnrollAgain(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	before, err := os.ReadFile(filepath.Join(h.dir, credentialsFile))
	if err != nil {
		t.Fatal(err)
	}
	s.tokens["second"] = ""
	if _, err := Enroll(t.Context(), h.enrolment("second")); err == nil || !strings.Contains(err.Error(), "--replace") {
		t.Errorf("a second enrolment gave %v, want one that says --replace", err)
	}
	again := h.enrolment("good") // which is used up by now
	again.Replace = true
	if _, err := Enroll(t.Context(), again); err == nil {
		t.Error("enrolled with a used token")
	}
	after, err := os.ReadFile(filepath.Join(h.dir, credentialsFile))
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("a failed enrolment replaced the credentials")
	}
	again.Token = "second"
	if _, err := Enroll(t.Context(), again); err != nil {
		t.Error(err)
	}
}
