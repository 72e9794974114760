package notify_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/notify"
)

const slackURL = "https://hooks.slack.com/services/T0/B0/xyz"

func TestASealedSecretOpensForItsChannelAlone(t *testing.T) {
	t.Parallel()
	v := newVault(t, "")
	secret, err := v.Seal("c1", engine.Slack, slackURL)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(secret.Sealed), "hooks") {
		t.Error("the sealed secret can be read")
	}
	if again, _ := v.Seal("c1", engine.Slack, slackURL); string(again.Sealed) == string(secret.Sealed) {
		t.Error("sealed twice it is the same")
	}
	if text, err := v.OpenText(engine.Channel{
		ID: "c1", Kind: engine.Slack,
		Secret: secret,
	}); err != nil || text != slackURL {
		t.Errorf("open: %q, %v", text, err)
	}
	other, err := notify.NewVault([]byte("another key of 32 bytes, as it is"), "")
	if err == nil {
		t.Error("a key of 33 bytes was taken")
	}
	if other, err = notify.NewVault([]byte("another key of 32 bytes, as it i"), ""); err != nil {
		t.Fatal(err)
	}
	changed := engine.ChannelSecret{Sealed: append([]byte(nil), secret.Sealed...)}
	changed.Sealed[len(changed.Sealed)-1] ^= 1
	for name, fail := range map[string]func() (string, error){
		"another channel": func() (string, error) { return v.OpenText(engine.Channel{ID: "c2", Secret: secret}) },
		"another key":     func() (string, error) { return other.OpenText(engine.Channel{ID: "c1", Secret: secret}) },
		"changed":         func() (string, error) { return v.OpenText(engine.Channel{ID: "c1", Secret: changed}) },
		"short": func() (string, error) {
			return v.OpenText(engine.Channel{ID: "c1", Secret: engine.ChannelSecret{Sealed: []byte{1, 2}}})
		},
		"version": func() (string, error) {
			return v.OpenText(engine.Channel{ID: "c1", Secret: engine.ChannelSecret{Sealed: []byte{9, 2}}})
		},
	} {
		if text, err := fail(); err == nil || text != "" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func TestSecretsByReferenceStayInTheirFolder(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	folder := filepath.Join(outside, "secrets")
	for name, text := range map[string]string{
		"secrets/slack": slackURL + "\n", "secrets/empty": "",
		"secrets/lines": "a\nb", "outside": slackURL,
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(outside, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(outside, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../outside", filepath.Join(folder, "link")); err != nil {
		t.Fatal(err)
	}
	by := func(name string) engine.Channel {
		return engine.Channel{ID: "c1", Kind: engine.Slack, Secret: engine.ChannelSecret{File: name}}
	}
	v := newVault(t, folder)
	if text, err := v.OpenText(by("slack")); err != nil || text != slackURL {
		t.Errorf("open: %q, %v", text, err)
	}
	for _, name := range []string{"../outside", "link", "absent", "empty", "lines", "/etc/hostname", "."} {
		if text, err := v.OpenText(by(name)); err == nil || strings.Contains(fmt.Sprint(err), "hooks") {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if _, err := newVault(t, "").OpenText(by("slack")); err == nil {
		t.Error("a reference was followed though there is no folder")
	}
}

func TestSecretsThatCannotBe(t *testing.T) {
	t.Parallel()
	v := newVault(t, "")
	for text, kind := range map[string]engine.ChannelKind{
		"": engine.SMTP, "a\nb": engine.SMTP, "ftp://x/y": engine.Slack, "not a url": engine.Teams,
		"whsec_short": engine.Webhook,
		"plain":       engine.Webhook, "tooshort": engine.PagerDuty, strings.Repeat("x", 5000): engine.SMTP,
	} {
		_, err := v.Seal("c1", kind, text)
		if access.KindOf(err) != access.KindInvalid || len(text) > 3 && strings.Contains(err.Error(), text) {
			t.Errorf("%s %q: %v", kind, text, err)
		}
	}
	if _, err := v.Seal("c1", engine.Webhook, notify.NewSigningKey()); err != nil {
		t.Errorf("a new signing key: %v", err)
	}
}
