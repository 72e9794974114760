package server

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
)

func v2(command, family byte, block string) string {
	return proxySignature + string([]byte{command, family, byte(len(block) >> 8), byte(len(block))}) + block
}

func TestProxyHeader(t *testing.T) {
	t.Parallel()
	four := "\xcb\x00\x71\x07\xc0\x00\x02\x01\x30\x39\x01\xbb"
	six := "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x07" + strings.Repeat("\x00", 16) + "\x30\x39\x01\xbb"
	for name, c := range map[string]struct{ in, want string }{
		"v1 IPv4":             {"PROXY TCP4 203.0.113.7 192.0.2.1 12345 443\r\n", "203.0.113.7:12345"},
		"v1 IPv6":             {"PROXY TCP6 2001:db8::7 2001:db8::1 12345 443\r\n", "[2001:db8::7]:12345"},
		"v1 unknown":          {"PROXY UNKNOWN\r\n", ""},
		"v1 unknown and more": {"PROXY UNKNOWN ffff:f x y z\r\n", ""},
		"v2 IPv4":             {v2(0x21, 0x11, four), "203.0.113.7:12345"},
		"v2 IPv4 and TLVs":    {v2(0x21, 0x11, four+"\x04\x00\x01x"), "203.0.113.7:12345"},
		"v2 IPv6":             {v2(0x21, 0x21, six), "[2001:db8::7]:12345"},
		"v2 local":            {v2(0x20, 0x00, ""), ""},
		"v2 unspecified":      {v2(0x21, 0x00, ""), ""},
	} {
		r := strings.NewReader(c.in + "rest")
		got, err := readProxyHeader(r)
		rest, _ := io.ReadAll(r)
		if text := got.String(); err != nil || got.IsValid() && text != c.want || !got.IsValid() && c.want != "" ||
			string(
				rest) != "rest" {
			t.Errorf("%s: got %v, %v, and left %q", name, got, err, rest)
		}
	}
	for name, in := range map[string]string{
		"nothing":              "",
		"TLS":                  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03xxxxxxx",
		"HTTP":                 "GET / HTTP/1.1\r\n\r\n",
		"v1 cut off":           "PROXY TCP4 203.0.113.7 192.0.2.1 12345 4",
		"v1 without return":    "PROXY TCP4 203.0.113.7 192.0.2.1 12345 443\n" + strings.Repeat("x", 100),
		"v1 too long":          "PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n",
		"v1 wrong family":      "PROXY TCP6 203.0.113.7 192.0.2.1 12345 443\r\n",
		"v1 wrong destination": "PROXY TCP4 203.0.113.7 2001:db8::1 12345 443\r\n",
		"v1 UDP":               "PROXY UDP4 203.0.113.7 192.0.2.1 12345 443\r\n",
		"v1 port":              "PROXY TCP4 203.0.113.7 192.0.2.1 65536 443\r\n",
		"v1 port with zeros":   "PROXY TCP4 203.0.113.7 192.0.2.1 012345 443\r\n",
		"v1 two blanks":        "PROXY TCP4  203.0.113.7 192.0.2.1 12345 443\r\n",
		"v1 zone":              "PROXY TCP6 fe80::1%eth0 2001:db8::1 12345 443\r\n",
		"v2 version":           v2(0x11, 0x11, four),
		"v2 command":           v2(0x22, 0x11, four),
		"v2 UDP":               v2(0x21, 0x12, four),
		"v2 short":             v2(0x21, 0x21, four),
		"v2 cut off":           v2(0x21, 0x11, four)[:20],
		"v2 too long":          v2(0x21, 0x11, four+strings.Repeat("x", maxProxyBlock)),
	} {
		if got, err := readProxyHeader(strings.NewReader(in)); err == nil {
			t.Errorf("%s is taken as %v", name, got)
		}
	}
}

func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 203.0.113.7 192.0.2.1 12345 443\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(v2(0x21, 0x11, "\xcb\x00\x71\x07\xc0\x00\x02\x01\x30\x39\x01\xbb")))
	f.Add([]byte(v2(0x20, 0x00, "")))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		got, err := readProxyHeader(r)
		read := len(in) - r.Len()
		if read > max(maxProxyLine, len(proxySignature)+4+maxProxyBlock) {
			t.Errorf("%d bytes were read", read)
		}
		if err != nil && got.IsValid() || got.Addr().Zone() != "" || got.Addr().Is4In6() {
			t.Errorf("%v, %v", got, err)
		}
		// A header is what it is, whatever follows.
		if err == nil {
			again, err := readProxyHeader(bytes.NewReader(append(bytes.Clone(in[:read]), "more"...)))
			if err != nil || again != got {
				t.Errorf("again: %v, %v, before %v", again, err, got)
			}
		}
	})
}

// TestProxyListener proves that a header counts from those who are named, and from nobody else.
func TestProxyListener(t *testing.T) {
	t.Parallel()
	const header = "PROXY TCP4 203.0.113.7 192.0.2.1 12345 443\r\n"
	for name, c := range map[string]struct{ from, send, address, data string }{
		"trusted":           {"127.0.0.0/8", header + "hello", "203.0.113.7:12345", "hello"},
		"stranger":          {"192.0.2.0/24", header, "", header},
		"trusted, no word":  {"127.0.0.0/8", "GET / HTTP/1.1\r\n\r\n", "", ""},
		"trusted, unknown":  {"127.0.0.0/8", "PROXY UNKNOWN\r\nhello", "", "hello"},
		"stranger, nothing": {"192.0.2.0/24", "hello", "", "hello"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inner, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's own
			if err != nil {
				t.Fatal(err)
			}
			l := proxyListener{Listener: inner, from: []netip.Prefix{netip.MustParsePrefix(c.from)}}
			defer l.Close() //nolint:errcheck // the test is over
			client, err := net.Dial("tcp", inner.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Write([]byte(c.send)); err != nil {
				t.Fatal(err)
			}
			if err := client.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			defer client.Close() //nolint:errcheck // the test is over
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close() //nolint:errcheck // the test is over
			want := c.address
			if want == "" {
				want = client.LocalAddr().String()
			}
			if got := conn.RemoteAddr().String(); got != want {
				t.Errorf("from %s, want %s", got, want)
			}
			data, err := io.ReadAll(conn)
			if string(data) != c.data || (err != nil) != (c.data == "") {
				t.Errorf("read %q, %v", data, err)
			}
		})
	}
}
