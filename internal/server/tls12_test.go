package server_test

import (
	"crypto/tls"
	"net/http"
	"testing"

	"github.com/postern-dev/postern/internal/server"
)

// TestTLS12 asks by TLS 1.2: it is refused, and with tls12 it is for Azure's clients and their sign-in alone.
func TestTLS12(t *testing.T) {
	t.Parallel()
	for _, allowed := range []bool{false, true} {
		r := start(t, func(c *server.Config) { c.TLS12 = allowed })
		old := r.plain()
		config := old.Transport.(*http.Transport).TLSClientConfig //nolint:forcetypeassert // plain's is
		config.MinVersion, config.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
		for path, want := range map[string]int{
			"/metadata/endpoints?api-version=2022-09-01": http.StatusOK,
			"/subscriptions?api-version=2022-12-01":      http.StatusUnauthorized,
			"/adfs/.well-known/openid-configuration":     http.StatusOK, "/device": http.StatusOK,
			"/api/v1/me": http.StatusUpgradeRequired, "/api/v1/agent/desired": http.StatusUpgradeRequired,
			"/": http.StatusUpgradeRequired,
		} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := old.Do(request)
			if (err == nil) != allowed {
				t.Errorf("%s, allowed %t: %v", path, allowed, err)
			}
			if err != nil {
				continue
			}
			closed(t, response.Body)
			if response.StatusCode != want || response.TLS.Version != tls.VersionTLS12 {
				t.Errorf("%s gave %s", path, response.Status)
			}
			if status, _ := r.get(path); status == http.StatusUpgradeRequired {
				t.Errorf("%s by TLS 1.3 gave %d", path, status)
			}
		}
		r.end()
	}
}
