package engine

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// OfTheServer refuses a channel that uses what belongs to the server's host, the files of its folder of secrets and its
// place in an inner network, to every tenant but the one that runs the server. The right to write channels is a right
// in the caller's own tenant, and so is none to these.
func (c Channel) OfTheServer(ctx context.Context, r Reader) error {
	var reasons []access.Reason
	if c.Secret.File != "" {
		reasons = append(reasons, access.Reason{
			Code: "secretFileOfTheServer", Field: "secretFile",
			Message: "secret files belong to the tenant that runs the server: give the secret itself, which is kept sealed",
		})
	}
	if c.AllowPrivate {
		reasons = append(reasons, access.Reason{
			Code: "privateOfTheServer", Field: "allowPrivate",
			Message: "private addresses and plain HTTP are for the tenant that runs the server: give the receiver a " +
				"public address with TLS",
		})
	}
	if len(reasons) == 0 {
		return nil
	}
	home, err := HomeTenant(ctx, r)
	if err != nil {
		return fmt.Errorf("read tenants: %w", err)
	}
	if c.Tenant == home {
		return nil
	}
	e := access.Fault(access.KindForbidden, "channelOfTheServer",
		"the channel would use what belongs to the server's host: nothing was changed")
	e.Reasons = reasons
	return e
}

// TakesSecretElsewhere reports whether a changed channel would tell a kept secret to whom it was not given for. Secrets
// are never shown, so whoever may change a channel has no way to one by having it sent to a server of theirs. That of a
// webhook signs and is not sent, and that of Slack and Teams is the URL itself.
func (c Channel) TakesSecretElsewhere(was Channel) bool {
	if len(was.Secret.Sealed) == 0 {
		return false
	}
	same := c.CA == was.CA
	switch c.Kind {
	case SMTP:
		return !same || !strings.EqualFold(c.Mail.Host,
			was.Mail.Host) || c.Mail.Port != was.Mail.Port || c.Mail.TLS != was.Mail.TLS
	case PagerDuty:
		return !same || c.URL != was.URL
	case Slack, Teams:
		return !same
	case Webhook, Lifecycle:
	}
	return false
}

// Event tells of a channel, and nothing of how it reaches its receiver.
func (c Channel) Event(kind access.EventKind, by Caller, may Rights) access.Event {
	return access.Event{
		At: may.Now, Kind: kind, Outcome: access.Succeeded, Actor: by.Actor(), Tenant: c.Tenant,
		Action: rbac.ChannelsWrite,
		Details: map[string]string{
			"channel": string(c.ID), "name": Clip(c.Name), "kind": string(c.Kind),
			"enabled":  strconv.FormatBool(c.Enabled),
			"revision": strconv.FormatInt(c.Revision, 10),
		},
	}
}

// ChannelID names a channel; a UUID of version 7.
type ChannelID string

// ChannelKind is the technology of a channel.
type ChannelKind string

// The kinds of channel.
const (
	SMTP      ChannelKind = "smtp"
	Slack     ChannelKind = "slack"
	Teams     ChannelKind = "teams"
	Webhook   ChannelKind = "webhook"
	PagerDuty ChannelKind = "pagerduty"

	// Lifecycle is the notification endpoint of an application definition, in the form in which Azure posts to one. It
	// comes and goes with the definition, has no routes, and is told of the definition's applications alone. Its URL is
	// the secret.
	Lifecycle ChannelKind = "lifecycle"
)

// Personal tells whether the channel reaches each recipient on their own; others have one receiver for all.
func (k ChannelKind) Personal() bool { return k == SMTP }

// Carries reports whether the channel has something to send for a kind of notification.
func (k ChannelKind) Carries(kind NotificationKind) bool {
	switch k {
	case Lifecycle:
		return kind == NotifyLifecycle
	case PagerDuty:
		return kind.opensOrResolves()
	case SMTP:
		return kind != NotifyLifecycle
	case Slack, Teams, Webhook:
		return kind != NotifyLifecycle && kind != NotifyAccount // that is for one person alone
	}
	return false
}

