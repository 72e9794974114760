package engine_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/requests"
)

// TestGlassCodes proves that codes reach the agent sealed, and that a use leaves its record and its debt once.
func TestGlassCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	codes, _, err := w.Hosts.IssueGlassCodes(w.ctx, w.admin, "web-1", 3)
	if err != nil || len(codes) != 3 {
		t.Fatalf("%v, %v", codes, err)
	}
	sealed := w.desired(host.Agent.ID).Codes
	if len(sealed) != 3 || sealed[0].Most != time.Hour {
		t.Fatalf("the agent gets %+v", sealed)
	}
	_, _, err = w.Hosts.IssueGlassCodes(w.ctx, w.admin, "web-1", 18)
	wantCode(t, err, access.KindConflict, "tooManyCodes")
	_, _, err = w.Hosts.IssueGlassCodes(w.ctx, w.user("anna", "JIT Access Requester"), "web-1", 1)
	if access.KindOf(err) != access.KindForbidden {
		t.Errorf("anybody issues codes: %v", err)
	}
	use := requests.GlassUse{
		Code: engine.GlassCodeID(sealed[0].ID), Ports: access.SinglePort(22), Protocol: access.TCP,
		Source: netip.MustParsePrefix("203.0.113.7/32"),
		Opened: w.clock.now(), Duration: 30 * time.Minute, Reason: "site down",
	}
	for range 2 { // a report may come twice
		if err := w.Requests.GlassUsed(w.ctx, host.Agent.ID, office, use); err != nil {
			t.Fatal(err)
		}
	}
	last := func() time.Time { return must(w.Machines.Machine(w.ctx, w.admin, "web-1"))(t).Machine.LastAccess }
	if !last().Equal(use.Opened) {
		t.Errorf("the last access was at %s, want %s", last(), use.Opened)
	}
	earlier := use // which an agent tells of late
	earlier.Code, earlier.Opened = engine.GlassCodeID(sealed[2].ID), use.Opened.Add(-time.Hour)
	if err := w.Requests.GlassUsed(w.ctx, host.Agent.ID, office, earlier); err != nil || !last().Equal(use.Opened) {
		t.Errorf("after one before it the last access is that of %s: %v", last(), err)
	}
	// What another says of it is on record as of a code that nobody knows, and makes no debt.
	if err := w.Requests.GlassUsed(w.ctx, w.host("web-2").Agent.ID, office,
		requests.GlassUse{Code: engine.GlassCodeID(sealed[1].ID), Ports: use.Ports, Duration: time.Hour}); err != nil {
		t.Fatal(err)
	}
	reviews := must(w.Requests.Reviews(w.ctx, w.admin, engine.ReviewFilter{}, engine.Page{}))(t)
	if len(reviews.Items) != 2 || !reviews.Items[0].Review.Offline {
		t.Errorf("reviews %+v", reviews.Items)
	}
	count := 0
	for _, e := range w.events() {
		if e.Kind == access.GlassBroken && e.Details["forgotten"] == "" {
			count++
		}
	}
	if count != 2 || len(w.desired(host.Agent.ID).Codes) != 1 {
		t.Errorf("%d events, %d codes are left", count, len(w.desired(host.Agent.ID).Codes))
	}
}

