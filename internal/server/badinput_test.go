package server_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agentwire"
)

// call sends a raw body with a client's session and gives status and body of the answer.
func (r *running) call(c *api.Client, method, path string, body io.Reader, contentType string,
	header ...string,
) (int, string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.url()+"/api/v1"+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if c != nil {
		request.Header.Set("Authorization", "Bearer "+c.Token())
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := r.plain().Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer closed(r.t, response.Body)
	data, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if response.StatusCode >= 400 && response.Header.Get("Content-Type") != "application/problem+json" {
		r.t.Errorf("%s %s answered %d as %q: %s", method, path, response.StatusCode,
			response.Header.Get("Content-Type"), data)
	}
	return response.StatusCode, string(data)
}

// TestBadRequests sends every bad request for access: each gets its status and code, changes nothing, and stands on the
// activity log.
func TestBadRequests(t *testing.T) { //nolint:tparallel // each looks at the newest event
	t.Parallel()
	r, admin, web := guarded(t)
	r.enroll(admin, "strict-1")
	if _, err := admin.SetMachinePolicy(t.Context(), "strict-1", api.MachinePolicy{
		Ports: []api.PortRule{{Ports: "22", MaxSeconds: 3600}}, Justification: api.JustificationRule{Required: true},
	}, 0); err != nil {
		t.Fatal(err)
	}
	f := follow(t, web.Client)
	before := f.until("the first state", func(agentwire.Desired) bool { return true })
	const good = `{"items":[{"machine":"web-1","ports":"22","sources":["203.0.113.7"]}],"forSeconds":600,"justification":"x"}`
	past := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	later := time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)
	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for _, c := range []struct {
		name, from, to string // what of good is replaced by what
		status         int
		code           string // of the problem or of one of its reasons
	}{
		{"unknown machine", `"web-1"`, `"web-2"`, 404, "unknownMachine"},
		{"port outside the policy", `"22"`, `"23"`, 400, "portNotInPolicy"},
		{"source outside the prefixes", `203.0.113.7`, `198.51.100.7`, 400, "sourceNotAllowed"},
		{"all addresses", `203.0.113.7`, `0.0.0.0/0`, 400, "sourceNotAllowed"},
		{"longer than allowed", `600`, `14400`, 400, "durationTooLong"},
		{"negative duration", `600`, `-600`, 400, "invalidField"},
		{"overflowing duration", `600`, `9223372036854775807`, 400, "durationTooLong"},
		{
			"end before start", `"forSeconds":600`, `"start":"` + later + `","until":"` + soon + `"`, 400,
			"endBeforeStart",
		},
		{"start in the past", `"forSeconds":600`, `"forSeconds":600,"start":"` + past + `"`, 400, "startInPast"},
		{"end in the past", `"forSeconds":600`, `"until":"` + past + `"`, 400, "endBeforeStart"},
		{
			"no reason where one is required",
			`"web-1","ports":"22","sources":["203.0.113.7"]}],"forSeconds":600,"justification":"x"`,
			`"strict-1","ports":"22"}],"forSeconds":600`, 400, "justificationRequired",
		},
		{
			"blank reason where one is required",
			`"web-1","ports":"22","sources":["203.0.113.7"]}],"forSeconds":600,"justification":"x"`,
			`"strict-1","ports":"22"}],"forSeconds":600,"justification":" "`, 400, "justificationRequired",
		},
		{"no duration", `"forSeconds":600`, `"ticket":"1"`, 400, "durationMissing"},
		{"two durations", `"forSeconds":600`, `"forSeconds":600,"until":"` + later + `"`, 400, "durationTwice"},
		{"two durations of an item", `"ports"`, `"forSeconds":600,"until":"` + later + `","ports"`, 400, "durationTwice"},
		{"too long an item", `"ports"`, `"forSeconds":14400,"ports"`, 400, "durationTooLong"},
		{
			"no duration of the second item", `"ports":"22","sources":["203.0.113.7"]}],"forSeconds":600`,
			`"ports":"22","sources":["203.0.113.7"],"forSeconds":600},{"machine":"web-1","ports":"22"}]`, 400,
			"durationMissing",
		},
		{"malformed prefix", `203.0.113.7`, `203.0.113.0/33`, 400, "malformedPrefix"},
		{"prefix with host bits", `203.0.113.7`, `203.0.113.7/24`, 400, "malformedPrefix"},
		{"source that is no name", `203.0.113.7`, `2.example.com`, 400, "malformedPrefix"},
		{"network that there is not", `203.0.113.7`, `example.com`, 404, "unknownNetwork"},
		{"port 0", `"22"`, `"0"`, 400, "malformedPorts"},
		{"port 70000", `"22"`, `"70000"`, 400, "malformedPorts"},
		{"port as a number", `"22"`, `22`, 400, "invalidField"},
		{"negative port", `"22"`, `"-22"`, 400, "malformedPorts"},
		{"range backwards", `"22"`, `"30-20"`, 400, "malformedPorts"},
		{"unknown protocol", `"ports"`, `"protocol":"icmp","ports"`, 400, "invalidField"},
		{"no items", `[{"machine":"web-1","ports":"22","sources":["203.0.113.7"]}]`, `[]`, 400, "invalidField"},
		{"unknown field", `"justification"`, `"why"`, 400, "unknownField"},
		{"unknown field inside", `"ports"`, `"color":"red","ports"`, 400, "unknownField"},
		{"missing machine", `"machine":"web-1",`, ``, 400, "machineMissing"},
		{"null", good, `null`, 400, "invalidField"},
		{"array", good, `[]`, 400, "invalidField"},
		{"broken JSON", `}],`, `}`, 400, "malformedJSON"},
		{"two values", good, good + good, 400, "malformedJSON"},
		{"empty body", good, ``, 400, "bodyMissing"},
		{"start that is no time", `"forSeconds"`, `"start":"tomorrow","forSeconds"`, 400, "invalidField"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := *r
			r.t = t
			body := strings.Replace(good, c.from, c.to, 1)
			if body == good {
				t.Fatal("the case changes nothing")
			}
			newest := r.newest(admin)
			status, answer := r.call(admin, http.MethodPost, "/requests", strings.NewReader(body), "application/json")
			p := problemIn(t, answer)
			if status != c.status {
				t.Errorf("status %d, want %d: %s", status, c.status, answer)
			}
			codes := []string{p.Code}
			for _, reason := range p.Reasons {
				codes = append(codes, reason.Code)
				if reason.Message == "" {
					t.Errorf("a reason without a message: %+v", reason)
				}
			}
			if !slices.Contains(codes, c.code) {
				t.Errorf("codes %v, want %q: %s", codes, c.code, answer)
			}
			r.wantRefusal(admin, newest, "request.refused")
		})
	}
	t.Run("nothing came of it", func(t *testing.T) {
		requests, err := api.All(admin.Requests(t.Context(), api.RequestQuery{}))
		if err != nil || len(requests) != 0 {
			t.Errorf("there are %d requests, %v", len(requests), err)
		}
		_ = f.stream.Close() // an agent has one connection
		second := followAgain(t, web.Client).until("the state again", func(agentwire.Desired) bool { return true })
		if second.Revision != before.Revision {
			t.Errorf("the desired state went from revision %d to %d", before.Revision, second.Revision)
		}
	})
}

