package engine_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// TestTheServersFilesAndNetworkAreItsOwnTenants proves that the administrator of another tenant, who may write channels
// there, has neither the server's secret files nor its inner network by them, whether a channel is made or changed.
func TestTheServersFilesAndNetworkAreItsOwnTenants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, boss := w.tenant("contoso")
	url, plain, file, yes := "https://hooks.example.com/postern", "http://10.0.0.1/", "smtp-password", true
	host, from := "mail.example.com", "a@example.com"
	mail := &engine.MailInput{Host: &host, From: &from}
	there := "mail"
	must(w.CreateChannel(w.ctx, boss, engine.ChannelInput{Name: &there, Kind: engine.SMTP, Mail: mail}))(t)
	refused := func(what string, err error, codes ...string) {
		t.Helper()
		var refusal *access.Error
		if !errors.As(err, &refusal) || refusal.Kind != access.KindForbidden || !slices.EqualFunc(refusal.Reasons, codes, func(r access.Reason, code string) bool { return r.Code == code }) {
			t.Errorf("%s: %v, want a refusal with %v", what, err, codes)
		}
	}
	const ofFile, ofNetwork = "secretFileOfTheServer", "privateOfTheServer"
	for what, c := range map[string]struct {
		in    engine.ChannelInput
		codes []string
	}{
		"a secret file":     {engine.ChannelInput{Kind: engine.Webhook, URL: &url, SecretFile: &file}, []string{ofFile}},
		"a private address": {engine.ChannelInput{Kind: engine.SMTP, Mail: mail, AllowPrivate: &yes}, []string{ofNetwork}},
		"plain HTTP":        {engine.ChannelInput{Kind: engine.Webhook, URL: &plain, SecretFile: &file, AllowPrivate: &yes}, []string{ofFile, ofNetwork}},
	} {
		c.in.Name = &what
		_, err := w.CreateChannel(w.ctx, boss, c.in)
		refused(what, err, c.codes...)
		must(w.CreateChannel(w.ctx, w.admin, c.in))(t) // the tenant that runs the server may
	}
	for what, c := range map[string]struct {
		in   engine.ChannelInput
		code string
	}{
		"changed to a secret file":     {engine.ChannelInput{SecretFile: &file}, ofFile},
		"changed to private addresses": {engine.ChannelInput{AllowPrivate: &yes}, ofNetwork},
	} {
		_, err := w.UpdateChannel(w.ctx, boss, there, c.in)
		refused(what, err, c.code)
	}
}

// TestAChangedMailServerKeepsWhatIsNotNamed changes one thing of a mail channel at a time.
func TestAChangedMailServerKeepsWhatIsNotNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name, host, from, fromName, helo, yes := "mail", "mail.example.com", "a@example.com", "Postern", "postern.example.com", true
	port, none := 2525, engine.MailPlain
	want := engine.Mail{Host: host, Port: port, From: from, FromName: fromName, Helo: helo}
	channel := must(w.CreateChannel(w.ctx, w.admin, engine.ChannelInput{
		Name: &name, Kind: engine.SMTP, AllowPrivate: &yes, Mail: &engine.MailInput{Host: &host, Port: &port, From: &from, FromName: &fromName, Helo: &helo},
	}))(t)
	if channel.Mail != want {
		t.Fatalf("made %+v", channel.Mail)
	}
	want.TLS = none
	channel = must(w.UpdateChannel(w.ctx, w.admin, name, engine.ChannelInput{Mail: &engine.MailInput{TLS: &none}}))(t)
	if channel.Mail != want {
		t.Errorf("with other TLS it is %+v, want %+v", channel.Mail, want)
	}
	empty := ""
	want.Helo = ""
	channel = must(w.UpdateChannel(w.ctx, w.admin, name, engine.ChannelInput{Mail: &engine.MailInput{Helo: &empty}}))(t)
	if channel.Mail != want {
		t.Errorf("with the usual name it is %+v, want %+v", channel.Mail, want)
	}
	for _, bad := range []string{"two words", "a\r\nRCPT TO:<x@example.com>", "<x>", "a@b"} {
		if _, err := w.UpdateChannel(w.ctx, w.admin, name, engine.ChannelInput{Mail: &engine.MailInput{Helo: &bad}}); access.KindOf(err) != access.KindInvalid {
			t.Errorf("%q is taken as a name at EHLO: %v", bad, err)
		}
	}
}
