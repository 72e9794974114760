//go:build linux

package browser_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/nettest"
)

// echo answers at port 22 of a machine, and gives the machine's address.
func (w *world) echo(machine int) string {
	w.t.Helper()
	to := netip.AddrPortFrom(w.net.MachineAddrs[2*machine], 22)
	e, err := w.net.Machine.EchoTCP(to)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = e.Close() })
	return to.Addr().String()
}

// TestFirstStart goes from an empty server to the first guarded machine by what the portal shows, and runs its
// commands.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	network, err := nettest.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = network.Close() })
	w := serve(t, network)
	installed := make(chan error, 1)
	go func() { installed <- w.install() }()
	w.browse("setup.mjs", "WEB="+w.echo(0))
	if err := <-installed; err != nil {
		t.Error(err)
	}
}

// install runs the commands that the portal showed on the machine, below a folder of its own, and starts the agent
// there as systemd would.
func (w *world) install() error {
	var commands []byte
	for end := time.Now().Add(patience); commands == nil; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("the portal showed no commands")
		}
		commands, _ = os.ReadFile(w.path("commands.sh"))
	}
	root, bin := w.path("root"), w.path("bin")
	script := "mkdir -p " + bin + "\nprintf '#!/bin/sh\\nexec \"$@\"\\n' > " + bin + "/sudo\nchmod 755 " + bin +
		"/sudo\nexport PATH=" + bin + ":$PATH POSTERN_ROOT=" + root + "\ncd " + w.dir + "\nset -e\n" + string(
		commands) + "\n"
	cmd := exec.Command("sh", "-c", script)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := w.net.Machine.Start(cmd); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("the commands: %w: %s", err, said.String())
	}
	for _, file := range []string{
		"etc/systemd/system/postern-agent.service",
		"etc/systemd/system/postern-guard.service", "etc/systemd/system/nftables.service.d/postern.conf",
		"etc/sysusers.d/postern.conf",
	} {
		if text, err := os.ReadFile(filepath.Join(root, file)); err != nil ||
			!strings.Contains(string(text), "ostern") {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	agent := exec.Command(filepath.Join(root, "usr/bin/postern"), "agent", "--state",
		filepath.Join(root, "var/lib/postern/agent"))
	if err := w.net.Machine.Start(agent); err != nil {
		return err
	}
	w.t.Cleanup(func() {
		_ = agent.Process.Kill()
		_ = agent.Wait()
	})
	return nil
}

// TestPasskeys signs in and decides with a passkey.
func TestPasskeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "db-1")
	ben := w.person("ben", "Ben Ito", "Security Admin")
	agree := []api.ApprovalStage{{AllOf: []api.Quorum{{Count: 1, People: []string{"ben"}}}}}
	w.policy("db-1",
		api.MachinePolicy{
			Ports:    []api.PortRule{ssh(3600)},
			Approval: []api.ApprovalCase{{StepUp: true, Stages: agree}},
		})
	_, err := w.admin.CreateEligibility(t.Context(), api.NewEligibility{
		EligibilityTerms: api.EligibilityTerms{Approval: []api.ApprovalCase{{StepUp: true}}}, Principal: "ben",
		Role: "Reader", Scope: "/",
	})
	if err != nil {
		t.Fatal(err)
	}
	w.browse("passkey.mjs", "BEN_PASSWORD="+ben, "NAME="+serverName, "DB="+w.echo(0),
		"STORE="+w.path("data/postern.db"))
}

// TestAttacks tries to run script by text, to call from another site, and to use sessions that are over.
func TestAttacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "web-1", "db-1")
	approval := []api.ApprovalCase{{Stages: []api.ApprovalStage{
		{AllOf: []api.Quorum{{Count: 1, People: []string{"ben"}}}},
	}}}
	w.person("ben", "Ben Ito", "Security Admin")
	w.policy("web-1", api.MachinePolicy{Ports: []api.PortRule{ssh(3600)}})
	w.policy("db-1", api.MachinePolicy{Ports: []api.PortRule{ssh(3600)}, Approval: approval})
	certificate, key := w.selfSigned()
	w.browse("attacks.mjs", "ROUTES="+strings.Join(changing(t), "\n"),
		"EVIL="+netip.AddrPortFrom(w.net.ClientAddrs[2], 9443).String(), "EVIL_CERT="+certificate, "EVIL_KEY="+key)
}

// changing gives every route of the API that changes something.
func changing(t *testing.T) (routes []string) {
	t.Helper()
	text, err := os.ReadFile("../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	for path, methods := range document.Paths {
		for method := range methods {
			if method != "get" {
				routes = append(routes,
					strings.ToUpper(method)+" "+regexp.MustCompile(`{[^}]+}`).ReplaceAllString(path, "web-1"))
			}
		}
	}
	if len(routes) < 40 {
		t.Fatalf("the document has %d routes that change something", len(routes))
	}
	return routes
}

// selfSigned makes a certificate for another site.
func (w *world) selfSigned() (certificate, key string) {
	w.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		w.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		w.t.Fatal(err)
	}
	certificate, key = w.path("evil.pem"), w.path("evil-key.pem")
	err = errors.Join(
		os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	if err != nil {
		w.t.Fatal(err)
	}
	return certificate, key
}