// wantUnseen checks that something is forbidden, or not to be known of.
func wantUnseen(t *testing.T, what string, err error) {
	t.Helper()
	p, ok := errors.AsType[*api.Problem](err)
	if !ok || p.Status != http.StatusForbidden && p.Status != http.StatusNotFound {
		t.Errorf("%s gave %v, want 403 or 404", what, err)
	}
}

func closed(tb testing.TB, c io.Closer) {
	tb.Helper()
	if err := c.Close(); err != nil {
		tb.Error(err)
	}
}

func problemIn(t *testing.T, body string) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("the answer is no problem: %v: %s", err, body)
	}
	if p.Title == "" || p.Detail == "" || p.Code == "" || p.Instance == "" || p.Status == 0 {
		t.Errorf("the problem lacks something: %s", body)
	}
	return p
}

// newest is the number of the newest event.
func (r *running) newest(admin *api.Client) int64 {
	r.t.Helper()
	for e, err := range admin.Events(r.t.Context(), api.EventQuery{}) {
		if err != nil {
			r.t.Fatal(err)
		}
		return e.Seq
	}
	return -1
}

// wantRefusal checks that a refusal of that kind stands on the activity log, newer than seq. What follows from it, such
// as an alert on repeated refusals, may be newer still.
func (r *running) wantRefusal(admin *api.Client, seq int64, kind string) {
	r.t.Helper()
	var seen []string
	for e, err := range admin.Events(r.t.Context(), api.EventQuery{}) {
		if err != nil {
			r.t.Fatal(err)
		}
		if e.Seq <= seq {
			break
		}
		if e.Kind == kind && e.Outcome == "refused" {
			return
		}
		seen = append(seen, e.Kind+" "+e.Outcome)
	}
	r.t.Errorf("after event %d there are %q, want a %s that was refused", seq, seen, kind)
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	r, admin, _ := guarded(t)
	first, err := admin.Submit(t.Context(), ask(), "key-1")
	if err != nil {
		t.Fatal(err)
	}
	again, err := admin.Submit(t.Context(), ask(), "key-1")
	if err != nil || again.ID != first.ID {
		t.Errorf("the same key and body gave %s, %v; want %s again", again.ID, err, first.ID)
	}
	other := ask()
	other.ForSeconds = 900
	newest := r.newest(admin)
	_, err = admin.Submit(t.Context(), other, "key-1")
	wantProblem(t, "the same key with another body", err, http.StatusConflict, "idempotencyKeyReused")
	r.wantRefusal(admin, newest, "request.refused")
	all, err := api.All(admin.Requests(t.Context(), api.RequestQuery{Requester: "me"}))
	if err != nil || len(all) != 1 {
		t.Errorf("there are %d requests, %v; want 1", len(all), err)
	}
}

