package httpapi_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

// TestInstantsThatCannotBeWritten sends instants whose year is 0 or 10,000 in UTC, and the one that the database has
// for none: the lists that they are in can be read, and an end that was said is one.
func TestInstantsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		"9999-12-31T23:59:59-12:00": "9999-12-31T23:59:59.999999Z",
		"0001-01-01T00:00:00+12:00": "0001-01-01T00:00:00.000001Z",
		"1970-01-01T00:00:00Z":      "1970-01-01T00:00:00.000001Z",
	} {
		t.Run(sent, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			for _, path := range []string{"/api/v1/eligibilities", "/api/v1/role-assignments"} {
				s.call(http.MethodPost, path, []byte(`{"principal": "admin", "role": "Reader", "end": "`+sent+`"}`))
				w := s.call(http.MethodGet, path, nil)
				var list api.Page[struct {
					Role string
					End  *time.Time
				}]
				if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil {
					t.Fatalf("GET %s: %d %s", path, w.Code, w.Body)
				}
				found := ""
				for _, item := range list.Items {
					if item.Role == "Reader" && item.End != nil {
						found = item.End.Format(time.RFC3339Nano)
					}
				}
				if found != want {
					t.Errorf("%s has the end %q, want %q: %s", path, found, want, w.Body)
				}
			}
		})
	}
}
