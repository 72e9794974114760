package agentwire

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
)

func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func compare() cmp.Options {
	return cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()}
}

func wireState() Desired {
	return Desired{
		Agent: "agent-1", Revision: 7, Mode: "host", ServerTime: noon().UnixMicro(),
		Machines: []Guarded{{Machine: "machine-1", Name: "web-1", Addresses: []string{"192.0.2.1", "2001:db8::1"}}},
		Protected: []Protected{
			{Machine: "machine-1", Protocol: "tcp", Ports: "22", Sessions: "cut"},
			{Machine: "machine-1", Protocol: "udp", Ports: "8000-8010", Sessions: "keep"},
		},
		Openings: []Opening{{
			Machine: "machine-1", Source: "203.0.113.0/24", Protocol: "tcp", Ports: "22", RemainingMillis: 60_000,
			CloseAfterMillis: 5_000, Grants: []string{"g1", "g2"},
		}},
		Ended: []string{"g0"},
	}
}

func TestDecodeDesired(t *testing.T) {
	t.Parallel()
	origin := noon()
	got, problems, err := DecodeDesired(wireState(), origin)
	if err != nil || len(problems) > 0 {
		t.Fatalf("problems %q, error %v", problems, err)
	}
	want := access.DesiredState{
		Agent: "agent-1", Revision: 7, Mode: access.ModeHost,
		Machines: []access.Guarded{{
			Machine: "machine-1", Name: "web-1",
			Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
		}},
		Protected: []access.Protected{
			{Machine: "machine-1", Protocol: access.TCP, Ports: access.SinglePort(22), Sessions: access.SessionsCut},
			{
				Machine: "machine-1", Protocol: access.UDP, Ports: access.PortRange{First: 8000, Last: 8010},
				Sessions: access.SessionsKeep,
			},
		},
		Openings: []access.Opening{{
			OpeningKey: access.OpeningKey{
				Machine: "machine-1", Source: netip.MustParsePrefix("203.0.113.0/24"),
				Protocol: access.TCP, Ports: access.SinglePort(22),
			},
			Until: origin.Add(time.Minute), CloseAfter: 5 * time.Second, Grants: []access.GrantID{"g1", "g2"},
		}},
		Ended: []access.GrantID{"g0"},
	}
	if diff := cmp.Diff(want, got, compare()); diff != "" {
		t.Errorf("desired state (-want +got):\n%s", diff)
	}
}

func TestDecodeDesiredRefusesTheWhole(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*Desired){
		"long epoch":        func(d *Desired) { d.Epoch = strings.Repeat("x", maxEpoch+1) },
		"negative revision": func(d *Desired) { d.Revision = -1 },
		"too many openings": func(d *Desired) { d.Openings = make([]Opening, maxOpenings+1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := wireState()
			edit(&d)
			if got, _, err := DecodeDesired(d, noon()); err == nil {
				t.Errorf("took in %v", got)
			}
		})
	}
}

// TestATrialThatMakesNoSenseIsNotEnded leaves what it speaks of guarded.
func TestATrialThatMakesNoSenseIsNotEnded(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*Trial){
		"no id":                func(w *Trial) { w.ID = "" },
		"foreign machine":      func(w *Trial) { w.Machine = "machine-2" },
		"longer than any":      func(w *Trial) { w.RemainingMillis = math.MaxInt64 },
		"former of another":    func(w *Trial) { w.Former[0].Machine = "machine-2" },
		"former that is broke": func(w *Trial) { w.Former[0].Ports = "0" },
	} {
		d := wireState()
		d.Trials = []Trial{{
			ID: "trial-1", Machine: "machine-1", RemainingMillis: 1, Former: []Protected{d.Protected[0]},
		}}
		edit(&d.Trials[0])
		got, problems, err := DecodeDesired(d, noon())
		if err != nil || len(got.Trials) > 0 || len(got.Protected) != 2 || len(problems) != 1 {
			t.Errorf("%s: %d trials, %d protected ranges, problems %q, %v", name, len(got.Trials), len(got.Protected),
				problems, err)
		}
	}
}

