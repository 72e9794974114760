//go:build linux

package browser_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/postern-dev/postern/internal/nettest"
)

// TestPasskeysOfTheCommandLine runs what the manual says of passkeys in a terminal, through a real browser with an
// authenticator of its own.
func TestPasskeysOfTheCommandLine(t *testing.T) {
	network, err := nettest.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = network.Close() })
	w := &world{t: t, net: network, dir: t.TempDir(), address: "localhost:8443"} // passkeys want a name
	log := w.launch(network.Client, "server.log", "server", "--data", w.path("data"), "--listen", "localhost:8443",
		"--metrics-listen", "off", "--names", "localhost")
	w.eventually("the server prints the first password", func() error {
		text, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		found := regexp.MustCompile(`(?m)^ *password +(\S+)$`).FindSubmatch(text)
		if found == nil {
			return fmt.Errorf("it printed %s", text)
		}
		return errors.Join(os.WriteFile(w.path("once"), found[1], 0o600),
			os.WriteFile(w.path("own"), []byte(adminPassword), 0o600))
	})
	login := exec.Command(program, "login", "--server", "https://localhost:8443", "--ca", w.path("data/ca.pem"),
		"--user", "admin",
		"--password-file", w.path("once"), "--new-password-file", w.path("own"), "--config", w.path("config.json"))
	var said bytes.Buffer
	login.Stderr = &said
	if err := network.Client.Start(login); err != nil {
		t.Fatal(err)
	}
	if err := login.Wait(); err != nil {
		t.Fatalf("sign in: %v: %s", err, &said)
	}
	page, err := os.ReadFile("../../docs/operate/sign-in.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("(?s)```sh browser\n(.*?)```").FindSubmatch(page)
	if commands == nil {
		t.Fatal("the manual shows no command that uses a browser")
	}
	w.browse("cli.mjs", "PROGRAM="+program, "CONFIG="+w.path("config.json"), "COMMANDS="+string(commands[1]))
}
