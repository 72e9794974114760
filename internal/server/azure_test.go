package server_test

import (
	"net/http"
	"testing"
)

// TestNoStrictTransport proves that no face binds browsers to the host's present certificate, which is of a private
// authority.
func TestNoStrictTransport(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, path := range []string{
		"/", "/sign-in", "/api/v1/me", "/healthz",
		"/metadata/endpoints?api-version=2022-09-01", "/adfs/.well-known/openid-configuration",
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "postern.example"
		response, err := r.plain().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		closed(t, response.Body)
		if got := response.Header.Get("Strict-Transport-Security"); got != "" {
			t.Errorf("%s: %q", path, got)
		}
	}
}