func TestDecodeDesiredLeavesWhatMakesNoSenseClosed(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*Opening){
		"port 0":               func(o *Opening) { o.Ports = "0" },
		"port 70000":           func(o *Opening) { o.Ports = "70000" },
		"range backwards":      func(o *Opening) { o.Ports = "30-20" },
		"any protocol":         func(o *Opening) { o.Protocol = "any" },
		"no prefix":            func(o *Opening) { o.Source = "home" },
		"foreign machine":      func(o *Opening) { o.Machine = "machine-2" },
		"longer than for ever": func(o *Opening) { o.RemainingMillis = math.MaxInt64 },
		"negative after loss":  func(o *Opening) { o.CloseAfterMillis = -1 },
		"no grant":             func(o *Opening) { o.Grants = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := wireState()
			edit(&d.Openings[0])
			d.Openings = append(d.Openings, wireState().Openings[0])
			got, problems, err := DecodeDesired(d, noon())
			if err != nil || len(got.Openings) != 1 || len(got.Protected) != 2 {
				t.Errorf("took in %d openings and %d protected ranges with error %v; want the one that is whole, "+
					"and both",
					len(got.Openings), len(got.Protected), err)
			}
			if len(problems) != 1 || !strings.Contains(problems[0], "stays closed") {
				t.Errorf("problems are %q", problems)
			}
		})
	}
	d := wireState()
	d.Openings[0].RemainingMillis = 0
	if got, problems, err := DecodeDesired(d, noon()); err != nil || len(problems) > 0 || len(got.Openings) > 0 {
		t.Errorf("an opening that is over: %v, %q, %v", got.Openings, problems, err)
	}
}

// carried returns what arrives of a message.
func carried[T any](t interface{ Fatal(args ...any) }, message T) (arrived T) {
	text, err := json.Marshal(message)
	if err == nil {
		err = json.Unmarshal(text, &arrived)
	}
	if err != nil {
		t.Fatal(err)
	}
	return arrived
}

func drawTransport(t *rapid.T) access.Protocol {
	return rapid.SampledFrom([]access.Protocol{access.TCP, access.UDP}).Draw(t, "protocol")
}

func drawPorts(t *rapid.T) access.PortRange {
	first := rapid.Uint16Range(1, 60_000).Draw(t, "first")
	return access.PortRange{First: first, Last: first + rapid.Uint16Range(0, 100).Draw(t, "more")}
}

func drawAddress(t *rapid.T) netip.Addr {
	four := netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "IPv4")))
	six := netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "IPv6"))).Unmap()
	return rapid.SampledFrom([]netip.Addr{four, six}).Draw(t, "address")
}

func drawGrants(t *rapid.T, least int) []access.GrantID {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) access.GrantID {
		return access.GrantID(rapid.StringN(1, 10, -1).Draw(t, "grant"))
	}), least, 3).Draw(t, "grants")
}

// drawState draws a desired state with ends counted from now.
func drawState(t *rapid.T, now time.Time) access.DesiredState {
	d := access.DesiredState{
		Agent: access.AgentID(rapid.String().Draw(t, "agent")), Epoch: rapid.StringN(0, 16, maxEpoch).Draw(t, "epoch"),
		Revision: rapid.Int64Min(0).Draw(t, "revision"),
		Mode:     rapid.SampledFrom([]access.Mode{access.ModeHost, access.ModeGateway}).Draw(t, "mode"),
		Ended:    drawGrants(t, 0),
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "machines") {
		m := access.MachineID(fmt.Sprintf("machine-%d", i))
		d.Machines = append(d.Machines, access.Guarded{
			Machine: m, Name: rapid.String().Draw(t, "name"),
			Addresses: rapid.SliceOfN(rapid.Custom(drawAddress), 0, 2).Draw(t, "addresses"),
		})
		d.Protected = append(d.Protected, access.Protected{
			Machine: m, Protocol: drawTransport(t), Ports: drawPorts(t),
			Sessions: rapid.SampledFrom([]access.SessionMode{access.SessionsCut, access.SessionsKeep}).Draw(t,
				"sessions"),
		})
		source, err := drawAddress(t).Prefix(rapid.IntRange(0, 32).Draw(t, "bits"))
		if err != nil {
			t.Fatal(err)
		}
		d.Openings = append(d.Openings, access.Opening{
			OpeningKey: access.OpeningKey{Machine: m, Source: source, Protocol: drawTransport(t), Ports: drawPorts(t)},
			Until:      now.Add(time.Duration(rapid.Int64Range(-1e9, int64(access.MaxDuration)).Draw(t, "left"))),
			CloseAfter: time.Duration(rapid.Int64Range(0, 60_000).Draw(t, "close after")) * time.Millisecond,
			Grants:     drawGrants(t, 1),
		})
		if rapid.Bool().Draw(t, "on trial") {
			d.Trials = append(d.Trials, access.Unconfirmed{
				Trial: rapid.StringN(1, 10, maxEpoch).Draw(t, "trial"), Machine: m,
				Until: now.Add(time.Duration(rapid.Int64Range(1, access.MaxTrial.Milliseconds()).Draw(t, "remains")) *
					time.Millisecond),
				Former: []access.Protected{{
					Machine: m, Protocol: drawTransport(t), Ports: drawPorts(t), Sessions: access.SessionsKeep,
				}},
			})
		}
		d.Codes = append(d.Codes, access.SealedCode{
			ID: rapid.String().Draw(t, "code"), Machine: m, Hash: strings.Repeat("0f", 32),
			Most:  time.Duration(rapid.Int64Range(1, 3600).Draw(t, "most")) * time.Second,
			Until: now.Add(time.Duration(rapid.Int64Range(1, 1e6).Draw(t, "good for")) * time.Millisecond),
		})
	}
	return d
}

