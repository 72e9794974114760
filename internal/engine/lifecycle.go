package engine

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
)

// lifecycleChannel gives the id of the channel that a definition's notification endpoint is.
func lifecycleChannel(definition access.ResourceID) ChannelID {
	return ChannelID(uuid.NewSHA1(uuid.NameSpaceURL, []byte(definition.Fold())).String())
}

// saveEndpoint makes the channel of a definition what its notification endpoint says; without an endpoint there is none.
func (e *Engine) saveEndpoint(ctx context.Context, tx Tx, d app.Definition, deleted bool) error {
	was, err := tx.Channel(ctx, lifecycleChannel(d.Resource))
	if err != nil && !isKind(err, access.KindNotFound) {
		return fmt.Errorf("read channel: %w", err)
	}
	if deleted || d.Endpoint == "" || e.sealSecret == nil {
		if was.Revision == 0 {
			return nil
		}
		return tx.DeleteChannel(ctx, was.ID, was.Revision, d.UpdatedAt)
	}
	c := Channel{
		ID: lifecycleChannel(d.Resource), Tenant: d.Tenant, Name: string(d.Resource), Kind: Lifecycle, Enabled: true, CreatedAt: d.CreatedAt, Revision: was.Revision + 1,
	}
	if c.Secret, err = e.sealSecret(c.ID, c.Kind, d.Endpoint); err != nil {
		return err
	}
	if err := tx.SaveChannel(ctx, c, was.Revision); err != nil {
		return fmt.Errorf("save channel: %w", err)
	}
	return nil
}

// tellProgram enqueues what the publisher's program is told, where the definition has an endpoint.
func (w *work) tellProgram(ctx context.Context, a app.Application, event LifecycleEvent, request access.RequestID) error {
	event.Channel, event.Application, event.Definition = lifecycleChannel(a.Definition), a.Resource, a.Definition
	if _, err := w.tx.Channel(ctx, event.Channel); err != nil {
		if isKind(err, access.KindNotFound) {
			return nil
		}
		return fmt.Errorf("read channel: %w", err)
	}
	err := w.tx.Enqueue(ctx, Notification{
		ID: NotificationID(newID()), At: w.now, Kind: NotifyLifecycle, Tenant: a.Publisher, Request: request, Lifecycle: event,
	})
	if err != nil {
		return fmt.Errorf("enqueue notification: %w", err)
	}
	return nil
}
