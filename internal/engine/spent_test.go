package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// What waits by an eligibility that was taken away does not go on by another that has its id: none may have it, and
// what has another role, scope or tenant would not count.
func TestAnEligibilityIsNotBroughtBackByItsID(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	managed := m.deploy(manual()).Application.Managed
	asked := must(m.Requests.Activate(m.ctx, m.vic, m.activate(time.Hour)))(t).Request
	was := asked.Items[0].Target.Guard().Eligibility
	var one access.Eligibility
	m.save(func(tx engine.Tx) (err error) {
		if one, err = tx.Eligibility(m.ctx, was); err == nil {
			err = tx.DeleteEligibility(m.ctx, was, one.Revision)
		}
		return err
	})
	for _, id := range []string{string(was), strings.ToUpper(string(was))} {
		_, err := m.Roles.ChangeRole(m.ctx, m.vera, roles.RoleChangeInput{
			ID: access.RoleChangeID(id), Of: access.OfEligibility, Kind: access.RoleChangeAssign, Principal: "vic",
			Role: "Reader", Scope: "/",
		})
		wantCode(t, err, access.KindConflict, "eligibilityIdTaken")
	}
	one.Tenant, one.Origin, one.Role = m.publisher.ID, "", rbac.Reader
	one.Scope, one.Principal = access.Root, m.vic.Principal
	m.save(func(tx engine.Tx) error { return tx.SaveEligibility(m.ctx, one, 0) }) // as if somebody could
	_, err := m.Requests.Decide(m.ctx, m.ann, asked.ID, true, "", asked.Digest)
	wantCode(t, err, access.KindConflict, "requestOutdated")
	if m.may(m.vic, rbac.MachinesWrite, managed) {
		t.Error("vic has the role")
	}
}

// TestRevokingAPersonAsksForWhatWaits proves that what somebody asks for is taken back by whoever may do that at each
// place, though the person holds nothing there.
func TestRevokingAPersonAsksForWhatWaits(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	asked := must(w.Requests.Submit(w.ctx, w.ann, ssh("web-1", time.Hour)))(t).Request
	bob := w.resourceGroup("dev", "revoker", "Contributor")
	_, err := w.Requests.RevokePrincipal(w.ctx, bob, "ann", "all of it")
	wantCode(t, err, access.KindForbidden, "forbidden")
	if got := must(w.Requests.Request(w.ctx, w.ann, asked.ID))(t).Request.State; got != access.RequestPending {
		t.Errorf("the request is %s", got)
	}
	if _, err := w.Requests.RevokePrincipal(w.ctx, w.admin, "ann", "all of it"); err != nil {
		t.Error(err)
	}
	if got := must(w.Requests.Request(w.ctx, w.ann, asked.ID))(t).Request.State; got != access.RequestCanceled {
		t.Errorf("the request is %s", got)
	}
}

// TestRevokingAPersonEndsRolesElsewhere proves that a publisher's administrator ends what their person holds in a
// customer's tenant.
func TestRevokingAPersonEndsRolesElsewhere(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	managed := m.deploy(nil).Application.Managed
	g := must(m.Requests.Activate(m.ctx, m.vic, m.activate(time.Hour)))(t).Grants
	if len(g) != 1 {
		t.Fatalf("granted is %+v", g)
	}
	m.clock.advance(time.Minute)
	_, err := m.Requests.RevokePrincipal(m.ctx, m.vera, "vic", "left")
	if err != nil {
		t.Fatal(err)
	}
	if m.may(m.vic, rbac.MachinesWrite, managed) {
		t.Error("vic has the role still")
	}
}

// TestRevokingAPersonCancelsRolesElsewhere proves that a publisher's administrator also takes back what their person
// waits for in a customer's tenant.
func TestRevokingAPersonCancelsRolesElsewhere(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	m.deploy(manual())
	asked := must(m.Requests.Activate(m.ctx, m.vic, m.activate(time.Hour)))(t).Request
	if _, err := m.Requests.RevokePrincipal(m.ctx, m.vera, "vic", "left"); err != nil {
		t.Fatal(err)
	}
	if got := must(m.Requests.Request(m.ctx, m.vic, asked.ID))(t).Request.State; got != access.RequestCanceled {
		t.Errorf("the request is %s", got)
	}
}