// TestWhatRemainsComesAcross sends any desired state from one clock to another: everything arrives, each end as
// far ahead as it was, in whole milliseconds and never later, and an opening that has ended not at all.
func TestWhatRemainsComesAcross(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now, origin := noon(), time.Unix(rapid.Int64Range(0, 1e6).Draw(t, "uptime"), 0)
		d := drawState(t, now)
		got, problems, err := DecodeDesired(carried(t, EncodeDesired(d, now)), origin)
		if err != nil || len(problems) > 0 {
			t.Fatalf("problems %q, error %v", problems, err)
		}
		want := d
		want.Openings, want.Codes, want.Trials = nil, nil, nil
		for _, u := range d.Trials {
			u.Until = origin.Add(u.Until.Sub(now))
			want.Trials = append(want.Trials, u)
		}
		for _, o := range d.Openings {
			if left := o.Until.Sub(now).Truncate(time.Millisecond); left > 0 {
				o.Until = origin.Add(left)
				want.Openings = append(want.Openings, o)
			}
		}
		for _, c := range d.Codes {
			c.Until = origin.Add(c.Until.Sub(now))
			want.Codes = append(want.Codes, c)
		}
		if diff := cmp.Diff(want, got, compare()); diff != "" {
			t.Fatalf("what arrived (-want +got):\n%s", diff)
		}
	})
}

// TestNoInstantIsSent sets the clock of the server, and with it every end: but for what it shows, the message
// stays the same.
func TestNoInstantIsSent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := noon()
		d := drawState(t, now)
		before := EncodeDesired(d, now)
		set := time.Duration(rapid.Int64Range(-1e18, 1e18).Draw(t, "set"))
		for i := range d.Openings {
			d.Openings[i].Until = d.Openings[i].Until.Add(set)
		}
		for i := range d.Codes {
			d.Codes[i].Until = d.Codes[i].Until.Add(set)
		}
		for i := range d.Trials {
			d.Trials[i].Until = d.Trials[i].Until.Add(set)
		}
		after := EncodeDesired(d, now.Add(set))
		after.ServerTime = before.ServerTime
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("the message (-before +after):\n%s", diff)
		}
	})
}

// Whatever a server sends, nothing opens for longer than a policy may allow, on a machine that is not guarded, or
// on ports that are none; and what was understood is said and understood again.
func FuzzDesired(f *testing.F) {
	text, err := json.Marshal(wireState())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"agent":"agent-1","mode":"host","openings":[{"remainingMillis":9223372036854775807}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var w Desired
		if json.Unmarshal(text, &w) != nil {
			return
		}
		origin := noon()
		d, _, err := DecodeDesired(w, origin)
		if err != nil {
			return
		}
		guarded := make(map[access.MachineID]bool)
		for _, m := range d.Machines {
			guarded[m.Machine] = true
		}
		for _, o := range d.Openings {
			left := o.Until.Sub(origin)
			if left <= 0 || left > access.MaxDuration || !o.Ports.Valid() || !o.Source.IsValid() ||
				o.Source != o.Source.Masked() ||
				!guarded[o.Machine] || o.CloseAfter < 0 || o.Protocol != access.TCP && o.Protocol != access.UDP {
				t.Errorf("took in %+v", o)
			}
		}
		again, problems, err := DecodeDesired(carried(t, EncodeDesired(d, origin)), origin)
		if diff := cmp.Diff(d, again, compare()); diff != "" || err != nil || len(problems) > 0 {
			t.Errorf("said again it is another state: %v, %q\n%s", err, problems, diff)
		}
	})
}

func TestCodesThatAreNotKeptAreSaid(t *testing.T) {
	t.Parallel()
	w := wireState()
	for range access.MaxSealedCodes + 3 {
		w.Codes = append(w.Codes,
			SealedCode{
				ID: "c", Machine: "machine-1", Hash: strings.Repeat("0", 64), MaxSeconds: 60,
				RemainingMillis: 1000,
			})
	}
	d, problems, err := DecodeDesired(w, noon())
	if err != nil || len(d.Codes) != access.MaxSealedCodes || len(
		problems) != 1 || !strings.HasPrefix(problems[0], "3 codes") {
		t.Errorf("%d codes, %q, %v", len(d.Codes), problems, err)
	}
}
