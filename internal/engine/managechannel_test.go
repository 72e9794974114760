package engine_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/notices"
	"github.com/postern-dev/postern/internal/engine/services"
)

// TestTheServersFilesAndNetworkAreItsOwnTenants proves that the administrator of another tenant, who may write channels
// there, has neither the server's secret files nor its inner network by them, whether a channel is made or changed.
func TestTheServersFilesAndNetworkAreItsOwnTenants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, boss := w.tenant("contoso")
	url, plain, file, yes := "https://hooks.example.com/postern", "http://10.0.0.1/", "smtp-password", true
	host, from := "mail.example.com", "a@example.com"
	mail := &notices.MailInput{Host: &host, From: &from}
	there := "mail"
	must(w.Notices.CreateChannel(w.ctx, boss, notices.ChannelInput{Name: &there, Kind: engine.SMTP, Mail: mail}))(t)
	refused := func(what string, err error, codes ...string) {
		t.Helper()
		var refusal *access.Error
		if !errors.As(err,
			&refusal) || refusal.Kind != access.KindForbidden || !slices.EqualFunc(refusal.Reasons, codes,
			func(r access.Reason, code string) bool { return r.Code == code }) {
			t.Errorf("%s: %v, want a refusal with %v", what, err, codes)
		}
	}
	const ofFile, ofNetwork = "secretFileOfTheServer", "privateOfTheServer"
	for what, c := range map[string]struct {
		in    notices.ChannelInput
		codes []string
	}{
		"a secret file": {
			notices.ChannelInput{Kind: engine.Webhook, URL: &url, SecretFile: &file},
			[]string{ofFile},
		},
		"a private address": {
			notices.ChannelInput{Kind: engine.SMTP, Mail: mail, AllowPrivate: &yes},
			[]string{ofNetwork},
		},
		"plain HTTP": {
			notices.ChannelInput{Kind: engine.Webhook, URL: &plain, SecretFile: &file, AllowPrivate: &yes},
			[]string{ofFile, ofNetwork},
		},
	} {
		c.in.Name = &what
		_, err := w.Notices.CreateChannel(w.ctx, boss, c.in)
		refused(what, err, c.codes...)
		must(w.Notices.CreateChannel(w.ctx, w.admin, c.in))(t) // the tenant that runs the server may
	}
	for what, c := range map[string]struct {
		in   notices.ChannelInput
		code string
	}{
		"changed to a secret file":     {notices.ChannelInput{SecretFile: &file}, ofFile},
		"changed to private addresses": {notices.ChannelInput{AllowPrivate: &yes}, ofNetwork},
	} {
		_, err := w.Notices.UpdateChannel(w.ctx, boss, there, c.in)
		refused(what, err, c.code)
	}
}

// TestAChangedMailServerKeepsWhatIsNotNamed changes one thing of a mail channel at a time.
func TestAChangedMailServerKeepsWhatIsNotNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name, host, from := "mail", "mail.example.com", "a@example.com"
	fromName, helo, yes := "Postern", "postern.example.com", true
	port, none := 2525, engine.MailPlain
	want := engine.Mail{Host: host, Port: port, From: from, FromName: fromName, Helo: helo}
	channel := must(w.Notices.CreateChannel(w.ctx, w.admin, notices.ChannelInput{
		Name: &name, Kind: engine.SMTP, AllowPrivate: &yes,
		Mail: &notices.MailInput{Host: &host, Port: &port, From: &from, FromName: &fromName, Helo: &helo},
	}))(t)
	if channel.Mail != want {
		t.Fatalf("made %+v", channel.Mail)
	}
	want.TLS = none
	channel = must(w.Notices.UpdateChannel(w.ctx, w.admin, name,
		notices.ChannelInput{Mail: &notices.MailInput{TLS: &none}}))(
		t)
	if channel.Mail != want {
		t.Errorf("with other TLS it is %+v, want %+v", channel.Mail, want)
	}
	empty := ""
	want.Helo = ""
	channel = must(w.Notices.UpdateChannel(w.ctx, w.admin, name,
		notices.ChannelInput{Mail: &notices.MailInput{Helo: &empty}}))(
		t)
	if channel.Mail != want {
		t.Errorf("with the usual name it is %+v, want %+v", channel.Mail, want)
	}
	for _, bad := range []string{"two words", "a\r\nRCPT TO:<x@example.com>", "<x>", "a@b"} {
		if _, err := w.Notices.UpdateChannel(w.ctx, w.admin, name,
			notices.ChannelInput{Mail: &notices.MailInput{Helo: &bad}}); access.KindOf(err) != access.KindInvalid {
			t.Errorf("%q is taken as a name at EHLO: %v", bad, err)
		}
	}
}

