package store_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

func TestRecallsAreKept(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		want := access.Recall{
			ID: "r1", Tenant: tenantID, Principal: f.user, Scope: "/a/b", Judge: true, Reason: "left", At: day(),
			AfterStart: day().Add(time.Hour), AfterGrant: "g",
			By: access.Actor{ID: f.user, Name: "u", Address: netip.MustParseAddr("192.0.2.1"), Via: "api"}, Revision: 1,
		}
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.SaveRecall(ctx, want, 0) })
		next := want
		next.AfterGrant, next.Revision = "h", 2
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.SaveRecall(ctx, next, 1) })
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			got, err := r.Recall(ctx, want.ID)
			same(t, "recall", next, got)
			if err != nil {
				return err
			}
			list, err := r.Recalls(ctx)
			same(t, "recalls", []access.Recall{next}, list)
			return err
		})
		err := f.try(t, func(ctx context.Context, tx engine.Tx) error { return tx.DeleteRecall(ctx, want.ID, 1) })
		if access.KindOf(err) != access.KindConflict {
			t.Errorf("deleted over another revision: %v", err)
		}
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.DeleteRecall(ctx, want.ID, 2) })
	})
}

// What stands is given in the order in which it begins, from a place in it on, and of one person or one machine alone.
func TestStandingBeginsWithWhatIsOpen(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		request, g, _ := f.request(day())
		var last access.Grant
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			if err := tx.SaveRequest(ctx, request, 0); err != nil {
				return err
			}
			for i := range 5 {
				one := g
				one.ID, one.Start = access.GrantID(fmt.Sprintf("g%d", i)), g.Start.Add(time.Duration(5-i)*time.Hour)
				one.End, one.State, one.EndedAt = one.Start.Add(time.Hour), access.GrantScheduled, time.Time{}
				if err := tx.SaveGrant(ctx, one, 0); err != nil {
					return err
				}
				last = one
			}
			return nil
		})
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			for what, filter := range map[string]engine.StandingFilter{
				"person":  {Principal: f.user},
				"machine": {Machine: f.machine},
			} {
				list, err := r.Standing(ctx, filter, 3)
				if err != nil {
					return err
				}
				same(t, "first of "+what, "[g4 g3 g2]", fmt.Sprint(grantIDs(list)))
				filter.AfterStart, filter.AfterGrant, filter.Made = list[2].Start, list[2].ID, g.CreatedAt
				if list, err = r.Standing(ctx, filter, 3); err != nil {
					return err
				}
				same(t, "rest of "+what, "[g1 g0]", fmt.Sprint(grantIDs(list)))
				filter.Made = g.CreatedAt.Add(-time.Second)
				if list, err = r.Standing(ctx, filter, 3); err != nil || len(list) != 0 {
					t.Errorf("made later, and given: %v, %v", grantIDs(list), err)
				}
			}
			if list, err := r.Standing(ctx, engine.StandingFilter{Principal: "nobody"}, 3); err != nil ||
				len(list) != 0 {
				t.Errorf("of nobody: %v, %v", grantIDs(list), err)
			}
			probe := last
			probe.ID, probe.End = "new", last.End.Add(time.Hour)
			like, err := r.GrantsLike(ctx, probe, 10)
			same(t, "like", "[g4 g3]", fmt.Sprint(grantIDs(like)))
			elsewhere := probe.Target.(access.PortTarget) //nolint:errcheck,forcetypeassert // as the fixture made it
			elsewhere.Sources = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
			probe.Target = elsewhere
			if like, err := r.GrantsLike(ctx, probe, 10); err != nil || len(like) != 0 {
				t.Errorf("like another source: %v, %v", grantIDs(like), err)
			}
			named, byErr := r.GrantsByID(ctx, []access.GrantID{"g0", "nothing", "g3"})
			if len(named) != 2 || byErr != nil {
				t.Errorf("by id: %v, %v", grantIDs(named), byErr)
			}
			return err
		})
	})
}

func grantIDs(grants []access.Grant) (ids []access.GrantID) {
	for _, g := range grants {
		ids = append(ids, g.ID)
	}
	return ids
}
