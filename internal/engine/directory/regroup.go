package directory

import (
	"context"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// regroup remembers what a change of changed, a group, has made of the groups that the caller is in. Whom they put into
// a group is remembered with the membership.
func (e *Service) regroup(ctx context.Context, tx engine.Tx, may engine.Rights, changed access.Principal,
	enabled bool,
) error {
	me := may.Caller.Principal
	if !enabled && !may.Dir.InGroup(me, changed.ID) {
		return nil
	}
	after, err := e.kernel.Compiled(ctx, tx)
	if err != nil {
		return err
	}
	was, is := may.Dir.GroupsOf(me), after.GroupsOf(me)
	save := func(groups, others []access.PrincipalID, left bool) error {
		for _, id := range groups {
			if slices.Contains(others, id) {
				continue
			}
			group := changed
			if id != changed.ID {
				if group, err = tx.Principal(ctx, id); err != nil {
					return fmt.Errorf("read principal: %w", err)
				}
			}
			if err := tx.SaveRegrouping(ctx,
				engine.Regrouping{Principal: me, Group: id, Name: group.Name, Left: left, At: may.Now}); err != nil {
				return fmt.Errorf("save regrouping: %w", err)
			}
		}
		return nil
	}
	if err := save(was, is, true); err != nil {
		return err
	}
	return save(is, was, false)
}
