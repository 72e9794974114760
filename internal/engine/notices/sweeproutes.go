package notices

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// sweepEvery is how often routes are looked at though no right changed: assignments also end by time, and policies go.
const sweepEvery = 30 * time.Second

// SweptAt is which directory the routes were last looked at by, and when. Only the reconciler uses it.
type SweptAt struct {
	revision int64
	at       time.Time
}

// SweepRoutes takes away the routes that watch a policy which their person may no longer read, or which is gone. It
// looks again once the directory has changed, and now and then.
func (e *Service) SweepRoutes(ctx context.Context, last *SweptAt) error {
	var gone []engine.Route
	now := e.kernel.Now()
	var revision int64
	err := e.kernel.Store.View(ctx, func(r engine.Reader) error {
		gone = nil
		var err error
		if revision, err = r.DirectoryRevision(ctx); err != nil {
			return fmt.Errorf("read revision of the directory: %w", err)
		}
		if revision == last.revision && now.Sub(last.at) < sweepEvery {
			return nil
		}
		gone, err = e.unentitled(ctx, r, now)
		return err
	})
	if err != nil {
		return err
	}
	if len(gone) > 0 {
		if err := e.dropRoutes(ctx, gone); err != nil {
			return err
		}
	}
	if revision != last.revision || now.Sub(last.at) >= sweepEvery {
		*last = SweptAt{revision: revision, at: now}
	}
	return nil
}

// unentitled gives the routes by which somebody watches a policy without the right to read it.
func (e *Service) unentitled(ctx context.Context, r engine.Reader, now time.Time) ([]engine.Route, error) {
	if err := e.kernel.Refresh(ctx, r); err != nil {
		return nil, err
	}
	dir, err := e.kernel.Compiled(ctx, r)
	if err != nil {
		return nil, err
	}
	var gone []engine.Route
	err = eachRoute(ctx, r, engine.RouteFilter{}, func(route engine.Route) error {
		if route.Policy == "" || route.Principal == "" {
			return nil
		}
		p, err := engine.PolicyOf(ctx, r, route.Tenant, route.Policy)
		switch {
		case engine.IsKind(err, access.KindNotFound):
			gone = append(gone, route)
		case err != nil:
			return fmt.Errorf("read policy: %w", err)
		case !dir.Check(route.Principal, rbac.PoliciesRead, p.Resource, now).Allowed:
			gone = append(gone, route)
		}
		return nil
	})
	return gone, err
}

func (e *Service) dropRoutes(ctx context.Context, gone []engine.Route) error {
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		w := e.kernel.NewWork(tx, e.kernel.Now())
		dir, err := e.kernel.Compiled(ctx, tx)
		if err != nil {
			return err
		}
		for _, route := range gone {
			route, err := tx.Route(ctx, route.ID)
			if engine.IsKind(err, access.KindNotFound) {
				continue // another replica was faster
			}
			if err != nil {
				return fmt.Errorf("read route: %w", err)
			}
			d, err := describeRoute(ctx, tx, route)
			if err != nil {
				return err
			}
			if d.Policy != "" && dir.Check(route.Principal, rbac.PoliciesRead, d.Policy, w.Now).Allowed {
				continue // the right is back
			}
			if err := tx.DeleteRoute(ctx, route.ID); err != nil {
				return fmt.Errorf("delete route: %w", err)
			}
			event := d.event(access.RouteDeleted, access.System(), w.Now)
			event.Details["reason"] = "the person may not read the policy any more"
			w.Event(event)
		}
		return w.Finish(ctx)
	})
}

// event tells of a route.
func (d RouteDetail) event(kind access.EventKind, by access.Actor, now time.Time) access.Event {
	details := map[string]string{
		"route": string(d.Route.ID), "channel": engine.Clip(d.ChannelName),
		"mute": strconv.FormatBool(d.Route.Mute),
	}
	if d.PrincipalName != "" {
		details["principal"] = d.PrincipalName
	}
	return access.Event{
		At: now, Kind: kind, Outcome: access.Succeeded, Actor: by, Tenant: d.Route.Tenant, Scope: d.Policy,
		Action: rbac.RoutesWrite, Details: details,
	}
}
