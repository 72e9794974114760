package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/audit"
)

// TestMainJob goes through the whole life of a grant over the wire, with the agent's part played by its calls.
func TestMainJob(t *testing.T) {
	t.Parallel()
	r, admin, web := guarded(t)
	f := follow(t, web.Client)
	f.until("port 22 is protected and closed",
		func(d agentwire.Desired) bool { return len(d.Protected) == 1 && len(d.Openings) == 0 })

	asked, err := admin.Submit(t.Context(), ask(), "")
	if err != nil {
		t.Fatalf("submit: %v", err)
	}
	if asked.State != "approved" || len(asked.Grants) != 1 || asked.Grants[0].State != "opening" {
		t.Fatalf("the request is %+v, want it approved with one grant opening", asked)
	}
	id := asked.Grants[0].ID
	d := f.until("the opening", func(d agentwire.Desired) bool { return len(d.Openings) == 1 })
	o := d.Openings[0]
	if o.Source != "203.0.113.7/32" || o.Ports != "22" || o.Protocol != "tcp" || !slices.Equal(o.Grants,
		[]string{id}) ||
		o.RemainingMillis <= 500_000 || o.RemainingMillis > 600_000 {
		t.Errorf("the opening is %+v", o)
	}

	waited := make(chan api.Grant, 1)
	go func() {
		g, err := admin.Grant(t.Context(), id, 25*time.Second)
		if err != nil {
			t.Errorf("wait for the grant: %v", err)
		}
		waited <- g
	}()
	report := agentwire.Report{
		Revision: d.Revision, Version: "test",
		Observations: []agentwire.Observation{{Grant: id, Status: "open", Packets: 3, Bytes: 180}},
	}
	if err := web.Report(t.Context(), report); err != nil {
		t.Fatalf("report: %v", err)
	}
	if g := <-waited; g.State != "active" || g.OpenedAt == nil {
		t.Errorf("the grant is %+v, want it active", g)
	}

	g, err := admin.Revoke(t.Context(), id, "done")
	if err != nil || g.State != "revoked" || g.Reason != "done" || g.ClosedAt != nil {
		t.Fatalf("revoke gave %+v, %v", g, err)
	}
	d = f.until("the end",
		func(d agentwire.Desired) bool { return len(d.Openings) == 0 && slices.Contains(d.Ended, id) })
	report = agentwire.Report{
		Revision: d.Revision, Version: "test",
		Observations: []agentwire.Observation{{Grant: id, Status: "closed", Packets: 9}},
	}
	if err := web.Report(t.Context(), report); err != nil {
		t.Fatalf("report: %v", err)
	}
	if g, err = admin.Grant(t.Context(), id, 0); err != nil || g.ClosedAt == nil {
		t.Errorf("the grant is %+v, %v; want it seen gone", g, err)
	}

	var kinds []string
	for e, err := range admin.Events(t.Context(), api.EventQuery{Request: asked.ID}) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, e.Kind)
	}
	for _, kind := range []string{
		"request.submitted", "request.approved", "grant.created", "grant.opened",
		"grant.revoked", "grant.closed",
	} {
		if !slices.Contains(kinds, kind) {
			t.Errorf("the activity log has %v of the request, and not %s", kinds, kind)
		}
	}
	checkExport(t, admin)
	r.end()
}

// checkExport reads an export and proves one record in it against the checkpoint.
func checkExport(t *testing.T, admin *api.Client) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		c, err := admin.Checkpoint(t.Context())
		if err == nil && c.Size > 5 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("there is no checkpoint: %+v, %v", c, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	export, err := admin.Export(t.Context(), 0)
	if err != nil {
		t.Fatalf("export: %v", err)
	}
	defer closed(t, export)
	checkpoint, err := admin.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	summary, err := audit.VerifyExport(export, checkpoint.Key)
	if err != nil || summary.Records < 3 || summary.Records > checkpoint.Size {
		t.Fatalf("the export verifies as %+v, %v", summary, err)
	}
	p, err := admin.InclusionProof(t.Context(), 2, checkpoint.Size)
	if err != nil || p.Leaf == "" || len(p.Hashes) == 0 {
		t.Errorf("the proof of record 2 is %+v, %v", p, err)
	}
	if p, err = admin.ConsistencyProof(t.Context(), 3, checkpoint.Size); err != nil || len(p.Hashes) == 0 {
		t.Errorf("the proof of consistency is %+v, %v", p, err)
	}
}

