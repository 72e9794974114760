package requests

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// RequestNamed gives the request that a name stands for, which a client of Azure's gave it.
func (e *Service) RequestNamed(ctx context.Context, c engine.Caller,
	name access.ResourceID,
) (d RequestDetail, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.RequestsRead},
		func(r engine.Reader, may engine.Rights) error {
			n, err := engine.CalledBy(ctx, r, name)
			if err != nil {
				return err
			}
			request, err := FindRequest(ctx, r, may, engine.RequestCalled(name, n))
			if err != nil {
				return err
			}
			d, err = e.describeWhole(ctx, r, may, &engine.NameCache{R: r}, request)
			return err
		})
	return d, err
}

// ReleaseRequest gives the name of a request free that is over, or never had one, so that clients of Azure's find it no
// more and may use the name again. It stays on record. Its requester may, and who may cancel it.
func (e *Service) ReleaseRequest(ctx context.Context, c engine.Caller, id access.RequestID) error {
	return e.kernel.Change(ctx, c, engine.Attempt{Action: rbac.RequestsCancel, Request: id},
		func(tx engine.Tx, may engine.Rights) error {
			request, err := FindRequest(ctx, tx, may, id)
			if err != nil {
				return err
			}
			if request.Requester != c.Principal {
				for _, item := range request.Items {
					if err := may.RequireOf(request.Tenant, rbac.RequestsCancel, item.Place().Scope); err != nil {
						return err
					}
				}
			}
			grants, err := tx.GrantsOfRequest(ctx, id)
			if err != nil {
				return fmt.Errorf("read grants: %w", err)
			}
			next, events, err := request.Release(may.Actor(request.Tenant), grants, may.Now)
			if err != nil || next.Revision == request.Revision {
				return err
			}
			if err := tx.SaveRequest(ctx, next, request.Revision); err != nil {
				return fmt.Errorf("save request: %w", err)
			}
			if err := tx.Append(ctx, events...); err != nil {
				return fmt.Errorf("append events: %w", err)
			}
			return nil
		})
}
