package server_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/server"
)

// impatient is a server that waits a moment for bodies.
func impatient(tb testing.TB) *running {
	tb.Helper()
	return startWith(tb, func(i server.Inside) { i.Pace(300*time.Millisecond, time.Minute) })
}

// dial opens a connection of its own, over HTTP/1.1.
func (r *running) dial() (*tls.Conn, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(r.ready.CA)
	d := tls.Dialer{
		NetDialer: &net.Dialer{Timeout: patience},
		Config: &tls.Config{
			RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13,
			NextProtos: []string{"http/1.1"},
		},
	}
	conn, err := d.DialContext(r.t.Context(), "tcp", r.ready.Address)
	if err != nil {
		return nil, err
	}
	return conn.(*tls.Conn), nil //nolint:forcetypeassert // tls.Dialer's are
}

// TestBodiesThatNeverEnd sends a byte of a body and waits: whatever the face, and whether it reads the body or not, the
// connection is closed when the time for a body is over.
func TestBodiesThatNeverEnd(t *testing.T) {
	t.Parallel()
	r := impatient(t)
	for _, call := range []string{
		"POST /default/oauth2/v2.0/token", "POST /default/oauth2/v2.0/devicecode",
		"POST /default/oauth2/v2.0/authorize", "POST /sign-in", "POST /device", "GET /sign-in",
		"PUT /subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/x?api-version=2022-09-01",
		"GET /metadata/endpoints?api-version=2022-09-01",
		"POST /api/v1/me", "POST /nothing/here", "POST /healthz", "POST /assets/none.js",
	} {
		for _, length := range []string{
			"Content-Length: 1000", "Content-Length: 10000000",
			"Transfer-Encoding: chunked",
		} {
			t.Run(call+" "+length, func(t *testing.T) {
				t.Parallel()
				conn, err := r.dial()
				if err != nil {
					t.Fatal(err)
				}
				defer closed(t, conn)
				first := "x"
				if strings.HasPrefix(length, "Transfer") {
					first = "1\r\nx\r\n"
				}
				if _, err := fmt.Fprintf(conn,
					"%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n%s\r\n\r\n%s",
					call, length, first); err != nil {
					t.Fatal(err)
				}
				if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, conn); err != nil {
					t.Errorf("the connection is still open: %v", err)
				}
			})
		}
	}
}

// TestStreamsOutlastTheTimeForBodies holds that what has no body, or has had it whole, may last: a stream of a person
// goes on.
func TestStreamsOutlastTheTimeForBodies(t *testing.T) {
	t.Parallel()
	r := impatient(t)
	admin := r.admin()
	session, err := r.client().SignIn(t.Context(), api.SignIn{Name: "admin", Password: adminPassword})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := r.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, conn)
	// Its body has come whole when the stream begins, so the deadline that the body had must be gone.
	_, err = fmt.Fprintf(conn,
		"GET /api/v1/changes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n\r\n",
		session.Token)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for n, in := 0, bufio.NewScanner(conn); n < 5; {
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if !in.Scan() {
			t.Fatalf("the stream ended after %s: %v", time.Since(began), in.Err())
		}
		if !strings.HasPrefix(in.Text(), "data: ") {
			continue
		}
		n++
		time.Sleep(200 * time.Millisecond) // five of them are more than the time for a body
		if _, err := admin.CreateEnrollmentToken(t.Context(),
			api.NewEnrollmentToken{Name: fmt.Sprint("host-", n)}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestConnectionsOfAnAddress opens more connections than one address may have: others are turned away until one is
// closed, and those of an agent count for the agent.
func TestConnectionsOfAnAddress(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *server.Config) { c.ConnectionsPerAddress = 8 })
	web := r.enroll(r.admin(), "web-1")
	for range 8 { // each on a connection that stays open
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url()+"/api/v1/agent/desired", nil)
		if err != nil {
			t.Fatal(err)
		}
		client := r.plain()
		client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{*web.certificate} //nolint:forcetypeassert // plain's is
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer closed(t, response.Body)
	}
	ok := func(conn *tls.Conn) error {
		if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			return err
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		return response.Body.Close()
	}
	open := func() (*tls.Conn, error) {
		conn, err := r.dial()
		if err == nil {
			err = ok(conn)
		}
		return conn, err
	}
	var held []*tls.Conn
	for {
		conn, err := open()
		if err != nil {
			break
		}
		if held = append(held, conn); len(held) > 8 {
			t.Fatal("an address has more connections than it may")
		}
	}
	if len(held) < 4 { // the test's own clients have a few
		t.Fatalf("only %d connections were taken", len(held))
	}
	for _, conn := range held {
		if err := ok(conn); err != nil {
			t.Errorf("a connection that was taken: %v", err)
		}
	}
	closed(t, held[0])
	for over := time.Now().Add(patience); ; {
		if conn, err := open(); err == nil {
			held[0] = conn
			break
		} else if time.Now().After(over) {
			t.Fatalf("nothing is taken after one was closed: %v", err)
		}
	}
	for _, conn := range held {
		closed(t, conn)
	}
}

// TestARevokedCertificateFillsNothing opens connections with the certificate of an agent that was deleted: they stay in
// the number of their address, and fill none of an agent.
func TestARevokedCertificateFillsNothing(t *testing.T) {
	t.Parallel()
	const most = 8
	r := start(t, func(c *server.Config) { c.ConnectionsPerAddress = most })
	admin := r.admin()
	web := r.enroll(admin, "web-1")
	if err := admin.DeleteMachine(t.Context(), "web-1"); err != nil {
		t.Fatal(err)
	}
	call := func(certificate ...tls.Certificate) (status int) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url()+"/api/v1/agent/report",
			strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		client := r.plain()
		client.Transport.(*http.Transport).TLSClientConfig.Certificates = certificate //nolint:forcetypeassert // plain's is
		response, err := client.Do(request)
		if err != nil {
			return 0
		}
		_, err = io.Copy(io.Discard, response.Body) // so that the connection stays
		closed(t, response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode
	}
	taken := 0
	for status := call(*web.certificate); status != 0; status = call(*web.certificate) {
		if taken++; status != http.StatusUnauthorized && status != http.StatusTooManyRequests || taken > most {
			t.Fatalf("call %d of a revoked certificate: %d", taken, status)
		}
	}
	if status := call(); status != 0 {
		t.Errorf("beside %d connections of a revoked certificate its address has more: %d", taken, status)
	}
}
