package machines

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/alerts"
)

// Bounds on one report, and on what of it is recorded.
const (
	maxObservations = 10_000
	maxDenied       = 1_000
	maxDrift        = 100
	maxForeign      = 100
	maxDeniedEvents = 100
	maxSkew         = time.Minute // beyond it an agent refuses to open
	maxRevision     = 1 << 52     // no agent comes near it in truth
)

// Report takes in what an agent says it really has. A report that speaks of another agent's machine is refused whole.
// One of a state that does not exist here, or of an opening that nothing is known of, was made before the server was
// restored from a backup: a new epoch begins for the agent, and it makes its report again; see epoch.go. What a report
// says of a grant counts only as far as the grant's own state allows: an agent that lags behind reports what is no
// longer so, and the next state puts it right.
func (e *Service) Report(ctx context.Context, agent access.AgentID, addr netip.Addr, r access.Report) error {
	var a access.Agent
	again := false
	err := e.kernel.Billed(ctx, func(tx engine.Tx, b *engine.Bill) error {
		var err error
		if a, err = tx.Agent(ctx, agent); err != nil {
			return fmt.Errorf("read agent: %w", err)
		}
		again, err = e.report(ctx, tx, b, a, addr, r)
		return err
	})
	if err == nil {
		e.kernel.Poke()
		if again {
			return anotherEpoch()
		}
		return nil
	}
	if access.CodeOf(err) == tooManyMoves {
		if err := e.kernel.Update(ctx,
			func(tx engine.Tx) error { return e.settled(ctx, tx, agent, addr, r) }); err != nil {
			return err
		}
		e.kernel.Poke()
	}
	if (engine.IsKind(err,
		access.KindForbidden) || engine.IsKind(err,
		access.KindInvalid)) && e.words.Take(nil, agent, 1, e.kernel.Now()) == 1 {
		e.recordRefused(ctx, a, addr, err)
	}
	return err
}

// reporting is one report being taken in.
type reporting struct {
	*engine.Work

	bill    *engine.Bill
	denials *engine.Flood[access.AgentID]
	words   *engine.Flood[access.AgentID]
	agent   access.Agent
	actor   access.Actor
	short   bool // there is no room for moves: what costs one is left for later
	lost    bool // it speaks of an opening that nothing is known of
	moved   int  // how often it moves grants where they may be moved to again and again
}

// report takes a report in; again tells that an epoch has begun and that the agent is to make it again.
func (e *Service) report(ctx context.Context, tx engine.Tx, b *engine.Bill, a access.Agent, addr netip.Addr,
	r access.Report,
) (again bool, err error) {
	if err := checkReport(a, r, e.kernel.Now()); err != nil {
		return false, err
	}
	if r.Epoch != "" && r.Epoch != a.Epoch {
		return false, anotherEpoch()
	}
	if r.Revision > a.Revision {
		if err := e.startEpoch(ctx, tx, b, a, r.Revision); err != nil || r.Epoch != "" {
			return true, err
		}
		// One that knows of no epochs cannot make it again, and what it says of the grants that are there holds.
	}
	if a.Revoked {
		return false, e.reportLeaving(ctx, tx, a, addr, r)
	}
	in := reporting{
		bill: b, denials: &e.denials, words: &e.words, Work: e.kernel.NewWork(tx, e.kernel.Now()), agent: a,
		actor: ActorOf(a, addr),
	}
	if err := in.observations(ctx, r.Observations); err != nil {
		return false, err
	}
	if in.lost && r.Epoch != "" {
		return true, e.startEpoch(ctx, tx, b, a, a.Revision)
	}
	if in.moved > 0 && !e.moves.Afford(b, a.ID, in.moved, in.Now) {
		return false, access.Fault(access.KindLimited, tooManyMoves,
			"this agent has reported changes of grants too often: it can report their state later")
	}
	if err := in.denied(ctx, r.Denied); err != nil {
		return false, err
	}
	if err := in.condition(ctx, r); err != nil {
		return false, err
	}
	in.forgetPredecessors("")
	if err := engine.KeepAgent(ctx, tx, in.agent); err != nil {
		return false, err
	}
	return false, in.Finish(ctx)
}

