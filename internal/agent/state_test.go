package agent

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
)

func compareStates() cmp.Options {
	return cmp.Options{
		cmp.AllowUnexported(held{}), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
		cmpopts.EquateEmpty(),
	}
}

func testSelf() Identity {
	return Identity{
		Server: "https://127.0.0.1:1", Agent: "agent-1", Machine: "machine-1", Name: "web-1",
		Mode: access.ModeHost,
	}
}

// opening gives an opening of one port of machine-1 until so long after now.
func opening(port uint16, source string, now reading, remaining time.Duration,
	grants ...access.GrantID,
) access.Opening {
	return access.Opening{
		OpeningKey: access.OpeningKey{
			Machine: "machine-1", Source: netip.MustParsePrefix(source), Protocol: access.TCP,
			Ports: access.SinglePort(port),
		},
		Until: now.boot.Add(remaining), Grants: grants,
	}
}

func stateOf(now reading, revision int64, openings ...access.Opening) held {
	return held{contact: now.boot, DesiredState: access.DesiredState{
		Agent: "agent-1", Revision: revision, Mode: access.ModeHost,
		Machines: []access.Guarded{{
			Machine: "machine-1", Name: "web-1",
			Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")},
		}},
		Protected: []access.Protected{{
			Machine: "machine-1", Protocol: access.TCP, Ports: access.SinglePort(22),
			Sessions: access.SessionsKeep,
		}},
		Openings: openings,
	}}
}

func at(boot time.Duration, wall time.Time, id string) reading {
	return reading{boot: bootInstant(boot), wall: wall, bootID: id}
}

func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func TestRestore(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	saved := at(100*hour, noon(), "boot-1")
	for _, c := range []struct {
		name string
		now  reading
		want time.Duration // what remains of an opening that had an hour left; 0 when it must be closed
	}{
		{"at once", saved, hour},
		{"later on the same boot", at(100*hour+10*time.Minute, noon().Add(10*time.Minute), "boot-1"), 50 * time.Minute},
		{
			"same boot, wall clock a day ahead", at(100*hour+10*time.Minute, noon().Add(24*hour), "boot-1"),
			50 * time.Minute,
		},
		{
			"same boot, wall clock a day behind", at(100*hour+10*time.Minute, noon().Add(-24*hour), "boot-1"),
			50 * time.Minute,
		},
		{"same boot, slept past the end", at(101*hour, noon(), "boot-1"), 0},
		{"same boot, clock behind the saving", at(99*hour, noon(), "boot-1"), 0},
		{"rebooted", at(time.Minute, noon().Add(10*time.Minute), "boot-2"), 50 * time.Minute},
		{"rebooted, past the end", at(time.Minute, noon().Add(hour), "boot-2"), 0},
		{"rebooted, wall clock a day ahead", at(time.Minute, noon().Add(24*hour), "boot-2"), 0},
		{"rebooted, wall clock a day behind", at(time.Minute, noon().Add(-24*hour), "boot-2"), 0},
		{"rebooted in an instant", at(0, noon(), "boot-2"), hour},
		{"boot unknown", at(100*hour+10*time.Minute, noon().Add(30*time.Minute), ""), 30 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			was := stateOf(saved, 7, opening(22, "203.0.113.0/24", saved, hour, "grant-1"))
			got := toSaved(was, saved).restore(c.now)
			want := stateOf(c.now, 7)
			if c.want > 0 {
				want.Openings = []access.Opening{opening(22, "203.0.113.0/24", c.now, c.want, "grant-1")}
			} else {
				want.Ended = []access.GrantID{"grant-1"}
			}
			if diff := cmp.Diff(want, got, compareStates(), cmpopts.IgnoreFields(held{}, "contact")); diff != "" {
				t.Errorf("restored state (-want +got):\n%s", diff)
			}
		})
	}
}

// An agent lives through restarts, reboots, suspends and wrong wall clocks. Nothing is ever open for longer than what
// remained when it was saved, and on one boot nothing is open past its end, whatever the wall clock shows.
func TestRestoreNeverLengthens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		truth := noon()
		boot, boots := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "uptime")), 1
		wrong := time.Duration(0) // how far the wall clock is off
		read := func() reading { return at(boot, truth.Add(wrong), fmt.Sprintf("boot-%d", boots)) }
		end := truth.Add(time.Duration(rapid.Int64Range(int64(time.Second), int64(24*time.Hour)).Draw(t, "remaining")))
		state := stateOf(read(), 1, opening(22, "0.0.0.0/0", read(), end.Sub(truth), "g"))
		honest := true // the wall clock has been right so far
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			saved := toSaved(state, read())
			remained := time.Duration(0)
			if len(state.Openings) > 0 {
				remained = state.Openings[0].Until.Sub(read().boot)
			}
			passed := time.Duration(rapid.Int64Range(0, int64(6*time.Hour)).Draw(t, "passed"))
			truth = truth.Add(passed)
			reboots := rapid.Bool().Draw(t, "reboots")
			if reboots {
				boots++
				boot = time.Duration(rapid.Int64Range(0, int64(passed)).Draw(t, "up again for"))
			} else {
				boot += passed // a suspend counts as well
			}
			if rapid.Bool().Draw(t, "sets the clock") {
				wrong = time.Duration(rapid.Int64Range(-int64(24*time.Hour), int64(24*time.Hour)).Draw(t, "off by"))
				honest = honest && wrong == 0
			}
			state = saved.restore(read())
			for _, o := range state.Openings {
				left := o.Until.Sub(read().boot)
				if left > remained {
					t.Fatalf("%s are left, and %s remained when it was saved", left, remained)
				}
				if (honest || boots == 1) && truth.Add(left).After(end.Add(time.Microsecond)) {
					t.Fatalf("open until %s, which is past its end %s", truth.Add(left), end)
				}
			}
			if honest && truth.Before(end.Add(-time.Millisecond)) && len(state.Openings) == 0 {
				t.Fatalf("closed with %s left, though every clock was right", end.Sub(truth))
			}
			if len(state.Protected) != 1 {
				t.Fatal("the protected port was lost")
			}
		}
	})
}

