package engine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Access is what somebody had at an instant, or may have still.
type Access struct {
	GrantDetail // of a code: what its request says, without an id

	From   time.Time // when it was seen open, or should have begun where nobody said so
	Until  time.Time // when it was seen gone, or is to end; zero where it ended and nobody has seen it gone
	Seen   bool      // an agent said that it was open
	ByCode bool      // on the machine itself, with a code, while the server was out of reach
}

// accessOf gives what was held, as it stands at now.
func accessOf(h Held, m access.Machine, now time.Time) Access {
	if h.ByCode() {
		return byCode(h.Use, nameOf(m, h.Use.Request.Items[0].Machine), now)
	}
	g := h.Grant
	a := Access{GrantDetail: GrantDetail{Grant: g, MachineName: nameOf(m, g.Machine)}, From: g.Start, Until: g.End, Seen: !g.OpenedAt.IsZero()}
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
func byCode(u CodeUse, machine string, now time.Time) Access {
	r, item := u.Request, u.Request.Items[0]
	g := access.Grant{
		Request: r.ID, Tenant: r.Tenant, Principal: r.Requester, PrincipalName: r.RequesterName, Machine: item.Machine, Ports: item.Ports, Protocol: item.Protocol,
		Sources: item.Sources, Start: u.Opened, End: u.Over, OpenedAt: u.Opened, State: access.GrantActive, CreatedAt: r.CreatedAt,
	}
	if !now.Before(u.Over) {
		g.State, g.EndedAt = access.GrantExpired, u.Over
	}
	return Access{GrantDetail: GrantDetail{Grant: g, MachineName: machine}, From: u.Opened, Until: u.Over, Seen: true, ByCode: true}
}

// WhoHad tells who had access to a machine at an instant, the newest first: by grants, what an agent saw open by then and not
// gone before, and what should have been open then and no agent spoke of; and by codes that were used on the machine itself. The
// zero instant is now; the pages that follow are of the same instant, whatever they are asked for.
func (e *Engine) WhoHad(ctx context.Context, c Caller, machine string, at time.Time, p Page) (list Listed[Access], err error) {
	err = e.look(ctx, c, attempt{action: rbac.GrantsRead, details: map[string]string{"machine": machine}}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		m, err := findMachine(ctx, r, may, machine, rbac.GrantsRead)
		if err != nil {
			return err
		}
		if err := may.require(rbac.GrantsRead, m.Resource); err != nil {
			return err
		}
		if p, err = checkPage(p); err != nil {
			return err
		}
		if at.IsZero() {
			at = may.now
		}
		if began, rest, ok := strings.Cut(p.Cursor, "."); ok {
			micros, err := strconv.ParseInt(began, 10, 64)
			if err != nil {
				return access.Fault(access.KindInvalid, "malformedCursor", "the cursor is not one that this list gave; begin again without one")
			}
			at, p.Cursor = time.UnixMicro(micros), rest
		}
		if at.After(may.now) {
			return access.Fault(access.KindInvalid, "timeAhead", "what will be is not known: give a time that is over")
		}
		held, err := r.HeldAt(ctx, m.ID, at, p)
		if err != nil {
			return fmt.Errorf("read who had access: %w", err)
		}
		list = Listed[Access]{Items: []Access{}}
		if held.Next != "" {
			list.Next = strconv.FormatInt(at.UnixMicro(), 10) + "." + held.Next
		}
		for _, h := range held.Items {
			list.Items = append(list.Items, accessOf(h, m, may.now))
		}
		return nil
	})
	return list, err
}

// NotClosed lists what may be open though no grant in force says so: the caller's own, and that on machines whose grants they may
// read. That is access that ended and that nobody has seen closed, and what codes opened on machines for as long as it lasts. What
// ended last, or is to end, comes first. The filter's Machine and Principal narrow it, and the engine fills in the rest.
func (e *Engine) NotClosed(ctx context.Context, c Caller, f NotClosedFilter, p Page) (list Listed[Access], err error) {
	err = e.look(ctx, c, attempt{action: rbac.GrantsRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		f.Tenant, f.Beside, f.Now = c.Tenant, may.beside(), may.now
		scopes := may.scopes(rbac.GrantsRead)
		if len(scopes) == 0 {
			if f.Principal != "" && f.Principal != c.Principal {
				return forbidden(rbac.GrantsRead, access.Root, "you may see your own access alone")
			}
			f.Principal = c.Principal
		}
		names := nameCache{r: r}
		list, err = visible(p, func(p Page) (Listed[Held], error) { return r.NotClosed(ctx, f, p) }, func(h Held) (Access, bool, error) {
			tenant, principal, id := h.Grant.Tenant, h.Grant.Principal, h.Grant.Machine
			if h.ByCode() {
				tenant, principal, id = h.Use.Request.Tenant, h.Use.Request.Requester, h.Use.Request.Items[0].Machine
			}
			m, err := names.machine(ctx, id)
			mine := may.owns(principal, rbac.GrantsRead, scopeOf(m)) || may.reaches(tenant, scopeOf(m), scopes)
			return accessOf(h, m, may.now), mine, err
		})
		return err
	})
	return list, err
}

// NeverUsed lists grants that were in force and ended, made since then, with no packet counted; newest first.
func (e *Engine) NeverUsed(ctx context.Context, c Caller, since time.Time, p Page) (list Listed[GrantDetail], err error) {
	err = e.look(ctx, c, attempt{action: rbac.GrantsRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		scopes, err := may.anywhere(rbac.GrantsRead)
		if err != nil {
			return err
		}
		names := nameCache{r: r}
		list, err = visible(p, func(p Page) (Listed[access.Grant], error) { return r.NeverUsedGrants(ctx, c.Tenant, since, p) },
			func(g access.Grant) (GrantDetail, bool, error) {
				m, err := names.site(ctx, g.Role, g.Machine)
				return GrantDetail{Grant: g, MachineName: nameOf(m, g.Machine)}, covered(scopeOf(m), scopes), err
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
func (e *Engine) Foreign(ctx context.Context, c Caller) (list []ForeignAt, err error) {
	err = e.look(ctx, c, attempt{action: rbac.MachinesRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		scopes, err := may.anywhere(rbac.MachinesRead)
		if err != nil {
			return err
		}
		agents, err := toTheEnd(idOfAgent, func(after access.AgentID) ([]access.Agent, error) {
			return r.ForeignAgents(ctx, c.Tenant, after, mostStates)
		})
		if err != nil {
			return fmt.Errorf("read agents: %w", err)
		}
		slices.SortStableFunc(agents, func(a, b access.Agent) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
		list = []ForeignAt{}
		for _, agent := range agents {
			machines, err := guardedWithin(ctx, r, agent.ID, scopes, defaultLimit)
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
			if list = append(list, at); len(list) == maxLimit {
				break
			}
		}
		return nil
	})
	return list, err
}
