package server_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

// TestChangesAreTold follows a person's stream: it tells of what others do, and ends with the session.
func TestChangesAreTold(t *testing.T) {
	t.Parallel()
	r, admin, _ := guarded(t)
	session, err := r.client().SignIn(t.Context(), api.SignIn{Name: "admin", Password: adminPassword})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url()+"/api/v1/changes", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+session.Token)
	response, err := r.plain().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, response.Body)
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("the stream began with %s %v", response.Status, response.Header)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(response.Body); in.Scan(); {
			lines <- in.Text()
		}
	}()
	until := func(want string) {
		t.Helper()
		for over := time.After(patience); ; {
			select {
			case line, ok := <-lines:
				switch {
				case !ok && want == "":
					return
				case !ok:
					t.Fatalf("the stream ended before %q", want)
				case want != "" && strings.HasPrefix(line, "data: ") && strings.Contains(line, want):
					return
				}
			case <-over:
				t.Fatalf("the stream did not say %q in time", want)
			}
		}
	}
	until(`"kinds":[]`)
	if _, err := admin.Submit(t.Context(), ask(), ""); err != nil {
		t.Fatal(err)
	}
	until(`"grant"`)
	if err := r.client().WithToken(session.Token).SignOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	until("")
}
