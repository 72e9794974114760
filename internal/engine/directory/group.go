package directory

import (
	"context"

	"github.com/postern-dev/postern/internal/engine"
)

// AuthorizeGroup finds the resource group that ref names, and fails with access.KindForbidden unless the caller may do
// action there. Whoever may do it nowhere does not learn which groups there are.
func (e *Service) AuthorizeGroup(ctx context.Context, r engine.Reader, c engine.Caller,
	action, ref string,
) (engine.Rights, engine.PlacedGroup, error) {
	may, err := e.kernel.Rights(ctx, r, c)
	if err != nil {
		return engine.Rights{}, engine.PlacedGroup{}, err
	}
	if _, err := may.Anywhere(action); err != nil {
		return engine.Rights{}, engine.PlacedGroup{}, err
	}
	group, err := engine.FindGroup(ctx, r, may, ref)
	if err != nil {
		return engine.Rights{}, engine.PlacedGroup{}, err
	}
	return may, group, may.Require(action, group.Scope())
}
