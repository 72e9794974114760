package reviews

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/core/review"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// ItemDetail is an item as a reader sees it.
type ItemDetail struct {
	Item review.Item
	Own  bool // it is access of the caller's own, which another must decide
}

// AccessReviews lists the access reviews that the caller may see, the newest first: those that they own or review, and
// those at scopes whose access reviews they may read.
func (e *Service) AccessReviews(ctx context.Context, c engine.Caller, f engine.AccessReviewFilter,
	p engine.Page,
) (list engine.Listed[Detail], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.AccessReviewsRead},
		func(r engine.Reader, may engine.Rights) error {
			f.Tenant = c.Tenant
			list, err = engine.Visible(p,
				func(p engine.Page) (engine.Listed[review.Review], error) { return r.AccessReviews(ctx, f, p) },
				func(one review.Review) (Detail, bool, error) {
					if !sees(may, one) {
						return Detail{}, false, nil
					}
					d, err := describe(ctx, r, may, one)
					return d, true, err
				})
			return err
		})
	return list, err
}

// AccessReview returns an access review by its id or name.
func (e *Service) AccessReview(ctx context.Context, c engine.Caller, ref string) (d Detail, err error) {
	err = e.kernel.Look(ctx, c,
		engine.Attempt{Action: rbac.AccessReviewsRead, Details: map[string]string{"review": ref}},
		func(r engine.Reader, may engine.Rights) error {
			one, err := find(ctx, r, may, ref)
			if err == nil {
				d, err = describe(ctx, r, may, one)
			}
			return err
		})
	return d, err
}

// Items lists the items of an access review by number. f.Principal is a name or an id.
func (e *Service) Items(ctx context.Context, c engine.Caller, ref string, f engine.AccessReviewItemFilter,
	p engine.Page,
) (list engine.Listed[ItemDetail], err error) {
	err = e.kernel.Look(ctx, c,
		engine.Attempt{Action: rbac.AccessReviewsRead, Details: map[string]string{"review": ref}},
		func(r engine.Reader, may engine.Rights) error {
			one, err := find(ctx, r, may, ref)
			if err != nil {
				return err
			}
			if p, err = engine.CheckPage(p); err != nil {
				return err
			}
			f.Review = one.ID
			if f.Principal != "" {
				who, err := directory.FindAny(ctx, r, c.Tenant, string(f.Principal))
				if err != nil {
					return err
				}
				f.Principal = who.ID
			}
			items, err := r.AccessReviewItems(ctx, f, p)
			if err != nil {
				return err
			}
			list = engine.Listed[ItemDetail]{Next: items.Next}
			for _, it := range items.Items {
				list.Items = append(list.Items, ItemDetail{Item: it, Own: own(may.Dir, c.Principal, it.Facts.Principal)})
			}
			return nil
		})
	return list, err
}

// reviews reports whether the caller is one of the reviewers of a review.
func reviews(may engine.Rights, r review.Review) bool {
	me := may.Caller.Principal
	return may.Dir.IsPerson(me) && may.Caller.Bounds.Cover(rbac.AccessReviewsDecide, r.Scope) &&
		slices.ContainsFunc(r.Reviewers,
			func(id access.PrincipalID) bool { return id == me || may.Dir.InGroup(me, id) })
}

// sees reports whether the caller may know of a review.
func sees(may engine.Rights, r review.Review) bool {
	return may.IsHome(r.Tenant) && (may.Owns(r.Owner, rbac.AccessReviewsRead, r.Scope) || reviews(may, r) ||
		may.May(rbac.AccessReviewsRead, r.Scope))
}

// find finds a review that the caller may see.
func find(ctx context.Context, r engine.Reader, may engine.Rights, ref string) (one review.Review, err error) {
	if uuid.Validate(ref) == nil {
		one, err = r.AccessReview(ctx, review.ID(ref))
	} else {
		one, err = r.AccessReviewByName(ctx, may.Caller.Tenant, ref)
	}
	switch {
	case engine.IsKind(err, access.KindNotFound), err == nil && !sees(may, one):
		return review.Review{}, access.Fault(access.KindNotFound, "unknownAccessReview",
			"there is no access review %q that you may see", engine.Clip(ref))
	case err != nil:
		return review.Review{}, fmt.Errorf("read access review: %w", err)
	}
	return one, nil
}

func describe(ctx context.Context, r engine.Reader, may engine.Rights, one review.Review) (d Detail, err error) {
	d = Detail{
		Review: one, MayDecide: one.State == review.Open && reviews(may, one),
		MayManage: one.State == review.Open && manages(may, one) == nil,
	}
	if d.Tally, err = r.AccessReviewTally(ctx, one.ID); err != nil {
		return d, fmt.Errorf("count items: %w", err)
	}
	for _, id := range one.Reviewers {
		p, err := r.Principal(ctx, id)
		if engine.IsKind(err, access.KindNotFound) {
			p, err = access.Principal{ID: id, Name: string(id)}, nil // a group that was deleted
		}
		if err != nil {
			return d, fmt.Errorf("read principal: %w", err)
		}
		d.Reviewers = append(d.Reviewers, p)
	}
	return d, nil
}
