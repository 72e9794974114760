package reviews

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/core/review"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// Input makes an access review.
type Input struct {
	Name      string
	Scope     access.ResourceID // empty: everything
	Kinds     []review.Kind     // none: all
	Reviewers []string          // names or ids of people and groups of the caller's tenant
	Due       time.Time
	Effect    review.Effect
	Undecided review.Decision
}

// Detail is an access review as its readers see it.
type Detail struct {
	Review    review.Review
	Tally     review.Tally
	Reviewers []access.Principal
	MayDecide bool // the caller is one of the reviewers
	MayManage bool // the caller may change, end and cancel it
}

// itemChunk is how many items one transaction writes.
const itemChunk = 500

// Create makes an access review: it lists who has access of the kinds at the scope and below it, as it is at one
// moment, and opens it to its reviewers. The caller becomes its owner, by whose right access is removed, and so must
// have the right to remove all of it. What is listed is written in several transactions; the review opens with the
// last.
func (e *Service) Create(ctx context.Context, c engine.Caller, in Input) (d Detail, err error) {
	a := engine.Attempt{
		Action: rbac.AccessReviewsWrite, Scope: engine.OrRoot(in.Scope), Details: map[string]string{"name": in.Name},
	}
	var made review.Review
	var facts []review.Facts
	err = e.kernel.Look(ctx, c, a, func(r engine.Reader, may engine.Rights) error {
		if made, err = in.settle(ctx, r, may); err != nil {
			return err
		}
		if facts, err = newLook(r, may.Dir, made).survey(ctx); err != nil {
			return err
		}
		if err := bounded(made, facts); err != nil {
			return err
		}
		return reviewable(may.Dir, made.Reviewers, facts)
	})
	if err != nil {
		return d, err
	}
	made.Items, made.Digest = len(facts), review.Snapshot(facts)
	if engine.IsTrial(ctx) {
		return Detail{Review: made, Tally: review.Tally{Undecided: len(facts)}}, nil
	}
	if err := e.write(ctx, c, a, made, facts); err != nil {
		return d, err
	}
	return e.AccessReview(ctx, c, string(made.ID))
}

// bounded refuses a review of nothing, and one of more than people can look at.
func bounded(r review.Review, facts []review.Facts) error {
	switch n := len(facts); {
	case n == 0:
		return access.Fault(access.KindInvalid, "nothingToReview",
			"nobody has such access at %s or below it: choose another scope, or other kinds", placeText(r.Scope))
	case n > review.MaxItems:
		return access.Fault(access.KindInvalid, "tooManyItems",
			"there are more than %d items: choose a narrower scope, or fewer kinds", review.MaxItems)
	}
	return nil
}

// settle authorizes the making of a review, and finds what it names.
func (in Input) settle(ctx context.Context, r engine.Reader, may engine.Rights) (made review.Review, err error) {
	c := may.Caller
	if _, err := may.Anywhere(rbac.AccessReviewsWrite); err != nil {
		return made, err
	}
	scope, err := access.ParseResourceID(string(engine.OrRoot(in.Scope)))
	if err != nil {
		return made, err
	}
	if len(in.Kinds) == 0 {
		in.Kinds = review.Kinds()
	}
	if err := mayRemove(may, scope, in.Kinds); err != nil {
		return made, err
	}
	if err := engine.ScopeExists(ctx, r, scope); err != nil {
		return made, err
	}
	if tenant := may.TenantOf(scope); tenant != c.Tenant {
		return made, engine.Forbidden(rbac.AccessReviewsWrite, scope, "access is reviewed by the tenant that it is of")
	}
	if err := access.CheckName("access review", in.Name); err != nil {
		return made, err
	}
	_, err = r.AccessReviewByName(ctx, c.Tenant, in.Name)
	switch {
	case err == nil:
		return made, access.Fault(access.KindConflict, "accessReviewExists",
			"there is an access review %q already: choose another name", in.Name)
	case !engine.IsKind(err, access.KindNotFound):
		return made, fmt.Errorf("read access review: %w", err)
	}
	named, err := findReviewers(ctx, r, c.Tenant, in.Reviewers)
	if err != nil {
		return made, err
	}
	return review.New(review.Review{
		ID: review.ID(engine.NewID()), Tenant: c.Tenant, Name: in.Name, Scope: scope, Kinds: in.Kinds,
		Owner: c.Principal, OwnerName: c.Name, Reviewers: named, Effect: in.Effect, Undecided: in.Undecided,
		Due: access.Instant(in.Due), CreatedAt: may.Now,
	})
}

