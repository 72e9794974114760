package engine

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// PrincipalKind says whether somebody whom the caller was shown by their id is a user, a group or a service principal; empty where
// there is no such principal. It tells nothing else of them, and so needs no right.
func (e *Engine) PrincipalKind(ctx context.Context, c Caller, id access.PrincipalID) (kind access.PrincipalKind, err error) {
	err = e.look(ctx, c, attempt{action: rbac.PrincipalsRead}, func(r Reader) error {
		if _, err := e.rights(ctx, r, c); err != nil {
			return err
		}
		p, err := r.Principal(ctx, id)
		if err != nil && !isKind(err, access.KindNotFound) {
			return fmt.Errorf("read principal: %w", err)
		}
		kind = p.Kind
		return nil
	})
	return kind, err
}
