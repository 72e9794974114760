package agentwire

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
)

// TestReportOnTheWire holds every field of a report to what agents of every version said.
func TestReportOnTheWire(t *testing.T) {
	t.Parallel()
	got, err := json.MarshalIndent(EncodeReport(access.Report{
		Epoch: "epoch-1", Revision: 7, Skew: -1500 * time.Millisecond,
		Drift: []string{"the table was flushed"}, Problem: "the disk is full", Version: "1.2.3",
		Observations: []access.Observation{
			{Grant: "g1", Status: access.StatusOpen, Packets: 3, Bytes: 180},
			{Grant: "g2", Status: access.StatusClosed},
			{Grant: "g3", Status: access.StatusDrifted, Detail: "it was put back"},
			{Grant: "g4", Status: access.StatusFailed, Detail: "no room"},
		},
		Denied: []access.Denied{
			{
				Machine: "machine-1", Source: netip.MustParseAddr("203.0.113.7"), Protocol: access.TCP, Port: 22,
				Count: 9,
			},
			{
				Machine: "machine-1", Source: netip.MustParseAddr("2001:db8::1"), Protocol: access.UDP, Port: 53,
				Count: 1,
			},
		},
		Foreign: []access.ForeignRule{
			{
				Table: "inet filter", Chain: "input", Effect: access.ForeignDrops, Protocol: access.TCP,
				Ports: access.SinglePort(22), Text: "tcp dport 22 drop",
			},
			{
				Table: "ip raw", Chain: "prerouting", Effect: access.ForeignUnknown,
				Ports: access.PortRange{First: 8000, Last: 8010},
			},
		},
	}), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("the report (-want +got):\n%s", diff)
	}
	if text, err := json.Marshal(EncodeReport(
		access.Report{})); err != nil || string(text) != `{"revision":0,"skewMillis":0,"version":""}` {
		t.Errorf("a report of nothing is %s, %v", text, err)
	}
}

func drawReport(t *rapid.T) access.Report {
	r := access.Report{
		Epoch: rapid.StringN(0, 16, maxEpoch).Draw(t, "epoch"), Revision: rapid.Int64().Draw(t, "revision"),
		Skew:    time.Duration(rapid.Int64Range(-1e9, 1e9).Draw(t, "skew")) * time.Millisecond,
		Problem: rapid.String().Draw(t, "problem"), Version: rapid.StringN(0, 16, 64).Draw(t, "version"),
		Drift: rapid.SliceOfN(rapid.String(), 0, 2).Draw(t, "drift"),
	}
	for _, grant := range drawGrants(t, 0) {
		r.Observations = append(r.Observations, access.Observation{
			Grant: grant, Detail: rapid.String().Draw(t, "detail"), Packets: rapid.Uint64().Draw(t, "packets"),
			Bytes: rapid.Uint64().Draw(t, "bytes"),
			Status: rapid.SampledFrom([]access.GrantStatus{
				access.StatusOpen, access.StatusClosed, access.StatusDrifted, access.StatusFailed,
			}).Draw(t, "status"),
		})
	}
	for range rapid.IntRange(0, 2).Draw(t, "denied") {
		r.Denied = append(r.Denied, access.Denied{
			Machine: access.MachineID(rapid.String().Draw(t, "machine")), Source: drawAddress(t),
			Protocol: drawTransport(t),
			Port:     rapid.Uint16().Draw(t, "port"), Count: rapid.Uint64().Draw(t, "count"),
		})
	}
	for range rapid.IntRange(0, 2).Draw(t, "foreign") {
		r.Foreign = append(r.Foreign, access.ForeignRule{
			Table: rapid.String().Draw(t, "table"), Chain: rapid.String().Draw(t, "chain"),
			Text: rapid.String().Draw(t, "text"),
			Effect: rapid.SampledFrom([]access.ForeignEffect{
				access.ForeignAccepts, access.ForeignDrops, access.ForeignUnknown, access.ForeignBypasses,
			}).Draw(t, "effect"),
			Protocol: rapid.SampledFrom([]access.Protocol{"", access.TCP, access.UDP, access.AnyProtocol}).Draw(t,
				"protocol"),
			Ports: drawPorts(t),
		})
	}
	return r
}

// lengthen makes texts longer than any limit, in bytes and in letters, and no valid UTF-8.
func lengthen(t *rapid.T, texts ...*string) {
	for _, text := range texts {
		*text = "\xff" + strings.Repeat(rapid.SampledFrom([]string{"x", "ä"}).Draw(t, "letter"), 5000) + *text
	}
}

// TestAReportComesAcross sends any report: the server takes it by what it says of its fields, and reads just what
// was meant, or where a text is longer than the server takes the beginning of it.
func TestAReportComesAcross(t *testing.T) {
	t.Parallel()
	registry := huma.NewMapRegistry("#/", huma.DefaultSchemaNamer)
	schema := registry.Schema(reflect.TypeFor[Report](), false, "")
	rapid.Check(t, func(t *rapid.T) {
		r := drawReport(t)
		long := rapid.Bool().Draw(t, "long")
		if long {
			lengthen(t, &r.Problem)
			for i := range r.Observations {
				lengthen(t, &r.Observations[i].Detail)
			}
			for i := range r.Drift {
				lengthen(t, &r.Drift[i])
			}
			for i := range r.Foreign {
				lengthen(t, &r.Foreign[i].Table, &r.Foreign[i].Chain, &r.Foreign[i].Text)
			}
		}
		w := EncodeReport(r)
		var validated huma.ValidateResult
		huma.Validate(registry, schema, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, carried[any](t, w),
			&validated)
		if len(validated.Errors) > 0 {
			t.Fatalf("the server refuses the report: %v", validated.Errors)
		}
		got := DecodeReport(carried(t, w), func(field string, err error) {
			if err != nil {
				t.Fatalf("%s: %v", field, err)
			}
		})
		if diff := cmp.Diff(r, got, compare()); diff != "" && !long {
			t.Fatalf("what arrived (-want +got):\n%s", diff)
		}
	})
}

// Whatever an agent sends, it is refused, or understood as something that can be said and is then understood again.
func FuzzReport(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "report.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"skewMillis":-9223372036854775808,"denied":[{"source":"fe80::1%eth0","protocol":"*"}],"foreign":[{"ports":"0"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var w Report
		if json.Unmarshal(text, &w) != nil {
			return
		}
		refused := false
		r := DecodeReport(w, func(_ string, err error) { refused = refused || err != nil })
		if refused {
			return
		}
		var before access.Report
		for range 2 { // the first time texts and lists may be cut
			before, r = r, DecodeReport(carried(t, EncodeReport(r)), func(field string, err error) {
				if err != nil {
					t.Fatalf("what was understood is not understood again: %s: %v", field, err)
				}
			})
		}
		if diff := cmp.Diff(before, r, compare()); diff != "" {
			t.Errorf("said again it is another report:\n%s", diff)
		}
	})
}
