package alerts

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/engine"
)

// watchStates opens alerts for what is so, and closes those whose cause is gone or that have been quiet for long, so
// many in one transaction that nobody waits for all of them.
func (e *Service) watchStates(ctx context.Context) error {
	var tenants []access.Tenant
	err := e.kernel.Store.View(ctx, func(r engine.Reader) error {
		var err error
		tenants, err = r.Tenants(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("read tenants: %w", err)
	}
	now := e.kernel.Now()
	for _, tenant := range tenants {
		var found map[alert.Key]alert.Finding
		var over []alert.Key
		err := e.kernel.Store.View(ctx, func(r engine.Reader) error {
			var err error
			found, over, err = states(ctx, r, tenant.ID, now)
			return err
		})
		if err != nil {
			return err
		}
		for some := range slices.Chunk(slices.Collect(maps.Keys(found)), engine.ActChunk) {
			err := e.kernel.Update(ctx, func(tx engine.Tx) error {
				a := e.newAlerting(tx)
				for _, k := range some {
					if err := a.found(ctx, k, found[k]); err != nil {
						return err
					}
				}
				return a.finish(ctx)
			})
			if err != nil {
				return err
			}
		}
		for some := range slices.Chunk(over, engine.ActChunk) {
			if err := e.closeOver(ctx, some); err != nil {
				return err
			}
		}
	}
	return e.forget(ctx, now)
}

// closeOver closes alerts whose cause is gone, that have been quiet for long, or whose rule is off.
func (e *Service) closeOver(ctx context.Context, over []alert.Key) error {
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		a := e.newAlerting(tx)
		for _, k := range over {
			if err := a.load(ctx, k); err != nil {
				return err
			}
			book, err := a.book(ctx, k.Tenant)
			if err != nil {
				return err
			}
			open, rule := a.alerts[k], book[k.Rule]
			switch {
			case open.ID == "": // another replica was faster
			case rule.State:
				err = a.gone(k, "its cause is gone")
			case open.Idle(rule, a.Now) || !rule.Enabled:
				err = a.gone(k, "nothing new for long")
			}
			if err != nil {
				return err
			}
		}
		return a.finish(ctx)
	})
}

// forget deletes what rules remember of keys that were quiet for longer than any window of those that use it.
func (e *Service) forget(ctx context.Context, now time.Time) error {
	if now.Sub(e.forgotten()) < time.Hour {
		return nil
	}
	e.forgot.Store(now.UnixMicro())
	err := e.kernel.Store.Update(ctx,
		func(tx engine.Tx) error { return tx.DeleteAlertWatchesBefore(ctx, now.Add(-alertsOf)) })
	if err != nil {
		return fmt.Errorf("delete old watches: %w", err)
	}
	return nil
}

func (e *Service) forgotten() time.Time { return time.UnixMicro(e.forgot.Load()) }

// states gives what there is to alert of now, where it is not so already, and the keys of alerts that may close.
func states(ctx context.Context, r engine.Reader, tenant access.TenantID,
	now time.Time,
) (map[alert.Key]alert.Finding, []alert.Key, error) {
	book, err := bookOf(ctx, r, tenant)
	if err != nil {
		return nil, nil, err
	}
	found, err := findStates(ctx, r, tenant, book, now)
	if err != nil {
		return nil, nil, err
	}
	var over []alert.Key
	for _, state := range []alert.State{alert.Open, alert.Acknowledged} {
		for p := (engine.Page{Limit: engine.MaxLimit}); ; {
			list, err := r.Alerts(ctx, engine.AlertFilter{Tenant: tenant, State: state}, p)
			if err != nil {
				return nil, nil, fmt.Errorf("read alerts: %w", err)
			}
			for _, a := range list.Items {
				k := alert.Key{Tenant: tenant, Rule: a.Rule, Key: a.Key}
				f, holds := found[k]
				rule := book[a.Rule]
				switch {
				case a.Rule == alert.Tampered && rule.Enabled: // watchLog looks after that one
				case rule.State && !holds, !rule.State && a.Idle(rule, now), !rule.Enabled:
					over = append(over, k)
				case holds:
					if _, change := rule.Raise(a, tenant, f,
						nil); change == alert.More && a.Detail == engine.Clip(f.Detail) {
						delete(found, k) // only longer so than before: no news
					}
				}
			}
			if list.Next == "" {
				break
			}
			p.Cursor = list.Next
		}
	}
	return found, over, nil
}

