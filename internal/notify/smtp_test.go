package notify_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/notify"
)

// mailServer is a small SMTP server on loopback: it speaks EHLO, STARTTLS, AUTH PLAIN, MAIL, RCPT, DATA, RSET, QUIT.
type mailServer struct {
	replies  map[string]string // what a verb is answered with instead of the usual; "hang" and "drop" do that
	implicit bool              // TLS from the first byte
	noTLS    bool              // STARTTLS is not offered
	password string            // expected of AUTH PLAIN; empty: AUTH is not offered
	tls      *tls.Config

	mu    sync.Mutex
	mails []takenMail
	helo  string // the last name at EHLO
	said  int    // bytes of a flood that the client took
}

// flooded is where a flood ends, so that a client which reads on does not fill the memory.
const flooded = 64 << 20

// flood says one line that does not end.
func (s *mailServer) flood(conn net.Conn) {
	part := []byte(strings.Repeat("220-all is well ", 4096))
	for n := 0; n < flooded; {
		wrote, err := conn.Write(part)
		n += wrote
		s.mu.Lock()
		s.said = n
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

type takenMail struct {
	from, to, data string
	secured        bool
	user           string
}

// serveMail starts s and gives a channel to it, and the authority of its certificate in it.
func serveMail(t *testing.T, s *mailServer) engine.Channel {
	t.Helper()
	certified := httptest.NewTLSServer(http.NotFoundHandler()) // has a certificate for 127.0.0.1
	certified.Close()
	s.tls = &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				stop := context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // whoever reads gets the error
				defer stop()
				defer conn.Close() //nolint:errcheck // the client's own trouble
				s.serve(ctx, conn)
			})
		}
	})
	t.Cleanup(func() { cancel(); listener.Close(); group.Wait() }) //nolint:errcheck // ends Accept
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	number, _ := strconv.Atoi(port)
	return engine.Channel{
		ID: "mail", Tenant: tenant, Name: "mail", Kind: engine.SMTP, Enabled: true, AllowPrivate: true,
		CA:   string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw})),
		Mail: engine.Mail{Host: "127.0.0.1", Port: number, From: "postern@example.com", FromName: "Postern"},
	}
}

func (s *mailServer) serve(ctx context.Context, conn net.Conn) {
	secured := false
	if s.implicit {
		conn, secured = tls.Server(conn, s.tls), true
	}
	in := bufio.NewReader(conn)
	say := func(text string) { io.WriteString(conn, text+"\r\n") } //nolint:errcheck // the client's own trouble
	if s.replies["banner"] == "hang" {
		<-ctx.Done()
		return
	}
	if s.replies["banner"] == "flood" {
		s.flood(conn)
		return
	}
	say("220 mail.example.com ready")
	var m takenMail
	for {
		text, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimRight(text, "\r\n"), " ")
		verb = strings.ToUpper(verb)
		switch reply := s.replies[verb]; {
		case reply == "drop":
			return
		case reply == "hang":
			<-ctx.Done()
			return
		case reply != "":
			say(reply)
			continue
		}
		switch verb {
		case "EHLO":
			s.mu.Lock()
			s.helo = rest
			s.mu.Unlock()
			say("250-mail.example.com")
			if !s.noTLS && !secured {
				say("250-STARTTLS")
			}
			if s.password != "" {
				say("250-AUTH PLAIN LOGIN")
			}
			say("250 SIZE 1000000")
		case "STARTTLS":
			say("220 go on")
			conn = tls.Server(conn, s.tls)
			in, secured = bufio.NewReader(conn), true
		case "AUTH":
			_, encoded, _ := strings.Cut(rest, " ")
			plain, _ := base64.StdEncoding.DecodeString(encoded)
			parts := strings.Split(string(plain), "\x00")
			if len(parts) != 3 || parts[2] != s.password {
				say("535 5.7.8 wrong password " + string(plain))
				continue
			}
			m.user = parts[1]
			say("235 welcome")
		case "MAIL":
			m.from = rest
			say("250 fine")
		case "RCPT":
			m.to = rest
			say("250 fine")
		case "DATA":
			say("354 go on")
			var data strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				data.WriteString(strings.TrimPrefix(line, "."))
			}
			if s.replies["."] == "drop" {
				return
			}
			m.data, m.secured = data.String(), secured
			s.mu.Lock()
			s.mails = append(s.mails, m)
			s.mu.Unlock()
			say("250 2.0.0 queued as 4711")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 fine")
		}
	}
}

