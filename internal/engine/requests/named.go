package requests

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// A request that a client of Azure's makes has the resource id that it is called by, and its own id is derived from
// that. A name that was released is used again: the next request of it has the next id in the row, so that all stay on
// record.

// idOf gives the id of the request that was made by a name for the nth time, counted from 0.
func idOf(name access.ResourceID, n int) access.RequestID {
	text := name.Fold()
	if n > 0 {
		text += fmt.Sprintf("#%d", n)
	}
	return access.RequestID(uuid.NewSHA1(uuid.NameSpaceURL, []byte(text)).String())
}

// maxTaken is how many ids in a row of a name others may have taken, who chose them for requests of another name, or of
// none.
const maxTaken = 1000

// called gives the number of the request that a name stands for now; where there is none, it is the number that is
// free. What has an id of the name without being called so is passed over: anybody may work out an id and choose it. It
// asks for as few as the logarithm of the number, and those that others took.
func called(ctx context.Context, r engine.Reader, name access.ResourceID) (n int, err error) {
	taken := 0
	used := func(n int) (at int, used, held bool, err error) {
		for ; taken <= maxTaken; n++ {
			request, err := r.Request(ctx, idOf(name, n))
			switch {
			case engine.IsKind(err, access.KindNotFound):
				return n, false, false, nil
			case err != nil:
				return n, false, false, fmt.Errorf("read request: %w", err)
			case request.Resource.Equal(name):
				return n, true, !request.Released, nil
			}
			taken++
		}
		return n, false, false, access.Fault(access.KindConflict, "nameTaken",
			"more than %d ids that the name %q stands for are taken: choose another name", maxTaken,
			engine.Clip(string(name)))
	}
	last, free := -1, 0 // last is used and released, as all before it are; free is the first that may be neither
	for {
		at, is, held, err := used(free)
		if err != nil || held {
			return at, err
		}
		free = at
		if !is {
			break
		}
		last, free = free, 2*free+1
	}
	for last+1 < free {
		middle := (last + free) / 2
		at, is, held, err := used(middle)
		switch {
		case err != nil || held:
			return at, err
		case is:
			last = at
		default:
			free = middle // what lies between it and the number that is free is taken
		}
	}
	at, _, _, err := used(free)
	return at, err
}

// RequestNamed gives the request that a name stands for, which a client of Azure's gave it.
func (e *Service) RequestNamed(ctx context.Context, c engine.Caller,
	name access.ResourceID,
) (d RequestDetail, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.RequestsRead},
		func(r engine.Reader, may engine.Rights) error {
			n, err := called(ctx, r, name)
			if err != nil {
				return err
			}
			request, err := FindRequest(ctx, r, may, idOf(name, n))
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
