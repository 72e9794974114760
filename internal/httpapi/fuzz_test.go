package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/postern-dev/postern/api"
)

// checkAnswer refuses what no input may lead to: a fault of ours, or an error that is not a whole problem.
func checkAnswer(t *testing.T, w *httptest.ResponseRecorder, what string) {
	t.Helper()
	if w == nil {
		return
	}
	if w.Code >= 500 {
		t.Fatalf("%s answered %d %s", what, w.Code, w.Body)
	}
	if w.Code < 400 {
		return
	}
	var p api.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code == "" || p.Detail == "" || p.Status != w.Code ||
		w.Header().Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%s answered %d %q, which is no problem: %v", what, w.Code, w.Body, err)
	}
}

func FuzzBodies(f *testing.F) {
	routes := []struct{ method, path string }{
		{http.MethodPost, "/api/v1/requests"},
		{http.MethodPut, "/api/v1/machines/web-1/policy"},
		{http.MethodPost, "/api/v1/role-assignments"},
		{http.MethodPost, "/api/v1/machines"},
		{http.MethodPost, "/api/v1/principals"},
		{http.MethodPatch, "/api/v1/principals/admin2"},
		{http.MethodPost, "/api/v1/enrollment-tokens"},
		{http.MethodPost, "/api/v1/agent/enroll"},
		{http.MethodPost, "/api/v1/requests/x/cancel"},
	}
	for i := range routes {
		f.Add(i,
			`{"items":[{"machine":"web-1","ports":"22-23","protocol":"any","sources":["me","2001:db8::/32"]}],"forSeconds":60,"justification":"x"}`)
		f.Add(i,
			`{"ports":[{"ports":"22","protocol":"udp","sources":["10.0.0.0/8"],"maxSeconds":3600}],"sessions":"keep","justification":{"required":true}}`)
		f.Add(i, `{"principal":"admin","role":"Reader","scope":"/subscriptions/x","start":"2026-01-01T00:00:00Z"}`)
		f.Add(i,
			`{"name":"x","gateway":"gw","addresses":["192.0.2.1"],"labels":{"a":"b"},"kind":"group","ttlSeconds":1,"token":"x","csr":"","os":"","version":""}`)
		f.Add(i, `[`)
		f.Add(i, "{\"items\":null,\"forSeconds\":1e99}\x00")
	}
	s := newService(f)
	f.Fuzz(func(t *testing.T, route int, body string) {
		r := routes[uint(route)%uint(len(routes))]
		checkAnswer(t, s.call(r.method, r.path, []byte(body)), r.method+" "+r.path+" with "+body)
	})
}

func FuzzPaths(f *testing.F) {
	for _, path := range []string{
		"machines/web-1", "machines/%2Fsubscriptions%2Fx", "principals?kind=user&limit=3&cursor=abc",
		"events/12/proof?size=9",
		"grants?state=active,opening&principal=me", "events?since=2026-01-01T00:00:00Z&outcome=refused",
		"audit/export?from=1", "audit/consistency?from=1&to=2",
		"requests/0?waitSeconds=0", "..%2f..", "machines//x", "grants/%00", "role-assignments?scope=/",
		"events/9223372036854775807/proof?size=9223372036854775807",
	} {
		f.Add(path)
	}
	s := newService(f)
	f.Fuzz(func(t *testing.T, path string) {
		if u, err := url.Parse("/api/v1/" + path); err != nil || u.Query().Get("waitSeconds") != "" {
			return // a wait that is asked for is waited
		}
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			checkAnswer(t, s.call(method, "/api/v1/"+path, nil), method+" "+path)
		}
	})
}

// FuzzCursors proves that every list refuses a cursor that it did not give, or begins somewhere, and never breaks.
func FuzzCursors(f *testing.F) {
	lists := []string{
		"principals", "machines", "agents", "policies", "requests", "grants", "role-assignments",
		"events",
	}
	for i := range lists {
		for _, cursor := range []string{"", "x", "AAAA", "eyJ", "\x00", "9223372036854775808", "=", "%"} {
			f.Add(i, cursor)
		}
	}
	s := newService(f)
	f.Fuzz(func(t *testing.T, list int, cursor string) {
		path := lists[uint(list)%uint(len(lists))]
		checkAnswer(t, s.call(http.MethodGet, "/api/v1/"+path+"?cursor="+url.QueryEscape(cursor), nil),
			path+" from "+cursor)
	})
}
