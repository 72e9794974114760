package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// pendingRequest makes a request that is all that one may be, waiting for two stages.
func (f *fixture) pendingRequest(id access.RequestID) access.Request {
	r, _, _ := f.request(day())
	c := access.Case{
		Name: "office", When: "true",
		Hours: access.Hours{Zone: "Europe/Berlin", Days: []time.Weekday{time.Monday, time.Sunday}, From: 480, To: 1080},
		Stages: []access.Stage{
			{AllOf: []access.Quorum{{Count: 2, Groups: []access.PrincipalID{"g-1", "g-2"}}}, Timeout: time.Hour},
			{AnyOf: []access.Quorum{
				{Count: 1, People: []access.PrincipalID{"p-1"}},
				{Count: 3, Groups: []access.PrincipalID{"g-3"}},
			}},
		},
		Denies: 2, StepUp: true,
	}
	pending, _ := access.NewRequest(access.Request{
		ID: id, Tenant: r.Tenant, Requester: r.Requester, RequesterName: r.RequesterName, Address: r.Address,
		Via: r.Via, Items: r.Items,
		Windows: []time.Time{day().Add(time.Hour), day().Add(25 * time.Hour)}, Extends: "grant-0", Released: true,
		BreakGlass: true, Justification: "x",
		Approvals: []access.Approval{
			{Case: c, Items: []int{0}},
			{Case: access.Case{Stages: c.Stages[1:]}, Items: []int{0}},
		},
	}, access.System(), 0, day())
	return pending.Staged(day().Add(time.Hour))
}

func TestDecisionsAndReviews(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		request, other := f.pendingRequest("r-1"), f.pendingRequest("r-2")
		decisions := []access.Decision{
			{
				Request: "r-1", Person: "p-1", Name: "Bob", Approve: true, Comment: "ok", Digest: "d1", At: day(),
				Quorums: []int{0, 2}, Stage: 1, Case: 1, SteppedUp: true,
			},
			{Request: "r-1", Person: "p-2", Name: "Cy", Digest: "d2", At: day().Add(time.Microsecond)},
		}
		open := access.Review{
			ID: "v-1", Tenant: tenantID, Person: f.user, PersonName: "Ada", Request: "r-1",
			CreatedAt: day(), Revision: 1,
		}
		closed := access.Review{
			ID: "v-2", Tenant: tenantID, Person: f.user, PersonName: "Ada", Offline: true,
			CreatedAt: day().Add(time.Hour), ClosedAt: day().Add(2 * time.Hour),
			ClosedBy: "p-1", Comment: "found nothing", Revision: 2,
		}
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveRequest(ctx, request, 0), tx.SaveRequest(ctx, other, 0),
				tx.AddDecision(ctx, 0, decisions[0]), tx.AddDecision(ctx, 1, decisions[1]),
				tx.SaveReview(ctx, open, 0), tx.SaveReview(ctx, closed, 0))
		})
		err := f.try(t, func(ctx context.Context, tx engine.Tx) error { return tx.AddDecision(ctx, 1, decisions[0]) })
		wantKind(t, "a second decision in one place", err, access.KindConflict, "exists")
		err = f.try(t, func(ctx context.Context, tx engine.Tx) error { return tx.SaveReview(ctx, closed, 1) })
		wantKind(t, "a review that moved on", err, access.KindConflict, "changed")
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			rq, err := r.Request(ctx, "r-1")
			same(t, "request", request, rq)
			ds, err2 := r.Decisions(ctx, "r-1")
			same(t, "decisions", decisions, ds)
			none, err3 := r.Decisions(ctx, "r-2")
			same(t, "no decisions", 0, len(none))
			v, err4 := r.Review(ctx, "v-2")
			same(t, "review", closed, v)
			vs, err5 := r.OpenReviews(ctx, f.user)
			same(t, "open reviews", []access.Review{open}, vs)
			_, err6 := r.Review(ctx, "v-3")
			wantKind(t, "no review", err6, access.KindNotFound, "")
			for _, c := range []struct {
				filter engine.ReviewFilter
				want   []access.Review
			}{
				{engine.ReviewFilter{}, []access.Review{closed, open}},
				{engine.ReviewFilter{Open: true}, []access.Review{open}},
				{engine.ReviewFilter{Person: "p-1"}, nil},
				{engine.ReviewFilter{Tenant: tenantID, Person: f.user}, []access.Review{closed, open}},
			} {
				same(t, "reviews", c.want,
					pages(t, 1,
						func(p engine.Page) (engine.Listed[access.Review], error) {
							return r.Reviews(ctx, c.filter,
								p)
						}))
			}
			return firstOf(err, err2, err3, err4, err5)
		})
	})
}

// TestDueStagesAndWarnings proves that what waits for a later stage, and what ends soon, is found at its time and not
// before.
func TestDueStagesAndWarnings(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		request := f.pendingRequest("r-1")
		whole, grant, _ := f.request(day()) // for an hour, so it warns after 54 minutes
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveRequest(ctx, request, 0), tx.SaveRequest(ctx, whole, 0), tx.SaveGrant(ctx, grant, 0))
		})
		due := func(at time.Time) (stages, warn int, next time.Time) {
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				d, err := r.Due(ctx, at, 10)
				stages, warn, next = len(d.Stages), len(d.Warn), d.Next
				return err
			})
			return stages, warn, next
		}
		check := func(what string, at time.Time, wantStages, wantWarn int, wantNext time.Time) {
			t.Helper()
			stages, warn, next := due(at)
			if stages != wantStages || warn != wantWarn || !next.Equal(wantNext) {
				t.Errorf("%s: %d stages, %d warnings, next %s; want %d, %d, %s", what, stages, warn, next, wantStages,
					wantWarn, wantNext)
			}
		}
		reminded := f.pendingRequest("r-2")
		reminded.StageUntil, reminded.RemindAt = time.Time{}, day().Add(45*time.Minute)
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.SaveRequest(ctx, reminded, 0) })
		check("at first", day(), 0, 0, reminded.RemindAt)
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			d, err := r.Due(ctx, reminded.RemindAt, 10)
			if len(d.Remind) != 1 || d.Remind[0].ID != "r-2" || !d.Next.Equal(day().Add(54*time.Minute)) {
				t.Errorf("to remind is %+v, next %s", d.Remind, d.Next)
			}
			return err
		})
		check("to warn", day().Add(54*time.Minute), 0, 1, day().Add(time.Hour))
		check("stage over", day().Add(time.Hour), 1, 1, request.PendingUntil)
		warned, _, err := grant.Warned(day().Add(54 * time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		denied, _, err := request.Deny(access.System(), "no", day())
		if err != nil {
			t.Fatal(err)
		}
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return firstOf(tx.SaveGrant(ctx, warned, grant.Revision), tx.SaveRequest(ctx, denied, request.Revision))
		})
		check("told and decided", day().Add(59*time.Minute), 0, 0, day().Add(time.Hour))
		extended, _, err := warned.Extend(access.System(), day().Add(3*time.Hour), day().Add(54*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		f.update(t,
			func(ctx context.Context, tx engine.Tx) error { return tx.SaveGrant(ctx, extended, warned.Revision) })
		check("extended", day().Add(time.Hour), 0, 0, day().Add(170*time.Minute))
	})
}
