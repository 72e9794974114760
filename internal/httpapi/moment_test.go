package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestAnEndThatWasSaidIsNotAbsent sends the instant by which Go stands for none: it is an end long ago, and not a role
// for ever.
func TestAnEndThatWasSaidIsNotAbsent(t *testing.T) {
	t.Parallel()
	s := newService(t)
	body := []byte(`{"principal": "admin", "role": "Reader", "end": "0001-01-01T00:00:00Z"}`)
	for _, path := range []string{"/api/v1/eligibilities", "/api/v1/role-assignments"} {
		w := s.call(http.MethodPost, path, body)
		if w.Code != http.StatusCreated || !strings.Contains(w.Body.String(), `"end":"0001-01-01T`) {
			t.Errorf("POST %s: %d %s", path, w.Code, w.Body)
		}
	}
	s.enroll(t)
	s.guard(t, 22)
	ask := []byte(`{"items": [{"machine": "web-1", "ports": "22", "protocol": "tcp", "sources": ["203.0.113.9"]}], "until": "0001-01-01T00:00:00Z", "justification": "x"}`)
	if w := s.call(http.MethodPost, "/api/v1/requests",
		ask); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"endBeforeStart"`) {
		t.Errorf("a request with an end long ago: %d %s", w.Code, w.Body)
	}
}
