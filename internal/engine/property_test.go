package engine_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
)

// model is what a plain reading of the rules says should be open, kept beside the engine.
type model struct {
	w        *world
	machines []string
	agents   map[string]access.AgentID
	people   []engine.Caller
	granted  map[access.GrantID]access.Grant // as the engine gave them; what ended is taken out
	revision map[string]int64
	openings map[string][]access.Opening // as last seen
}

func newModel(t *rapid.T, w *world) *model {
	m := &model{
		w: w, agents: map[string]access.AgentID{}, granted: map[access.GrantID]access.Grant{},
		revision: map[string]int64{}, openings: map[string][]access.Opening{},
	}
	for i := range 2 {
		name := fmt.Sprintf("web-%d", i)
		m.machines = append(m.machines, name)
		m.agents[name] = w.host(name).Agent.ID
		m.setPolicy(t, name)
	}
	m.people = []engine.Caller{
		w.user("ann", "JIT Access Requester"), w.user("bob", "JIT Access Requester"),
		w.user("eve", ""),
	}
	return m
}

func (m *model) setPolicy(t *rapid.T, machine string) {
	p := access.MachinePolicy{}
	for _, port := range rapid.SliceOfNDistinct(rapid.SampledFrom([]uint16{22, 80}), 1, 2, rapid.ID).Draw(t, "ports") {
		p.Ports = append(p.Ports, access.PortRule{
			Ports:    access.SinglePort(port),
			Protocol: rapid.SampledFrom([]access.Protocol{access.TCP, access.AnyProtocol}).Draw(t, "protocol"),
			Max:      rapid.SampledFrom([]time.Duration{time.Hour, 3 * time.Hour}).Draw(t, "max"),
		})
	}
	if _, err := m.w.Machines.SetMachinePolicy(m.w.ctx, m.w.admin, machine, p, nil); err != nil {
		t.Fatal(err)
	}
}

// learn takes in what became of the grants by other ways than their time.
func (m *model) learn(t *rapid.T) {
	for id := range m.granted {
		d, err := m.w.Requests.Grant(m.w.ctx, m.w.admin, id)
		if err != nil {
			t.Fatal(err)
		}
		if d.Grant.State.Ended() {
			delete(m.granted, id)
		}
	}
}

func (m *model) submit(t *rapid.T) {
	in := requests.SubmitInput{}
	now := m.w.clock.now()
	if rapid.IntRange(0, 3).Draw(t, "scheduled") == 0 {
		in.Start = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "ahead")) * time.Minute)
	}
	for range rapid.IntRange(1, 2).Draw(t, "items") {
		item := requests.ItemInput{
			Machine: rapid.SampledFrom(m.machines).Draw(t, "machine"),
			Port:    access.PortTarget{Ports: access.SinglePort(rapid.SampledFrom([]uint16{22, 80, 443}).Draw(t, "port"))},
			Item:    access.Item{Duration: time.Duration(rapid.IntRange(1, 200).Draw(t, "minutes")) * time.Minute},
		}
		if rapid.Bool().Draw(t, "from elsewhere") {
			item.Port.Sources = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
		}
		in.Items = append(in.Items, item)
	}
	who := rapid.SampledFrom(m.people).Draw(t, "who")
	size := m.w.size()
	d, err := m.w.Requests.Submit(m.w.ctx, who, in)
	if err != nil {
		if m.w.size() != size+1 {
			t.Fatalf("a refused request left %d events: %v", m.w.size()-size, err)
		}
		return
	}
	if who.Name == "eve" {
		t.Fatal("eve has no role, and was granted access")
	}
	for _, g := range d.Grants {
		m.granted[g.ID] = g
	}
	m.learn(t)
}

