package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

func TestEligibilityRoundTrip(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		full := access.Eligibility{
			ID: "e-1", Tenant: tenantID, Principal: f.user, Role: rbac.Contributor,
			Scope: "/subscriptions/X/resourceGroups/Shop", Start: day(), End: day().Add(time.Hour),
			Max: time.Hour, Justification: access.JustificationRule{Required: true, MinLength: 3, Pattern: "x"},
			Ticket: access.TicketRule{Required: true, Pattern: "INC", Checked: true},
			Approval: access.Rule{Cases: []access.Case{{
				Name: "c", When: "true", Denies: 2, StepUp: true, Hours: access.Hours{Zone: "UTC", From: 1, To: 2},
				Stages: []access.Stage{{
					AllOf:   []access.Quorum{{Count: 1, People: []access.PrincipalID{f.user}}},
					Timeout: time.Minute,
				}},
			}}},
			PendingTimeout: time.Minute, Loosened: []access.Loosening{{By: f.user, At: day(), How: []string{"for 2h"}}},
			Origin: "/subscriptions/X/apps/Shop", CreatedBy: f.user, CreatedAt: day(),
			UpdatedAt: day().Add(time.Second), Revision: 1,
		}
		bare := access.Eligibility{
			ID: "e-2", Tenant: tenantID, Principal: f.user, Role: rbac.Reader, Scope: "/",
			CreatedAt: day(), UpdatedAt: day(), Revision: 1,
		}
		revision := func() (n int64) {
			f.view(t, func(ctx context.Context, r engine.Reader) (err error) {
				n, err = r.DirectoryRevision(ctx)
				return err
			})
			return n
		}
		before := revision()
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			for _, role := range rbac.BuiltIn() {
				if err := tx.SaveRoleDefinition(ctx, role); err != nil {
					return err
				}
			}
			return firstOf(tx.SaveEligibility(ctx, full, 0), tx.SaveEligibility(ctx, bare, 0))
		})
		if revision() == before {
			t.Error("the directory's revision stays as it was")
		}
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			got, err := r.Eligibility(ctx, "e-1")
			if err != nil {
				t.Error(err)
			}
			same(t, "eligibility", full, got)
			_, err = r.Eligibility(ctx, "e-9")
			wantKind(t, "one that there is not", err, access.KindNotFound, "")
			for want, filters := range map[string][]engine.EligibilityFilter{
				"[e-1 e-2]": {
					{},
					{Tenant: tenantID, Principal: f.user},
					{Tenant: "other", Beside: []access.TenantID{tenantID}},
				},
				"[]": {
					{Tenant: "other"},
					{Tenant: "other", Beside: []access.TenantID{"a third"}},
					{Principal: "nobody"},
					{Scope: "/subscriptions/x/resourceGrou"},
				},
				"[e-1]": {{Scope: "/subscriptions/x"}, {Origin: "/subscriptions/x/APPS/shop"}},
				"[e-2]": {{Role: rbac.Reader}},
			} {
				for _, filter := range filters {
					all := pages(t, 1,
						func(p engine.Page) (engine.Listed[access.Eligibility], error) {
							return r.Eligibilities(ctx,
								filter, p)
						})
					if got := fmt.Sprint(
						ids(all, func(e access.Eligibility) string { return string(e.ID) })); got != want {
						t.Errorf("%+v lists %s, want %s", filter, got, want)
					}
				}
			}
			return nil
		})
		full.Revision, full.Max = 2, 2*time.Hour
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.SaveEligibility(ctx, full, 1) })
		conflict := func(what string, do func(ctx context.Context, tx engine.Tx) error) {
			t.Helper()
			wantKind(t, what, f.Update(t.Context(), func(tx engine.Tx) error { return do(t.Context(), tx) }),
				access.KindConflict, "")
		}
		conflict("a stale change",
			func(ctx context.Context, tx engine.Tx) error { return tx.SaveEligibility(ctx, full, 1) })
		conflict("a stale deletion",
			func(ctx context.Context, tx engine.Tx) error { return tx.DeleteEligibility(ctx, "e-1", 1) })
		conflict("the deletion of an assignable role",
			func(ctx context.Context, tx engine.Tx) error { return tx.DeleteRoleDefinition(ctx, rbac.Reader) })
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.DeleteEligibility(ctx, "e-1", 2) })
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			_, err := r.Eligibility(ctx, "e-1")
			wantKind(t, "a deleted one", err, access.KindNotFound, "")
			return nil
		})
	})
}

