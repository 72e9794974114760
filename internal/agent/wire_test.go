package agent

import (
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

func wireState() api.Desired {
	return api.Desired{
		Agent: "agent-1", Revision: 7, Mode: "host", ServerTime: noon().UnixMicro(),
		Machines:  []api.Guarded{{Machine: "machine-1", Name: "web-1", Addresses: []string{"192.0.2.1", "2001:db8::1"}}},
		Protected: []api.Protected{{Machine: "machine-1", Protocol: "tcp", Ports: "22", Sessions: "cut"}, {Machine: "machine-1", Protocol: "udp", Ports: "8000-8010", Sessions: "keep"}},
		Openings: []api.Opening{{
			Machine: "machine-1", Source: "203.0.113.0/24", Protocol: "tcp", Ports: "22", RemainingMillis: 60_000,
			CloseAfterMillis: 5_000, Grants: []string{"g1", "g2"},
		}},
		Ended: []string{"g0"},
	}
}

func TestFromWire(t *testing.T) {
	t.Parallel()
	origin := bootInstant(time.Hour)
	got, problems, err := fromWire(wireState(), testSelf(), origin)
	if err != nil || len(problems) > 0 {
		t.Fatalf("problems %q, error %v", problems, err)
	}
	want := access.DesiredState{
		Agent: "agent-1", Revision: 7, Mode: access.ModeHost,
		Machines: []access.Guarded{{Machine: "machine-1", Name: "web-1", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}}},
		Protected: []access.Protected{
			{Machine: "machine-1", Protocol: access.TCP, Ports: access.SinglePort(22), Sessions: access.SessionsCut},
			{Machine: "machine-1", Protocol: access.UDP, Ports: access.PortRange{First: 8000, Last: 8010}, Sessions: access.SessionsKeep},
		},
		Openings: []access.Opening{{
			OpeningKey: access.OpeningKey{Machine: "machine-1", Source: netip.MustParsePrefix("203.0.113.0/24"), Protocol: access.TCP, Ports: access.SinglePort(22)},
			Until:      origin.Add(time.Minute - runApart(time.Minute)), CloseAfter: 5 * time.Second, Grants: []access.GrantID{"g1", "g2"},
		}},
		Ended: []access.GrantID{"g0"},
	}
	if diff := cmp.Diff(want, got, compareStates()); diff != "" {
		t.Errorf("desired state (-want +got):\n%s", diff)
	}
}

func TestFromWireRefusesTheWhole(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*api.Desired){
		"another agent":     func(d *api.Desired) { d.Agent = "agent-2" },
		"another mode":      func(d *api.Desired) { d.Mode = "gateway" },
		"negative revision": func(d *api.Desired) { d.Revision = -1 },
		"too many openings": func(d *api.Desired) { d.Openings = make([]api.Opening, maxOpenings+1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := wireState()
			edit(&d)
			if got, _, err := fromWire(d, testSelf(), bootInstant(0)); err == nil {
				t.Errorf("took in %v", got)
			}
		})
	}
}

func TestFromWireLeavesWhatMakesNoSenseClosed(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*api.Opening){
		"port 0":               func(o *api.Opening) { o.Ports = "0" },
		"port 70000":           func(o *api.Opening) { o.Ports = "70000" },
		"range backwards":      func(o *api.Opening) { o.Ports = "30-20" },
		"any protocol":         func(o *api.Opening) { o.Protocol = "any" },
		"no prefix":            func(o *api.Opening) { o.Source = "home" },
		"foreign machine":      func(o *api.Opening) { o.Machine = "machine-2" },
		"longer than for ever": func(o *api.Opening) { o.RemainingMillis = math.MaxInt64 },
		"negative after loss":  func(o *api.Opening) { o.CloseAfterMillis = -1 },
		"no grant":             func(o *api.Opening) { o.Grants = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := wireState()
			edit(&d.Openings[0])
			d.Openings = append(d.Openings, wireState().Openings[0])
			got, problems, err := fromWire(d, testSelf(), bootInstant(0))
			if err != nil || len(got.Openings) != 1 || len(got.Protected) != 2 {
				t.Errorf("took in %d openings and %d protected ranges with error %v; want the one that is whole, and both", len(got.Openings), len(got.Protected), err)
			}
			if len(problems) != 1 || !strings.Contains(problems[0], "stays closed") {
				t.Errorf("problems are %q", problems)
			}
		})
	}
	d := wireState()
	d.Openings[0].RemainingMillis = 0
	if got, problems, err := fromWire(d, testSelf(), bootInstant(0)); err != nil || len(problems) > 0 || len(got.Openings) > 0 {
		t.Errorf("an opening that is over: %v, %q, %v", got.Openings, problems, err)
	}
}

// Whatever a server sends, nothing opens for longer than a policy may allow, on a machine that is not guarded, or
// on ports that are none.
func FuzzDesired(f *testing.F) {
	text, err := json.Marshal(wireState())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"agent":"agent-1","mode":"host","openings":[{"remainingMillis":9223372036854775807}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var d api.Desired
		if json.Unmarshal(text, &d) != nil {
			return
		}
		origin := bootInstant(time.Hour)
		got, _, err := fromWire(d, testSelf(), origin)
		if err != nil {
			return
		}
		guarded := make(map[access.MachineID]bool)
		for _, m := range got.Machines {
			guarded[m.Machine] = true
		}
		for _, o := range got.Openings {
			left := o.Until.Sub(origin)
			if left <= 0 || left > access.MaxDuration || !o.Ports.Valid() || !o.Source.IsValid() || o.Source != o.Source.Masked() || !guarded[o.Machine] ||
				o.CloseAfter < 0 || o.Protocol != access.TCP && o.Protocol != access.UDP {
				t.Errorf("took in %+v", o)
			}
		}
		now := reading{boot: origin, wall: noon(), bootID: "b"}
		data, err := encodeState(toSaved(held{got, origin}, now))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeState(data); err != nil {
			t.Errorf("what was taken in cannot be read back from the disk: %v", err)
		}
	})
}

func TestReportsStayWithinTheLimits(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 5000)
	w := toWire(access.Report{Problem: long, Drift: []string{long}, Observations: []access.Observation{{Grant: "g", Status: access.StatusFailed, Detail: "\xff" + long}}})
	for what, text := range map[string]string{"problem": w.Problem, "drift": w.Drift[0], "detail": w.Observations[0].Detail} {
		if len(text) > maxProblem || !utf8.ValidString(text) || text == "" {
			t.Errorf("%s has %d bytes, valid UTF-8: %t", what, len(text), utf8.ValidString(text))
		}
	}
	if len(w.Observations[0].Detail) > maxDetail || len(w.Drift[0]) > maxDetail {
		t.Error("a detail is too long")
	}
}
