package engine

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
)

// LifecycleChannel gives the id of the channel that a definition's notification endpoint is.
func LifecycleChannel(definition access.ResourceID) ChannelID {
	return ChannelID(uuid.NewSHA1(uuid.NameSpaceURL, []byte(definition.Fold())).String())
}

// TellProgram enqueues what the publisher's program is told, where the definition has an endpoint.
func (w *Work) TellProgram(ctx context.Context, a app.Application, event LifecycleEvent,
	request access.RequestID,
) error {
	event.Channel, event.Application, event.Definition = LifecycleChannel(a.Definition), a.Resource, a.Definition
	if _, err := w.Tx.Channel(ctx, event.Channel); err != nil {
		if IsKind(err, access.KindNotFound) {
			return nil
		}
		return fmt.Errorf("read channel: %w", err)
	}
	err := w.Tx.Enqueue(ctx, Notification{
		ID: NotificationID(NewID()), At: w.Now, Kind: NotifyLifecycle, Tenant: a.Publisher, Request: request,
		Lifecycle: event,
	})
	if err != nil {
		return fmt.Errorf("enqueue notification: %w", err)
	}
	return nil
}
