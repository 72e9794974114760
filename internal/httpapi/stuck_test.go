package httpapi_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/httpapi"
)

const (
	shortPatience = 300 * time.Millisecond
	longWait      = 20 * time.Second
)

// narrow are connections that hold little of what is not read, on both sides.
type narrow struct{ net.Listener }

func (l narrow) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = tcp.SetWriteBuffer(4 << 10)
	}
	return conn, err
}

// served is the API behind real TLS, and dials it.
type served struct {
	*service

	server *httptest.Server
}

func serve(t *testing.T) *served {
	t.Helper()
	s := &served{service: newService(t, func(c *httpapi.Config) { c.Patience = shortPatience })}
	s.server = httptest.NewUnstartedServer(s.api)
	s.server.Listener = narrow{s.server.Listener}
	s.server.EnableHTTP2 = true
	s.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS13}
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	return s
}

func (s *served) dial(t *testing.T, protocol string, certificates ...tls.Certificate) *tls.Conn {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.server.Certificate())
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String()) //nolint:noctx // it is on the loopback
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil { //nolint:forcetypeassert // it is one
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(longWait)); err != nil {
		t.Fatal(err)
	}
	return tls.Client(conn,
		&tls.Config{
			RootCAs: roots, ServerName: "example.com", NextProtos: []string{protocol},
			Certificates: certificates, MinVersion: tls.VersionTLS13,
		})
}

// enroll makes an agent web-1, and gives the certificate that it shows.
func (s *service) enroll(t *testing.T) tls.Certificate {
	t.Helper()
	var token api.EnrollmentToken
	s.must(t, http.MethodPost, "/api/v1/enrollment-tokens", api.NewEnrollmentToken{Name: "web-1"}, &token)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	var enrolled agentwire.Enrolled
	s.must(t, http.MethodPost, "/api/v1/agent/enroll",
		agentwire.Enroll{
			Token: token.Token, Name: "web-1", OS: "linux",
			Addresses: []string{"192.0.2.1", "2001:db8::1"}, Version: "test", CSR: csr,
		},
		&enrolled)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(enrolled.Certificate),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// must makes a call that has to succeed.
func (s *service) must(t *testing.T, method, path string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	answer := s.call(method, path, body)
	if answer.Code/100 != 2 {
		t.Fatalf("%s %s: %d %s", method, path, answer.Code, answer.Body)
	}
	if err := json.Unmarshal(answer.Body.Bytes(), out); err != nil {
		t.Fatal(err)
	}
}

// guard changes what guards web-1, so that its agent gets a new state of some 10 KiB.
func (s *service) guard(t *testing.T, first int) {
	t.Helper()
	var policy api.MachinePolicy
	for i := range 50 {
		policy.Ports = append(policy.Ports,
			api.PortRule{
				Ports: fmt.Sprint(first + i), Protocol: "tcp", Sources: []string{"203.0.113.0/24"},
				MaxSeconds: 3600,
			})
	}
	s.must(t, http.MethodPut, "/api/v1/machines/web-1/policy", policy, &api.MachinePolicyView{})
}

// TestAnAgentThatDoesNotReadIsGivenUp has an agent follow its desired state and take nothing of it. Once nothing more
// fits on the way, the server gives the connection up.
func TestAnAgentThatDoesNotReadIsGivenUp(t *testing.T) {
	t.Parallel()
	s := serve(t)
	conn := s.dial(t, "http/1.1", s.enroll(t))
	if _, err := io.WriteString(conn, "GET /api/v1/agent/desired HTTP/1.1\r\nHost: example.com\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReaderSize(conn, 16).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("the stream begins with %q, %v", line, err)
	}
	if s.api.Streams() != 1 {
		t.Fatal("there is no stream")
	}
	over := time.Now().Add(longWait)
	for change := 0; s.api.Streams() > 0; change++ {
		if time.Now().After(over) {
			t.Fatalf("after %d changes that were not read the stream is still there", change)
		}
		s.guard(t, 1000+change%2)
	}
}

// TestAStreamOverHTTP2ThatIsNotReadIsGivenUp follows each stream with a window of nothing: the server may send no byte
// of it, and resets it in time, while the connection goes on.
func TestAStreamOverHTTP2ThatIsNotReadIsGivenUp(t *testing.T) {
	t.Parallel()
	s := serve(t)
	certificate := s.enroll(t)
	for path, header := range map[string]string{"/api/v1/changes": "Bearer " + s.token, "/api/v1/agent/desired": ""} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			conn := s.dial(t, "h2", certificate)
			const data, headers, reset, settings, goAway = 0, 1, 3, 4, 7
			noWindow := []byte{0, 4, 0, 0, 0, 0} // SETTINGS_INITIAL_WINDOW_SIZE is 0
			call := []byte{0x82, 0x87}           // :method GET, :scheme https
			call = literal(call, 4, path)
			call = literal(call, 1, "example.com")
			if header != "" {
				call = literal(call, 23, header)
			}
			out := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(settings, 0, 0, noWindow)...)
			if _, err := conn.Write(append(out, frame(headers, 5, 1, call)...)); err != nil { // END_STREAM, END_HEADERS
				t.Fatal(err)
			}
			for answered := false; ; {
				var head [9]byte
				if _, err := io.ReadFull(conn, head[:]); err != nil {
					t.Fatalf("the stream is not given up: %v", err)
				}
				payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
				if _, err := io.ReadFull(conn, payload); err != nil {
					t.Fatal(err)
				}
				switch stream := binary.BigEndian.Uint32(head[5:]); {
				case stream == 1 && head[3] == headers:
					answered = bytes.HasPrefix(payload, []byte{0x88}) // :status 200
				case stream == 1 && head[3] == data:
					t.Fatal("the server sends what it may not")
				case stream == 1 && head[3] == reset:
					if !answered {
						t.Error("the stream was given up before it began")
					}
					return
				case head[3] == goAway:
					t.Fatalf("the whole connection ended: %x", payload)
				}
			}
		})
	}
}

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	head := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(head, stream), payload...)
}

// literal adds a header with a name of HPACK's static table and a value as it is.
func literal(b []byte, name int, value string) []byte {
	return append(number(number(b, 15, name), 127, len(value)), value...)
}

// number adds an integer as HPACK writes it, in the low bits of a first byte that most fills.
func number(b []byte, most, n int) []byte {
	if n < most {
		return append(b, byte(n))
	}
	b, n = append(b, byte(most)), n-most
	for ; n >= 128; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}