// TestPages proves that a list of several pages is the whole list, once.
func TestPages(t *testing.T) {
	t.Parallel()
	r := start(t)
	admin := r.admin()
	want := map[string]bool{"admin": true}
	for name := range strings.FieldsSeq("anna ben carla dora emil fay gus") {
		if _, err := admin.CreatePrincipal(t.Context(), api.NewPrincipal{Kind: "user", Name: name}); err != nil {
			t.Fatal(err)
		}
		want[name] = true
	}
	var page api.Page[api.Principal]
	got := map[string]bool{}
	for cursor, pages := "", 0; ; pages++ {
		status, body := r.call(admin, http.MethodGet, "/principals?kind=user&limit=3&cursor="+cursor, nil, "")
		if status != http.StatusOK || json.Unmarshal([]byte(body), &page) != nil || len(page.Items) > 3 || pages > 5 {
			t.Fatalf("page %d is %d %s", pages, status, body)
		}
		for _, p := range page.Items {
			if got[p.Name] {
				t.Errorf("%s is listed twice", p.Name)
			}
			got[p.Name] = true
		}
		if cursor = page.Next; cursor == "" {
			break
		}
		page.Next = ""
	}
	if len(got) != len(want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	all, err := api.All(admin.Principals(t.Context(), api.PrincipalQuery{Kind: "user"}))
	if err != nil || len(all) != len(want) {
		t.Errorf("the client lists %d, %v; want %d", len(all), err, len(want))
	}
}

// TestPolicyRevision proves that a change of a policy that was not the one seen is refused.
func TestPolicyRevision(t *testing.T) {
	t.Parallel()
	_, admin, _ := guarded(t)
	seen, err := admin.MachinePolicy(t.Context(), "web-1")
	if err != nil || seen.Revision == 0 || len(seen.Ports) != 1 || seen.Machine != "web-1" {
		t.Fatalf("the policy is %+v, %v", seen, err)
	}
	next := seen.MachinePolicy
	next.Ports[0].MaxSeconds = 7200
	changed, err := admin.SetMachinePolicy(t.Context(), "web-1", next, seen.Revision)
	if err != nil || changed.Revision == seen.Revision || changed.Ports[0].MaxSeconds != 7200 {
		t.Fatalf("set gave %+v, %v", changed, err)
	}
	next.Ports[0].MaxSeconds = 60
	_, err = admin.SetMachinePolicy(t.Context(), "web-1", next, seen.Revision)
	wantProblem(t, "a change of what was not seen", err, http.StatusConflict, "")
	wantProblem(t, "a deletion of what was not seen", admin.DeleteMachinePolicy(t.Context(), "web-1", seen.Revision),
		http.StatusConflict, "")
	now, err := admin.MachinePolicy(t.Context(), "web-1")
	if err != nil || now.Revision != changed.Revision || now.Ports[0].MaxSeconds != 7200 {
		t.Errorf("the policy is %+v, %v; want it unchanged", now, err)
	}
	list, err := api.All(admin.Policies(t.Context()))
	if err != nil || len(list) != 1 || list[0].Machine != "web-1" || list[0].Revision != now.Revision {
		t.Errorf("the list is %+v, %v", list, err)
	}
	if err := admin.DeleteMachinePolicy(t.Context(), "web-1", now.Revision); err != nil {
		t.Error(err)
	}
	_, err = admin.MachinePolicy(t.Context(), "web-1")
	wantProblem(t, "a policy that was deleted", err, http.StatusNotFound, "")
}
