package engine_test

import (
	"reflect"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/engine/services"
)

// TestDesiredOfOneAgentTwice proves that both streams of an agent that connects anew get its desired state, however
// many others ask with them.
func TestDesiredOfOneAgentTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1").Agent.ID
	want := w.desired(host)
	asked := append([]access.AgentID{host}, make([]access.AgentID, 150)...) // and nobody has no id
	asked = append(asked, host, "none", host)
	states, errs := w.Machines.DesiredOf(w.ctx, asked)
	for i, id := range asked {
		if id != host {
			wantCode(t, errs[i], access.KindUnauthenticated, "agentRefused")
		} else if errs[i] != nil || !reflect.DeepEqual(states[i], want) {
			t.Errorf("number %d is %+v, %v, want %+v", i, states[i], errs[i], want)
		}
	}
}

// TestTwoReplicasServeOneStream proves that a connection at one replica is asked about at another, over the store, and
// that a replica that has died does not keep the agent out.
func TestTwoReplicasServeOneStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host, other := w.host("web-1").Agent.ID, w.another()
	claim := func(e *services.Services, id string, want access.Claimed) {
		t.Helper()
		if got := must(e.Machines.ClaimStream(w.ctx, host,
			access.Stream{ID: id, Instance: "of " + id, From: "192.0.2.1"}))(
			t); got != want {
			t.Errorf("the claim of %s is %v, want %v", id, got, want)
		}
	}
	claim(w.Services, "first", access.ClaimServed)
	changed, stop := w.Machines.WatchDesired(host)
	defer stop()
	revision := w.desired(host).Revision
	claim(other, "second", access.ClaimWaits)
	<-changed
	if d := w.desired(host); !d.Stream.Asked() || d.Stream.ID != "first" || d.Revision != revision {
		t.Errorf("the first is not asked: %+v", d.Stream)
	}
	if err := w.Machines.KeepStream(w.ctx, host, "first", false); err != nil {
		t.Fatal(err)
	}
	start := w.size()
	claim(other, "second", access.ClaimRefused)
	claim(other, "third", access.ClaimWaits)
	if err := w.Machines.KeepStream(w.ctx, host, "first", false); err != nil {
		t.Fatal(err)
	}
	claim(other, "third", access.ClaimRefused)
	if got := w.kinds(start); got != string(access.AgentTwice) {
		t.Errorf("events are %s", got)
	}
	w.tend()
	if a := w.open()[alert.Twice]; a.Subject.Agent != host {
		t.Errorf("alerts are %v", w.open())
	}
	// A report keeps who is served.
	w.report(host, access.Report{})
	claim(other, "fourth", access.ClaimWaits)
	w.clock.advance(access.StreamPatience) // and nobody answers
	claim(other, "fourth", access.ClaimServed)
	if err := w.Machines.KeepStream(w.ctx, host, "first", true); err != nil {
		t.Fatal(err)
	}
	if d := w.desired(host); d.Stream.ID != "fourth" {
		t.Errorf("the end of the first ended %+v", d.Stream)
	}
	if err := other.Machines.KeepStream(w.ctx, host, "fourth", true); err != nil {
		t.Fatal(err)
	}
	claim(w.Services, "fifth", access.ClaimServed)
}
