package access_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
)

// TestASwitchStopsWhatLiesInItsScope compares which switch disables a machine with a look at each: those of its own
// tenant that are off and whose scope holds it, the widest of them, whatever their order; and that one that was turned
// on again stops nothing, and tells for a while who turned it.
func TestASwitchStopsWhatLiesInItsScope(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := machineWith(nil)
		var all []access.Switch
		holds := map[access.ResourceID]bool{sub: true, group: true}
		for _, scope := range []access.ResourceID{sub, group, sub + "/resourceGroups/web-2", sub + "/resourceGroups/db"} {
			s := access.Switch{
				Scope: scope, Tenant: rapid.SampledFrom([]access.TenantID{"t", "other"}).Draw(t, "tenant"),
			}
			for i := range rapid.IntRange(0, 4).Draw(t, "turns") {
				s = s.Turned(rapid.Bool().Draw(t, "off"), "", access.Actor{ID: "ann"}, noon().Add(time.Duration(i)))
			}
			all = append(all, s)
		}
		all = rapid.Permutation(all).Draw(t, "in any order")
		want, enabled := access.ResourceID(""), 0
		for _, s := range all {
			if s.Tenant != "t" || !holds[s.Scope] {
				continue
			}
			enabled += len(s.Loosened)
			if s.Off && (want == "" || s.Scope == sub) {
				want = s.Scope
			}
		}
		got := access.DisabledBy(m, all)
		if got.Scope != want || got.Off != (want != "") {
			t.Fatalf("it is disabled by %q, want %q", got.Scope, want)
		}
		if n := len(access.TurnedOn(m, all)); n != enabled {
			t.Fatalf("%d turned it on, want %d", n, enabled)
		}
		for _, guarded := range []bool{false, true} {
			standing, reason := access.StandingOf(m, guarded, got)
			if m.Agent = "a"; (standing == access.Unsupported) != (reason != "") {
				t.Fatalf("%s for %q", standing, reason)
			}
			standing, _ = access.StandingOf(m, guarded, got)
			if (standing == access.Unsupported) != (want != "") {
				t.Fatalf("with an agent it is %s, disabled by %q", standing, want)
			}
			m.Agent = ""
		}
	})
}

// TestWhoEnablesAgainIsRemembered holds that only a turn from off to on is remembered, and for a week.
func TestWhoEnablesAgainIsRemembered(t *testing.T) {
	t.Parallel()
	by, now := access.Actor{ID: "ann"}, noon()
	s := access.Switch{Scope: group}.Turned(false, "", by, now)
	if len(s.Loosened) != 0 || s.Revision != 1 {
		t.Errorf("that it is on as before is remembered: %+v", s)
	}
	s = s.Turned(true, "a freeze", by, now).Turned(false, "", by, now.Add(time.Hour))
	how := access.MachinePolicy{Loosened: s.Loosened}.LoosenedBy([]access.PrincipalID{"ann"}, now.Add(2*time.Hour))
	if !slices.Equal(how, []string{"enabled again for resource group web"}) || s.Reason != "" {
		t.Errorf("%v is remembered of %+v", how, s)
	}
	if s = s.Turned(true, "", by, now.Add(2*access.LoosenedFor)); len(s.Loosened) != 0 {
		t.Errorf("after two weeks %+v is remembered", s.Loosened)
	}
}
