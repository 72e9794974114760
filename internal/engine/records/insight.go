package records

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// Access is what somebody had at an instant, or may have still.
type Access struct {
	engine.GrantDetail // of a code: what its request says, without an id

	From   time.Time // when it was seen open, or should have begun where nobody said so
	Until  time.Time // when it was seen gone, or is to end; zero where it ended and nobody has seen it gone
	Seen   bool      // an agent said that it was open
	ByCode bool      // on the machine itself, with a code, while the server was out of reach
}

// AccessOf gives what was held, as it stands at now.
func AccessOf(h engine.Held, m access.Machine, now time.Time) Access {
	if h.ByCode() {
		return byCode(h.Use, m, now)
	}
	g := h.Grant
	a := Access{
		GrantDetail: engine.DetailOf(g, m), From: g.Start, Until: g.End, Seen: !g.OpenedAt.IsZero(),
	}
	if a.Seen {
		a.From = g.OpenedAt
	}
	switch {
	case !g.ClosedAt.IsZero():
		a.Until = g.ClosedAt
	case g.State.Ended():
		a.Until = time.Time{}
	}
	return a
}

// byCode gives the use of a code in the form of a grant.
func byCode(u engine.CodeUse, m access.Machine, now time.Time) Access {
	r, item := u.Request, u.Request.Items[0]
	g := access.Grant{
		Request: r.ID, Tenant: r.Tenant, Principal: r.Requester, PrincipalName: r.RequesterName, Target: item.Target,
		Start: u.Opened, End: u.Over, OpenedAt: u.Opened, State: access.GrantActive,
		CreatedAt: r.CreatedAt,
	}
	if !now.Before(u.Over) {
		g.State, g.EndedAt = access.GrantExpired, u.Over
	}
	return Access{
		GrantDetail: engine.DetailOf(g, m), From: u.Opened, Until: u.Over,
		Seen: true, ByCode: true,
	}
}

// WhoHad tells who had access to a machine at an instant, the newest first: by grants, what an agent saw open by then
// and not gone before, and what should have been open then and no agent spoke of; and by codes that were used on the
// machine itself. The zero instant is now; the pages that follow are of the same instant, whatever they are asked for.
func (e *Service) WhoHad(ctx context.Context, c engine.Caller, machine string, at time.Time,
	p engine.Page,
) (list engine.Listed[Access], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.GrantsRead, Details: map[string]string{"machine": machine}},
		func(r engine.Reader, may engine.Rights) error {
			m, err := engine.FindMachine(ctx, r, may, machine, rbac.GrantsRead)
			if err != nil {
				return err
			}
			if err := may.Require(rbac.GrantsRead, m.Resource); err != nil {
				return err
			}
			if p, err = engine.CheckPage(p); err != nil {
				return err
			}
			if at.IsZero() {
				at = may.Now
			}
			if began, rest, ok := strings.Cut(p.Cursor, "."); ok {
				micros, err := strconv.ParseInt(began, 10, 64)
				if err != nil {
					return access.Fault(access.KindInvalid, "malformedCursor",
						"the cursor is not one of this list; start again without one")
				}
				at, p.Cursor = time.UnixMicro(micros), rest
			}
			if at.After(may.Now) {
				return access.Fault(access.KindInvalid, "timeAhead",
					"the time lies in the future: give a time in the past")
			}
			held, err := r.HeldAt(ctx, m.ID, at, p)
			if err != nil {
				return fmt.Errorf("read who had access: %w", err)
			}
			list = engine.Listed[Access]{Items: []Access{}}
			if held.Next != "" {
				list.Next = strconv.FormatInt(at.UnixMicro(), 10) + "." + held.Next
			}
			for _, h := range held.Items {
				list.Items = append(list.Items, AccessOf(h, m, may.Now))
			}
			return nil
		})
	return list, err
}

