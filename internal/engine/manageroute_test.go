package engine_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/notices"
	"github.com/postern-dev/postern/internal/engine/roles"
	"github.com/postern-dev/postern/internal/engine/services"
)

func (w *world) channel(name string) {
	w.tb.Helper()
	url, file := "https://hooks.example.com/postern", "key"
	must(w.Notices.CreateChannel(w.ctx, w.admin,
		notices.ChannelInput{Name: &name, Kind: engine.Webhook, URL: &url, SecretFile: &file}))(
		w.tb)
}

func (w *world) routesOf(c engine.Caller) int {
	w.tb.Helper()
	return len(must(w.Notices.Routes(w.ctx, c, "", engine.Page{}))(w.tb).Items)
}

// TestWatchingEndsWithTheRight proves that a person watches a policy as long as they may read it, and not longer.
func TestWatchingEndsWithTheRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	policy := w.guard("web-1").Policy.Resource
	w.channel("hooks")
	ann, ben := w.user("ann", ""), w.user("ben", "Reader")
	watch := notices.RouteInput{Channel: "hooks", Principal: string(ann.Principal), Policy: policy}
	if _, err := w.Notices.CreateRoute(w.ctx, ann, watch); access.KindOf(err) != access.KindNotFound {
		t.Errorf("watched without the right: %v", err)
	}
	if _, err := w.Notices.CreateRoute(w.ctx, w.admin, watch); access.KindOf(err) != access.KindForbidden {
		t.Errorf("made somebody watch who may not: %v", err)
	}
	role := must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: "ann", Role: "JIT Access Requester", Scope: access.Root}))(
		t)
	must(w.Notices.CreateRoute(w.ctx, ann, watch))(t)
	must(w.Notices.CreateRoute(w.ctx, ann, notices.RouteInput{Channel: "hooks", Principal: string(ann.Principal)}))(t)
	w.tend()
	if n := w.routesOf(ann); n != 2 {
		t.Fatalf("%d routes", n)
	}
	if _, err := w.Notices.CreateRoute(w.ctx, ben,
		notices.RouteInput{
			Channel:   "hooks",
			Principal: string(ann.Principal),
		}); access.KindOf(err) != access.KindForbidden {
		t.Errorf("subscribed somebody else: %v", err)
	}
	if err := w.Roles.UnassignRole(w.ctx, w.admin, role.Assignment.ID); err != nil {
		t.Fatal(err)
	}
	w.tend()
	if n := w.routesOf(ann); n != 1 {
		t.Errorf("%d routes are left, want the one that watches nothing", n)
	}
}

// TestChannelTests proves what becomes of a test: its answer, or the reason, is on the activity log.
func TestChannelTests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.channel("hooks")
	var fails error
	e := w.another(func(c *services.Config) {
		c.TestChannel = func(_ context.Context, _ engine.Channel,
			_, by string,
		) (string, error) {
			return "hello " + by, fails
		}
	})
	if got := must(e.Notices.TestChannel(w.ctx, w.admin, "HOOKS", ""))(t); got != "hello "+directory.AdminName {
		t.Errorf("the answer is %q", got)
	}
	fails = errors.New("nobody answers")
	if _, err := e.Notices.TestChannel(w.ctx, w.admin, "hooks", ""); access.CodeOf(err) != "testFailed" {
		t.Errorf("a failed test gives %v", err)
	}
	if _, err := e.Notices.TestChannel(w.ctx, w.user("ben", "Reader"), "hooks",
		""); access.KindOf(err) != access.KindForbidden {
		t.Errorf("a reader tests: %v", err)
	}
	var outcomes []access.Outcome
	for _, event := range w.events() {
		if event.Kind == access.ChannelTested {
			outcomes = append(outcomes, event.Outcome)
		}
	}
	if !slices.Equal(outcomes, []access.Outcome{access.Succeeded, access.Failed}) {
		t.Errorf("recorded: %v", outcomes)
	}
}