// tooManyMoves refuses a report for which there is no room; its agent makes it again, and merges it with what comes.
const tooManyMoves = "tooManyMoves"

// settled takes in, of a report that is refused with tooManyMoves, what needs no room: that a grant is first in force,
// and that one is closed. It is as true as without the others, and what is closed would else count as open for as long
// as others come and go.
func (e *Service) settled(ctx context.Context, tx engine.Tx, agent access.AgentID, addr netip.Addr,
	r access.Report,
) error {
	a, err := tx.Agent(ctx, agent)
	if err != nil {
		return fmt.Errorf("read agent: %w", err)
	}
	if a.Revoked || r.Epoch != "" && r.Epoch != a.Epoch {
		return nil // since a moment ago
	}
	in := reporting{Work: e.kernel.NewWork(tx, e.kernel.Now()), agent: a, actor: ActorOf(a, addr), short: true}
	if err := in.observations(ctx, steady(r.Observations)); err != nil {
		return err
	}
	in.agent.LastSeenAt = in.Now
	if err := engine.KeepAgent(ctx, tx, in.agent); err != nil {
		return err
	}
	return in.Finish(ctx)
}

// steady leaves out of observations what is said of grants that drifted or failed, but for their end: it would be half
// of the truth.
func steady(seen []access.Observation) []access.Observation {
	unsteady := map[access.GrantID]bool{}
	for _, o := range seen {
		if o.Status == access.StatusDrifted || o.Status == access.StatusFailed {
			unsteady[o.Grant] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(seen),
		func(o access.Observation) bool { return unsteady[o.Grant] && o.Status != access.StatusClosed })
}

func checkReport(a access.Agent, r access.Report, now time.Time) error {
	switch {
	case a.Revoked && !a.Leaving(now):
		return access.Fault(access.KindUnauthenticated, "agentRefused",
			"this server no longer knows the agent: enroll it again")
	case r.Revision < 0 || r.Revision > maxRevision:
		return access.Fault(access.KindInvalid, "unknownRevision", "the report is for revision %d, but the newest is %d",
			r.Revision, a.Revision)
	case len(r.Observations) > maxObservations || len(
		r.Denied) > maxDenied || len(r.Drift) > maxDrift || len(r.Foreign) > maxForeign:
		return access.Fault(access.KindInvalid, "reportTooLong",
			"the report has more than %d observations, %d denied attempts or %d drifts: split it",
			maxObservations, maxDenied, maxDrift)
	}
	return nil
}

// observations moves the grants that were observed, which are read by their ids: a report costs what it speaks of, and
// not what is open at the enforcement point. What is recalled is left to the job that ends it: it is no drift that it
// closed.
func (in *reporting) observations(ctx context.Context, seen []access.Observation) error {
	if len(seen) == 0 {
		return nil
	}
	seen = lastOfEach(seen)
	ids := make([]access.GrantID, len(seen))
	for i, o := range seen {
		ids[i] = o.Grant
	}
	named, err := in.Tx.GrantsByID(ctx, ids)
	if err != nil {
		return fmt.Errorf("read grants: %w", err)
	}
	recalls, err := in.Tx.Recalls(ctx)
	if err != nil {
		return fmt.Errorf("read recalls: %w", err)
	}
	of := make([]access.MachineID, 0, len(named))
	for _, g := range named {
		of = append(of, g.Place().Machine)
	}
	if err := in.meet(ctx, of); err != nil {
		return err
	}
	grants := make(map[access.GrantID]access.Grant, len(named))
	for _, g := range named {
		if in.guards(g.Place().Machine) && g.ClosedAt.IsZero() {
			grants[g.ID] = g
		}
	}
	for _, o := range seen {
		g, ok := grants[o.Grant]
		if !ok {
			if err := in.foreign(ctx, o); err != nil {
				return err
			}
			continue
		}
		if !g.State.Ended() && slices.ContainsFunc(recalls, func(c access.Recall) bool {
			return c.Covers(g, in.Machines[g.Place().Machine].Resource)
		}) {
			continue
		}
		next, err := in.observe(ctx, g, o)
		if err != nil {
			return err
		}
		grants[o.Grant] = next
	}
	return nil
}

// lastOfEach gives the last observation of each status of each grant, as an agent has them: one that repeats them moves
// no grant to and fro, each time with its events.
func lastOfEach(seen []access.Observation) []access.Observation {
	type key struct {
		grant  access.GrantID
		status access.GrantStatus
	}
	known := make(map[key]bool, len(seen))
	last := make([]access.Observation, 0, len(seen))
	for _, o := range slices.Backward(seen) {
		if k := (key{o.Grant, o.Status}); !known[k] {
			known[k] = true
			last = append(last, o)
		}
	}
	slices.Reverse(last)
	return last
}

// meet reads the machines that a report speaks of, however many the agent guards.
func (in *reporting) meet(ctx context.Context, ids []access.MachineID) error {
	unknown := slices.DeleteFunc(slices.Clone(ids),
		func(id access.MachineID) bool { _, known := in.Machines[id]; return known })
	slices.Sort(unknown)
	unknown = slices.Compact(unknown)
	found, err := in.Tx.MachinesByID(ctx, unknown)
	if err != nil {
		return fmt.Errorf("read machines: %w", err)
	}
	for _, id := range unknown {
		in.Machines[id] = access.Machine{} // unless it is there
	}
	for _, m := range found {
		in.Machines[m.ID] = m
	}
	return nil
}

// guards reports whether a machine that was met is the agent's.
func (in *reporting) guards(id access.MachineID) bool { return in.Machines[id].Agent == in.agent.ID }

// foreign fails where a grant that is not among the agent's own is of a machine that it does not guard. A grant that is
// closed already, or whose machine was deleted, is nobody's business any more. One that is not there at all was made
// before the server was restored: that it is gone is as it should be, and anything else is to be told again.
func (in *reporting) foreign(ctx context.Context, o access.Observation) error {
	g, err := in.Tx.Grant(ctx, o.Grant)
	switch {
	case engine.IsKind(err, access.KindNotFound):
		in.lost = in.lost || o.Status != access.StatusClosed
		return nil
	case err != nil:
		return fmt.Errorf("read grant: %w", err)
	}
	m, err := in.Machine(ctx, g.Place().Machine)
	if err != nil || m.ID == "" || m.Agent == in.agent.ID {
		return err
	}
	return access.Fault(access.KindForbidden, "foreignGrant",
		"the report names grant %q, which is not one of this agent", engine.Clip(string(o.Grant)))
}

// observe moves one grant as far as its state allows, and saves it where anything changed.
func (in *reporting) observe(ctx context.Context, g access.Grant, o access.Observation) (access.Grant, error) {
	next, events := g, []access.Event(nil)
	step := func(to access.Grant, more []access.Event, err error) error {
		if err == nil {
			next, events = to, append(events, more...)
		}
		return err
	}
	var err error
	over := !in.Now.Before(g.End)
	quiet := true
	switch o.Status {
	case access.StatusOpen:
		if missing := engine.Clip(o.Detail); g.Live(in.Now) && (g.State != access.GrantActive || g.Reason != missing) {
			err = step(next.Opened(in.actor, missing, in.Now))
		}
	case access.StatusClosed:
		if early := g.State == access.GrantActive && !g.End.After(
			in.Now.Add(access.EarlyEnd)); !g.State.Ended() && (over || early) {
			quiet = false
			err = step(next.IsOver(in.Now))
		}
		switch {
		case err != nil:
		// The host that it was open on is out of this agent's reach.
		case next.State.Ended() && in.agent.MayHold(next, in.Now):
		case next.State.Ended():
			err = step(next.Closed(in.actor, in.Now))
		case next.State == access.GrantActive: // it should be open
			err = step(next.Drifted(in.actor, cmp.Or(engine.Clip(o.Detail), "closed at the enforcement point"), in.Now))
		}
	case access.StatusDrifted:
		if g.State == access.GrantActive && !over {
			err = step(next.Drifted(in.actor, engine.Clip(o.Detail), in.Now))
		}
	case access.StatusFailed:
		if g.Live(in.Now) && g.State != access.GrantFailed {
			err = step(next.Failed(in.actor, engine.Clip(o.Detail), in.Now))
		}
	default:
		return g, access.Fault(access.KindInvalid, "unknownStatus",
			"the status of a grant is %q; use open, closed, drifted or failed", engine.Clip(string(o.Status)))
	}
	if err != nil {
		return g, err
	}
	if o.Packets > next.Packets || o.Bytes > next.Bytes {
		next.Packets, next.Bytes = max(o.Packets, next.Packets), max(o.Bytes, next.Bytes)
		next.Revision = g.Revision + int64(len(events)) + 1
	}
	if next.Revision == g.Revision {
		return g, nil
	}
	moved := 0
	for _, event := range events {
		if event.Kind == access.GrantDrifted || event.Kind == access.GrantDidFail ||
			event.Kind == access.GrantOpened && !g.OpenedAt.IsZero() {
			moved++
		}
	}
	if in.short && moved > 0 {
		return g, nil
	}
	in.moved += moved
	if err := in.SaveGrant(ctx, next, g.Revision, events, quiet); err != nil {
		return g, err
	}
	if o.Status == access.StatusOpen && next.State == access.GrantActive && g.State != access.GrantActive {
		return next, in.accessed(ctx, g.Place().Machine)
	}
	return next, nil
}

// accessed remembers when a grant on a machine was last seen in force.
func (in *reporting) accessed(ctx context.Context, id access.MachineID) error {
	m := in.Machines[id]
	if m.LastAccess.Equal(in.Now) {
		return nil
	}
	was := m.Revision
	m.LastAccess = in.Now
	m.Revision++
	if err := in.Tx.SaveMachine(ctx, m, was); err != nil {
		return fmt.Errorf("save machine: %w", err)
	}
	in.Machines[id] = m
	return nil
}

// denied records refused attempts to connect, one event for each machine, source, protocol and port. Beyond a bound one
// event says how many more there were.
func (in *reporting) denied(ctx context.Context, attempts []access.Denied) error {
	type key struct {
		machine  access.MachineID
		source   netip.Addr
		protocol access.Protocol
		port     uint16
	}
	at := make([]access.MachineID, len(attempts))
	for i, d := range attempts {
		at[i] = d.Machine
	}
	if err := in.meet(ctx, at); err != nil {
		return err
	}
	counts := map[key]uint64{}
	for _, d := range attempts {
		if !in.guards(d.Machine) {
			if in.Machines[d.Machine].ID == "" {
				continue // it was deleted after the attempt
			}
			return access.Fault(access.KindForbidden, "foreignMachine",
				"the report names machine %q, which this agent does not guard", engine.Clip(string(d.Machine)))
		}
		counts[key{d.Machine, d.Source.Unmap().WithZone(""), d.Protocol, d.Port}] += max(d.Count, 1)
	}
	keys := make([]key, 0, len(counts))
	for k := range counts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a.machine, b.machine), a.source.Compare(b.source),
			cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.port, b.port))
	})
	event := func(m access.Machine, count uint64, details map[string]string) {
		details["count"] = strconv.FormatUint(count, 10)
		in.Event(access.Event{
			Kind: access.AgentDeniedTraffic, Outcome: access.Refused, Actor: in.actor, Tenant: in.agent.Tenant,
			Scope: m.Resource, Machine: m.ID, Agent: in.agent.ID, Details: details,
		})
	}
	if len(keys) == 0 {
		return nil
	}
	var more uint64
	room := in.denials.Take(in.bill, in.agent.ID, min(len(keys), maxDeniedEvents), in.Now)
	for i, k := range keys {
		if i >= room {
			more += counts[k]
			continue
		}
		event(in.Machines[k.machine], counts[k],
			map[string]string{
				"source": k.source.String(), "protocol": engine.Clip(string(k.protocol)),
				"port": strconv.Itoa(int(k.port)),
			})
	}
	if room == 0 {
		in.denials.Owe(in.bill, in.agent.ID, more)
		return nil
	}
	others := len(keys) - room
	if owed := in.denials.Settle(in.bill, in.agent.ID); owed > 0 {
		more, others = more+owed, others+1
	}
	if more > 0 {
		event(access.Machine{}, more, map[string]string{"others": strconv.Itoa(others)})
	}
	return nil
}

