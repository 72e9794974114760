package engine_test

import (
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine/apps"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// offer has the publisher write its definition with what change says, a second later than the last.
func (m *market) offer(change func(*apps.AppDefinitionInput)) {
	m.tb.Helper()
	m.clock.advance(time.Second)
	in := shopOffer(func(in *apps.AppDefinitionInput) { in.Public = true })
	change(&in)
	if _, _, err := m.Apps.WriteAppDefinition(m.ctx, m.vera, in); err != nil {
		m.tb.Fatal(err)
	}
}

// shown gives the digest of the definition as a customer sees it.
func (m *market) shown() string {
	m.tb.Helper()
	return must(m.Apps.AppDefinition(m.ctx, m.admin, "vendor/shop"))(m.tb).Definition.Digest()
}

// more is what a customer would not agree to unseen.
func more(in *apps.AppDefinitionInput) {
	in.Lock, in.Authorizations = app.LockNone, []app.Authorization{{Principal: "vendors", Role: "Owner"}}
}

// makeAgain has the publisher delete its definition and make another of the same name.
func (m *market) makeAgain() {
	m.tb.Helper()
	must(m.Apps.DeleteAppDefinition(m.ctx, m.vera, "shop"))(m.tb)
	m.offer(more)
}

func harmless(in *apps.AppDefinitionInput) { in.Description = "the same, in other words" }

// What a customer deploys or accepts is what it was shown, however the publisher changes it in between.
func TestNothingIsAgreedToThatWasNotShown(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*market){
		"changed":    func(m *market) { m.offer(more) },
		"made again": (*market).makeAgain,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMarket(t, nil)
			shown := m.shown()
			change(m)
			_, err := m.Apps.DeployApplication(m.ctx, m.admin,
				apps.ApplicationInput{Name: "shop", Definition: "vendor/shop", Shown: shown})
			wantCode(t, err, access.KindConflict, "applicationDefinitionChanged")

			m = newMarket(t, nil)
			was := m.deploy(manual()).Application.Terms
			if name == "changed" { // of one made again the revision that was shown is there once more
				m.offer(harmless)
			}
			shown = m.shown()
			change(m)
			_, err = m.Apps.RefreshApplication(m.ctx, m.admin, "shop", shown)
			wantCode(t, err, access.KindConflict, "applicationDefinitionChanged")
			now := must(m.Apps.Application(m.ctx, m.admin, "shop"))(t).Application.Terms
			if now.Lock != was.Lock || now.Authorizations[0] != was.Authorizations[0] || now.Digest() != was.Digest() {
				t.Errorf("the terms have become %+v", now)
			}
			accepted := must(m.Apps.RefreshApplication(m.ctx, m.admin, "shop", m.shown()))(t).Application.Terms
			if accepted.Lock != app.LockNone {
				t.Errorf("what was shown and accepted is %+v", accepted)
			}
		})
	}
}

// Whoever may not assign roles hands a publisher nothing, also where its definition has the revision of another before.
func TestRefreshingNeedsTheRightToAssignRoles(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	m.deploy(manual())
	role := must(m.Roles.PutRole(m.ctx, m.admin, roles.RoleInput{
		Name: "Refresher", AssignableScopes: []access.ResourceID{access.Root},
		Permissions: []rbac.Permission{{Actions: []string{
			rbac.ApplicationsRead, rbac.ApplicationsWrite, rbac.ApplicationsRefresh,
		}}},
	}))(t)
	who := m.user("rita", role.Name)
	must(m.Apps.RefreshApplication(m.ctx, who, "shop", ""))(t) // there is nothing new
	m.makeAgain()
	_, err := m.Apps.RefreshApplication(m.ctx, who, "shop", "")
	if access.KindOf(err) != access.KindForbidden {
		t.Errorf("accepting another definition without the right to assign roles gives %v", err)
	}
}
