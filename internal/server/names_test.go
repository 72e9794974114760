package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/server"
)

// TestOwnNamesDecideWhereLinksLead asks under names that are the server's and under others: what clients are told leads
// to the server, whatever the header Host says.
func TestOwnNamesDecideWhereLinksLead(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *server.Config) {
		c.Names, c.PublicURL = []string{"postern.internal"}, "https://postern.example:8443"
	})
	const public = "https://postern.example:8443"
	_, port, _ := strings.Cut(r.ready.Address, ":")
	form := url.Values{"client_id": {"x"}}.Encode()
	for host, want := range map[string]string{
		"postern.example:8443": public, "127.0.0.1:" + port: "https://127.0.0.1:" + port,
		"POSTERN.internal:" + port: "https://postern.internal:" + port,
		"postern.internal":         "https://postern.internal", "evil.example": public,
		"login.microsoftonline.com:443": public,
		"postern.internal:1":            public,
	} {
		for path, fields := range map[string][]string{
			"/metadata/endpoints?api-version=2022-09-01": {"resourceManager"},
			"/adfs/.well-known/openid-configuration": {
				"issuer", "token_endpoint", "authorization_endpoint",
				"jwks_uri",
			},
			"/default/v2.0/.well-known/openid-configuration": {"issuer"},
			"POST /default/oauth2/v2.0/devicecode":           {"verification_uri", "verification_uri_complete"},
		} {
			method, body := http.MethodGet, ""
			if rest, post := strings.CutPrefix(path, "POST "); post {
				method, path, body = http.MethodPost, rest, form
			}
			request, err := http.NewRequestWithContext(t.Context(), method, r.url()+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			request.Host = host
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			response, err := r.plain().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(response.Body)
			closed(t, response.Body)
			var answer map[string]any
			if err != nil || json.Unmarshal(text, &answer) != nil {
				t.Fatalf("%s %s: %v %s", host, path, err, text)
			}
			for _, field := range fields {
				if got, _ := answer[field].(string); got != want && !strings.HasPrefix(got, want+"/") {
					t.Errorf("%s: %s of %s is %q, want it at %s", host, field, path, got, want)
				}
			}
		}
	}
}
