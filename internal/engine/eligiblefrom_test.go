package engine_test

import (
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// TestNoActivationBeforeItsEligibility holds that an eligibility which begins later now gives nothing before that:
// neither what is in force by it, however much that is, nor what was scheduled.
func TestNoActivationBeforeItsEligibility(t *testing.T) {
	t.Parallel()
	later := func(v *vendor, d engine.EligibilityDetail, start time.Time) {
		must(v.Roles.WriteEligibility(v.ctx, v.admin,
			roles.EligibilityInput{
				ID: d.Eligibility.ID, Was: d.Eligibility.Revision, Max: 4 * time.Hour,
				Start: start,
			}))(
			t)
	}
	for name, ahead := range map[string]time.Duration{"in force": 0, "scheduled": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t)
			d := v.eligible(nil)
			in := contributor(2 * time.Hour)
			if ahead > 0 {
				in.Start = v.clock.now().Add(ahead)
			}
			g := must(v.Requests.Activate(v.ctx, v.vic, in))(t).Grants[0]
			later(v, d, v.clock.now().Add(24*time.Hour))
			v.clock.advance(ahead)
			if _, err := v.Reconcile(v.ctx); err != nil {
				t.Fatal(err)
			}
			if is := must(v.Requests.Grant(v.ctx, v.admin, g.ID))(
				t).Grant; is.State != access.GrantRevoked || v.may(v.vic, rbac.PoliciesWrite) {
				t.Errorf("what is %s a day before its eligibility begins is %s, and gives the role: %t", name, is.State,
					v.may(v.vic, rbac.PoliciesWrite))
			}
		})
	}
	t.Run("begun", func(t *testing.T) {
		t.Parallel()
		v := newVendor(t)
		d := v.eligible(nil)
		g := must(v.Requests.Activate(v.ctx, v.vic, contributor(2*time.Hour)))(t).Grants[0]
		v.clock.advance(time.Hour)
		later(v, d, v.clock.now().Add(-time.Minute))
		if is := must(v.Requests.Grant(v.ctx, v.admin, g.ID))(
			t).Grant; is.State != access.GrantActive || !v.may(v.vic, rbac.PoliciesWrite) {
			t.Errorf("what is in force is %s, though its eligibility has begun", is.State)
		}
	})
}