func mailParcel(c engine.Channel, to string) notify.Parcel {
	p := parcel(c)
	p.Address = to
	return p
}

func TestMailArrivesWholeAndCannotBeSplit(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*mailServer{
		"starttls": {password: "hunter2hunter2"},
		"implicit": {implicit: true, password: "hunter2hunter2"}, "plain": {noTLS: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serveMail(t, s)
			v := newVault(t, "")
			switch name {
			case "implicit":
				c.Mail.TLS = engine.MailImplicit
			case "plain":
				c.Mail.TLS = engine.MailPlain
			}
			if s.password != "" {
				c.Mail.Username = "postern"
				var err error
				if c.Secret, err = v.Seal(c.ID, c.Kind, s.password); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Validate(); err != nil {
				t.Fatalf("the channel is not valid: %v", err)
			}
			p := mailParcel(c, "ana@example.com")
			p.Notification.Subject.Who = "ana\r\nBcc: all@example.com\r\n\r\nhello"
			receipt, err := newCourier(t, v).Send(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(receipt.Text, "queued as 4711") {
				t.Errorf("receipt: %q", receipt.Text)
			}
			if len(s.mails) != 1 {
				t.Fatalf("%d mails, want 1", len(s.mails))
			}
			got := s.mails[0]
			if got.secured != (name != "plain") || s.password != "" && got.user != "postern" ||
				got.from != "FROM:<postern@example.com>" || got.to != "TO:<ana@example.com>" {
				t.Errorf("envelope: %+v", got)
			}
			checkMail(t, got.data)
		})
	}
}

func checkMail(t *testing.T, data string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var words mime.WordDecoder
	subject, err := words.DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != "[Postern] Decision needed: ana Bcc: all@example.com hello asks for access to "+
		"web_1, db-1" {
		t.Errorf("subject %q, %v", subject, err)
	}
	for name, want := range map[string]string{
		"Bcc": "", "Cc": "", "To": "<ana@example.com>", "From": `"Postern" <postern@example.com>`,
		"Auto-Submitted": "auto-generated",
		"Message-Id":     "<00112233445566778899aabbccddeeff@example.com>",
		"References":     "<request-0197c0de-0000-7000-8000-0000000000aa@example.com>",
		"Date":           "Sat, 14 Mar 2026 09:00:00 +0000",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("content type %q, %v", kind, err)
	}
	parts := map[string]string{}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		parts[kind] = string(body)
	}
	if len(parts) != 2 || !strings.Contains(parts["text/plain"],
		"Approve or deny: https://postern.example.com/requests/") ||
		!strings.Contains(parts["text/html"],
			`<a href="https://postern.example.com/requests/`) || strings.Contains(parts["text/html"], "<script>") {
		t.Errorf("parts: %v", parts)
	}
}

