package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Access is what somebody had at an instant.
type Access struct {
	GrantDetail

	From  time.Time // when it was seen open, or should have begun where nobody said so
	Until time.Time // when it was seen gone, or ended, or is to end
	Seen  bool      // an agent said that it was open
}

// WhoHad tells who had access to a machine at an instant, by the history of grants: what an agent saw open by then and not
// gone before, and what should have been open then and no agent spoke of. At most 1,000, the newest first.
func (e *Engine) WhoHad(ctx context.Context, c Caller, machine string, at time.Time) (list []Access, err error) {
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
		if at.After(may.now) {
			return access.Fault(access.KindInvalid, "timeAhead", "what will be is not known: give a time that is over")
		}
		grants, err := r.GrantsAt(ctx, m.ID, at, maxLimit)
		if err != nil {
			return fmt.Errorf("read grants: %w", err)
		}
		list = []Access{}
		for _, g := range grants {
			a := Access{GrantDetail: GrantDetail{Grant: g, MachineName: m.Name}, From: g.Start, Until: g.End, Seen: !g.OpenedAt.IsZero()}
			if a.Seen {
				a.From = g.OpenedAt
			}
			switch {
			case !g.ClosedAt.IsZero():
				a.Until = g.ClosedAt
			case g.State.Ended() && !a.Seen:
				a.Until = g.EndedAt
			case g.State.Ended():
				a.Until = time.Time{} // nobody has seen it gone
			}
			list = append(list, a)
		}
		return nil
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
		agents, err := r.ForeignAgents(ctx, c.Tenant, maxLimit)
		if err != nil {
			return fmt.Errorf("read agents: %w", err)
		}
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
			if len(at.Machines) > 0 {
				list = append(list, at)
			}
		}
		return nil
	})
	return list, err
}
