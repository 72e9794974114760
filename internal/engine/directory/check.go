package directory

import (
	"context"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// Check tells whether the caller may do action at scope: nil, or an error of access.KindForbidden.
func (e *Service) Check(ctx context.Context, c engine.Caller, action string, scope access.ResourceID) error {
	return e.kernel.Look(ctx, c, engine.Attempt{Action: action, Scope: scope},
		func(r engine.Reader, _ engine.Rights) error {
			_, err := e.kernel.Authorize(ctx, r, c, action, scope)
			return err
		})
}
