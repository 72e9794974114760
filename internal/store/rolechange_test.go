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

func TestRoleChangeRoundTrip(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		full := access.RoleChange{
			ID: "c-1", Tenant: tenantID, Of: access.OfEligibility, Kind: access.RoleChangeAskExtend, Target: "e-1",
			Eligibility: "e-2", Principal: f.user, PrincipalName: "ann",
			PrincipalKind: access.User, Role: rbac.Reader, RoleName: "Reader", Scope: "/subscriptions/X", Start: day(),
			Requester:     "asker",
			Justification: "because", Ticket: "INC-1", State: access.RoleChangeWaiting, CreatedAt: day(),
			DecidedBy: "decider", Revision: 1,
		}
		full.End = day().Add(time.Hour)
		bare := access.RoleChange{
			ID: "c-2", Tenant: tenantID, Of: access.OfAssignment, Kind: access.RoleChangeRemove,
			Target: "a-1", State: access.RoleChangeDone, CreatedAt: day(), Revision: 1,
		}
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveRoleChange(ctx, full, 0), tx.SaveRoleChange(ctx, bare, 0))
		})
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			for _, want := range []access.RoleChange{full, bare} {
				got, err := r.RoleChange(ctx, want.ID)
				if err != nil {
					t.Error(err)
				}
				same(t, "change", want, got)
			}
			_, err := r.RoleChange(ctx, "c-9")
			wantKind(t, "one that there is not", err, access.KindNotFound, "")
			for want, filters := range map[string][]engine.RoleChangeFilter{
				"[c-2 c-1]": {{}, {Tenant: tenantID}, {Tenant: "other", Beside: []access.TenantID{tenantID}}},
				"[c-1]": {
					{Of: access.OfEligibility},
					{Principal: f.user},
					{Requester: "asker"},
					{Role: rbac.Reader},
					{Waiting: true},
					{Target: "e-1"},
				},
				"[c-2]": {{Of: access.OfAssignment}},
				"[]":    {{Tenant: "other"}, {Target: "a-1"}},
			} {
				for _, filter := range filters {
					all := pages(t, 1,
						func(p engine.Page) (engine.Listed[access.RoleChange], error) {
							return r.RoleChanges(ctx,
								filter, p)
						})
					if got := fmt.Sprint(
						ids(all, func(c access.RoleChange) string { return string(c.ID) })); got != want {
						t.Errorf("%+v lists %s, want %s", filter, got, want)
					}
				}
			}
			return nil
		})
		full.Revision, full.State = 2, access.RoleChangeCanceled
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.SaveRoleChange(ctx, full, 1) })
		wantKind(t, "a stale change",
			f.Update(t.Context(), func(tx engine.Tx) error { return tx.SaveRoleChange(t.Context(), full, 1) }),
			access.KindConflict, "")
	})
}