// condition takes in how the agent is, with an event for each change for which there is room.
func (in *reporting) condition(ctx context.Context, r access.Report) error {
	a := &in.agent
	var events []access.Event
	about := func(kind access.EventKind, outcome access.Outcome, details map[string]string) {
		events = append(events,
			access.Event{
				Kind: kind, Outcome: outcome, Actor: in.actor, Tenant: a.Tenant, Agent: a.ID,
				Details: details,
			})
	}
	room := func() bool { return in.words.Take(in.bill, a.ID, 1, in.Now) == 1 }
	if len(r.Drift) > 0 && !room() {
		in.words.Owe(in.bill, a.ID, uint64(len(r.Drift)))
	} else if len(r.Drift) > 0 {
		lines := make([]string, 0, len(r.Drift))
		for _, line := range r.Drift {
			lines = append(lines, engine.Clip(line))
		}
		about(access.AgentDrift, access.Failed,
			map[string]string{
				"drift": strings.Join(lines, "\n"),
				"count": strconv.FormatUint(uint64(len(lines))+in.words.Settle(in.bill, a.ID), 10),
			})
	}
	in.foreignRules(r.Foreign, room, about)
	if problem := engine.Clip(r.Problem); problem != a.Problem && room() {
		outcome, details := access.Failed, map[string]string{"problem": problem}
		if problem == "" {
			outcome, details = access.Succeeded, map[string]string{"solved": a.Problem}
		}
		about(access.AgentProblem, outcome, details)
		a.Problem = problem
	}
	skewed := r.Skew.Abs() > maxSkew
	crossed := skewed != (a.Skew.Abs() > maxSkew)
	told := crossed && room()
	if told {
		outcome := access.Succeeded
		if skewed {
			outcome = access.Failed
		}
		about(access.AgentSkewed, outcome, map[string]string{"skew": r.Skew.String(), "before": a.Skew.String()})
	}
	if told || !crossed {
		a.Skew = r.Skew
	}
	a.Version = engine.Clip(r.Version)
	a.LastSeenAt = in.Now
	if r.Revision > a.Reported {
		a.Reported = r.Revision
	}
	a.ReportedAt = in.Now
	if len(events) == 0 {
		return nil
	}
	only, err := engine.OnlyMachine(ctx, in.Tx, a.ID)
	if err != nil {
		return err
	}
	for _, event := range events {
		event.Scope, event.Machine = only.Resource, only.ID
		in.Event(event)
	}
	return nil
}

// foreignRules keeps what the agent found in other firewall tables, with an event where that has changed.
func (in *reporting) foreignRules(found []access.ForeignRule, room func() bool,
	about func(access.EventKind, access.Outcome, map[string]string),
) {
	rules := make([]access.ForeignRule, 0, len(found))
	for _, r := range found {
		rules = append(rules, access.ForeignRule{
			Table: engine.Clip(r.Table), Chain: engine.Clip(r.Chain), Effect: r.Effect, Protocol: r.Protocol,
			Ports: r.Ports, Text: engine.Clip(r.Text),
		})
	}
	slices.SortFunc(rules, func(a, b access.ForeignRule) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Chain, b.Chain),
			cmp.Compare(a.Ports.First, b.Ports.First), cmp.Compare(a.Text, b.Text))
	})
	if slices.Equal(rules, in.agent.Foreign) || !room() {
		return
	}
	outcome := access.Failed
	if len(rules) == 0 {
		rules, outcome = nil, access.Succeeded
	}
	about(access.AgentForeign, outcome,
		map[string]string{"count": strconv.Itoa(len(rules)), "rules": engine.Clip(alerts.ForeignDetail(rules))})
	in.agent.Foreign = rules
}