// TestLargeBodies proves that a body that is too long is refused before it was read whole.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	r, admin, web := guarded(t)
	newest := r.newest(admin)
	for name, c := range map[string]struct {
		path, method string
		client       *api.Client
		body         func() io.Reader
	}{
		"by its header": {
			"/requests", http.MethodPost, admin,
			func() io.Reader { return bytes.NewReader(make([]byte, 10<<20)) },
		},
		"chunked": {
			"/requests", http.MethodPost, admin,
			func() io.Reader { return io.LimitReader(spaces{}, 10<<20) },
		},
		"a policy": {
			"/machines/web-1/policy", http.MethodPut, admin,
			func() io.Reader { return io.LimitReader(spaces{}, 10<<20) },
		},
	} {
		status, answer := r.call(c.client, c.method, c.path, c.body(), "application/json")
		if p := problemIn(t, answer); status != http.StatusRequestEntityTooLarge || p.Code != "bodyTooLarge" {
			t.Errorf("%s: %d %s, want 413 bodyTooLarge", name, status, answer)
		}
	}
	r.wantRefusal(admin, newest, "request.refused")
	drift := make([]string, 100)
	for i := range drift {
		drift[i] = strings.Repeat("x", 30<<10)
	}
	if err := web.Report(t.Context(), agentwire.Report{Version: "test", Drift: drift}); err != nil {
		t.Errorf("a report of 3 MB was refused: %v", err)
	}
	drift[0] = strings.Repeat("x", 4<<20)
	wantProblem(t, "a report of 7 MB", web.Report(t.Context(), agentwire.Report{Version: "test", Drift: drift}),
		http.StatusRequestEntityTooLarge, "bodyTooLarge")
}

