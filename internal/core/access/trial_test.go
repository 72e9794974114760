package access

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawProtected draws a few protected ranges of two machines that lie close together.
func drawProtected(t *rapid.T, label string) (all []Protected) {
	for range rapid.IntRange(0, 4).Draw(t, label) {
		first := rapid.Uint16Range(1, 12).Draw(t, "first")
		all = append(all, Protected{
			Machine:  MachineID(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "machine")),
			Protocol: rapid.SampledFrom([]Protocol{TCP, UDP}).Draw(t, "protocol"),
			Ports:    PortRange{First: first, Last: first + rapid.Uint16Range(0, 4).Draw(t, "more")},
			Sessions: rapid.SampledFrom([]SessionMode{SessionsCut, SessionsKeep}).Draw(t, "sessions"),
		})
	}
	return all
}

// points gives each protected port of a machine by itself.
func points(all []Protected, machine MachineID) map[string]bool {
	found := map[string]bool{}
	for _, p := range all {
		for port := int(p.Ports.First); p.Machine == machine && port <= int(p.Ports.Last); port++ {
			found[fmt.Sprint(p.Protocol, port)] = true
		}
	}
	return found
}

func covered(t *rapid.T, what string, part, whole map[string]bool) {
	t.Helper()
	for k := range part {
		if !whole[k] {
			t.Fatalf("%s: %s is not protected any more", what, k)
		}
	}
}

// TestATrialTakesNothingAwayThatStood has a holder receive any states, old ones and made-up ones among them, while time
// passes: what it had protected without a trial stays protected, until a state without a trial says otherwise.
func TestATrialTakesNothingAwayThatStood(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_000, 0)
		var holding DesiredState
		stood := map[MachineID]map[string]bool{"a": {}, "b": {}}
		for range rapid.IntRange(1, 12).Draw(t, "states") {
			now = now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "passed")) * time.Second)
			holding = holding.Lapsed(now)
			next := DesiredState{Protected: drawProtected(t, "protected")}
			for _, m := range []MachineID{"a", "b"} {
				if !rapid.Bool().Draw(t, "on trial") {
					continue
				}
				u := Unconfirmed{
					Trial:   string(m) + rapid.SampledFrom([]string{"1", "2"}).Draw(t, "trial"),
					Machine: m, Until: now.Add(time.Duration(rapid.IntRange(-2, 8).Draw(t, "left")) * time.Second),
				}
				for _, p := range drawProtected(t, "former") {
					if p.Machine == m {
						u.Former = append(u.Former, p)
					}
				}
				next.Trials = append(next.Trials, u)
			}
			next = next.Upheld(holding)
			onTrial := map[MachineID]bool{}
			for _, u := range next.Trials {
				onTrial[u.Machine] = true
				covered(t, "what stood, in what is given back", stood[u.Machine], points(u.Former, u.Machine))
			}
			for m := range stood {
				if !onTrial[m] {
					stood[m] = points(next.Protected, m) // the server's word, and no trial's
				}
			}
			holding = next.Lapsed(now)
			for _, u := range next.Trials {
				want := points(u.Former, u.Machine)
				if now.Before(u.Until) {
					want = points(next.Protected, u.Machine)
				}
				is := points(holding.Protected, u.Machine)
				covered(t, "what is given back", want, is)
				covered(t, "nothing more than that", is, want)
			}
		}
	})
}

// TestATrialThatIsHeldEndsNoLater sends a trial again that is held: its end moves only nearer.
func TestATrialThatIsHeldEndsNoLater(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000, 0)
	with := func(left time.Duration) DesiredState {
		return DesiredState{Trials: []Unconfirmed{{Trial: "t", Machine: "a", Until: now.Add(left)}}}
	}
	for _, c := range []struct{ before, next, want time.Duration }{
		{time.Minute, time.Hour, time.Minute},
		{time.Hour, time.Minute, time.Minute},
		{-time.Second, time.Minute, -time.Second},
	} {
		if got := with(c.next).Upheld(with(c.before)).Trials[0].Until.Sub(now); got != c.want {
			t.Errorf("held for %s and sent for %s, it ends in %s", c.before, c.next, got)
		}
	}
}

// TestDesiredOfATrial derives what an agent holds of a machine whose policy is to be confirmed, before its end and
// after, with a policy of the machine before and without one, and with one of its resource group behind it.
func TestDesiredOfATrial(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_000, 0)
	m := Machine{ID: "a", Tenant: "t", Resource: "/subscriptions/s/resourceGroups/g/providers/x/y/a"}
	rule := func(port uint16) []PortRule { return []PortRule{{Ports: SinglePort(port), Protocol: TCP}} }
	group := []ScopePolicy{{
		ID: "p", Tenant: "t", Scope: "/subscriptions/s/resourceGroups/g", Rules: MachinePolicy{Ports: rule(443)},
	}}
	for name, c := range map[string]struct {
		trial  Trial
		scopes []ScopePolicy
		former string
	}{
		"nothing before":                {Trial{}, nil, ""},
		"a policy before":               {Trial{Named: true, Ports: rule(80)}, nil, "80 "},
		"one of the resource group":     {Trial{}, group, "443 "},
		"of the machine and of a group": {Trial{Named: true, Ports: rule(80)}, group, "80 443 "},
	} {
		c.trial.ID, c.trial.Until = "trial-1", began.Add(time.Minute)
		entry := MachinePolicy{Machine: "a", Ports: append(rule(22), c.trial.Ports...), Trial: &c.trial}
		scene := Scene{Agent: Agent{ID: "agent"}, Machines: []Machine{m}, Policies: []MachinePolicy{entry}, Scopes: c.scopes}
		text := func(all []Protected) (s string) {
			for _, p := range all {
				s += p.Ports.String() + " "
			}
			return s
		}
		d := Desired(scene, began)
		if got, want := text(d.Protected), "22 "+c.former; got != want || len(d.Trials) != 1 {
			t.Errorf("%s: during the trial %s is protected, want %s", name, got, want)
			continue
		}
		if got := text(d.Trials[0].Former); got != c.former || !d.Trials[0].Until.Equal(c.trial.Until) {
			t.Errorf("%s: it gives back %s, want %s", name, got, c.former)
		}
		d = Desired(scene, c.trial.Until)
		if got := text(d.Protected); got != c.former || len(d.Trials) != 0 {
			t.Errorf("%s: after the trial %s is protected, want %s", name, got, c.former)
		}
	}
}