// mayRemove fails unless the caller may remove access of the kinds at a scope.
func mayRemove(may engine.Rights, scope access.ResourceID, kinds []review.Kind) error {
	if err := may.Require(rbac.AccessReviewsWrite, scope); err != nil {
		return err
	}
	for _, k := range kinds {
		actions, at := []string{}, scope
		switch k {
		case review.Assignment:
			actions = append(actions, rbac.RoleAssignmentsDelete)
		case review.Eligibility:
			actions = append(actions, rbac.EligibilitiesWrite)
		case review.Membership:
			actions, at = append(actions, rbac.PrincipalsWrite), access.Root
		case review.Approver, review.BreakGlass:
			actions = append(actions, rbac.PoliciesWrite, rbac.MachinesWrite, rbac.EligibilitiesWrite)
		}
		for _, action := range actions {
			if err := may.Require(action, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// findReviewers finds people and groups of a tenant, each once.
func findReviewers(ctx context.Context, r engine.Reader, tenant access.TenantID,
	refs []string,
) (ids []access.PrincipalID, err error) {
	if len(refs) > review.MaxReviewers {
		refs = refs[:review.MaxReviewers+1] // which is refused
	}
	for _, ref := range refs {
		p, err := directory.FindPrincipal(ctx, r, tenant, ref)
		if err != nil {
			return nil, err
		}
		switch {
		case p.Kind == access.ServicePrincipal:
			return nil, access.Fault(access.KindInvalid, "notAPerson",
				"%q is a service principal: access is reviewed by people", p.Name)
		case p.Disabled:
			return nil, access.Fault(access.KindInvalid, "reviewerDisabled",
				"%q is disabled and cannot review: name someone else", p.Name)
		case !slices.Contains(ids, p.ID):
			ids = append(ids, p.ID)
		}
	}
	return ids, nil
}

// write saves a review with its items, and opens it.
func (e *Service) write(ctx context.Context, c engine.Caller, a engine.Attempt, made review.Review,
	facts []review.Facts,
) error {
	authorized := func(use func(engine.Tx, engine.Rights) error) error {
		return e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
			if err := mayRemove(may, made.Scope, made.Kinds); err != nil {
				return err
			}
			return use(tx, may)
		})
	}
	err := authorized(func(tx engine.Tx, _ engine.Rights) error {
		return keep(ctx, tx, made, 0)
	})
	if err != nil {
		return err
	}
	number := 0
	for some := range slices.Chunk(facts, itemChunk) {
		err := authorized(func(tx engine.Tx, _ engine.Rights) error {
			for i, f := range some {
				it := review.Item{Review: made.ID, Number: number + i + 1, Facts: f, Revision: 1}
				if err := tx.SaveAccessReviewItem(ctx, it, 0); err != nil {
					return fmt.Errorf("save access review item: %w", err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		number += len(some)
	}
	return authorized(func(tx engine.Tx, may engine.Rights) error {
		next, event, err := made.Open(c.Actor(), may.Now)
		if err != nil {
			return err
		}
		w := e.kernel.NewWork(tx, may.Now)
		w.Event(event)
		if err := keep(ctx, tx, next, made.Revision); err != nil {
			return err
		}
		if err := tell(ctx, w, next, "started", c.Actor(), started(next)); err != nil {
			return err
		}
		return w.Finish(ctx)
	})
}

func keep(ctx context.Context, tx engine.Tx, r review.Review, was int64) error {
	if err := tx.SaveAccessReview(ctx, r, was); err != nil {
		return fmt.Errorf("save access review: %w", err)
	}
	return nil
}