// spaces is endless white space.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestBadCalls(t *testing.T) { //nolint:tparallel // they share one session, and are quick
	t.Parallel()
	r, admin, _ := guarded(t)
	for _, c := range []struct {
		name, method, path, body, contentType string
		header                                []string
		status                                int
		code                                  string
	}{
		{"unknown path", "GET", "/nothing", "", "", nil, 404, "unknownPath"},
		{"wrong method", "PATCH", "/requests", "{}", "", nil, 405, "methodNotAllowed"},
		{"unknown query parameter", "GET", "/machines?stand=x", "", "", nil, 400, "invalidInput"},
		{"limit 0", "GET", "/machines?limit=0", "", "", nil, 400, "invalidInput"},
		{"limit 1001", "GET", "/machines?limit=1001", "", "", nil, 400, "invalidInput"},
		{"limit that is no number", "GET", "/machines?limit=many", "", "", nil, 400, "invalidInput"},
		{"malformed cursor", "GET", "/machines?cursor=%00%ff", "", "", nil, 400, ""},
		{"malformed scope", "GET", "/machines?scope=here", "", "", nil, 400, "invalidInput"},
		{"unknown standing", "GET", "/machines?standing=tall", "", "", nil, 400, "invalidInput"},
		{"unknown state", "GET", "/grants?state=open", "", "", nil, 400, "invalidInput"},
		{"unknown machine", "GET", "/machines/web-9", "", "", nil, 404, ""},
		{"unknown grant", "GET", "/grants/x", "", "", nil, 404, ""},
		{"unknown request", "GET", "/requests/x?waitSeconds=1", "", "", nil, 404, ""},
		{"waiting too long", "GET", "/grants/x?waitSeconds=26", "", "", nil, 400, "invalidInput"},
		{"negative record", "GET", "/events/-1", "", "", nil, 400, "invalidInput"},
		{"record ahead", "GET", "/events/999999", "", "", nil, 404, ""},
		{"export from nowhere", "GET", "/audit/export?from=x", "", "", nil, 400, "invalidInput"},
		{"time that is none", "GET", "/events?since=yesterday", "", "", nil, 400, "invalidInput"},
		{"text for JSON", "POST", "/requests", "x", "text/plain", nil, 415, "unsupportedMediaType"},
		{
			"malformed ETag", "DELETE", "/machines/web-1/policy", "", "",
			[]string{"If-Match", "five"},
			400,
			"invalidInput",
		},
		{
			"long key", "POST", "/requests", "{}", "application/json",
			[]string{"Idempotency-Key", strings.Repeat("k", 300)},
			400, "invalidInput",
		},
		{
			"policy with port 0", "PUT", "/machines/web-1/policy", `{"ports":[{"ports":"0","maxSeconds":60}]}`,
			"application/json", nil, 400, "invalidInput",
		},
		{
			"policy with bad source", "PUT", "/machines/web-1/policy",
			`{"ports":[{"ports":"22","sources":["2x"],"maxSeconds":60}]}`, "application/json", nil, 400,
			"invalidInput",
		},
		{
			"policy with a network that there is not", "PUT", "/machines/web-1/policy",
			`{"ports":[{"ports":"22","sources":["x"],"maxSeconds":60}]}`, "application/json", nil, 400,
			"malformedPolicy",
		},
		{
			"policy of no time", "PUT", "/machines/web-1/policy", `{"ports":[{"ports":"22","maxSeconds":0}]}`,
			"application/json", nil, 400, "invalidInput",
		},
		{
			"another origin", "POST", "/requests", "{}", "application/json",
			[]string{"Sec-Fetch-Site", "cross-site"},
			403,
			"crossOrigin",
		},
		{
			"agents' route with a session", "POST", "/agent/report", `{"revision":1,"skewMillis":0,"version":"x"}`,
			"application/json", nil, 401, "",
		},
		{"agents' stream with a session", "GET", "/agent/desired", "", "", nil, 401, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := *r
			r.t = t
			var body io.Reader
			if c.body != "" {
				body = strings.NewReader(c.body)
			}
			status, answer := r.call(admin, c.method, c.path, body, c.contentType, c.header...)
			p := problemIn(t, answer)
			if status != c.status || c.code != "" && p.Code != c.code {
				t.Errorf("%d %s, want %d %s", status, answer, c.status, c.code)
			}
		})
	}
}

