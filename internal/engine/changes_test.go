package engine_test

import (
	"slices"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/engine"
)

func TestChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	w.guard("web-1")
	ann := w.user("ann", "")
	before := must(w.Records.Changes(w.ctx, ann, -1))(t)
	if len(before.Kinds) != 0 || before.Seq <= 0 {
		t.Errorf("the first look gave %+v", before)
	}
	must(w.Requests.Submit(w.ctx, w.admin, ssh("web-1", time.Hour)))(t)
	after := must(w.Records.Changes(w.ctx, ann, before.Seq))(t)
	if !slices.Equal(after.Kinds, []string{"grant", "request"}) || after.Seq <= before.Seq {
		t.Errorf("a request moved %+v after %d", after, before.Seq)
	}
	if again := must(w.Records.Changes(w.ctx, ann, after.Seq))(t); len(again.Kinds) != 0 || again.Seq != after.Seq {
		t.Errorf("with nothing new: %+v after %d", again, after.Seq)
	}
	stranger := ann
	stranger.Tenant = "another-tenant"
	if other := must(w.Records.Changes(w.ctx, stranger, 0))(t); len(other.Kinds) != 0 {
		t.Errorf("another tenant is told of %v", other.Kinds)
	}
}

// TestMachineActivity looks at a machine as those do who may see what happened on it, and as one who may not.
func TestMachineActivity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := w.host("web-1")
	w.guard("web-1")
	w.host("web-2")
	ann := w.user("ann", "JIT Access Requester")
	must(w.Requests.Submit(w.ctx, ann, ssh("web-1", time.Hour)))(t)

	list := must(w.Machines.Machines(w.ctx, w.admin, engine.MachineFilter{Open: w.clock.now()}, engine.Page{}))(t).Items
	if len(list) != 1 || list[0].Machine.ID != host.Machine.ID {
		t.Fatalf("open are %v", list)
	}
	if err := w.Fleet.WithActivity(w.ctx, w.admin, list); err != nil {
		t.Fatal(err)
	}
	if a := list[0].Activity; a == nil || a.Approved != 1 || len(a.Live) != 1 || a.LastUser != "" {
		t.Errorf("its activity is %+v: one request, whose grant no agent has opened yet", a)
	}
	o := must(w.Fleet.MachineOverview(w.ctx, w.admin, engine.MachineFilter{Standing: "configured"}))(t)
	if o.Counts["configured"] != 1 || o.Counts["notConfigured"] != 1 || o.Counts["unsupported"] != 0 || !slices.Equal(
		o.Groups, []string{engine.DefaultResourceGroup}) {
		t.Errorf("there are %+v", o)
	}

	seen := must(w.Machines.Machines(w.ctx, ann, engine.MachineFilter{}, engine.Page{}))(t).Items
	if err := w.Fleet.WithActivity(w.ctx, ann, seen); err != nil {
		t.Fatal(err)
	}
	for _, d := range seen {
		if d.Activity != nil {
			t.Errorf("who may not read grants sees %+v on %s", d.Activity, d.Machine.Name)
		}
	}
}