// TestGlassCodesOutliveAnEnrollment proves that codes go on with their machine when its host is enrolled anew, and that
// a use before is put on record by the agent that the host has now.
func TestGlassCodesOutliveAnEnrollment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	w.guard("web-1")
	if _, _, err := w.Hosts.IssueGlassCodes(w.ctx, w.admin, "web-1", 3); err != nil {
		t.Fatal(err)
	}
	fresh := must(w.enrolWith(w.admin, machines.TokenInput{Name: "web-1"}))(t)
	sealed := w.desired(fresh.Agent.ID).Codes
	if len(sealed) != 3 {
		t.Fatalf("the new agent gets %+v", sealed)
	}
	err := w.Requests.GlassUsed(w.ctx, fresh.Agent.ID, office, requests.GlassUse{
		Code: engine.GlassCodeID(sealed[0].ID), Ports: access.SinglePort(22), Protocol: access.TCP,
		Source: netip.MustParsePrefix("203.0.113.7/32"),
		Opened: w.clock.now(), Duration: time.Hour, Reason: "site down",
	})
	if err != nil {
		t.Fatal(err)
	}
	if reviews := must(w.Requests.Reviews(w.ctx, w.admin, engine.ReviewFilter{}, engine.Page{}))(
		t); len(reviews.Items) != 1 || len(w.desired(fresh.Agent.ID).Codes) != 2 {
		t.Errorf("reviews are %+v, and %d codes are left", reviews.Items, len(w.desired(fresh.Agent.ID).Codes))
	}
	if n := must(w.Hosts.RevokeGlassCodes(w.ctx, w.admin, "web-1"))(
		t); n != 2 || len(w.desired(fresh.Agent.ID).Codes) != 0 {
		t.Errorf("%d were revoked, and %d are left", n, len(w.desired(fresh.Agent.ID).Codes))
	}
}

// TestNoGlassCodeHidesBehindOthers proves that the codes which still open a machine are counted, listed and revoked,
// however many were issued and revoked before them.
func TestNoGlassCodeHidesBehindOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	w.guard("web-1")
	issue := func(count int) error {
		_, _, err := w.Hosts.IssueGlassCodes(w.ctx, w.admin, "web-1", count)
		return err
	}
	for range 51 {
		if err := issue(20); err != nil {
			t.Fatal(err)
		}
		must(w.Hosts.RevokeGlassCodes(w.ctx, w.admin, "web-1"))(t)
		w.clock.advance(time.Second)
	}
	if err := issue(20); err != nil {
		t.Fatal(err)
	}
	wantCode(t, issue(1), access.KindConflict, "tooManyCodes")
	live := 0
	for _, d := range must(w.Hosts.GlassCodes(w.ctx, w.admin, "web-1"))(t) {
		if w.clock.now().Before(d.Code.ExpiresAt) {
			live++
		}
	}
	if n := must(w.Hosts.RevokeGlassCodes(w.ctx, w.admin, "web-1"))(t); live != 20 || n != 20 {
		t.Errorf("%d are listed, and %d were revoked", live, n)
	}
}