func findStates(ctx context.Context, r engine.Reader, tenant access.TenantID, book alert.Book,
	now time.Time,
) (map[alert.Key]alert.Finding, error) {
	found := map[alert.Key]alert.Finding{}
	for _, find := range []func(context.Context, engine.Reader, access.TenantID, alert.Book, time.Time,
		map[alert.Key]alert.Finding) error{
		findUnproven, findSilent, findSkewed, findForeign,
	} {
		if err := find(ctx, r, tenant, book, now, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// findUnproven finds machines with access that ended, and that nobody saw gone.
func findUnproven(ctx context.Context, r engine.Reader, tenant access.TenantID, book alert.Book, now time.Time,
	found map[alert.Key]alert.Finding,
) error {
	rule := book[alert.Unproven]
	if !rule.Enabled {
		return nil
	}
	grants, err := engine.ToTheEnd(func(g access.Grant) access.MachineID { return g.Place().Machine },
		func(after access.MachineID) ([]access.Grant, error) {
			return r.UnprovenGrants(ctx, tenant, now.Add(-minutes(rule.Threshold)), after, engine.MostStates)
		})
	if err != nil {
		return fmt.Errorf("read unproven grants: %w", err)
	}
	for _, g := range grants {
		machine := g.Place().Machine
		k := alert.Key{Tenant: tenant, Rule: rule.ID, Key: string(machine)}
		f := alert.Finding{
			Key: k.Key, Subject: alert.Subject{Machine: machine}, At: now,
			Count: int64(now.Sub(g.EndedAt) / time.Minute),
			Detail: fmt.Sprintf("%s for %s ended at %s, and no agent has seen it gone", g.Target.Title(), g.PrincipalName,
				g.EndedAt.UTC().Format(time.RFC3339)),
		}
		if f.Evidence, err = evidenceOf(ctx, r, engine.EventFilter{Request: g.Request}); err != nil {
			return err
		}
		found[k] = f
	}
	return nil
}

// findSilent finds agents that were not heard of while something is open through them.
func findSilent(ctx context.Context, r engine.Reader, tenant access.TenantID, book alert.Book, now time.Time,
	found map[alert.Key]alert.Finding,
) error {
	rule := book[alert.Silent]
	if !rule.Enabled {
		return nil
	}
	list, err := engine.ToTheEnd(func(on engine.AgentOn) access.AgentID { return on.Agent.ID },
		func(after access.AgentID) ([]engine.AgentOn, error) {
			return r.SilentAgents(ctx, tenant, now.Add(-minutes(rule.Threshold)), now, after, engine.MostStates)
		})
	if err != nil {
		return fmt.Errorf("read silent agents: %w", err)
	}
	for _, on := range list {
		a := on.Agent
		seen := a.LastSeenAt
		if seen.IsZero() {
			seen = a.EnrolledAt
		}
		if now.Sub(seen) < minutes(rule.Threshold) {
			continue // it has just enrolled
		}
		f := alert.Finding{
			Key: string(a.ID), Subject: alert.Subject{Machine: on.Machine, Agent: a.ID, Name: a.Name}, At: now,
			Count: int64(now.Sub(seen) / time.Minute),
			Detail: fmt.Sprintf("agent %s was last heard of at %s, and access through it is in force", a.Name,
				seen.UTC().Format(time.RFC3339)),
		}
		if f.Evidence, err = evidenceOf(ctx, r, engine.EventFilter{Machine: on.Machine}); err != nil {
			return err
		}
		found[alert.Key{Tenant: tenant, Rule: rule.ID, Key: f.Key}] = f
	}
	return nil
}

// findSkewed finds agents whose clocks are off.
func findSkewed(ctx context.Context, r engine.Reader, tenant access.TenantID, book alert.Book, now time.Time,
	found map[alert.Key]alert.Finding,
) error {
	rule := book[alert.Skew]
	if !rule.Enabled {
		return nil
	}
	list, err := engine.ToTheEnd(engine.IDOfAgent, func(after access.AgentID) ([]access.Agent, error) {
		return r.SkewedAgents(ctx, tenant, time.Duration(rule.Threshold)*time.Second, after, engine.MostStates)
	})
	if err != nil {
		return fmt.Errorf("read skewed agents: %w", err)
	}
	for _, a := range list {
		f := alert.Finding{
			Key: string(a.ID), Subject: alert.Subject{Agent: a.ID, Name: a.Name}, At: now,
			Count:  int64(a.Skew.Abs() / time.Second),
			Detail: fmt.Sprintf("the clock of agent %s is %s off the server's", a.Name, a.Skew.Round(time.Second)),
		}
		if f.Evidence, err = evidenceOf(ctx, r, engine.EventFilter{Kind: access.AgentSkewed}, a.ID); err != nil {
			return err
		}
		found[alert.Key{Tenant: tenant, Rule: rule.ID, Key: f.Key}] = f
	}
	return nil
}

// findForeign finds agents that saw rules of other firewall tables at guarded ports; those that take packets past ours
// are of a rule of their own.
func findForeign(ctx context.Context, r engine.Reader, tenant access.TenantID, book alert.Book, now time.Time,
	found map[alert.Key]alert.Finding,
) error {
	if !book[alert.ForeignRules].Enabled && !book[alert.UnguardedPath].Enabled {
		return nil
	}
	list, err := engine.ToTheEnd(engine.IDOfAgent, func(after access.AgentID) ([]access.Agent, error) {
		return r.ForeignAgents(ctx, tenant, after, engine.MostStates)
	})
	if err != nil {
		return fmt.Errorf("read agents: %w", err)
	}
	for _, a := range list {
		subject := alert.Subject{Agent: a.ID, Name: a.Name}
		if a.Mode == access.ModeHost {
			only, err := engine.OnlyMachine(ctx, r, a.ID)
			if err != nil {
				return err
			}
			subject.Machine = only.ID
		}
		past, others := bypasses(a.Foreign)
		for id, rules := range map[alert.RuleID][]access.ForeignRule{
			alert.ForeignRules:  others,
			alert.UnguardedPath: past,
		} {
			if rule := book[id]; rule.Enabled && len(rules) >= rule.Threshold && len(rules) > 0 {
				found[alert.Key{Tenant: tenant, Rule: id, Key: string(a.ID)}] = alert.Finding{
					Key: string(a.ID), Subject: subject, At: now, Count: int64(len(rules)),
					Detail: ForeignDetail(rules),
				}
			}
		}
	}
	return nil
}

// bypasses parts rules that take packets past ours from the others.
func bypasses(rules []access.ForeignRule) (past, others []access.ForeignRule) {
	for _, r := range rules {
		if r.Effect == access.ForeignBypasses {
			past = append(past, r)
		} else {
			others = append(others, r)
		}
	}
	return past, others
}

// ForeignDetail returns what other firewalls do, in words.
func ForeignDetail(rules []access.ForeignRule) string {
	texts := make([]string, 0, len(rules))
	for _, r := range rules {
		texts = append(texts, fmt.Sprintf("%s %s %s port %s", r.Table, r.Chain, r.Effect, r.Ports))
	}
	return strings.Join(texts, "; ")
}

// evidenceOf gives the numbers of the newest events that the filter lets through, of an agent where one is named.
func evidenceOf(ctx context.Context, r engine.Reader, f engine.EventFilter, agent ...access.AgentID) ([]int64, error) {
	const few = 5
	list, err := r.Events(ctx, f, engine.Page{Limit: few})
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	var seqs []int64
	for _, event := range list.Items {
		if len(agent) == 0 || event.Agent == agent[0] {
			seqs = append(seqs, event.Seq)
		}
	}
	return seqs, nil
}

func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }
