package notify

import (
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/postern-dev/postern/internal/engine"
)

// RetryAfter and CheckDestination let the tests at what reads bytes from outside.
func RetryAfter(value string, now time.Time) time.Duration { return retryAfter(value, now) }

// CheckDestination is the check of Dialer.
func CheckDestination(a netip.Addr, allowPrivate bool) error {
	return checkDestination(a, allowPrivate)
}

// SlackEscape is the escaping of Slack's texts.
func SlackEscape(s string, most int) string { return slackEscape(s, most) }

// HeloName is the choice of a name at EHLO.
func HeloName(set, known string) string { return heloName(set, known) }

// Line is the cleaning of every text that goes into a message.
func Line(s string, most int) string { return line(s, most) }

// Excerpt is the cleaning of what a receiver said.
func Excerpt(body []byte, secret string) string { return excerpt(body, opened{secret}) }

// Rendered gives what every channel says of n.
func Rendered(t *testing.T, n engine.Notification, public string) []txtar.File {
	t.Helper()
	u, err := url.Parse(public)
	if err != nil {
		t.Fatal(err)
	}
	m, err := compose(n, u)
	if err != nil {
		t.Fatal(err)
	}
	files := []txtar.File{}
	keep := func(name string, data []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, txtar.File{Name: name, Data: data})
	}
	text, html, err := mailBodies(m)
	keep("mail.txt", []byte(text), err)
	keep("mail.html", []byte(html), err)
	data, err := slackBody(m)
	keep("slack.json", data, err)
	data, err = teamsBody(m)
	keep("teams.json", data, err)
	data, err = webhookBody(n, m, u)
	keep("webhook.json", data, err)
	for _, s := range incidents(n) {
		data, err = pagerBody(n, m, s, "postern.example.com", opened{"routing-key"})
		keep("pagerduty.json", data, err)
	}
	return files
}

// OpenText opens the secret of a channel.
func (v *Vault) OpenText(c engine.Channel) (string, error) {
	secret, err := v.open(c)
	if err != nil {
		return "", err
	}
	return secret.text, nil
}
