package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/netip"
	"net/textproto"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/postern-dev/postern/internal/engine"
)

// envelope is one mail on its way.
type envelope struct {
	to     string // a plain address
	id     string // becomes the Message-ID, the same over repetitions
	thread string // what mails of one request have in common; empty for none
	at     time.Time
}

// sendMail hands one mail to the channel's server and says what that answered; known is the name under which people
// know us. A connection lives for one mail, so that a server that hangs holds up nothing else.
func sendMail(ctx context.Context, c engine.Channel, m message, e envelope, password opened,
	known string,
) (Receipt, error) {
	if c.Mail.TLS == engine.MailPlain && !c.AllowPrivate {
		return Receipt{}, permanent("mail without TLS is sent to private addresses alone: choose starttls or tls", nil)
	}
	mailing, err := newMail(c, m, e)
	if err != nil {
		return Receipt{}, permanent(err.Error(), err)
	}
	trust, err := tlsConfig(c.CA)
	if err != nil {
		return Receipt{}, permanent(err.Error(), err)
	}
	trust.ServerName = c.Mail.Host
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	client, err := mail.NewClient(c.Mail.Host, mailOptions(ctx, c, trust, password, known)...)
	if err != nil {
		return Receipt{}, permanent("the mail server's settings are wrong: "+excerpt([]byte(err.Error()), password),
			err)
	}
	if err := client.DialWithContext(ctx); err != nil {
		return Receipt{}, explainMail(c.Mail.Host, err, password)
	}
	defer client.Close() //nolint:errcheck // the mail's fate is known by then
	if err := client.Send(mailing); err != nil && !mailing.IsDelivered() {
		return Receipt{}, explainMail(c.Mail.Host, err, password)
	}
	return Receipt{Text: c.Mail.Host + " took the mail: " + excerpt([]byte(mailing.ServerResponse()), password)}, nil
}

func newMail(c engine.Channel, m message, e envelope) (*mail.Msg, error) {
	text, html, err := mailBodies(m)
	if err != nil {
		return nil, err
	}
	to, err := netmail.ParseAddress(e.to)
	if err != nil || to.Address != e.to || strings.ContainsAny(e.to, "\r\n") {
		return nil, errors.New("the recipient's e-mail address is malformed")
	}
	domain := c.Mail.From[strings.LastIndexByte(c.Mail.From, '@')+1:]
	mailing := mail.NewMsg(mail.WithNoDefaultUserAgent())
	mailing.FromMailAddress(&netmail.Address{Name: line(c.Mail.FromName, 100), Address: c.Mail.From})
	mailing.ToMailAddress(to)
	mailing.Subject(line("[Postern] "+m.Title, maxTitle+12))
	mailing.SetDateWithValue(e.at)
	mailing.SetMessageIDWithValue(e.id + "@" + domain)
	if e.thread != "" {
		mailing.SetGenHeader(mail.HeaderReferences, "<"+e.thread+"@"+domain+">")
	}
	mailing.SetGenHeader("Auto-Submitted", "auto-generated")
	mailing.SetBodyString(mail.TypeTextPlain, text)
	mailing.AddAlternativeString(mail.TypeTextHTML, html)
	return mailing, nil
}