// Channel is a way to reach people: a mail server, a chat's webhook, any program's webhook, a pager.
type Channel struct {
	ID      ChannelID
	Tenant  access.TenantID
	Name    string // unique in the tenant without regard to case
	Kind    ChannelKind
	Enabled bool
	// Webhook: the receiver. PagerDuty: its endpoint, empty for PagerDuty's own. Slack and Teams: empty, their URL is
	// the secret
	URL          string
	Mail         Mail   // SMTP only
	CA           string // PEM of the authorities to trust instead of the system's; empty for the system's
	AllowPrivate bool   // the receiver may have a private or loopback address, and Webhook may use plain HTTP
	Secret       ChannelSecret
	CreatedAt    time.Time
	Revision     int64
}

// Mail is how to reach a mail server.
type Mail struct {
	Host     string
	Port     int // 0: 587 with STARTTLS, 465 with TLS, 25 with none
	TLS      MailTLS
	Username string // empty: no authentication; else the channel's secret is the password
	From     string // a plain address
	FromName string
	Helo     string // what the server calls itself at EHLO; empty: the name under which people reach it
}

// MailTLS says how the connection to a mail server is protected.
type MailTLS string

// The ways. MailStartTLS is the default; MailPlain needs AllowPrivate and no user name.
const (
	MailStartTLS MailTLS = "starttls"
	MailImplicit MailTLS = "tls"
	MailPlain    MailTLS = "none"
)

// ChannelSecret is what a channel must not show: the password of SMTP, the URL of Slack and Teams, the signing key of
// Webhook (whsec_…, several apart by a space while it is being changed), the routing key of PagerDuty. It is kept
// sealed, or it stands in a file of the server's folder of secrets. At most one of the fields is set.
type ChannelSecret struct {
	Sealed []byte
	File   string // a name in the folder, no path
}

// Set tells whether there is one.
func (s ChannelSecret) Set() bool { return len(s.Sealed) > 0 || s.File != "" }

// LogValue keeps it out of logs.
func (ChannelSecret) LogValue() slog.Value { return slog.StringValue("redacted") }

// String keeps it out of texts.
func (ChannelSecret) String() string { return "redacted" }

// GoString keeps it out of %#v.
func (ChannelSecret) GoString() string { return "redacted" }

