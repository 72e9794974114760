package agent

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
)

func drawOpenings(t *rapid.T, label string, now reading) []access.Opening {
	var all []access.Opening
	for i := range 4 {
		if rapid.Bool().Draw(t, fmt.Sprintf("%s has %d", label, i)) {
			left := time.Duration(rapid.Int64Range(1, int64(2*time.Second)).Draw(t,
				fmt.Sprintf("%s %d left", label, i)))
			all = append(all, opening(uint16(22+i), "192.0.2.0/24", now, left, access.GrantID(fmt.Sprintf("g%d", i))))
		}
	}
	return all
}

// While nothing may be opened, nothing opens that was not open, nothing ends later, and whatever should close does.
func TestOnlyCloseNeverOpens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := at(time.Hour, noon(), "b")
		holding, next := stateOf(now, 1,
			drawOpenings(t, "held", now)...), stateOf(now, 2, drawOpenings(t, "next", now)...)
		got, refused := onlyClose(next.DesiredState, holding.DesiredState)
		if got.Revision != 2 || len(got.Protected) != 1 {
			t.Fatal("revision or protected ports were lost")
		}
		ends := func(openings []access.Opening) map[access.OpeningKey]time.Time {
			m := make(map[access.OpeningKey]time.Time)
			for _, o := range openings {
				m[o.OpeningKey] = o.Until
			}
			return m
		}
		held, wanted, open := ends(holding.Openings), ends(next.Openings), ends(got.Openings)
		for key, until := range open {
			if until.After(held[key]) || until.After(wanted[key]) {
				t.Fatalf("%v is open until %s; it was held until %s and is wanted until %s", key, until, held[key],
					wanted[key])
			}
		}
		for key := range wanted {
			_, was := held[key]
			if _, is := open[key]; was != is {
				t.Fatalf("%v: held %t, open %t", key, was, is)
			}
		}
		if len(open)+len(refused) != len(wanted) {
			t.Fatalf("%d are open and %d refused of %d", len(open), len(refused), len(wanted))
		}
	})
}

// TestAStateThatIsNotOursIsRefused holds that an agent takes in no state of another one, nor one for another mode.
func TestAStateThatIsNotOursIsRefused(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]agentwire.Desired{
		"another agent": {Agent: "agent-2", Mode: "host"},
		"another mode":  {Agent: "agent-1", Mode: "gateway"},
	} {
		if d, _, _, err := admit(w, testSelf(), noon(), bootInstant(0)); err == nil {
			t.Errorf("%s: took in %v", name, d)
		}
	}
}