func (m *model) pick(t *rapid.T) (access.Grant, bool) {
	if len(m.granted) == 0 {
		return access.Grant{}, false
	}
	ids := make([]access.GrantID, 0, len(m.granted))
	for id := range m.granted {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return m.granted[ids[rapid.IntRange(0, len(ids)-1).Draw(t, "grant")]], true
}

func (m *model) revoke(t *rapid.T) {
	g, ok := m.pick(t)
	if !ok {
		return
	}
	who := rapid.SampledFrom(append([]engine.Caller{m.w.admin}, m.people...)).Draw(t, "who")
	_, err := m.w.Requests.Revoke(m.w.ctx, who, g.ID, "")
	may := who.Principal == m.w.admin.Principal || who.Principal == g.Principal
	if err == nil && !may {
		t.Fatalf("%s revoked a grant of %s", who.Name, g.PrincipalName)
	}
	if err != nil && may && m.w.clock.now().Before(g.End) {
		t.Fatalf("%s could not revoke: %v", who.Name, err)
	}
	m.learn(t)
}

func (m *model) move(t *rapid.T) {
	g, ok := m.pick(t)
	if !ok {
		return
	}
	who := rapid.SampledFrom(m.people).Draw(t, "who")
	to := rapid.SampledFrom([]string{"198.51.100.0/24", "203.0.113.7/32", "192.0.2.9/32"}).Draw(t, "to")
	d, err := m.w.Requests.Move(m.w.ctx, who, g.ID,
		requests.MoveInput{Sources: []netip.Prefix{netip.MustParsePrefix(to)}})
	switch {
	case err != nil:
		return
	case who.Principal != g.Principal:
		t.Fatalf("%s moved a grant of %s", who.Name, g.PrincipalName)
	case len(d.Grants) != 1 || d.Grants[0].End.After(m.w.grant(g.ID).End) || !d.Grants[0].From().Equal(g.From()):
		t.Fatalf("%+v became %+v", g, d.Grants)
	}
	m.granted[d.Grants[0].ID] = d.Grants[0]
	m.learn(t)
}

func (m *model) report(t *rapid.T) {
	machine := rapid.SampledFrom(m.machines).Draw(t, "machine")
	d := m.w.desired(m.agents[machine])
	r := access.Report{Revision: d.Revision}
	for _, o := range d.Openings {
		for _, id := range o.Grants {
			r.Observations = append(r.Observations, access.Observation{
				Grant: id,
				Status: rapid.SampledFrom(
					[]access.GrantStatus{
						access.StatusOpen, access.StatusOpen, access.StatusDrifted,
						access.StatusFailed, access.StatusClosed,
					}).Draw(
					t, "status"),
			})
		}
	}
	for _, id := range d.Ended {
		r.Observations = append(r.Observations,
			access.Observation{
				Grant: id,
				Status: rapid.SampledFrom([]access.GrantStatus{access.StatusClosed, access.StatusOpen}).Draw(t,
					"status"),
			})
	}
	m.w.report(m.agents[machine], r)
	m.learn(t)
}

// check holds the invariants.
func (m *model) check(t *rapid.T) {
	now := m.w.clock.now()
	for _, machine := range m.machines {
		d := m.w.desired(m.agents[machine])
		want := map[access.OpeningKey]time.Time{}
		var id access.MachineID
		for _, guarded := range d.Machines {
			id = guarded.Machine
		}
		for _, g := range m.granted {
			// it opens when the reconciler begins it, and not by the passage of time alone
			begun := g.State != access.GrantScheduled
			if g.Place().Machine != id || !begun || now.Before(g.Start) || !now.Before(g.End) {
				continue
			}
			port := portOf(g.Target)
			for _, source := range port.Sources {
				for _, protocol := range port.Protocol.Transports() {
					key := access.OpeningKey{Machine: id, Source: source, Protocol: protocol, Ports: port.Ports}
					if g.End.After(want[key]) {
						want[key] = g.End
					}
				}
			}
		}
		got := map[access.OpeningKey]time.Time{}
		for _, o := range d.Openings {
			got[o.OpeningKey] = o.Until
			if !slices.ContainsFunc(d.Protected, func(p access.Protected) bool {
				return p.Machine == o.Machine && p.Protocol == o.Protocol && p.Ports.Covers(o.Ports)
			}) {
				t.Fatalf("open, and not guarded: %+v", o)
			}
		}
		if diff := cmp.Diff(want, got, comparers()...); diff != "" {
			t.Fatalf("what is open on %s is not the union of the live grants: %s", machine, diff)
		}
		// The passage of time alone closes what is open; anything else must come with a new revision.
		for _, o := range d.Openings {
			same := func(old access.Opening) bool { return old.OpeningKey == o.OpeningKey && old.Until.Equal(o.Until) }
			if d.Revision == m.revision[machine] && !slices.ContainsFunc(m.openings[machine], same) && !m.due() {
				t.Fatalf("%s: %+v is new and the revision is %d still", machine, o, d.Revision)
			}
		}
		m.revision[machine], m.openings[machine] = d.Revision, d.Openings
	}
}

// due tells whether a grant has begun that the reconciler has not seen yet.
func (m *model) due() bool {
	for _, g := range m.granted {
		if g.State == access.GrantScheduled && !m.w.clock.now().Before(g.Start) {
			return true
		}
	}
	return false
}

// checkLog tells every grant's state anew from its events alone.
func (m *model) checkLog(t *rapid.T) {
	state := map[access.GrantID]access.GrantState{}
	closed := map[access.GrantID]bool{}
	for _, e := range m.w.events() {
		switch e.Kind { //nolint:exhaustive // the others are not of grants
		case access.GrantCreated:
			state[e.Grant] = "created"
		case access.GrantBegan, access.GrantDrifted:
			state[e.Grant] = access.GrantOpening
		case access.GrantOpened:
			state[e.Grant] = access.GrantActive
		case access.GrantDidFail:
			state[e.Grant] = access.GrantFailed
		case access.GrantDidExpire:
			state[e.Grant] = access.GrantExpired
		case access.GrantWasRevoked:
			state[e.Grant] = access.GrantRevoked
		case access.GrantWasSuperseded, access.GrantMoved:
			state[e.Grant] = access.GrantSuperseded
		case access.GrantClosed:
			if !state[e.Grant].Ended() || closed[e.Grant] {
				t.Fatalf("grant %s was closed while %s", e.Grant, state[e.Grant])
			}
			closed[e.Grant] = true
		}
	}
	list, err := m.w.Requests.Grants(m.w.ctx, m.w.admin, engine.GrantFilter{}, engine.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	got := map[access.GrantID]access.GrantState{}
	for _, d := range list.Items {
		g := d.Grant
		got[g.ID] = g.State
		if state[g.ID] == "created" && (g.State == access.GrantOpening || g.State == access.GrantScheduled) {
			got[g.ID] = "created"
		}
		if closed[g.ID] == g.ClosedAt.IsZero() {
			t.Fatalf("grant %s is closed at %s, and the log says %t", g.ID, g.ClosedAt, closed[g.ID])
		}
	}
	if diff := cmp.Diff(state, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("the log tells other states than there are: %s", diff)
	}
}

func TestAnySequenceOfCommands(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("long")
	}
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(rt, newWorld(t))
		rt.Repeat(map[string]func(*rapid.T){
			"submit": m.submit,
			"revoke": m.revoke,
			"move":   m.move,
			"report": m.report,
			"policy": func(t *rapid.T) {
				m.setPolicy(t, rapid.SampledFrom(m.machines).Draw(t, "machine"))
				m.learn(t)
			},
			"unguard": func(t *rapid.T) {
				err := m.w.Machines.DeleteMachinePolicy(m.w.ctx, m.w.admin,
					rapid.SampledFrom(m.machines).Draw(t, "machine"), nil)
				if err != nil && access.CodeOf(err) != "machineNotConfigured" {
					t.Fatal(err)
				}
				m.learn(t)
			},
			"wait": func(t *rapid.T) {
				m.w.clock.advance(time.Duration(rapid.IntRange(1, 90).Draw(t, "minutes")) * time.Minute)
				m.learn(t)
			},
			"reconcile": func(t *rapid.T) {
				m.w.reconcile()
				m.learn(t)
				for id, g := range m.granted {
					if !m.w.clock.now().Before(g.End) {
						t.Fatalf("grant %s is over and not expired", id)
					}
					g.State = m.w.grant(id).State
					m.granted[id] = g
				}
			},
			"": m.check,
		})
		m.checkLog(rt)
		m.w.verify()
	})
}
