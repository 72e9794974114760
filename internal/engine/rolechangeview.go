package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// RoleChangeDetail is a change, and whether what it is of is still there.
type RoleChangeDetail struct {
	Change   access.RoleChange
	Standing bool
}

// RoleChange gives one change that the caller may see: one of their own, or of what they have, or one at a scope whose
// assignments or eligibilities they may read.
func (e *Engine) RoleChange(ctx context.Context, c Caller, id access.RoleChangeID) (d RoleChangeDetail, err error) {
	err = e.look(ctx, c, attempt{}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		made, err := findChange(ctx, r, may, id)
		if err != nil {
			return err
		}
		if d, err = describeChange(ctx, r, made); err != nil {
			return err
		}
		d, err = may.border(r, made.Tenant).change(ctx, d)
		return err
	})
	return d, err
}

// RoleChanges lists the changes that the caller may see, newest first.
func (e *Engine) RoleChanges(ctx context.Context, c Caller, f RoleChangeFilter, p Page) (list Listed[RoleChangeDetail], err error) {
	err = e.look(ctx, c, attempt{}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		f.Tenant, f.Beside, f.Waiting = c.Tenant, may.beside(), f.Waiting || f.NeedsMe
		there := standing{r: r}
		list, err = visible(p, func(p Page) (Listed[access.RoleChange], error) { return r.RoleChanges(ctx, f, p) },
			func(made access.RoleChange) (RoleChangeDetail, bool, error) {
				if !may.seesChange(made) || f.NeedsMe && !may.gives(made) {
					return RoleChangeDetail{}, false, nil
				}
				d, err := there.describe(ctx, made)
				if err != nil {
					return d, false, err
				}
				d, err = may.border(r, made.Tenant).change(ctx, d)
				return d, true, err
			})
		return err
	})
	return list, err
}

// RecordedChanges tells which of the ids are of changes that the caller may see.
func (e *Engine) RecordedChanges(ctx context.Context, c Caller, ids []access.RoleChangeID) (recorded map[access.RoleChangeID]bool, err error) {
	err = e.look(ctx, c, attempt{}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		recorded = map[access.RoleChangeID]bool{}
		for _, id := range ids {
			switch made, err := r.RoleChange(ctx, id); {
			case err == nil:
				recorded[id] = may.seesChange(made)
			case !isKind(err, access.KindNotFound):
				return fmt.Errorf("read change: %w", err)
			}
		}
		return nil
	})
	return recorded, err
}

func (r rights) seesChange(made access.RoleChange) bool {
	action := rbac.RoleAssignmentsRead
	if made.Of == access.OfEligibility {
		action = rbac.EligibilitiesRead
	}
	return r.owns(made.Requester, action, made.Scope) || r.owns(made.Principal, action, made.Scope) || r.mayOf(made.Tenant, action, made.Scope)
}

// gives tells whether the caller may give what was asked for.
func (r rights) gives(made access.RoleChange) bool {
	action := RoleChangeInput{Of: made.Of, Kind: access.RoleChangeExtend}.action()
	return made.Requester != r.caller.Principal && r.mayOf(made.Tenant, action, made.Scope)
}

func findChange(ctx context.Context, r Reader, may rights, id access.RoleChangeID) (access.RoleChange, error) {
	made, err := r.RoleChange(ctx, access.RoleChangeID(strings.ToLower(string(id))))
	switch {
	case err == nil && may.seesChange(made):
		return made, nil
	case err == nil || isKind(err, access.KindNotFound):
		return access.RoleChange{}, access.Fault(access.KindNotFound, "unknownRoleChange", "there is no request %q that you may see", clip(string(id)))
	}
	return access.RoleChange{}, fmt.Errorf("read change: %w", err)
}

// describeChange describes one change.
func describeChange(ctx context.Context, r Reader, made access.RoleChange) (RoleChangeDetail, error) {
	return (&standing{r: r}).describe(ctx, made)
}

// standing tells whether what changes are of is still there. It reads the assignments once.
type standing struct {
	r           Reader
	assignments map[string]bool
}

func (s *standing) describe(ctx context.Context, made access.RoleChange) (RoleChangeDetail, error) {
	d := RoleChangeDetail{Change: made}
	if made.Of == access.OfEligibility {
		_, err := s.r.Eligibility(ctx, access.EligibilityID(made.Target))
		if err != nil && !isKind(err, access.KindNotFound) {
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