// TestSecretsStayWithTheirServer proves that nobody learns the secret of a channel by turning the channel to a server
// of their own, in one step or in several, and that whoever knows it may.
func TestSecretsStayWithTheirServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sealer := func(id engine.ChannelID, _ engine.ChannelKind, text string) (engine.ChannelSecret, error) {
		return engine.ChannelSecret{Sealed: []byte(string(id) + text)}, nil
	}
	e := w.another(func(c *services.Config) { c.SealSecret = sealer })
	secret, from, host := "hunter2hunter2", "a@example.com", "mail.example.com"
	elsewhere, ca := "mail.example.net", "-----BEGIN CERTIFICATE-----"
	none, user, port, tls, pager := "", "postern", 2525, engine.MailImplicit, "https://events.example.com/"
	mail, page, hook := "mail", "page", "hook"
	must(e.Notices.CreateChannel(w.ctx, w.admin,
		notices.ChannelInput{
			Name: &mail, Kind: engine.SMTP, Secret: &secret,
			Mail: &notices.MailInput{Host: &host, From: &from, Username: &user},
		}))(
		t)
	must(e.Notices.CreateChannel(w.ctx, w.admin,
		notices.ChannelInput{Name: &page, Kind: engine.PagerDuty, Secret: &secret}))(
		t)
	must(e.Notices.CreateChannel(w.ctx, w.admin,
		notices.ChannelInput{Name: &hook, Kind: engine.Webhook, Secret: &secret, URL: &pager}))(
		t)
	url := "https://hooks.example.net/"
	// What is not told to the server may go elsewhere with it, and what the server is not may change.
	must(e.Notices.UpdateChannel(w.ctx, w.admin, hook, notices.ChannelInput{URL: &url, CA: &ca}))(t)
	must(e.Notices.UpdateChannel(w.ctx, w.admin, mail,
		notices.ChannelInput{Mail: &notices.MailInput{FromName: &user, Username: &none}}))(
		t)
	for what, c := range map[string]struct {
		channel string
		in      notices.ChannelInput
	}{
		"the host": {mail, notices.ChannelInput{Mail: &notices.MailInput{Host: &elsewhere}}},
		"the host and the user": {
			mail,
			notices.ChannelInput{Mail: &notices.MailInput{Host: &elsewhere, Username: &user}},
		},
		"the port":                          {mail, notices.ChannelInput{Mail: &notices.MailInput{Port: &port}}},
		"TLS":                               {mail, notices.ChannelInput{Mail: &notices.MailInput{TLS: &tls}}},
		"whose certificates are trusted":    {mail, notices.ChannelInput{CA: &ca}},
		"the address of PagerDuty":          {page, notices.ChannelInput{URL: &pager}},
		"who vouches for that of PagerDuty": {page, notices.ChannelInput{CA: &ca}},
	} {
		_, err := e.Notices.UpdateChannel(w.ctx, w.admin, c.channel, c.in)
		if access.CodeOf(err) != "secretNeeded" {
			t.Errorf("%s is changed, and the secret goes along: %v", what, err)
		}
		c.in.Secret = &secret
		must(e.Notices.UpdateChannel(w.ctx, w.admin, c.channel, c.in))(t)
		back := notices.ChannelInput{
			Secret: &secret, CA: &none, URL: &none,
			Mail: &notices.MailInput{Host: &host, Port: new(int), TLS: new(engine.MailTLS), Username: &none},
		}
		must(e.Notices.UpdateChannel(w.ctx, w.admin, c.channel, back))(t)
	}
}
