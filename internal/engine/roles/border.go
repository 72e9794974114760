package roles

import (
	"context"

	"github.com/postern-dev/postern/internal/engine"
)

// changeAbroad gives the record of a change of a role without who asked for it or gave it.
func changeAbroad(ctx context.Context, b *engine.Border, d RoleChangeDetail) (_ RoleChangeDetail, err error) {
	if b == nil {
		return d, nil
	}
	if d.Change.Requester, err = b.Person(ctx, d.Change.Requester); err == nil {
		d.Change.DecidedBy, err = b.Person(ctx, d.Change.DecidedBy)
	}
	return d, err
}
