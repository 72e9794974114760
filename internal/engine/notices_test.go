package engine_test

import (
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/engine"
)

// An act that ends many windows of a request tells of it once, however many transactions record it.
func TestOneActIsToldOnce(t *testing.T) {
	t.Parallel()
	for _, windows := range []int{12, 150} {
		w := newWorld(t)
		w.host("web-1")
		w.guard("web-1")
		ann := w.user("ann", "JIT Access Requester")
		in := ssh("web-1", time.Hour)
		in.Start, in.Repeat = w.clock.now().Add(24*time.Hour), "FREQ=DAILY;COUNT=150"
		if windows == 12 {
			in.Repeat = "FREQ=DAILY;COUNT=12"
		}
		must(w.Requests.Submit(w.ctx, ann, in))(t)
		w.listen(w.admin.Tenant)
		must(w.Requests.RevokePrincipal(w.ctx, w.admin, "ann", "left"))(t)
		w.reconcile()
		if n := w.standing(ann); n != 0 {
			t.Fatalf("%d have not ended", n)
		}
		var ended []engine.Notification
		for _, n := range w.told() {
			if n.Kind == engine.NotifyEnded {
				ended = append(ended, n)
			}
		}
		if len(ended) != 1 || len(ended[0].Subject.Items) != 1 || ended[0].Subject.Detail != "left" ||
			ended[0].Subject.By != "admin" {
			t.Errorf("of %d windows it is told: %+v", windows, ended)
		}
	}
}
