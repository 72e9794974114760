package notices

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

const maxRoutes = 100 // of one person, and of everybody

// RouteInput is a new route.
type RouteInput struct {
	Channel   string // name or id
	Principal string // name or id of a person; empty is everybody
	Policy    access.ResourceID
	Machine   string // in place of Policy: the policy that guards it
	Kinds     []engine.NotificationKind
	Mute      bool
}

// RouteDetail is a route with the names that people know.
type RouteDetail struct {
	Route         engine.Route
	ChannelName   string
	PrincipalName string
	Policy        access.ResourceID // empty where the policy is gone
}

// CreateRoute adds a route. One's own need no right, but to watch a policy one must be able to read it; those of
// others, and of everybody, need one. Nobody can be made to watch a policy that they may not read.
func (e *Service) CreateRoute(ctx context.Context, c engine.Caller, in RouteInput) (d RouteDetail, err error) {
	a := engine.Attempt{
		Action:  rbac.RoutesWrite,
		Details: map[string]string{"channel": in.Channel, "principal": in.Principal},
	}
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		who, err := in.person(ctx, tx, c)
		if err != nil {
			return err
		}
		if who.ID != c.Principal {
			if err := may.Require(rbac.RoutesWrite, access.Root); err != nil {
				return err
			}
		}
		channel, err := findChannel(ctx, tx, c.Tenant, in.Channel)
		if err != nil {
			return err
		}
		policy, err := in.policy(ctx, tx, may, who.ID)
		if err != nil {
			return err
		}
		route := engine.Route{
			ID: engine.RouteID(engine.NewID()), Tenant: c.Tenant, Channel: channel.ID, Principal: who.ID,
			Policy: policy.ID,
			Kinds:  slices.Clone(in.Kinds), Mute: in.Mute, CreatedAt: may.Now,
		}
		if err := route.Validate(); err != nil {
			return err
		}
		if err := tooManyRoutes(ctx, tx, route); err != nil {
			return err
		}
		if err := tx.SaveRoute(ctx, route); err != nil {
			return fmt.Errorf("save route: %w", err)
		}
		d = RouteDetail{Route: route, ChannelName: channel.Name, PrincipalName: who.Name, Policy: policy.Resource}
		return tx.Append(ctx, d.event(access.RouteWritten, c.Actor(), may.Now))
	})
	return d, err
}

// person gives whom the route is for; the zero principal stands for everybody.
func (in RouteInput) person(ctx context.Context, r engine.Reader, c engine.Caller) (access.Principal, error) {
	if in.Principal == "" {
		return access.Principal{}, nil
	}
	p, err := directory.FindPrincipal(ctx, r, c.Tenant, in.Principal)
	if err == nil && p.Kind != access.User {
		return p, access.Fault(access.KindInvalid, "notAPerson",
			"%q is not a person: a route is for a person, or for everybody", engine.Clip(p.Name))
	}
	return p, err
}

// policy gives the policy that the route is about, which both the caller and the person must be able to read.
func (in RouteInput) policy(ctx context.Context, r engine.Reader, may engine.Rights,
	who access.PrincipalID,
) (access.Policy, error) {
	var p access.Policy
	var err error
	unknown := access.Fault(access.KindNotFound, "unknownPolicy", "there is no such policy that you may see")
	switch {
	case in.Machine != "":
		m, err := engine.FindMachine(ctx, r, may, in.Machine, rbac.MachinesRead)
		if err != nil {
			return p, err
		}
		guards, err := engine.GuardsOf(ctx, r, m)
		if err != nil {
			return p, err
		}
		if len(guards) == 0 {
			return p, access.Fault(access.KindNotFound, "machineNotConfigured", "no policy guards %q yet",
				engine.Clip(in.Machine))
		}
		p = guards[0]
	case in.Policy != "":
		if p, err = engine.PolicyAt(ctx, r,
			in.Policy); engine.IsKind(err, access.KindNotFound) || err == nil && p.Tenant != may.Caller.Tenant {
			return access.Policy{}, unknown
		} else if err != nil {
			return p, fmt.Errorf("read policy: %w", err)
		}
	default:
		return access.Policy{}, nil
	}
	if !may.May(rbac.PoliciesRead, p.Resource) {
		return access.Policy{}, unknown
	}
	if who != "" && !may.Dir.Check(who, rbac.PoliciesRead, p.Resource, may.Now).Allowed {
		return access.Policy{}, access.Fault(access.KindForbidden, "mayNotWatch",
			"that person may not read the policy, so they cannot follow it")
	}
	return p, nil
}

