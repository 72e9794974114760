package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

// TestAnswersThatNobodyTakes leaves answers unread, over HTTP/1.1 and HTTP/2: the handler is let go in time.
func TestAnswersThatNobodyTakes(t *testing.T) {
	t.Parallel()
	for _, two := range []bool{false, true} {
		ended := make(chan error, 1)
		endless := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			var err error
			for part := make([]byte, 100_000); err == nil; {
				_, err = w.Write(part)
			}
			ended <- err
		})
		s := httptest.NewUnstartedServer(paces{take: 200 * time.Millisecond}.taken(endless))
		s.EnableHTTP2 = two
		s.StartTLS()
		response, err := s.Client().Get(s.URL) //nolint:noctx // a test's own
		if err != nil {
			t.Fatal(err)
		}
		if got := response.ProtoMajor; got != map[bool]int{false: 1, true: 2}[two] {
			t.Fatalf("it is HTTP/%d", got)
		}
		select {
		case <-ended: //nolint:errcheck // that it ended is what counts
		case <-time.After(20 * time.Second):
			t.Errorf("HTTP/%d: the handler still waits", response.ProtoMajor)
			s.CloseClientConnections()
		}
		_ = response.Body.Close()
		s.Close()
	}
}

// TestBodyThatHasCome holds that the deadline of a body goes with it: what the handler does then may take longer.
func TestBodyThatHasCome(t *testing.T) {
	t.Parallel()
	const pace = time.Second
	cut := make(chan bool, 1)
	s := httptest.NewTLSServer(paces{body: pace}.bounded(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // it is whole
		select {
		case <-r.Context().Done():
			cut <- true
		case <-time.After(2 * pace):
			cut <- false
		}
	})))
	defer s.Close()
	response, err := s.Client().Post(s.URL, "text/plain", bytes.NewReader(make([]byte, 100_000))) //nolint:noctx // a test's own
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if <-cut {
		t.Error("the call was cut off")
	}
}

// TestSlowAnswersThatAreTaken reads an answer for longer than a part may take: as long as it is read it goes on.
func TestSlowAnswersThatAreTaken(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	const take = 2 * time.Second // long beside what a busy machine does between two parts
	s := httptest.NewTLSServer(paces{take: take}.taken(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, size)) // the client says what came
	})))
	defer s.Close()
	response, err := s.Client().Get(s.URL) //nolint:noctx // a test's own
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // the test is over
	began, read := time.Now(), 0
	for part := make([]byte, size/12); read < size; {
		n, err := io.ReadFull(response.Body, part[:min(len(part), size-read)])
		if read += n; err != nil {
			t.Fatalf("after %s and %d bytes: %v", time.Since(began), read, err)
		}
		time.Sleep(take / 8) // what a slow line does
	}
}

// TestCrowdBehindALoadBalancer counts by whom the balancer speaks for, once it has said so, and trusted proxies not at
// all.
func TestCrowdBehindALoadBalancer(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's own
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{
		most: 2, exempt: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		log: slog.New(slog.DiscardHandler), held: map[string]int{},
	}
	l := crowdListener{
		Listener: proxyListener{
			Listener: inner,
			from:     []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		},
		crowd: c,
	}
	defer l.Close() //nolint:errcheck // the test is over
	var held []net.Conn
	for n, x := range []struct {
		from  string
		stays bool
	}{
		{"TCP4 203.0.113.7 192.0.2.1", true},
		{"TCP4 203.0.113.7 192.0.2.1", true},
		{"TCP4 203.0.113.7 192.0.2.1", false},
		{"TCP4 203.0.113.8 192.0.2.1", true},
		{"TCP6 2001:db8::1 2001:db8::", true},
		{"TCP6 2001:db8::2 2001:db8::", true},
		{"TCP6 2001:db8::3 2001:db8::", false},
		{"TCP6 2001:db8:0:1::1 2001:db8::", true},
		{"TCP4 198.51.100.1 192.0.2.1", true},
		{"TCP4 198.51.100.1 192.0.2.1", true},
		{"TCP4 198.51.100.1 192.0.2.1", true},
	} {
		client, err := net.Dial("tcp", inner.Addr().String()) //nolint:noctx // likewise
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close() //nolint:errcheck // the test is over
		if _, err := io.WriteString(client, "PROXY "+x.from+" 1 2\r\nx"); err != nil {
			t.Fatal(err)
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
		var one [1]byte
		if _, err := io.ReadFull(conn,
			one[:]); (err == nil) != x.stays || err != nil && !errors.Is(err,
			errCrowded) || err == nil && !bytes.Equal(one[:], []byte("x")) {
			t.Errorf("%d, %s: %q, %v", n, x.from, one, err)
		}
	}
	for range 2 { // closed twice it is counted once
		for _, conn := range held {
			_ = conn.Close()
		}
	}
	if len(c.held) != 0 {
		t.Errorf("still counted: %v", c.held)
	}
}

// TestACopyTakesNoConnectionsOfTheOriginal fills what an agent's key may have at one place, and a site with many
// networks: the same key elsewhere, another key of the same agent, and another site are served.
func TestACopyTakesNoConnectionsOfTheOriginal(t *testing.T) {
	t.Parallel()
	const most = 3
	c := &crowd{most: most, log: slog.New(slog.DiscardHandler), held: map[string]int{}}
	var open []*countedConn
	connect := func(from, key string) bool {
		here, there := net.Pipe()
		t.Cleanup(func() { _ = there.Close() })
		conn := &countedConn{Conn: located{here, from}, crowd: c}
		if conn.begin(); conn.err != nil {
			return false
		}
		if key != "" {
			proven(withConn(t.Context(), conn), key)
		}
		open = append(open, conn)
		return !conn.ended
	}
	for range most {
		if !connect("203.0.113.66:1", "k") {
			t.Fatal("a copy is not served where there is room")
		}
	}
	for _, x := range []struct {
		from, key string
		served    bool
	}{
		{"203.0.113.66:1", "k", false},
		{"203.0.113.7:1", "k", true},
		{"203.0.113.66:1", "renewed", true},
		{"203.0.113.66:1", "", true},
	} {
		if got := connect(x.from, x.key); got != x.served {
			t.Errorf("key %q from %s is served: %t, want %t", x.key, x.from, got, x.served)
		}
	}
	served := 0
	for n := range 10 * most {
		if connect(fmt.Sprintf("[2001:db8:0:%x::1]:1", n), "") {
			served++
		}
	}
	if served != sitePerAddress*most || !connect("[2001:db8:1::1]:1", "") {
		t.Errorf("a site has %d connections, want %d, and another one as many", served, sitePerAddress*most)
	}
	for _, conn := range open {
		_ = conn.Close()
	}
	if len(c.held) != 0 {
		t.Errorf("still counted: %v", c.held)
	}
}

// located is a connection from an address.
type located struct {
	net.Conn

	from string
}

func (l located) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(l.from))
}
