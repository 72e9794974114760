package agent

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/internal/core/access"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	now := at(time.Hour, noon(), "boot-1")
	recommended := []string{"22", "3389", "5985", "5986"}
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
		want    []string
	}{
		{"not enrolled", func(*testing.T, string) {}, nil},
		{
			"enrolled, never connected", func(t *testing.T, dir string) { t.Helper(); must(t, testSelf().save(dir)) },
			recommended,
		},
		{"with a state", func(t *testing.T, dir string) {
			t.Helper()
			must(t, testSelf().save(dir))
			must(t, save(dir, stateOf(now, 3, opening(22, "0.0.0.0/0", now, time.Hour, "g")), now))
		}, []string{"22"}},
		{"with a policy of no ports", func(t *testing.T, dir string) {
			t.Helper()
			must(t, testSelf().save(dir))
			h := stateOf(now, 3)
			h.Protected = nil
			must(t, save(dir, h, now))
		}, nil},
		{"state spoilt", func(t *testing.T, dir string) {
			t.Helper()
			must(t, testSelf().save(dir))
			must(t, os.WriteFile(filepath.Join(dir, stateFile), []byte("x"), 0o600))
		}, recommended},
		{"identity spoilt", func(t *testing.T, dir string) {
			t.Helper()
			must(t, os.WriteFile(filepath.Join(dir, identityFile), []byte("x"), 0o600))
		}, recommended},
		{
			"identity of a gateway spoilt", func(t *testing.T, dir string) { t.Helper(); spoiltGateway(t, dir, now) },
			[]string{"22"},
		},
		{"identity and state of a gateway spoilt", func(t *testing.T, dir string) {
			t.Helper()
			spoiltGateway(t, dir, now)
			must(t, os.WriteFile(filepath.Join(dir, stateFile), []byte("x"), 0o600))
		}, []string{"22"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, k := t.TempDir(), newTarget(func() time.Time { return now.boot })
			c.prepare(t, dir)
			clock := Clock{
				Boot: func() time.Time { return now.boot }, Wall: func() time.Time { return now.wall },
				BootID: now.bootID,
			}
			closed, err := Guard(t.Context(),
				Config{StateDir: dir, Clock: clock, Enforcer: k, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			var ports []string
			for _, p := range closed {
				ports = append(ports, p.Ports.String())
			}
			if diff := cmp.Diff(c.want, ports); diff != "" {
				t.Errorf("closed ports (-want +got):\n%s", diff)
			}
			if len(k.open()) > 0 || len(k.protects()) != len(c.want) {
				t.Errorf("the target has %v open and protects %v", k.open(), k.protects())
			}
			if gateway := strings.Contains(c.name,
				"gateway"); gateway && (k.state.Mode != access.ModeGateway || len(k.state.Machines) != 1) {
				t.Errorf("the gateway guards as %+v", k.state)
			}
		})
	}
}

// spoiltGateway leaves the state of a gateway with an opening, and an identity that cannot be read.
func spoiltGateway(t *testing.T, dir string, now reading) {
	t.Helper()
	h := stateOf(now, 3, opening(22, "0.0.0.0/0", now, time.Hour, "g"))
	h.Mode = access.ModeGateway
	must(t, save(dir, h, now))
	must(t, os.WriteFile(filepath.Join(dir, identityFile), []byte("x"), 0o600))
}

func TestUninstall(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	h.start()
	s.grant("g1", "192.0.2.1/32", time.Hour)
	h.opens("192.0.2.1/32 22")
	h.halt()
	if err := Uninstall(t.Context(),
		Config{StateDir: h.dir, Clock: h.clock, Enforcer: h.target, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	if left := h.target.protects(); len(left) > 0 || len(h.target.open()) > 0 {
		t.Errorf("left %v protected", left)
	}
	if files, err := os.ReadDir(h.dir); err != nil || len(files) > 0 {
		t.Errorf("left the files %v (%v)", files, err)
	}
	if _, err := LoadIdentity(h.dir); err != ErrNotEnrolled { //nolint:errorlint // it is returned as it is
		t.Errorf("the identity is still there: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
