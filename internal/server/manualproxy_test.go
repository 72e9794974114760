package server_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/server"
)

// TestManualOfProxies runs a server that is configured as the manual shows for proxies, with this host as both, and
// calls it through a load balancer that speaks the PROXY protocol: what it says is the caller's address, for requests
// too.
func TestManualOfProxies(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/operate/networks.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```yaml\n(# server.yaml\n.*?)```").FindSubmatch(page)
	if found == nil {
		t.Fatal("the manual shows no configuration")
	}
	file := filepath.Join(t.TempDir(), "server.yaml")
	text := strings.NewReplacer("192.0.2.10", "203.0.113.10", "192.0.2.20", "127.0.0.1").Replace(string(found[1]))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := server.Load(file, func(string) string { return "" }, map[string]string{"data": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, func(c *server.Config) {
		c.ProxyProtocol, c.TrustedProxies = config.ProxyProtocol, config.TrustedProxies
	})
	through := func(header string, token string) *api.Client {
		c, err := api.NewClient(api.Options{
			Server: r.url(), CA: r.ready.CA, Token: token,
			Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				var d net.Dialer
				conn, err := d.DialContext(ctx, network, address)
				if err == nil {
					_, err = fmt.Fprint(conn, header)
				}
				return conn, err
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	const header = "PROXY TCP4 198.51.100.7 127.0.0.1 12345 443\r\n"
	session, err := through(header, "").SignIn(t.Context(),
		api.SignIn{Name: "admin", Password: r.ready.AdminPassword, NewPassword: adminPassword})
	if err != nil {
		t.Fatal(err)
	}
	me, err := through(header, session.Token).Me(t.Context())
	if err != nil || me.Address != "198.51.100.7" {
		t.Errorf("through the load balancer the caller is at %q, %v", me.Address, err)
	}
	if _, err := through("", session.Token).Me(t.Context()); err == nil {
		t.Error("the load balancer is let in without its header")
	}
}
