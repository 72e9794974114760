package access_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
)

func rolesRequest() access.Request {
	r := fullRequest()
	r.Windows = nil
	role := access.RoleTarget{Eligibility: "e-1", ID: "b24988ac", Name: "Contributor", Scope: "/subscriptions/S"}
	other := access.RoleTarget{Eligibility: "e-2", ID: "acdd72a7", Name: "Reader", Scope: "/subscriptions/S"}
	r.Items = []access.Item{
		{Target: role, PolicyRevision: 4, Duration: time.Hour},
		{Target: other, PolicyRevision: 1, Until: noon().Add(2 * time.Hour)},
	}
	return r
}

// TestWhatIsRecordedStaysAsItWas holds the digests of requests, and the events of requests and grants, as they were
// recorded before targets had types of their own: decisions are bound to the digests, and the activity log is read by
// programs.
func TestWhatIsRecordedStaysAsItWas(t *testing.T) {
	t.Parallel()
	const (
		portsDigest = "33e56ecba628a3441e0e5e8534626fbaedb955352822a2ea883d8abd60972722"
		rolesDigest = "a44a0632523f5a5a1fc458a2b8b15355be8dab30797f98104d0312b1831c136f"
	)
	for _, c := range []struct {
		request                access.Request
		submitted, revoked     map[string]string
		scope                  access.ResourceID // of the event of the request
		grantScope, grantPlace string
	}{
		{
			request: fullRequest(),
			submitted: map[string]string{
				"digest": portsDigest, "requester": "Ann", "justification": "why", "ticket": "INC-1",
				"start": "2026-03-02T12:01:00Z", "end": "2026-03-02T13:01:00Z", "ports": "22/tcp",
				"sources": "192.0.2.1/32,2001:db8::/32,192.0.2.1/32",
				"item.0": "machine m1 ports 22/tcp from 192.0.2.1/32,2001:db8::/32 " +
					"window 2026-03-02T12:01:00Z/2026-03-02T13:01:00Z",
				"item.1": "machine m2 ports 22/tcp from 192.0.2.1/32 " +
					"window 2026-03-02T12:01:00Z/2026-03-02T13:00:00Z",
			},
			revoked: map[string]string{
				"principal": "Ann", "start": "2026-03-02T12:01:00Z", "end": "2026-03-02T13:01:00Z", "reason": "done",
				"ports": "22", "protocol": "tcp", "sources": "192.0.2.1/32,2001:db8::/32",
			},
			grantPlace: "m1",
		},
		{
			request: rolesRequest(), scope: "/subscriptions/S",
			submitted: map[string]string{
				"digest": rolesDigest, "requester": "Ann", "justification": "why", "ticket": "INC-1",
				"start": "2026-03-02T12:01:00Z", "end": "2026-03-02T14:00:00Z", "role": "Contributor,Reader",
				"item.0": "role Contributor at /subscriptions/S window 2026-03-02T12:01:00Z/2026-03-02T13:01:00Z",
				"item.1": "role Reader at /subscriptions/S window 2026-03-02T12:01:00Z/2026-03-02T14:00:00Z",
			},
			revoked: map[string]string{
				"principal": "Ann", "start": "2026-03-02T12:01:00Z", "end": "2026-03-02T13:01:00Z", "reason": "done",
				"principalId": "ann", "role": "Contributor", "roleId": "b24988ac",
			},
			grantScope: "/subscriptions/S",
		},
	} {
		r, events := access.NewRequest(c.request, access.Actor{}, 0, noon())
		if !equal(events[0].Details, c.submitted) || events[0].Scope != c.scope || events[0].Machine != "" {
			t.Errorf("a request is recorded as %+v, want %v", events[0], c.submitted)
		}
		n := 0
		_, grants, _, err := r.Approve(access.Actor{}, nil, func() access.GrantID {
			n++
			return access.GrantID(strconv.Itoa(n))
		}, noon())
		if err != nil {
			t.Fatal(err)
		}
		_, events, err = grants[0].Revoke(access.Actor{}, "done", noon())
		if err != nil || !equal(events[0].Details, c.revoked) || string(events[0].Scope) != c.grantScope ||
			string(events[0].Machine) != c.grantPlace {
			t.Errorf("a grant is recorded as %+v %v, want %v", events, err, c.revoked)
		}
	}
}

// TestMatchKnowsEveryKind finds each kind by its function alone, and refuses what is no target.
func TestMatchKnowsEveryKind(t *testing.T) {
	t.Parallel()
	kind := func(target access.Target) string {
		return access.Match(target,
			func(p access.PortTarget) string { return "port on " + string(p.Machine) },
			func(r access.RoleTarget) string { return "role " + r.Name })
	}
	for want, target := range map[string]access.Target{
		"port on m": ssh("m"), "role Reader": access.RoleTarget{Name: "Reader"},
	} {
		if got := kind(target); got != want {
			t.Errorf("%v is a %q, want %q", target, got, want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("no target is one of a kind")
		}
	}()
	kind(nil)
}

func drawTarget(t *rapid.T) access.Target {
	if rapid.Bool().Draw(t, "is a role") {
		return access.RoleTarget{
			Eligibility: rapid.SampledFrom([]access.EligibilityID{"e1", "e2"}).Draw(t, "eligibility"),
			ID:          rapid.SampledFrom([]access.RoleID{"r1", "r2"}).Draw(t, "role"),
			Scope:       rapid.SampledFrom([]access.ResourceID{"/S", "/s", "/t"}).Draw(t, "scope"),
		}
	}
	return drawGrant(t).Target
}

// TestTargetsAgreeWithThemselves holds the questions about two targets together: what is alike overlaps, at one site,
// whoever is asked; a role never has to do with a port; and a grant of a role opens nothing on a machine.
func TestTargetsAgreeWithThemselves(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawTarget(t), drawTarget(t)
		if !a.Alike(a) || !a.Overlaps(a) {
			t.Fatalf("%v is not like itself", a)
		}
		if a.Alike(b) != b.Alike(a) || a.Overlaps(b) != b.Overlaps(a) {
			t.Fatalf("%v and %v do not agree", a, b)
		}
		if a.Alike(b) && !a.Overlaps(b) || a.Overlaps(b) && a.Site() != b.Site() {
			t.Fatalf("%v and %v are alike, but apart", a, b)
		}
		if (a.Action() != b.Action() || a.Merges() != b.Merges()) && a.Overlaps(b) {
			t.Fatalf("%v and %v are of two kinds, and overlap", a, b)
		}
		onMachine := a.Place().Machine != ""
		if onMachine == (a.Place().Scope != "") || onMachine != a.Merges() || !onMachine && len(a.Openings()) > 0 {
			t.Fatalf("%v takes effect at %+v and opens %v", a, a.Place(), a.Openings())
		}
		if slices.ContainsFunc(a.Openings(), func(k access.OpeningKey) bool { return k.Machine != a.Place().Machine }) {
			t.Fatalf("%v opens %v", a, a.Openings())
		}
	})
}