func TestWhoCalls(t *testing.T) {
	t.Parallel()
	r, admin, web := guarded(t)
	nobody := r.client()
	_, err := nobody.Me(t.Context())
	wantProblem(t, "a call without a token", err, http.StatusUnauthorized, "tokenMissing")
	_, err = nobody.WithToken("pst_stolen").Me(t.Context())
	wantProblem(t, "a call with a malformed token", err, http.StatusUnauthorized, "tokenMalformed")
	_, err = nobody.WithToken("pst_" + strings.Repeat("A", 43)).Me(t.Context())
	wantProblem(t, "a call with a made-up token", err, http.StatusUnauthorized, "sessionEnded")
	made, err := admin.CreateAPIToken(t.Context(), api.NewAPIToken{Name: "deploys"})
	if err == nil {
		err = admin.RevokeAPIToken(t.Context(), "deploys")
	}
	if err != nil {
		t.Fatal(err)
	}
	revoked := r.newest(admin)
	_, err = nobody.WithToken(made.Token).Submit(t.Context(), ask(), "")
	wantProblem(t, "a request with a revoked token", err, http.StatusUnauthorized, "tokenEnded")
	r.wantRefusal(admin, revoked, "session.refused")

	newest := r.newest(admin)
	_, err = nobody.SignIn(t.Context(), api.SignIn{Name: "admin", Password: "wrong"})
	wantProblem(t, "a wrong password", err, http.StatusUnauthorized, "wrongCredentials")
	r.wantRefusal(admin, newest, "session.refused")
	_, err = nobody.SignIn(t.Context(), api.SignIn{Name: "nobody", Password: "wrong"})
	wantProblem(t, "an unknown name", err, http.StatusUnauthorized, "wrongCredentials")

	if _, err := admin.CreatePrincipal(t.Context(),
		api.NewPrincipal{Kind: "user", Name: "anna", Password: "another long password 7"}); err != nil {
		t.Fatal(err)
	}
	anna := r.signIn("anna", "another long password 7", "")
	newest = r.newest(admin)
	_, err = anna.Submit(t.Context(), ask(), "")
	wantUnseen(t, "a request without a role", err)
	r.wantRefusal(admin, newest, "request.refused")
	_, err = anna.SetMachinePolicy(t.Context(), "web-1",
		api.MachinePolicy{Ports: []api.PortRule{{Ports: "22", MaxSeconds: 60}}}, 0)
	wantUnseen(t, "a policy without a role", err)
	disabled := true
	if _, err := admin.ChangePrincipal(t.Context(), "anna", api.PrincipalChange{Disabled: &disabled}); err != nil {
		t.Fatal(err)
	}
	_, err = anna.Me(t.Context())
	wantProblem(t, "a session of a disabled user", err, http.StatusUnauthorized, "")

	newest = r.newest(admin)
	transport := r.plain().Transport.(*http.Transport)
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return foreign(t, web.enrolled.Agent), nil // whichever authorities the server says it wants
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url()+"/api/v1/agent/desired", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request) //nolint:bodyclose // closed does
	if err != nil {
		t.Fatal(err)
	}
	closed(t, response.Body)
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("a certificate of another authority got %d, want 401", response.StatusCode)
	}
	r.wantRefusal(admin, newest, "agent.refused")
}

// foreign is a certificate that says the same as the agent's, and that another authority signed.
func foreign(t *testing.T, agent string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: agent}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestEnrolmentTokens(t *testing.T) {
	t.Parallel()
	r := start(t)
	admin := r.admin()
	request, _ := csr(t)
	try := func(token string) error {
		_, err := r.agentClient(nil).Enroll(t.Context(),
			agentwire.Enroll{Token: token, CSR: request, Name: "web-1", OS: "linux", Version: "test"})
		return err
	}
	newest := r.newest(admin)
	wantProblem(t, "a made-up token", try("made-up"), http.StatusUnauthorized, "tokenUnknown")
	r.wantRefusal(admin, newest, "agent.enrolRefused")

	short, err := admin.CreateEnrollmentToken(t.Context(), api.NewEnrollmentToken{Name: "web-1", TTLSeconds: 1})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(short.ExpiresAt) + 50*time.Millisecond)
	newest = r.newest(admin)
	wantProblem(t, "an expired token", try(short.Token), http.StatusUnauthorized, "tokenExpired")
	r.wantRefusal(admin, newest, "agent.enrolRefused")

	r.enroll(admin, "web-1")
	once, err := admin.CreateEnrollmentToken(t.Context(), api.NewEnrollmentToken{Name: "web-2"})
	if err != nil {
		t.Fatal(err)
	}
	if err := try(once.Token); err != nil {
		t.Fatalf("a good token was refused: %v", err)
	}
	newest = r.newest(admin)
	wantProblem(t, "a token that was used", try(once.Token), http.StatusUnauthorized, "tokenUsed")
	r.wantRefusal(admin, newest, "agent.enrolRefused")
	machines, err := api.All(admin.Machines(t.Context(), api.MachineQuery{}))
	if err != nil || len(machines) != 2 {
		t.Errorf("there are %d machines, %v; want 2", len(machines), err)
	}
}