func mailOptions(ctx context.Context, c engine.Channel, trust *tls.Config, password opened,
	known string,
) []mail.Option {
	port, policy := c.Mail.Port, mail.TLSMandatory
	switch c.Mail.TLS {
	case "", engine.MailStartTLS:
		port = or(port, 587)
	case engine.MailImplicit:
		port, policy = or(port, 465), mail.TLSOpportunistic // the connection is protected before SMTP begins
	case engine.MailPlain:
		port, policy = or(port, 25), mail.NoTLS
	}
	options := []mail.Option{
		mail.WithPort(port), mail.WithTimeout(sendTimeout), mail.WithTLSConfig(trust), mail.WithTLSPolicy(policy),
		mail.WithoutNoop(),
		mail.WithDialContextFunc(func(dial context.Context, network, address string) (net.Conn, error) {
			raw, err := Dialer(c.AllowPrivate).DialContext(dial, network, address)
			if err != nil {
				return nil, err
			}
			// The client sets a new deadline at each step; closing bounds the whole.
			context.AfterFunc(ctx, func() { raw.Close() }) //nolint:errcheck,gosec // whoever uses it gets the error
			conn := &terseConn{Conn: raw, left: maxSaid}
			if c.Mail.TLS == engine.MailImplicit {
				secured := tls.Client(conn, trust)
				return secured, secured.HandshakeContext(dial)
			}
			return conn, nil
		}),
	}
	if name := heloName(c.Mail.Helo, known); name != "" {
		options = append(options, mail.WithHELO(name))
	}
	if c.Mail.Username != "" {
		options = append(options, mail.WithUsername(c.Mail.Username), mail.WithPassword(password.text),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	return options
}

// maxSaid is how many bytes a mail server may say while it takes one mail, with those of TLS: its client reads each
// line, and all lines of an answer, into memory.
const maxSaid = 256 << 10

var errTalkative = fmt.Errorf("it said more than %d bytes", maxSaid)

// terseConn is a connection whose other end may say so much and no more.
type terseConn struct {
	net.Conn

	left int
}

// Read implements io.Reader.
func (c *terseConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, errTalkative
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// heloName gives what we call ourselves at EHLO: as the channel has it, or as people know us, where that is a whole
// name or an address, in brackets. Empty leaves it at this host's own name.
func heloName(set, known string) string {
	if set != "" {
		return set
	}
	if a, err := netip.ParseAddr(known); err == nil {
		if a.Is6() {
			return "[IPv6:" + a.String() + "]"
		}
		return "[" + a.String() + "]"
	}
	if strings.Contains(known, ".") {
		return known
	}
	return ""
}

// aboutUs tells whether a server refuses us rather than this mail: our name at EHLO, our sender, that we did not sign
// in, or that we may not send there at all. Those are settings, of the channel or the server, and somebody will put
// them right.
func aboutUs(e *mail.SendError, said string) bool {
	class, _, _ := strings.Cut(strings.TrimPrefix(e.EnhancedStatusCode(), "5."), ".")
	said = strings.ToLower(said)
	return e.Reason == mail.ErrSMTPMailFrom || e.Reason == mail.ErrSMTPRcptTo &&
		(class == "5" || class == "7" || strings.Contains(
			said, "helo") || strings.Contains(said, "relay"))
}

// explainMail says in words what went wrong with a mail server. Only what the server says for good about this mail is
// permanent; a refused sign-in, for one, is a setting that somebody will put right.
func explainMail(host string, err error, password opened) *SendError {
	if e, ok := errors.AsType[*mail.SendError](err); ok {
		text := fmt.Sprintf("%s refused the mail: %s", host, excerpt([]byte(e.Error()), password))
		if code := e.ErrorCode(); code >= 500 && code < 600 {
			if aboutUs(e, e.Error()) {
				return temporary(text+"; set the channel or the mail server right", err)
			}
			return permanent(text, err)
		} else if code == 0 || code == 421 {
			return unreachable(text, err) // the connection broke, or the service is closing
		}
		return temporary(text, err)
	}
	if e, ok := errors.AsType[*textproto.Error](err); ok {
		return unreachable(fmt.Sprintf("%s answered %d: %s", host, e.Code, excerpt([]byte(e.Msg), password)), err)
	}
	if strings.Contains(err.Error(), "does not support STARTTLS") {
		return unreachable(host+" does not offer STARTTLS: give the channel --tls tls where the server speaks TLS "+
			"from the first byte, or --tls none where it has none",
			err)
	}
	return explain(host, err, password)
}

func or(port, usual int) int {
	if port == 0 {
		return usual
	}
	return port
}
