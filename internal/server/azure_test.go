package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestStrictTransport proves that a server known by a name of its own says to be HTTPS alone, and that one on the client's
// own machine does not speak for all that is there.
func TestStrictTransport(t *testing.T) {
	t.Parallel()
	s := &server{}
	for host, want := range map[string]bool{
		"postern.example": true, "postern.example:8443": true, "192.0.2.1:8443": true, "[2001:db8::1]:8443": true, "notlocalhost": true,
		"localhost": false, "localhost:8443": false, "LOCALHOST.:8443": false, "demo.localhost:8443": false,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/x", nil)
		r.Host = host
		s.faces(http.NotFoundHandler()).ServeHTTP(w, r)
		if got := w.Header().Get("Strict-Transport-Security") != ""; got != want {
			t.Errorf("%s: the header is there: %t, want %t", host, got, want)
		}
	}
}