// An agent keeps so many codes of all its machines: nobody is given one on paper that the agent would not know.
func TestNoGlassCodeIsIssuedThatItsAgentWouldNotKeep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.host("web-1").Agent.ID
	w.guard("web-1")
	m := must(w.Machines.Machine(w.ctx, w.admin, "web-1"))(t).Machine.ID
	w.save(func(tx engine.Tx) error {
		for i := range access.MaxSealedCodes - 1 {
			err := tx.SaveGlassCode(w.ctx, engine.GlassCode{
				ID: engine.GlassCodeID(fmt.Sprint(i)), Machine: m, Agent: agent, Hash: "h", Most: time.Hour,
				IssuedBy: w.admin.Principal,
				IssuedAt: w.clock.now(), ExpiresAt: w.clock.now().Add(time.Hour), UsedAt: time.Time{},
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	_, _, err := w.Hosts.IssueGlassCodes(w.ctx, w.admin, "web-1", 2)
	wantCode(t, err, access.KindConflict, "tooManyCodesOfAgent")
	w.clock.advance(2 * time.Hour) // they end
	if _, _, err := w.Hosts.IssueGlassCodes(w.ctx, w.admin, "web-1", 2); err != nil {
		t.Error(err)
	}
}

// TestGlassUseByAWildClock proves that the request which stands for a use can be written, whatever the agent says of
// when.
func TestGlassUseByAWildClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	if _, _, err := w.Hosts.IssueGlassCodes(w.ctx, w.admin, "web-1", 2); err != nil {
		t.Fatal(err)
	}
	for i, micros := range []int64{math.MinInt64, math.MaxInt64} {
		err := w.Requests.GlassUsed(w.ctx, host.Agent.ID, office, requests.GlassUse{
			Code: engine.GlassCodeID(w.desired(host.Agent.ID).Codes[0].ID), Ports: access.SinglePort(22),
			Protocol: access.TCP, Source: netip.MustParsePrefix("203.0.113.7/32"),
			Opened: time.UnixMicro(micros), Duration: time.Hour, Reason: "site down",
		})
		if err != nil {
			t.Fatal(err)
		}
		list := must(w.Requests.Requests(w.ctx, w.admin, engine.RequestFilter{}, engine.Page{}))(t)
		if _, err := json.Marshal(list); err != nil || len(list.Items) != i+1 {
			t.Errorf("after %d there are %d requests, and %v", micros, len(list.Items), err)
		}
	}
}

// TestGlassCodesAreRevoked proves that revoked codes leave the agent, that others can be issued in their place, and
// that a use by an agent which had not heard of it is recorded, also of a code that is long forgotten.
func TestGlassCodesAreRevoked(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, twoOfOps)
	_, _, err := w.Hosts.IssueGlassCodes(w.ctx, w.admin, "web-1", 20)
	if err != nil {
		t.Fatal(err)
	}
	old := w.desired(w.host.Agent.ID).Codes
	start := w.size()
	if n := must(w.Hosts.RevokeGlassCodes(w.ctx, w.admin, "web-1"))(
		t); n != 20 || len(w.desired(w.host.Agent.ID).Codes) != 0 || w.kinds(start) != "breakGlass.codesRevoked" {
		t.Fatalf("%d were revoked, the agent has %v, events are %s", n, w.desired(w.host.Agent.ID).Codes,
			w.kinds(start))
	}
	_, _, err = w.Hosts.IssueGlassCodes(w.ctx, w.admin, "web-1", 1)
	if err != nil {
		t.Fatal(err)
	}
	if list := must(w.Hosts.GlassCodes(w.ctx, w.admin, "web-1"))(
		t); len(list) != 21 || list[0].IssuerName != "admin" || w.clock.now().Before(list[0].Code.ExpiresAt) {
		t.Errorf("the list is %+v", list)
	}
	_, err = w.Hosts.RevokeGlassCodes(w.ctx, w.ann, "web-1")
	wantCode(t, err, access.KindForbidden, "forbidden")
	_, err = w.Hosts.GlassCodes(w.ctx, w.ann, "web-1")
	wantCode(t, err, access.KindForbidden, "forbidden")

	use := requests.GlassUse{
		Code: engine.GlassCodeID(old[0].ID), Ports: access.SinglePort(22), Protocol: access.TCP,
		Source: netip.MustParsePrefix("203.0.113.7/32"),
		Opened: w.clock.now(), Duration: 30 * time.Minute, Reason: "site down",
	}
	if err := w.Requests.GlassUsed(w.ctx, w.host.Agent.ID, office, use); err != nil {
		t.Fatal(err)
	}
	review := must(w.Requests.Reviews(w.ctx, w.bob, engine.ReviewFilter{}, engine.Page{}))(t)
	if len(review.Items) != 1 || !review.Items[0].Mine {
		t.Errorf("an approver of the machine is shown %+v", review.Items)
	}
	w.clock.advance(400 * 24 * time.Hour)
	if _, err := w.Purge(w.ctx); err != nil {
		t.Fatal(err)
	}
	start = w.size()
	use.Code = engine.GlassCodeID(old[1].ID)
	if err := w.Requests.GlassUsed(w.ctx, w.host.Agent.ID, office, use); err != nil {
		t.Fatal(err)
	}
	if got := w.kinds(start); got != "breakGlass.used" {
		t.Errorf("events are %q", got)
	}
}
