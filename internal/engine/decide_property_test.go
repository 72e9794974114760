package engine_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// TestNothingOpensWithoutItsPeople proves that whatever people try in whatever order, a request under "two of ops, and
// one of leads" opens exactly when distinct people other than the requester have agreed, and never after a deny.
func TestNothingOpensWithoutItsPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	callers := map[string]engine.Caller{"admin": w.admin}
	for _, name := range []string{"ann", "bob", "cy", "dora", "eve"} {
		callers[name] = w.user(name, "JIT Access Requester")
	}
	ops := w.group("ops", callers["ann"], callers["bob"], callers["cy"], callers["dora"])
	leads := w.group("leads", callers["cy"], callers["eve"])
	p := sshPolicy()
	p.Approval = asks(access.Stage{AllOf: []access.Quorum{of(2, ops), of(1, leads)}})
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(t)
	inOps := map[string]bool{"ann": true, "bob": true, "cy": true, "dora": true}
	inLeads := map[string]bool{"cy": true, "eve": true}

	rapid.Check(t, func(t *rapid.T) {
		requester := rapid.SampledFrom([]string{"ann", "bob", "cy", "eve"}).Draw(t, "requester")
		d, err := w.Requests.Submit(w.ctx, callers[requester], ssh("web-1", time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		agreed, ended := map[string]bool{}, false
		for range rapid.IntRange(1, 10).Draw(t, "attempts") {
			who := rapid.SampledFrom([]string{"ann", "bob", "cy", "dora", "eve", "admin"}).Draw(t, "who")
			approve := rapid.IntRange(0, 9).Draw(t, "deny at 0") > 0
			may := who != requester && (inOps[who] || inLeads[who]) && !agreed[who] && !ended
			got, err := w.Requests.Decide(w.ctx, callers[who], d.Request.ID, approve, "", d.Request.Digest)
			if (err == nil) != may {
				t.Fatalf("%s decided on %s's request: %v, though they may: %t", who, requester, err, may)
			}
			if err != nil {
				continue
			}
			if approve {
				agreed[who] = true
			}
			want := access.RequestPending
			switch {
			case !approve:
				want = access.RequestDenied
			case enough(agreed, inOps, inLeads):
				want = access.RequestApproved
			}
			ended = want != access.RequestPending
			if got.Request.State != want || (len(got.Grants) == 1) != (want == access.RequestApproved) {
				t.Fatalf("after %s the request is %s with %d grants, want %s", fmt.Sprint(agreed), got.Request.State,
					len(got.Grants), want)
			}
		}
		if open := len(w.desired(host.Agent.ID).Openings); (open > 0) != (ended && enough(agreed, inOps, inLeads)) {
			t.Fatalf("%d openings after %v", open, agreed)
		}
		if _, err := w.Requests.RevokePrincipal(w.ctx, w.admin, requester, ""); err != nil {
			t.Fatal(err)
		}
	})
}

// enough tries every way of giving two of ops and another one of leads their places.
func enough(agreed, inOps, inLeads map[string]bool) bool {
	for lead := range agreed {
		count := 0
		for person := range agreed {
			if inOps[person] && person != lead {
				count++
			}
		}
		if inLeads[lead] && count >= 2 {
			return true
		}
	}
	return false
}