// TestAgentsAreApart proves that an agent gets its own state alone, and moves nothing of another's by its reports.
func TestAgentsAreApart(t *testing.T) {
	t.Parallel()
	r, admin, web := guarded(t)
	other := r.enroll(admin, "db-1")
	asked, err := admin.Submit(t.Context(), ask(), "")
	if err != nil {
		t.Fatal(err)
	}
	id := asked.Grants[0].ID
	d := follow(t, other.Client).until("its own state", func(agentwire.Desired) bool { return true })
	if len(d.Machines) != 1 || d.Machines[0].Name != "db-1" || len(d.Openings) != 0 || d.Agent != other.enrolled.Agent {
		t.Errorf("the agent of db-1 got %+v", d)
	}
	for _, status := range []string{"open", "failed", "closed"} {
		err := other.Report(t.Context(),
			agentwire.Report{
				Revision: d.Revision, Version: "test",
				Observations: []agentwire.Observation{{Grant: id, Status: status}},
			})
		if g, getErr := admin.Grant(t.Context(), id, 0); getErr != nil || g.State != "opening" {
			t.Errorf("a report of %s by another's agent (%v) made the grant %s, %v", status, err, g.State, getErr)
		}
	}
	if err := web.Report(t.Context(),
		agentwire.Report{
			Version:      "test",
			Observations: []agentwire.Observation{{Grant: id, Status: "open"}},
		}); err != nil {
		t.Fatal(err)
	}
	if g, err := admin.Grant(t.Context(), id, 0); err != nil || g.State != "active" {
		t.Errorf("the report of its own agent left the grant %s, %v", g.State, err)
	}
	newest := r.newest(admin)
	if err := admin.DeleteMachine(t.Context(), "db-1"); err != nil {
		t.Fatal(err)
	}
	_, err = other.Follow(t.Context())
	wantProblem(t, "an agent whose machine is gone", err, http.StatusUnauthorized, "")
	if r.newest(admin) <= newest {
		t.Error("no event tells of it")
	}
}

// TestSignInIsLimited proves that guessing from one address is slowed down, with a time to wait.
func TestSignInIsLimited(t *testing.T) {
	t.Parallel()
	r := start(t)
	for i := range 60 {
		body := fmt.Sprintf(`{"name":"user%d","password":"x"}`, i)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url()+"/api/v1/sessions",
			strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := r.plain().Do(request) //nolint:bodyclose // closed does
		if err != nil {
			t.Fatal(err)
		}
		closed(t, response.Body)
		if response.StatusCode == http.StatusTooManyRequests {
			if response.Header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
			return
		}
	}
	t.Error("60 attempts to guess were not slowed down")
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	r := start(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url()+"/api/v1/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := r.plain().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, response.Body)
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'",
		"Cache-Control":   "no-store",
		"Referrer-Policy": "no-referrer", "WWW-Authenticate": "Bearer",
	} {
		contains(t, name, response.Header.Get(name), want)
	}
	id := response.Header.Get("X-Request-Id")
	var p api.Problem
	if err := json.NewDecoder(response.Body).Decode(&p); err != nil || id == "" || p.Instance != id {
		t.Errorf("the problem's instance is %q, %v; want %q", p.Instance, err, id)
	}
	contains(t, "the log", r.log.String(), "request_id="+id)
}
