package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// TestWhoLeavesAGroupAndUsesItIsSeen holds that whoever takes themselves out of a group, or comes into one by enabling
// it, and so falls under an easier case of a rule or is eligible, is on record and an alert, as is whoever puts
// themselves into one.
func TestWhoLeavesAGroupAndUsesItIsSeen(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	remove := func(w *approvable, by engine.Caller, group, member string) error {
		return w.Directory.RemoveMember(w.ctx, by, group, member)
	}
	disable := func(w *approvable, by engine.Caller, group string, disabled *bool) error {
		_, err := w.Directory.ChangePrincipal(w.ctx, by, group, directory.PrincipalChange{Disabled: disabled})
		return err
	}
	const easy = `!("slow" in requester.groups)`
	for name, c := range map[string]struct {
		when  string
		act   func(w *approvable) error
		after time.Duration
		seen  int // of a request for a port, and of one for a role
		role  int
	}{
		"they leave": {
			easy,
			func(w *approvable) error { return remove(w, w.bystander, "slow", "eve") }, time.Minute, 1, 0,
		},
		"they delete it": {
			easy,
			func(w *approvable) error { return w.Directory.DeleteGroup(w.ctx, w.bystander, "slow") }, time.Minute, 1,
			0,
		},
		"they disable it": {
			easy,
			func(w *approvable) error { return disable(w, w.bystander, "slow", &yes) }, time.Minute, 1, 0,
		},
		"they leave one that is in it": {
			`!("slower" in requester.groups)`,
			func(w *approvable) error { return remove(w, w.bystander, "slow", "eve") }, time.Minute, 1, 0,
		},
		"another takes them out": {
			easy, func(w *approvable) error { return remove(w, w.admin, "slow", "eve") },
			time.Minute, 0, 0,
		},
		"long ago": {
			easy,
			func(w *approvable) error { return remove(w, w.bystander, "slow", "eve") },
			access.LoosenedFor + time.Minute, 0, 0,
		},
		"the rule looks elsewhere": {
			`machine.name == "web-1"`,
			func(w *approvable) error { return remove(w, w.bystander, "slow", "eve") }, time.Minute, 0, 0,
		},
		"they take another out": {
			`machine.name == "web-1"`,
			func(w *approvable) error { return remove(w, w.bystander, "slow", "ann") }, time.Minute, 0, 0,
		},
		"they enable it": {
			`"fast" in requester.groups`,
			func(w *approvable) error { return disable(w, w.bystander, "fast", &no) }, time.Minute, 1, 1,
		},
		"another enables it": {
			`"fast" in requester.groups`,
			func(w *approvable) error { return disable(w, w.admin, "fast", &no) }, time.Minute, 0, 0,
		},
		"they enable one that it is in": {
			`"faster" in requester.groups`,
			func(w *approvable) error { return disable(w, w.bystander, "fast", &no) }, time.Minute, 1, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newApprovable(t, fastTrack(c.when))
			w.group("slow", w.bystander, w.ann)
			w.group("slower")
			w.group("fast", w.bystander)
			w.group("faster")
			for _, in := range [][2]string{{"slower", "slow"}, {"faster", "fast"}} {
				if err := w.Directory.AddMember(w.ctx, w.admin, in[0], in[1]); err != nil {
					t.Fatal(err)
				}
			}
			if err := disable(w, w.admin, "fast", &yes); err != nil {
				t.Fatal(err)
			}
			must(w.Roles.WriteEligibility(w.ctx, w.admin,
				roles.EligibilityInput{Principal: "fast", Role: "Contributor", Max: time.Hour}))(
				t)
			if err := c.act(w); err != nil {
				t.Fatal(err)
			}
			w.clock.advance(c.after)
			if d := must(w.Requests.Submit(w.ctx, w.bystander, ssh("web-1", time.Hour)))(
				t); d.Request.State != access.RequestApproved {
				t.Fatalf("it is %s", d.Request.State)
			}
			if got := w.loosenedUses(); got != c.seen {
				t.Errorf("%d alerts of a port, want %d", got, c.seen)
			}
			if !strings.Contains(c.when, "fast") {
				return
			}
			before := w.size()
			must(w.Requests.Activate(w.ctx, w.bystander, contributor(time.Hour)))(t)
			if got := strings.Count(w.kinds(before), string(access.PolicyExploited)); got != c.role {
				t.Errorf("%d events of a role, want %d", got, c.role)
			}
		})
	}
}
