package notices

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/engine"
)

// SaveEndpoint makes the channel of a definition what its notification endpoint says; without an endpoint there is
// none.
func (e *Service) SaveEndpoint(ctx context.Context, tx engine.Tx, d app.Definition, deleted bool) error {
	was, err := tx.Channel(ctx, engine.LifecycleChannel(d.Resource))
	if err != nil && !engine.IsKind(err, access.KindNotFound) {
		return fmt.Errorf("read channel: %w", err)
	}
	if deleted || d.Endpoint == "" || e.sealSecret == nil {
		if was.Revision == 0 {
			return nil
		}
		return tx.DeleteChannel(ctx, was.ID, was.Revision, d.UpdatedAt)
	}
	c := engine.Channel{
		ID: engine.LifecycleChannel(d.Resource), Tenant: d.Tenant, Name: string(d.Resource), Kind: engine.Lifecycle,
		Enabled: true, CreatedAt: d.CreatedAt, Revision: was.Revision + 1,
	}
	if c.Secret, err = e.sealSecret(c.ID, c.Kind, d.Endpoint); err != nil {
		return err
	}
	if err := tx.SaveChannel(ctx, c, was.Revision); err != nil {
		return fmt.Errorf("save channel: %w", err)
	}
	return nil
}