func TestLoad(t *testing.T) {
	t.Parallel()
	now := at(time.Hour, noon(), "boot-1")
	full := stateOf(now, 7, opening(22, "203.0.113.0/24", now, time.Hour, "grant-1"))
	closed := stateOf(now, 0)
	recommended := closedState(testSelf(), access.DesiredState{}, now)
	spoil := func(name string, change func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), change(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	half := func(b []byte) []byte { return b[:len(b)/2] }
	zeroes := func(b []byte) []byte { return make([]byte, len(b)) }
	for _, c := range []struct {
		name    string
		self    func(*Identity)
		harm    []func(*testing.T, string)
		want    held
		problem string
	}{
		{name: "whole", want: full},
		{name: "cut off", harm: []func(*testing.T, string){spoil(stateFile, half)}, want: closed, problem: "checksum"},
		{
			name: "zeroed", harm: []func(*testing.T, string){spoil(stateFile, zeroes)}, want: closed,
			problem: "does not begin",
		},
		{name: "end moved by hand", harm: []func(*testing.T, string){spoil(stateFile, func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"first":22`), []byte(`"first":23`), 1)
		})}, want: closed, problem: "checksum"},
		{
			name: "both files spoilt",
			harm: []func(*testing.T, string){spoil(stateFile, half), spoil(protectedFile, half)}, want: recommended,
			problem: "checksum",
		},
		{name: "state removed", harm: []func(*testing.T, string){func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Remove(filepath.Join(dir, stateFile)); err != nil {
				t.Fatal(err)
			}
		}}, want: closed},
		{
			name: "of another agent", self: func(id *Identity) { id.Agent = "agent-2" },
			want: func() held { h := closed; h.Agent = "agent-2"; return h }(),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, self := t.TempDir(), testSelf()
			if err := save(dir, full, now); err != nil {
				t.Fatal(err)
			}
			for _, harm := range c.harm {
				harm(t, dir)
			}
			if c.self != nil {
				c.self(&self)
			}
			got, problem := load(dir, self, now)
			if diff := cmp.Diff(c.want, got, compareStates()); diff != "" {
				t.Errorf("loaded state (-want +got):\n%s", diff)
			}
			if c.problem == "" && problem != "" || !strings.Contains(problem, c.problem) {
				t.Errorf("problem is %q, want one with %q", problem, c.problem)
			}
		})
	}
}

func TestLoadWithoutState(t *testing.T) {
	t.Parallel()
	got, problem := load(t.TempDir(), testSelf(), at(0, noon(), "b"))
	if problem != "" || len(got.Openings) != 0 {
		t.Errorf("got problem %q and %d openings, want none", problem, len(got.Openings))
	}
	var ports []string
	for _, p := range got.Protected {
		ports = append(ports, p.Ports.String())
	}
	if diff := cmp.Diff([]string{"22", "3389", "5985", "5986"}, ports); diff != "" {
		t.Errorf("protected ports (-want +got):\n%s", diff)
	}
	gateway := testSelf()
	gateway.Mode = access.ModeGateway
	if got, _ := load(t.TempDir(), gateway, at(0, noon(), "b")); len(got.Protected) != 0 {
		t.Errorf("a gateway protects %v of machines that it does not know", got.Protected)
	}
}

// Whatever a state file holds, loading it neither panics nor opens anything for longer than a policy may allow.
func FuzzState(f *testing.F) {
	now := at(time.Hour, noon(), "boot-1")
	good, err := encodeState(toSaved(stateOf(now, 7, opening(22, "203.0.113.0/24", now, time.Hour, "grant-1")), now))
	if err != nil {
		f.Fatal(err)
	}
	_, body, _ := bytes.Cut(good, []byte("\n"))
	f.Add(body)
	f.Add([]byte(`{"bootId":"boot-1","mode":"host","openings":[{"source":"::/0","protocol":"udp","first":1,"last":1,"untilBootNanos":9223372036854775807}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var s savedState
		if decodeStrictly(body, &s) != nil {
			return
		}
		data, err := encodeState(s)
		if err != nil {
			return
		}
		again, err := decodeState(data)
		if err != nil {
			return
		}
		for _, now := range []reading{now, at(time.Minute, noon().Add(time.Hour), "boot-2"), at(0, time.Unix(0, 0), "")} {
			h := again.restore(now)
			for _, o := range h.Openings {
				if left := o.Until.Sub(now.boot); left <= 0 || left > access.MaxDuration {
					t.Errorf("an opening remains for %s", left)
				}
			}
			if h.contact.After(now.boot) {
				t.Errorf("the last contact lies ahead: %s", h.contact)
			}
		}
	})
}