func TestMailServersThatMisbehave(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		server    *mailServer
		to        string
		text      string
		permanent bool
		username  bool
		untrusted bool
	}{
		"unknown recipient": {
			server: &mailServer{replies: map[string]string{"RCPT": "550 5.1.1 no such user"}},
			text:   "550", permanent: true,
		},
		"our name": {
			server: &mailServer{
				replies: map[string]string{"RCPT": "504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname"},
			},
			text: "set the channel or the mail server right",
		},
		"our name, plainly": {
			server: &mailServer{replies: map[string]string{"RCPT": "550 invalid HELO"}},
			text:   "set the channel or the mail server right",
		},
		"our sender": {
			server: &mailServer{
				replies: map[string]string{"MAIL": "553 5.7.1 sender address rejected: not owned"},
			},
			text: "553",
		},
		"no sign-in": {
			server: &mailServer{replies: map[string]string{"MAIL": "530 5.7.0 authentication required"}},
			text:   "530",
		},
		"no relay": {
			server: &mailServer{replies: map[string]string{"RCPT": "554 5.7.1 relay access denied"}},
			text:   "554",
		},
		"greylisted": {
			server: &mailServer{replies: map[string]string{"RCPT": "450 4.2.0 come back later"}},
			text:   "450",
		},
		"full": {
			server: &mailServer{replies: map[string]string{"MAIL": "452 4.3.1 no space"}},
			text:   "452",
		},
		"too big": {
			server: &mailServer{replies: map[string]string{"DATA": "552 5.3.4 too big"}}, text: "552",
			permanent: true,
		},
		"closing": {
			server: &mailServer{replies: map[string]string{"EHLO": "421 closing", "HELO": "421 closing"}},
			text:   "421",
		},
		"drops at EHLO": {
			server: &mailServer{replies: map[string]string{"EHLO": "drop", "HELO": "drop"}},
			text:   "127.0.0.1",
		},
		"drops after DATA": {server: &mailServer{replies: map[string]string{".": "drop"}}, text: "127.0.0.1"},
		"hangs at once":    {server: &mailServer{replies: map[string]string{"banner": "hang"}}, text: "127.0.0.1"},
		"hangs at RCPT":    {server: &mailServer{replies: map[string]string{"RCPT": "hang"}}, text: "127.0.0.1"},
		"no TLS": {
			server: &mailServer{noTLS: true},
			text:   "does not offer STARTTLS: give the channel --tls tls",
		},
		"wrong password": {server: &mailServer{password: "another"}, text: "535", username: true},
		"not trusted":    {server: &mailServer{}, text: "not trusted", untrusted: true},
		"malformed address": {
			server: &mailServer{}, to: "ana@example.com>\r\nRCPT TO:<all@example.com",
			text: "malformed", permanent: true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serveMail(t, tc.server)
			v := newVault(t, "")
			if tc.username {
				c.Mail.Username = "postern"
				c.Secret, _ = v.Seal(c.ID, c.Kind, "hunter2hunter2")
			}
			if tc.untrusted {
				c.CA = ""
			}
			if tc.to == "" {
				tc.to = "ana@example.com"
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err := newCourier(t, v).Send(ctx, mailParcel(c, tc.to))
			e, ok := errors.AsType[*notify.SendError](err)
			if !ok {
				t.Fatalf("Send: %v, want a SendError", err)
			}
			if !strings.Contains(e.Failure.Text, tc.text) || e.Failure.Permanent != tc.permanent {
				t.Errorf("it says %q (permanent %v), want %q in it (permanent %v)", e.Failure.Text, e.Failure.Permanent,
					tc.text, tc.permanent)
			}
			if strings.Contains(e.Failure.Text, "hunter2") {
				t.Errorf("it shows the password: %q", e.Failure.Text)
			}
			if len(tc.server.mails) != 0 {
				t.Errorf("a mail arrived: %+v", tc.server.mails)
			}
		})
	}
}

// TestNameAtEHLO holds what the server calls itself: as the channel says, or as people know it.
func TestNameAtEHLO(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]string{
		"": "postern.example.com", "mx.corp.example": "mx.corp.example",
		"[192.0.2.7]": "[192.0.2.7]",
	} {
		s := &mailServer{}
		c := serveMail(t, s)
		c.Mail.Helo = set
		if _, err := newCourier(t, newVault(t, "")).Send(t.Context(), mailParcel(c, "ana@example.com")); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		if s.helo != want {
			t.Errorf("with %q it says %q, want %q", set, s.helo, want)
		}
		s.mu.Unlock()
	}
	for known, want := range map[string]string{
		"192.0.2.7": "[192.0.2.7]", "2001:db8::7": "[IPv6:2001:db8::7]",
		"localhost": "", "postern.example.com": "postern.example.com",
	} {
		if got := notify.HeloName("", known); got != want {
			t.Errorf("known as %q it says %q, want %q", known, got, want)
		}
	}
}

// TestMailServersThatTalkForEver proves that what a mail server says is not read into memory without a bound, before
// TLS or behind it.
func TestMailServersThatTalkForEver(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*mailServer{
		"in the clear": {replies: map[string]string{"banner": "flood"}},
		"in TLS":       {implicit: true, replies: map[string]string{"banner": "flood"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serveMail(t, s)
			if s.implicit {
				c.Mail.TLS = engine.MailImplicit
			}
			_, err := newCourier(t, newVault(t, "")).Send(t.Context(), mailParcel(c, "ana@example.com"))
			if failure, is := errors.AsType[*notify.SendError](
				err); !is || failure.Failure.Permanent || !strings.Contains(err.Error(), "said more than") {
				t.Errorf("the attempt ends with %v", err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.said > flooded/2 { // what lies in the buffers of the connection counts too
				t.Errorf("%d bytes were taken", s.said)
			}
		})
	}
}
