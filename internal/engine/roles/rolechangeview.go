package roles

import (
	"context"
	"fmt"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// RoleChangeDetail is a change, and whether what it is of is still there.
type RoleChangeDetail struct {
	Change   access.RoleChange
	Standing bool
}

// RoleChange gives one change that the caller may see: one of their own, or of what they have, or one at a scope whose
// assignments or eligibilities they may read.
func (e *Service) RoleChange(ctx context.Context, c engine.Caller,
	id access.RoleChangeID,
) (d RoleChangeDetail, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{}, func(r engine.Reader, may engine.Rights) error {
		made, err := findChange(ctx, r, may, id)
		if err != nil {
			return err
		}
		if d, err = describeChange(ctx, r, made); err != nil {
			return err
		}
		d, err = changeAbroad(ctx, may.Border(r, made.Tenant), d)
		return err
	})
	return d, err
}

// RoleChanges lists the changes that the caller may see, newest first.
func (e *Service) RoleChanges(ctx context.Context, c engine.Caller, f engine.RoleChangeFilter,
	p engine.Page,
) (list engine.Listed[RoleChangeDetail], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{}, func(r engine.Reader, may engine.Rights) error {
		f.Tenant, f.Beside, f.Waiting = c.Tenant, may.Beside(), f.Waiting || f.NeedsMe
		there := standing{r: r}
		list, err = engine.Visible(p,
			func(p engine.Page) (engine.Listed[access.RoleChange], error) { return r.RoleChanges(ctx, f, p) },
			func(made access.RoleChange) (RoleChangeDetail, bool, error) {
				if !seesChange(may, made) || f.NeedsMe && !gives(may, made) {
					return RoleChangeDetail{}, false, nil
				}
				d, err := there.describe(ctx, made)
				if err != nil {
					return d, false, err
				}
				d, err = changeAbroad(ctx, may.Border(r, made.Tenant), d)
				return d, true, err
			})
		return err
	})
	return list, err
}

// RecordedChanges tells which of the ids are of changes that the caller may see.
func (e *Service) RecordedChanges(ctx context.Context, c engine.Caller,
	ids []access.RoleChangeID,
) (recorded map[access.RoleChangeID]bool, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{}, func(r engine.Reader, may engine.Rights) error {
		recorded = map[access.RoleChangeID]bool{}
		for _, id := range ids {
			switch made, err := r.RoleChange(ctx, id); {
			case err == nil:
				recorded[id] = seesChange(may, made)
			case !engine.IsKind(err, access.KindNotFound):
				return fmt.Errorf("read change: %w", err)
			}
		}
		return nil
	})
	return recorded, err
}

func seesChange(r engine.Rights, made access.RoleChange) bool {
	action := rbac.RoleAssignmentsRead
	if made.Of == access.OfEligibility {
		action = rbac.EligibilitiesRead
	}
	return r.Owns(made.Requester, action,
		made.Scope) || r.Owns(made.Principal, action, made.Scope) || r.MayOf(made.Tenant, action, made.Scope)
}

// gives tells whether the caller may give what was asked for.
func gives(r engine.Rights, made access.RoleChange) bool {
	action := RoleChangeInput{Of: made.Of, Kind: access.RoleChangeExtend}.action()
	return made.Requester != r.Caller.Principal && r.MayOf(made.Tenant, action, made.Scope)
}

func findChange(ctx context.Context, r engine.Reader, may engine.Rights,
	id access.RoleChangeID,
) (access.RoleChange, error) {
	made, err := r.RoleChange(ctx, access.RoleChangeID(strings.ToLower(string(id))))
	switch {
	case err == nil && seesChange(may, made):
		return made, nil
	case err == nil || engine.IsKind(err, access.KindNotFound):
		return access.RoleChange{}, access.Fault(access.KindNotFound, "unknownRoleChange",
			"there is no request %q that you may see", engine.Clip(string(id)))
	}
	return access.RoleChange{}, fmt.Errorf("read change: %w", err)
}

// describeChange describes one change.
func describeChange(ctx context.Context, r engine.Reader, made access.RoleChange) (RoleChangeDetail, error) {
	return (&standing{r: r}).describe(ctx, made)
}

// standing tells whether what changes are of is still there. It reads the assignments once.
type standing struct {
	r           engine.Reader
	assignments map[string]bool
}

func (s *standing) describe(ctx context.Context, made access.RoleChange) (RoleChangeDetail, error) {
	d := RoleChangeDetail{Change: made}
	if made.Of == access.OfEligibility {
		_, err := s.r.Eligibility(ctx, access.EligibilityID(made.Target))
		if err != nil && !engine.IsKind(err, access.KindNotFound) {
			return d, fmt.Errorf("read eligibility: %w", err)
		}
		d.Standing = err == nil
		return d, nil
	}
	if s.assignments == nil {
		data, err := s.r.Directory(ctx)
		if err != nil {
			return d, fmt.Errorf("load directory: %w", err)
		}
		s.assignments = map[string]bool{}
		for _, a := range data.Assignments {
			s.assignments[string(a.ID)] = true
		}
	}
	d.Standing = s.assignments[made.Target]
	return d, nil
}