// Whatever a server sends can be kept on the disk and read back, and ends by our clock no later than by the server's.
func FuzzAdmit(f *testing.F) {
	f.Add([]byte(`{"agent":"agent-1","mode":"host","machines":[{"machine":"m","name":"web-1"}],"protected":[{"machine":"m",
		"protocol":"tcp","ports":"22","sessions":"cut"}],"openings":[{"machine":"m","source":"203.0.113.0/24","protocol":"tcp","ports":"22",
		"remainingMillis":60000,"closeAfterMillis":5000,"grants":["g1","g2"]}],"ended":["g0"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var w agentwire.Desired
		if json.Unmarshal(text, &w) != nil {
			return
		}
		sent := bootInstant(time.Hour)
		d, of, _, err := admit(w, testSelf(), noon(), sent)
		if err != nil {
			return
		}
		for _, o := range d.Openings {
			if len(of) == len(d.Openings) && o.Until.Sub(sent) > of[o.OpeningKey].Sub(noon()) {
				t.Errorf("%+v ends after %s", o, of[o.OpeningKey])
			}
		}
		data, err := encodeState(toSaved(held{d, sent}, reading{boot: sent, wall: noon(), bootID: "b"}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeState(data); err != nil {
			t.Errorf("what was taken in cannot be read back from the disk: %v", err)
		}
	})
}

func TestSettleKeepsWhatIsOnlyMeasuredAnew(t *testing.T) {
	t.Parallel()
	now := at(time.Hour, noon(), "b")
	for _, c := range []struct {
		name               string
		before, next, want time.Duration
		same               bool
	}{
		{"a little later", time.Minute, time.Minute + 5*time.Millisecond, time.Minute, false},
		{
			"measured much better", time.Minute, time.Minute + 40*time.Millisecond, time.Minute + 40*time.Millisecond,
			true,
		},
		{
			"measured better shortly before", 900 * time.Millisecond, 940 * time.Millisecond, 900 * time.Millisecond,
			true,
		},
		{"extended shortly before", 900 * time.Millisecond, 990 * time.Millisecond, 990 * time.Millisecond, false},
		{"measured worse", time.Minute, time.Minute - 40*time.Millisecond, time.Minute, true},
		{"a little earlier", time.Minute, time.Minute - 2*time.Millisecond, time.Minute - 2*time.Millisecond, false},
		{"extended", time.Minute, 2 * time.Minute, 2 * time.Minute, false},
		{"shortened", 2 * time.Minute, time.Minute, time.Minute, false},
		{"the same", time.Minute, time.Minute, time.Minute, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			before := stateOf(now, 1, opening(22, "192.0.2.0/24", now, c.before, "g"))
			next := stateOf(now, 2, opening(22, "192.0.2.0/24", now, c.next, "g"),
				opening(23, "192.0.2.0/24", now, c.next, "h"))
			got := settle(next.DesiredState, before.DesiredState, now.boot,
				func(access.OpeningKey) bool { return c.same })
			want := stateOf(now, 2, opening(22, "192.0.2.0/24", now, c.want, "g"),
				opening(23, "192.0.2.0/24", now, c.next, "h"))
			if diff := cmp.Diff(want.DesiredState, got, compareStates()); diff != "" {
				t.Errorf("settled state (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEndsAreNotLateThoughClocksRunApart follows one opening of any length from its being told of to its end, with a
// server whose clock runs at another speed, over exchanges of any length. Its deadline is never after the end by the
// server's clock, and where the server is heard of until then, not before it by more than the last exchanges explain.
func TestEndsAreNotLateThoughClocksRunApart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const trips = 50 * time.Millisecond
		speed := rapid.Int64Range(-drift, drift).Draw(t, "millionths faster")
		uptime := time.Hour
		server := func() time.Time {
			return noon().Add(uptime + uptime/1e6*time.Duration(speed)).Truncate(time.Microsecond)
		}
		var c clocks
		exchange := func() {
			asked := bootInstant(uptime)
			uptime += time.Duration(rapid.Int64Range(0, int64(trips)).Draw(t, "request"))
			said := server()
			uptime += time.Duration(rapid.Int64Range(0, int64(trips)).Draw(t, "answer"))
			c.exchanged("a", asked, said, bootInstant(uptime))
		}
		exchange()
		lasting := time.Duration(rapid.Int64Range(int64(time.Second), int64(24*time.Hour)).Draw(t, "lasting"))
		end := server().Add(lasting)
		since := end.Sub(noon())
		trueEnd := bootInstant(since - since*time.Duration(speed)/time.Duration(1e6+speed))
		const nearly = time.Millisecond // as speed is counted in whole milliseconds here
		key := access.OpeningKey{Machine: "m", Ports: access.SinglePort(22)}
		low, _, _ := c.early("a", bootInstant(uptime))
		d := access.DesiredState{Openings: []access.Opening{
			{OpeningKey: key, Until: surely(end.Add(low), bootInstant(uptime))},
		}}
		heard, pause := true, time.Duration(0)
		for {
			if late := d.Openings[0].Until.Sub(trueEnd); late > nearly {
				t.Fatalf("it ends %s after the end, %s before which it was measured", late,
					trueEnd.Sub(bootInstant(uptime)))
			}
			pause = time.Duration(rapid.Int64Range(int64(time.Second), int64(max(time.Minute, lasting/20))).Draw(t,
				"pause"))
			if !bootInstant(uptime + pause).Before(d.Openings[0].Until) {
				break
			}
			uptime += pause
			if heard = rapid.Bool().Draw(t, "heard"); heard {
				exchange()
				low, _, _ = c.early("a", bootInstant(uptime))
				d, _ = measuredAnew(d, map[access.OpeningKey]time.Time{key: end}, low, bootInstant(uptime))
			}
		}
		most := 2*trips + 3*time.Millisecond + 4*runApart(pause) + nearly
		if early := trueEnd.Sub(d.Openings[0].Until); heard && early > most {
			t.Errorf("it ends %s before the end, and the last exchange was %s before", early, pause)
		}
	})
}