// TestRoleRequestsAndGrants holds that what asks for roles is found by its scope, and by no machine.
func TestRoleRequestsAndGrants(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		role := access.RoleTarget{
			Eligibility: "e-1", ID: rbac.Contributor, Name: "Contributor",
			Scope: "/subscriptions/X/resourceGroups/Shop",
		}
		request := access.Request{
			ID: "r-1", Tenant: tenantID, Requester: f.user, RequesterName: "ann",
			Items:     []access.Item{{Target: role, PolicyRevision: 3, Duration: time.Hour}},
			CreatedAt: day(), PendingUntil: day().Add(time.Hour), State: access.RequestPending, Digest: "d",
			Revision: 1,
		}
		grant := access.Grant{
			ID:            "g-1",
			Request:       "r-1",
			Tenant:        tenantID,
			Principal:     f.user,
			PrincipalName: "ann",
			Target:        role,
			Start:         day(),
			End:           day().Add(time.Hour),
			State:         access.GrantActive,
			CreatedAt:     day(),
			OpenedAt:      day(),
			Revision:      1,
		}
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			other := request
			other.ID, other.Items = "r-2", nil
			return firstOf(tx.SaveRequest(ctx, request, 0), tx.SaveRequest(ctx, other, 0), tx.SaveGrant(ctx, grant, 0))
		})
		grant.Revision, grant.End = 2, grant.End.Add(time.Hour)
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.SaveGrant(ctx, grant, 1) })
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			gotRequest, err := r.Request(ctx, "r-1")
			if err != nil {
				t.Error(err)
			}
			same(t, "request", request, gotRequest)
			gotGrant, err := r.Grant(ctx, "g-1")
			if err != nil {
				t.Error(err)
			}
			same(t, "grant", grant, gotGrant)
			for filter, want := range map[access.ResourceID]int{
				"/subscriptions/x/resourceGroups/SHOP": 1,
				"/subscriptions/x":                     0,
			} {
				requests := pages(t, 10, func(p engine.Page) (engine.Listed[access.Request], error) {
					return r.Requests(ctx, engine.RequestFilter{RoleScope: filter}, p)
				})
				if len(requests) != want {
					t.Errorf("%d requests at %q, want %d", len(requests), filter, want)
				}
				for _, f := range []engine.GrantFilter{{RoleScope: filter}, {RoleScope: filter, Eligibility: "e-1"}} {
					grants := pages(t, 10,
						func(p engine.Page) (engine.Listed[access.Grant], error) { return r.Grants(ctx, f, p) })
					if len(grants) != want {
						t.Errorf("%d grants at %q, want %d", len(grants), filter, want)
					}
				}
			}
			for roles, want := range map[bool]int{false: 2, true: 1} {
				requests := pages(t, 10, func(p engine.Page) (engine.Listed[access.Request], error) {
					return r.Requests(ctx, engine.RequestFilter{Roles: roles}, p)
				})
				grants := pages(t, 10, func(p engine.Page) (engine.Listed[access.Grant], error) {
					return r.Grants(ctx,
						engine.GrantFilter{Roles: roles, States: []access.GrantState{access.GrantActive}}, p)
				})
				if len(requests) != want || len(grants) != 1 {
					t.Errorf("of roles alone %t: %d requests, want %d, and %d grants", roles, len(requests), want,
						len(grants))
				}
			}
			return nil
		})
	})
}
