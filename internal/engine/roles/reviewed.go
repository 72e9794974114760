package roles

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// Given returns those of some assignments that somebody gave: neither what enforces an activated role, which ends by
// itself, nor what a managed application made.
func Given(ctx context.Context, r engine.Reader, all []rbac.Assignment) (given []rbac.Assignment, err error) {
	for _, a := range all {
		if a.Origin != "" || a.Through != "" {
			continue
		}
		_, is, err := activationOf(ctx, r, a)
		if err != nil {
			return nil, err
		}
		if !is {
			given = append(given, a)
		}
	}
	return given, nil
}

// Unname takes a principal out of the approval rule of an eligibility, as a change of the eligibility.
func (e *Service) Unname(ctx context.Context, tx engine.Tx, may engine.Rights, id access.EligibilityID,
	principal access.PrincipalID,
) error {
	was, err := tx.Eligibility(ctx, id)
	if err != nil {
		return fmt.Errorf("read eligibility: %w", err)
	}
	in := withTerms(EligibilityInput{
		ID: was.ID, Was: was.Revision, Scope: was.Scope, Start: was.Start, End: was.End,
	}, was)
	in.Approval = was.Approval.Without(principal)
	_, err = e.writeEligibility(ctx, tx, may, in)
	return err
}
