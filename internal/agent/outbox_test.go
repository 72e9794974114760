package agent

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
)

func seen(grant string, status access.GrantStatus, packets uint64) access.Observation {
	return access.Observation{Grant: access.GrantID(grant), Status: status, Packets: packets}
}

func statuses(r access.Report) []string {
	var all []string
	for _, o := range r.Observations {
		all = append(all, fmt.Sprintf("%s %s %d", o.Grant, o.Status, o.Packets))
	}
	return all
}

func TestOutboxKeepsTheOrderAndCoalesces(t *testing.T) {
	t.Parallel()
	b := newOutbox()
	b.add(access.Report{
		Revision:     1,
		Observations: []access.Observation{seen("a", access.StatusOpen, 1), seen("b", access.StatusOpen, 1)},
	})
	b.add(access.Report{Revision: 2, Observations: []access.Observation{seen("a", access.StatusOpen, 5)}})
	sent, more := b.take()
	if more {
		t.Error("there is more, and nothing was added")
	}
	if diff := cmp.Diff([]string{"b open 1", "a open 5"}, statuses(sent)); diff != "" {
		t.Errorf("observations (-want +got):\n%s", diff)
	}
	// It could not be sent; meanwhile the grant ended.
	b.add(access.Report{Revision: 3, Observations: []access.Observation{seen("a", access.StatusClosed, 9)}})
	b.putBack(sent)
	b.add(access.Report{Revision: 3, Observations: []access.Observation{seen("b", access.StatusClosed, 2)}})
	again, _ := b.take()
	if diff := cmp.Diff([]string{"b open 1", "a open 5", "a closed 9", "b closed 2"}, statuses(again)); diff != "" {
		t.Errorf("observations after putting back (-want +got):\n%s", diff)
	}
	if again.Revision != 3 {
		t.Errorf("revision %d, want 3", again.Revision)
	}
	b.putBack(again)
	b.putBack(access.Report{})
	last, _ := b.take()
	if diff := cmp.Diff(statuses(again), statuses(last)); diff != "" {
		t.Errorf("put back whole (-want +got):\n%s", diff)
	}
}

func TestOutboxPutBackYieldsToNewer(t *testing.T) {
	t.Parallel()
	b := newOutbox()
	b.add(access.Report{Observations: []access.Observation{seen("a", access.StatusOpen, 1)}})
	sent, _ := b.take()
	b.add(access.Report{Observations: []access.Observation{
		seen("a", access.StatusDrifted, 2),
		seen("a", access.StatusOpen, 3),
	}})
	b.putBack(sent)
	got, _ := b.take()
	if diff := cmp.Diff([]string{"a drifted 2", "a open 3"}, statuses(got)); diff != "" {
		t.Errorf("observations (-want +got):\n%s", diff)
	}
}

func TestOutboxIsBounded(t *testing.T) {
	t.Parallel()
	b := newOutbox()
	var many []access.Observation
	for i := range 12_000 {
		many = append(many, seen(fmt.Sprintf("g%05d", i), access.StatusClosed, 0))
	}
	b.add(access.Report{Observations: many})
	addr := netip.MustParseAddr("2001:db8::1")
	for range 3 * maxPendingDenied {
		b.add(access.Report{
			Denied: []access.Denied{{Source: addr, Protocol: access.TCP, Port: 22, Count: 2}},
			Drift:  []string{"table deleted"},
		})
		addr = addr.Next()
	}
	b.add(access.Report{Denied: []access.Denied{
		{Source: netip.MustParseAddr("2001:db8::1"), Protocol: access.TCP, Port: 22, Count: 3},
	}})
	var got []access.Observation
	var denied []access.Denied
	var drift int
	for more := true; more; {
		var r access.Report
		r, more = b.take()
		if len(r.Observations) > agentwire.MaxObservations || len(
			r.Denied) > agentwire.MaxDenied || len(r.Drift) > agentwire.MaxDrift {
			t.Fatalf("a report has %d observations, %d denied and %d drifts", len(r.Observations), len(r.Denied),
				len(r.Drift))
		}
		got, denied, drift = append(got, r.Observations...), append(denied, r.Denied...), drift+len(r.Drift)
	}
	if diff := cmp.Diff(many, got); diff != "" {
		t.Error("the observations are not those that were added, in order")
	}
	if len(denied) != maxPendingDenied || drift != agentwire.MaxDrift {
		t.Errorf("kept %d denied and %d drifts, want %d and %d", len(denied), drift, maxPendingDenied,
			agentwire.MaxDrift)
	}
	first := access.Denied{Source: netip.MustParseAddr("2001:db8::1"), Protocol: access.TCP, Port: 22, Count: 5}
	found := false
	for _, d := range denied {
		found = found || cmp.Equal(d, first, cmpopts.EquateComparable(netip.Addr{}))
	}
	if !found {
		t.Errorf("the counts of %s were not added up", first.Source)
	}
}