func tooManyRoutes(ctx context.Context, r engine.OutboxReader, route engine.Route) error {
	n := 0
	err := eachRoute(ctx, r, engine.RouteFilter{Tenant: route.Tenant, Principal: route.Principal},
		func(other engine.Route) error {
			if other.Principal == route.Principal {
				n++
			}
			return nil
		})
	if err == nil && n >= maxRoutes {
		return access.Fault(access.KindConflict, "tooManyRoutes",
			"there are %d routes, the most that are allowed: delete one first", n)
	}
	return err
}

// eachRoute goes through all routes that the filter lets through.
func eachRoute(ctx context.Context, r engine.OutboxReader, f engine.RouteFilter, do func(engine.Route) error) error {
	for p := (engine.Page{Limit: engine.MaxLimit}); ; {
		list, err := r.Routes(ctx, f, p)
		if err != nil {
			return fmt.Errorf("read routes: %w", err)
		}
		for _, route := range list.Items {
			if err := do(route); err != nil {
				return err
			}
		}
		if list.Next == "" {
			return nil
		}
		p.Cursor = list.Next
	}
}

// Routes lists the caller's own routes, and with the right to it those of all; oldest first. principal, a name or id,
// asks for those of one person.
func (e *Service) Routes(ctx context.Context, c engine.Caller, principal string,
	p engine.Page,
) (list engine.Listed[RouteDetail], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.RoutesRead},
		func(r engine.Reader, may engine.Rights) error {
			f := engine.RouteFilter{Tenant: c.Tenant}
			all := may.May(rbac.RoutesRead, access.Root)
			switch {
			case principal != "":
				who, err := directory.FindPrincipal(ctx, r, c.Tenant, principal)
				if err != nil {
					return err
				}
				if f.Principal = who.ID; who.ID != c.Principal {
					if err := may.Require(rbac.RoutesRead, access.Root); err != nil {
						return err
					}
				}
			case !all:
				f.Principal = c.Principal
			}
			list, err = engine.Visible(p,
				func(p engine.Page) (engine.Listed[engine.Route], error) { return r.Routes(ctx, f, p) },
				func(route engine.Route) (RouteDetail, bool, error) {
					d, err := describeRoute(ctx, r, route)
					return d, err == nil, err
				})
			return err
		})
	return list, err
}

func describeRoute(ctx context.Context, r engine.Reader, route engine.Route) (RouteDetail, error) {
	d := RouteDetail{Route: route}
	channel, err := r.Channel(ctx, route.Channel)
	if err != nil {
		return d, fmt.Errorf("read channel: %w", err)
	}
	d.ChannelName = channel.Name
	if route.Principal != "" {
		p, err := r.Principal(ctx, route.Principal)
		if err != nil && !engine.IsKind(err, access.KindNotFound) {
			return d, fmt.Errorf("read principal: %w", err)
		}
		d.PrincipalName = p.Name
	}
	if route.Policy != "" {
		p, err := engine.PolicyOf(ctx, r, route.Tenant, route.Policy)
		if err != nil && !engine.IsKind(err, access.KindNotFound) {
			return d, fmt.Errorf("read policy: %w", err)
		}
		d.Policy = p.Resource
	}
	return d, nil
}

// DeleteRoute takes a route away: one's own, or with the right to it anybody's.
func (e *Service) DeleteRoute(ctx context.Context, c engine.Caller, id engine.RouteID) error {
	return e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.RoutesWrite, Details: map[string]string{"route": string(id)}},
		func(tx engine.Tx, may engine.Rights) error {
			unknown := access.Fault(access.KindNotFound, "unknownRoute", "there is no route %q of yours",
				engine.Clip(string(id)))
			if uuid.Validate(string(id)) != nil {
				return unknown
			}
			route, err := tx.Route(ctx, engine.RouteID(strings.ToLower(string(id))))
			mine := route.Principal == c.Principal
			switch {
			case engine.IsKind(err,
				access.KindNotFound) || err == nil && route.Tenant != c.Tenant || err == nil && !mine && !may.May(
				rbac.RoutesRead, access.Root):
				return unknown
			case err != nil:
				return fmt.Errorf("read route: %w", err)
			case !mine:
				if err := may.Require(rbac.RoutesWrite, access.Root); err != nil {
					return err
				}
			}
			d, err := describeRoute(ctx, tx, route)
			if err != nil {
				return err
			}
			if err := tx.DeleteRoute(ctx, route.ID); err != nil {
				return fmt.Errorf("delete route: %w", err)
			}
			return tx.Append(ctx, d.event(access.RouteDeleted, c.Actor(), may.Now))
		})
}
