package directory

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// PrincipalKind says whether somebody whom the caller was shown by their id is a user, a group or a service principal;
// empty where there is no such principal. It tells nothing else of them, and so needs no right.
func (e *Service) PrincipalKind(ctx context.Context, c engine.Caller,
	id access.PrincipalID,
) (kind access.PrincipalKind, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.PrincipalsRead},
		func(r engine.Reader, _ engine.Rights) error {
			p, err := r.Principal(ctx, id)
			if err != nil && !engine.IsKind(err, access.KindNotFound) {
				return fmt.Errorf("read principal: %w", err)
			}
			kind = p.Kind
			return nil
		})
	return kind, err
}
