package notify_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/notify"
)

// TestAnotherTenantsChannelUsesNothingOfTheServers sends through channels as they may be kept since a time when every
// tenant could have the server's secret files and its inner network: the secret stays in its file, and nothing is
// called.
func TestAnotherTenantsChannelUsesNothingOfTheServers(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "hook-key"), []byte(notify.NewSigningKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	s, authority, got := listen(t, func(http.ResponseWriter, *http.Request) {})
	v := newVault(t, folder)
	courier := newCourier(t, v)
	fromFile := channelTo(t, v, engine.Webhook, s.URL, authority, notify.NewSigningKey())
	fromFile.Secret = engine.ChannelSecret{File: "hook-key"}
	sealed := channelTo(t, v, engine.Webhook, s.URL, authority, notify.NewSigningKey())
	plain := channelTo(t, v, engine.Webhook, "http://"+s.Listener.Addr().String(), "", notify.NewSigningKey())
	mail := engine.Channel{
		ID: "c1", Tenant: tenant, Kind: engine.SMTP, AllowPrivate: true,
		Mail: engine.Mail{Host: "127.0.0.1", Port: 9, TLS: engine.MailPlain, From: "a@b.example"},
	}

	for what, c := range map[string]struct {
		channel engine.Channel
		says    string
	}{
		"a secret file": {fromFile, "secret files belong to the tenant that runs the server"},
		"a file that is not there": {
			func() engine.Channel { c := fromFile; c.Secret.File = "nothing"; return c }(),
			"secret files belong to the tenant that runs the server",
		},
		"a private address":          {sealed, "127.0.0.1 is a private address"},
		"plain HTTP":                 {plain, "must begin with https://"},
		"mail that nothing protects": {mail, "mail without TLS"},
	} {
		c.channel.Tenant = "another"
		p := parcel(c.channel)
		p.Address = "ana@example.com"
		_, err := courier.Send(t.Context(), p)
		e, ok := errors.AsType[*notify.SendError](err)
		if !ok || !strings.Contains(e.Failure.Text, c.says) {
			t.Errorf("%s: %v, want %q in it", what, err, c.says)
		}
	}
	if n := len(got()); n != 0 {
		t.Errorf("the receiver was called %d times", n)
	}
	for what, c := range map[string]engine.Channel{"a secret file": fromFile, "a private address": sealed} {
		if _, err := courier.Send(t.Context(), parcel(c)); err != nil {
			t.Errorf("%s of the tenant that runs the server: %v", what, err)
		}
	}
}
