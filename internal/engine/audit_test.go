package engine_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/services"
)

// verify exports the whole log and derives it again.
func (w *world) verify(previous ...string) audit.Summary {
	w.tb.Helper()
	var lines []byte
	d := must(w.Records.Export(w.ctx, w.admin, 0, func(seq int64, record []byte) error {
		lines = audit.AppendRecordLine(lines, seq, record)
		return nil
	}))(w.tb)
	lines = must(audit.AppendCheckpointLine(lines, d.Checkpoint.Text))(w.tb)
	return must(audit.VerifyExport(bytes.NewReader(lines), d.Key, previous...))(w.tb)
}

func TestTheLogVerifies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	w.guard("web-1")
	first := must(w.Records.Checkpoint(w.ctx, w.admin))(t)
	ann := w.user("ann", "JIT Access Requester")
	for range 20 {
		must(w.Requests.Submit(w.ctx, ann, ssh("web-1", time.Hour)))(t)
	}
	if s := w.verify(first.Checkpoint.Text); s.Records != int64(w.size()) || s.Previous != 1 {
		t.Errorf("verified %+v of %d events", s, w.size())
	}
	last := must(w.Records.Checkpoint(w.ctx, w.admin))(t)
	for _, seq := range []int64{0, 7, last.Checkpoint.Size - 1} {
		p := must(w.Records.InclusionProof(w.ctx, w.admin, seq, 0))(t)
		if err := audit.CheckInclusion(p.Hashes, last.Checkpoint.Size, last.Checkpoint.Root, seq, p.Record); err != nil {
			t.Error(err)
		}
	}
	p := must(w.Records.ConsistencyProof(w.ctx, w.admin, first.Checkpoint.Size, 0))(t)
	if err := audit.CheckConsistency(p.Hashes, first.Checkpoint.Size, first.Checkpoint.Root, last.Checkpoint.Size,
		last.Checkpoint.Root); err != nil {
		t.Error(err)
	}
	_, err := w.Records.InclusionProof(w.ctx, w.admin, last.Checkpoint.Size, 0)
	wantCode(t, err, access.KindNotFound, "unknownEvent")
	_, err = w.Records.ConsistencyProof(w.ctx, w.admin, 5, 1_000_000)
	wantCode(t, err, access.KindInvalid, "sizeOutOfRange")
	if e := must(w.Records.Event(w.ctx, w.admin, 3))(t); e.Seq != 3 {
		t.Errorf("event 3 has the number %d", e.Seq)
	}
}

func TestRunExpiresAndSeals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	w.guard("web-1")
	ann := w.user("ann", "JIT Access Requester")
	replica := w.another()
	ctx, cancel := context.WithCancel(w.ctx)
	var wait sync.WaitGroup
	for _, e := range []*services.Services{w.Services, replica} {
		wait.Go(func() {
			if err := e.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	g := must(w.Requests.Submit(w.ctx, ann, ssh("web-1", time.Hour)))(t).Grants[0]
	w.clock.advance(time.Hour)
	must(w.Requests.Submit(w.ctx, ann, ssh("web-1", 2*time.Hour)))(t) // pokes the reconciler
	for deadline := time.Now().Add(20 * time.Second); w.grant(
		g.ID).State != access.GrantExpired; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody expired the grant")
		}
	}
	cancel()
	wait.Wait()
	size := int64(w.size())
	var sealed audit.SignedCheckpoint
	err := w.store.View(w.ctx, func(r engine.Reader) error {
		var err error
		sealed, err = r.Checkpoint(w.ctx)
		return err
	})
	if err != nil || sealed.Size != size {
		t.Errorf("sealed %d of %d events, %v", sealed.Size, size, err)
	}
}

func TestReconcileInReplicasDoesEverythingOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	policy := access.MachinePolicy{Ports: []access.PortRule{
		{Ports: access.PortRange{First: 1000, Last: 2000}, Protocol: access.TCP, Max: time.Hour},
	}}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", policy, nil))(t)
	ann := w.user("ann", "JIT Access Requester")
	must(w.Requests.Submit(w.ctx, ann, ports("web-1", 1000, 500, time.Hour)))(t)
	start := w.size()
	w.clock.advance(time.Hour)
	var wait sync.WaitGroup
	for range 3 {
		e := w.another()
		wait.Go(func() {
			if _, err := e.Reconcile(w.ctx); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	expired := map[access.GrantID]int{}
	for _, e := range w.events()[start:] {
		if e.Kind != access.GrantDidExpire {
			t.Errorf("event %s", e.Kind)
		}
		expired[e.Grant]++
	}
	if len(expired) != 500 || w.size()-start != 500 {
		t.Errorf("%d grants expired in %d events", len(expired), w.size()-start)
	}
}