// Validate gives every reason why c cannot be kept. What a sealed secret holds is checked when it is sealed.
func (c Channel) Validate() error {
	var reasons []access.Reason
	refuse := func(code, field, message string) {
		reasons = append(reasons, access.Reason{Code: code, Field: field, Message: message})
	}
	if strings.TrimSpace(c.Name) == "" || len(c.Name) > 100 || hasControl(c.Name) {
		refuse("nameInvalid", "name", "name the channel with 1 to 100 printable characters")
	}
	switch c.Kind {
	case SMTP:
		c.validateMail(refuse)
	case Slack, Teams:
		if c.URL != "" {
			refuse("urlIsSecret", "url", "the webhook URL lets anybody post: give it as the secret")
		}
	case Webhook:
		if c.URL == "" {
			refuse("urlMissing", "url", "give the URL of the receiver")
		}
	case PagerDuty:
	case Lifecycle:
		refuse("kindOfDefinition", "kind", "the endpoint of an application definition is changed with the definition")
	default:
		refuse("kindUnknown", "kind", "a channel is smtp, slack, teams, webhook or pagerduty")
	}
	if c.URL != "" && c.Kind != SMTP {
		if err := CheckURL(c.URL, c.AllowPrivate); err != nil {
			refuse("urlInvalid", "url", err.Error())
		}
	}
	if !c.Secret.Set() && (c.Kind != SMTP || c.Mail.Username != "") {
		refuse("secretMissing", "secret",
			"give the secret: SMTP's password, Slack's or Teams' URL, the webhook's signing key, PagerDuty's "+
				"routing key")
	}
	if c.Secret.File != "" && (strings.ContainsAny(c.Secret.File,
		`/\`) || strings.HasPrefix(c.Secret.File, ".") || hasControl(c.Secret.File)) {
		refuse("secretFileInvalid", "secret.file", "name a file in the server's folder of secrets, without a path")
	}
	if len(reasons) == 0 {
		return nil
	}
	e := access.Fault(access.KindInvalid, "channelInvalid", "the channel cannot be kept")
	e.Reasons = reasons
	return e
}

func (c Channel) validateMail(refuse func(code, field, message string)) {
	m := c.Mail
	if m.Host == "" || len(m.Host) > 253 || strings.ContainsAny(m.Host, "/@ ") || hasControl(m.Host) {
		refuse("hostInvalid", "mail.host", "give the host name or address of the mail server")
	}
	if m.Port < 0 || m.Port > 65535 {
		refuse("portInvalid", "mail.port", "give a port from 1 to 65535, or none for the usual one")
	}
	if !PlainAddress(m.From) {
		refuse("fromInvalid", "mail.from", "give the sender as a plain address such as postern@example.com")
	}
	if len(m.FromName) > 100 || hasControl(m.FromName) {
		refuse("fromNameInvalid", "mail.fromName", "name the sender with at most 100 printable characters")
	}
	if hasControl(m.Username) {
		refuse("usernameInvalid", "mail.username", "the user name has a control character")
	}
	if m.Helo != "" && (!PlainAddress("x@"+strings.Trim(m.Helo,
		"[]")) && !strings.HasPrefix(m.Helo, "[IPv6:") || len(m.Helo) > 253 || strings.ContainsAny(m.Helo, " <>")) {
		refuse("heloInvalid", "mail.helo",
			"give the name at EHLO as a host name such as postern.example.com, or an address in brackets")
	}
	switch m.TLS {
	case "", MailStartTLS, MailImplicit:
	case MailPlain:
		if m.Username != "" {
			refuse("tlsNeeded", "mail.tls",
				"a user name and its password are not sent without TLS: choose starttls or tls, or leave the user "+
					"name away")
		}
		if !c.AllowPrivate {
			refuse("privateNeeded", "allowPrivate",
				"mail without TLS is sent to private addresses alone: allow them (--allow-private), or choose "+
					"starttls or tls")
		}
	default:
		refuse("tlsUnknown", "mail.tls", "TLS is starttls, tls or none")
	}
}

// CheckURL refuses what a channel must not post to: anything but https (http where plain is allowed), user names in the
// URL, and URLs without a host. The message never holds the URL, which may be a secret.
func CheckURL(raw string, plain bool) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || len(raw) > 2048 || hasControl(raw):
		return access.Fault(access.KindInvalid, "urlInvalid", "the URL is malformed")
	case u.Scheme != "https" && (u.Scheme != "http" || !plain):
		return access.Fault(access.KindInvalid, "urlInvalid",
			"the URL must begin with https://, or http:// where private addresses are allowed (--allow-private)")
	case u.Hostname() == "":
		return access.Fault(access.KindInvalid, "urlInvalid", "the URL names no host")
	case u.User != nil:
		return access.Fault(access.KindInvalid, "urlInvalid", "the URL must not hold a user name or password")
	default:
		return nil
	}
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r >= 0x7f && r <= 0x9f || r == '\u2028' || r == '\u2029' || r == '\uFFFD'
	})
}

// PlainAddress tells whether s is local@domain with nothing that has a meaning in a header or an envelope.
func PlainAddress(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	return ok && local != "" && domain != "" && len(
		s) <= 254 && !hasControl(s) && !strings.ContainsAny(s, " <>()[]\\,;:\"") && !strings.Contains(domain, "@")
}
