package engine_test

import (
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// robots makes two service principals that may do everything: eve can act as robot, whose secret she made, and as
// second, whose secret robot made.
func (w *approvable) robots() (robot, second engine.Caller) {
	w.tb.Helper()
	made := func(name string, by engine.Caller) engine.Caller {
		p := must(w.Directory.CreatePrincipal(w.ctx, w.admin,
			directory.PrincipalInput{Kind: access.ServicePrincipal, Name: name}))(w.tb)
		must(w.Roles.AssignRole(w.ctx, w.admin,
			roles.AssignInput{Principal: name, Role: "Owner", Scope: access.Root}))(w.tb)
		if _, _, err := w.Directory.AddSecret(w.ctx, by, name, directory.SecretInput{Name: "s"}); err != nil {
			w.tb.Fatal(err)
		}
		return caller(p)
	}
	robot = made("robot", w.bystander)
	return robot, made("second", robot)
}

// TestWhoActsThroughAServicePrincipalIsSeen holds that nobody takes four eyes away through a service principal, and
// nobody uses through one what they took away, unseen.
func TestWhoActsThroughAServicePrincipalIsSeen(t *testing.T) {
	t.Parallel()
	loosen := func(w *approvable, by engine.Caller) error {
		_, err := w.Machines.SetMachinePolicy(w.ctx, by, "web-1", sshPolicy(), nil)
		return err
	}
	join := func(w *approvable, by engine.Caller) error {
		for _, who := range []string{"eve", "robot", "second", "ann"} {
			if err := w.Directory.AddMember(w.ctx, by, "fast", who); err != nil {
				return err
			}
		}
		return nil
	}
	for name, how := range map[string]func(*approvable, engine.Caller) error{"the policy": loosen, "a group": join} {
		for _, c := range []struct {
			by, who string
			want    int
		}{
			{"robot", "eve", 1},
			{"second", "eve", 1},
			{"eve", "robot", 1},
			{"eve", "second", 1},
			{"robot", "second", 1},
			{"second", "robot", 1},
			{"robot", "ann", 0},
			{"ann", "robot", 0},
			{"ann", "second", 0},
		} {
			t.Run(name+" by "+c.by+", used by "+c.who, func(t *testing.T) {
				t.Parallel()
				w := newApprovable(t, fastTrack(`"fast" in requester.groups`))
				w.group("fast")
				must(w.Roles.AssignRole(w.ctx, w.admin,
					roles.AssignInput{Principal: "ann", Role: "Owner", Scope: access.Root}))(t)
				robot, second := w.robots()
				people := map[string]engine.Caller{"eve": w.bystander, "ann": w.ann, "robot": robot, "second": second}
				if err := how(w, people[c.by]); err != nil {
					t.Fatal(err)
				}
				w.clock.advance(time.Minute)
				d := must(w.Requests.Submit(w.ctx, people[c.who], ssh("web-1", time.Hour)))(t)
				if d.Request.State != access.RequestApproved {
					t.Fatalf("it is %s", d.Request.State)
				}
				if got := w.loosenedUses(); got != c.want {
					t.Errorf("%d alerts, want %d", got, c.want)
				}
			})
		}
	}
}

// TestWhoCanActAsARequesterDoesNotDecide holds that nobody asks as a service principal, whose secret another one of
// theirs made, and agrees as themselves.
func TestWhoCanActAsARequesterDoesNotDecide(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	_, second := w.robots()
	if err := w.Directory.AddMember(w.ctx, w.admin, "ops", "eve"); err != nil {
		t.Fatal(err)
	}
	d := must(w.Requests.Submit(w.ctx, second, ssh("web-1", time.Hour)))(t)
	_, err := w.decide(w.bystander, d, true)
	wantCode(t, err, access.KindForbidden, "notAnApprover")
	if d = must(w.decide(w.cy, d, true))(t); d.Request.State != access.RequestApproved {
		t.Errorf("approved by another, the request is %s", d.Request.State)
	}
}
