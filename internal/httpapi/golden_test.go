package httpapi_test

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/api"
)

// TestDesiredOnTheWire reads an agent's stream as it comes over the wire: the head, a whole desired state and a
// heartbeat are what agents of every version were sent.
func TestDesiredOnTheWire(t *testing.T) {
	t.Parallel()
	s := serve(t)
	certificate := s.enroll(t)
	s.must(t, http.MethodPut, "/api/v1/machines/web-1/policy", api.MachinePolicy{
		Ports: []api.PortRule{
			{Ports: "22", MaxSeconds: 3600},
			{Ports: "8000-8010", Protocol: "udp", MaxSeconds: 3600},
		},
		Sessions: "keep", CloseAfterLossSeconds: 1,
		BreakGlass: &api.BreakGlassRule{People: []string{"admin"}, MaxSeconds: 1800},
	}, &api.MachinePolicyView{})
	var last api.Request
	for _, ports := range []string{"22", "8001"} {
		s.must(t, http.MethodPost, "/api/v1/requests", api.NewRequest{ForSeconds: 600, Items: []api.NewItem{
			{Machine: "web-1", Ports: ports, Sources: []string{"203.0.113.0/24", "2001:db8::/32"}},
		}}, &last)
	}
	s.must(t, http.MethodPost, "/api/v1/grants/"+last.Grants[0].ID+"/revoke", api.Note{Reason: "done"}, &api.Grant{})
	s.must(t, http.MethodPost, "/api/v1/machines/web-1/break-glass-codes", api.NewGlassCodes{Count: 1},
		&api.GlassCodes{})

	conn := s.dial(t, "http/1.1", certificate)
	if _, err := io.WriteString(conn, "GET /api/v1/agent/desired HTTP/1.1\r\nHost: example.com\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	in := bufio.NewReader(conn)
	for parts := 0; parts < 3; { // the head, the state, a heartbeat
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", got.String(), err)
		}
		got.WriteString(line)
		if strings.TrimSpace(line) == "" {
			parts++
		}
	}
	text := strings.ReplaceAll(got.String(), "\r", "")
	for pattern, with := range map[string]string{
		`[0-9a-f]{8}-[0-9a-f-]{27}`: "ID", `[0-9a-f]{64}`: "HASH",
		`(X-Request-Id: |Postern-Time: |"serverTime":|"remainingMillis":)[\w ]+`: "${1}OTHER",
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, with)
	}
	path := filepath.Join("testdata", "desired.txt")
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("the stream (-want +got):\n%s", diff)
	}
}