// NotClosed lists what may be open though no grant in force says so: the caller's own, and that on machines whose
// grants they may read. That is access that ended and that nobody has seen closed, and what codes opened on machines
// for as long as it lasts. What ended last, or is to end, comes first. The filter's Machine and Principal narrow it,
// and the engine fills in the rest.
func (e *Service) NotClosed(ctx context.Context, c engine.Caller, f engine.NotClosedFilter,
	p engine.Page,
) (list engine.Listed[Access], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.GrantsRead},
		func(r engine.Reader, may engine.Rights) error {
			f.Tenant, f.Beside, f.Now = c.Tenant, may.Beside(), may.Now
			scopes := may.Scopes(rbac.GrantsRead)
			if len(scopes) == 0 {
				if f.Principal != "" && f.Principal != c.Principal {
					return engine.Forbidden(rbac.GrantsRead, access.Root, "you may see your own access alone")
				}
				f.Principal = c.Principal
			}
			names := engine.NameCache{R: r}
			list, err = engine.Visible(p,
				func(p engine.Page) (engine.Listed[engine.Held], error) { return r.NotClosed(ctx, f, p) },
				func(h engine.Held) (Access, bool, error) {
					a := AccessOf(h, access.Machine{}, may.Now)
					m, err := names.Machine(ctx, a.Grant.Place().Machine)
					a.GrantDetail = engine.DetailOf(a.Grant, m)
					mine := may.Owns(a.Grant.Principal, rbac.GrantsRead,
						engine.ScopeOf(m)) || may.Reaches(a.Grant.Tenant, engine.ScopeOf(m), scopes)
					return a, mine, err
				})
			return err
		})
	return list, err
}

// NeverUsed lists grants that were in force and ended, made since then, with no packet counted; newest first.
func (e *Service) NeverUsed(ctx context.Context, c engine.Caller, since time.Time,
	p engine.Page,
) (list engine.Listed[engine.GrantDetail], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.GrantsRead},
		func(r engine.Reader, may engine.Rights) error {
			scopes, err := may.Anywhere(rbac.GrantsRead)
			if err != nil {
				return err
			}
			names := engine.NameCache{R: r}
			list, err = engine.Visible(p, func(p engine.Page) (engine.Listed[access.Grant], error) {
				return r.NeverUsedGrants(ctx, c.Tenant, since, p)
			},
				func(g access.Grant) (engine.GrantDetail, bool, error) {
					m, err := names.Site(ctx, g.Target)
					return engine.DetailOf(g, m), engine.Covered(engine.ScopeOf(m), scopes), err
				})
			return err
		})
	return list, err
}

// ForeignAt is what an agent found in firewall tables that are not ours.
type ForeignAt struct {
	Agent    access.Agent
	Machines []string // names of those that it guards, at most 100
}

// Foreign lists the agents that found rules of other firewall tables at guarded ports, by name; of those whose machines
// the caller may read. At most 1,000.
func (e *Service) Foreign(ctx context.Context, c engine.Caller) (list []ForeignAt, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.MachinesRead},
		func(r engine.Reader, may engine.Rights) error {
			scopes, err := may.Anywhere(rbac.MachinesRead)
			if err != nil {
				return err
			}
			agents, err := engine.ToTheEnd(engine.IDOfAgent, func(after access.AgentID) ([]access.Agent, error) {
				return r.ForeignAgents(ctx, c.Tenant, after, engine.MostStates)
			})
			if err != nil {
				return fmt.Errorf("read agents: %w", err)
			}
			slices.SortStableFunc(agents,
				func(a, b access.Agent) int {
					return strings.Compare(strings.ToLower(a.Name),
						strings.ToLower(b.Name))
				})
			list = []ForeignAt{}
			for _, agent := range agents {
				machines, err := engine.GuardedWithin(ctx, r, agent.ID, scopes, engine.DefaultLimit)
				if err != nil {
					return err
				}
				at := ForeignAt{Agent: agent}
				for _, m := range machines {
					at.Machines = append(at.Machines, m.Name)
				}
				if len(at.Machines) == 0 {
					continue
				}
				if list = append(list, at); len(list) == engine.MaxLimit {
					break
				}
			}
			return nil
		})
	return list, err
}
