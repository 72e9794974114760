package engine_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/apps"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
	"github.com/postern-dev/postern/internal/engine/services"
)

// BenchmarkLongChanges makes the largest changes that one call may ask for. It gives how long each takes, and how long
// a change of somebody else waits meanwhile.
func BenchmarkLongChanges(b *testing.B) {
	many := engine.Quota{Open: 1 << 20, Scheduled: 1 << 20}
	whole := func(id access.ResourceID, longest time.Duration) machines.PolicyInput {
		in := machines.PolicyInput{Resource: id}
		for i := range 1000 {
			entry := sshPolicy()
			entry.Machine, entry.Ports[0].Max = access.MachineID(fmt.Sprint("web-", i)), longest
			in.Machines = append(in.Machines, entry)
		}
		return in
	}
	for name, prepare := range map[string]func(b *testing.B) (w *world, change func() error){
		"series of 400": func(b *testing.B) (*world, func() error) {
			w := newWorld(b)
			w.host("web-1")
			must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", portsPolicy(1000, 1999), nil))(b)
			ann := w.user("ann", "JIT Access Requester")
			return w, func() error {
				_, err := w.Requests.Submit(w.ctx, ann, requests.SubmitInput{
					Items: []requests.ItemInput{
						{
							Machine: "web-1",
							Port:    access.PortTarget{Ports: access.SinglePort(1000)},
							Item:    access.Item{Duration: 30 * time.Minute},
						},
					},
					Justification: "because", Start: w.clock.now().Add(time.Hour), Repeat: "FREQ=HOURLY;COUNT=400",
				})
				return err
			}
		},
		"series of 500": func(b *testing.B) (*world, func() error) {
			w := newWorld(b)
			w.Services = w.with(engine.Quotas{Person: many, Tenant: many})
			w.host("web-1")
			must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", portsPolicy(1000, 1999), nil))(b)
			ann := w.user("ann", "JIT Access Requester")
			in := ports("web-1", 1000, 10, 30*time.Minute)
			in.Start, in.Repeat = w.clock.now().Add(time.Hour), "FREQ=HOURLY;COUNT=50"
			return w, func() error { _, err := w.Requests.Submit(w.ctx, ann, in); return err }
		},
		"request of 500": func(b *testing.B) (*world, func() error) {
			w, _ := peopled(b, access.MaxItems)
			ann := w.user("ann", "JIT Access Requester")
			in := requests.SubmitInput{Justification: "because"}
			for i := range access.MaxItems {
				in.Items = append(in.Items,
					requests.ItemInput{
						Machine: fmt.Sprint("web-", i),
						Port:    access.PortTarget{Ports: access.SinglePort(22)},
						Item:    access.Item{Duration: 30 * time.Minute},
					})
			}
			return w, func() error { _, err := w.Requests.Submit(w.ctx, ann, in); return err }
		},
		"request of 500 for three days under a rule that looks at the clock": func(b *testing.B) (*world, func() error) {
			w, id := peopled(b, access.MaxItems)
			in := whole(id, 72*time.Hour)
			in.Machines = in.Machines[:access.MaxItems]
			for i := range in.Machines {
				in.Machines[i].Approval.Cases = []access.Case{{When: `now.getHours("Europe/Berlin") < 24`}}
			}
			if _, _, err := w.Machines.PutPolicy(w.ctx, w.admin, in, nil); err != nil {
				b.Fatal(err)
			}
			ann := w.user("ann", "JIT Access Requester")
			ask := requests.SubmitInput{Justification: "because"}
			for i := range access.MaxItems {
				ask.Items = append(ask.Items,
					requests.ItemInput{
						Machine: fmt.Sprint("web-", i),
						Port:    access.PortTarget{Ports: access.SinglePort(22)},
						Item:    access.Item{Duration: 72 * time.Hour},
					})
			}
			return w, func() error { _, err := w.Requests.Submit(w.ctx, ann, ask); return err }
		},
		"policy of 1000 new": func(b *testing.B) (*world, func() error) {
			w, id := peopled(b, 1000)
			if err := w.Machines.DeletePolicy(w.ctx, w.admin, id, nil); err != nil {
				b.Fatal(err)
			}
			in := whole(id, 3*time.Hour)
			return w, func() error { _, _, err := w.Machines.PutPolicy(w.ctx, w.admin, in, nil); return err }
		},
		"policy of 1000 changed": func(b *testing.B) (*world, func() error) {
			w, id := peopled(b, 1000)
			in := whole(id, time.Minute)
			return w, func() error { _, _, err := w.Machines.PutPolicy(w.ctx, w.admin, in, nil); return err }
		},
		"application of 1000 machines": func(b *testing.B) (*world, func() error) {
			m := newMarket(b, nil)
			m.populate(1000)
			return m.world, func() error { return m.Apps.DeleteApplication(m.ctx, m.admin, "shop", true) }
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				w, change := prepare(b)
				done, worst := w.meanwhile()
				b.StartTimer()
				began := time.Now()
				err := change()
				took := time.Since(began)
				b.StopTimer()
				done()
				wait := <-worst
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(took.Seconds()*1000, "ms/change")
				b.ReportMetric(wait.Seconds()*1000, "ms/longest-wait")
				b.StartTimer()
			}
		})
	}
}

// What a request asks of approval rules is bounded for all of its items together, since nobody else's change is made
// meanwhile.
func TestRequestWhoseRulesTakeTooLongIsRefused(t *testing.T) {
	t.Parallel()
	const hosts = 40
	w, _ := peopled(t, hosts)
	for i := range hosts {
		entry := sshPolicy()
		entry.Approval.Cases = []access.Case{
			{When: `machine.name != "" && request.sources.all(a, request.sources.all(b, a != b || a == b))`},
		}
		must(w.Machines.SetMachinePolicy(w.ctx, w.admin, fmt.Sprint("web-", i), entry, nil))(t)
	}
	dear := sshPolicy()
	dear.Approval.Cases = []access.Case{
		{When: `now > timestamp("2000-01-01T00:00:00Z") && request.sources.all(a, request.sources.all(b, a != b || a == b))`},
	}
	_, err := w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-0", dear, nil)
	if got := reasonCodes(err); !strings.Contains(got, "ruleTooDear") {
		t.Errorf("a rule that takes too long for a request of a day: %v", err)
	}
	ann := w.user("ann", "JIT Access Requester")
	ask := func(n int) error {
		in := requests.SubmitInput{Justification: "because"}
		for i := range n {
			item := requests.ItemInput{
				Machine: fmt.Sprint("web-", i),
				Port:    access.PortTarget{Ports: access.SinglePort(22)},
				Item:    access.Item{Duration: time.Hour},
			}
			for k := range access.MaxSources {
				item.Port.Sources = append(item.Port.Sources, netip.MustParsePrefix(fmt.Sprintf("203.0.113.%d/32", k)))
			}
			in.Items = append(in.Items, item)
		}
		_, err := w.Requests.Submit(w.ctx, ann, in)
		return err
	}
	if err := ask(3); err != nil {
		t.Errorf("three of them: %v", err)
	}
	if got := reasonCodes(ask(hosts)); !strings.Contains(got, "ruleFailed") {
		t.Errorf("all of them: %v, want ruleFailed", got)
	}
}

// populate deploys the application, with so many guarded machines behind a gateway.
func (m *market) populate(hosts int) {
	m.tb.Helper()
	managed := m.deploy(manual()).Application.Managed
	m.people(access.SubscriptionID(managed.Segment("subscriptions")), managed.Name(), hosts, hosts)
}

// counted is a store that counts the changes made to it.
type counted struct {
	engine.Store

	changes atomic.Int64
}

func (s *counted) Update(ctx context.Context, fn func(engine.Tx) error) error {
	s.changes.Add(1)
	return s.Store.Update(ctx, fn)
}

// An application with many machines is deleted in several transactions; the last says how many there were, and nothing
// is left.
func TestAnApplicationWithManyMachinesIsDeletedInSteps(t *testing.T) {
	t.Parallel()
	m := newMarket(t, nil)
	const hosts = 250
	m.populate(hosts)
	store := &counted{Store: m.store}
	m.Services = m.another(func(c *services.Config) { c.Store = store })
	if err := m.Apps.DeleteApplication(m.ctx, m.admin, "shop", true); err != nil {
		t.Fatal(err)
	}
	if n := store.changes.Load(); n < 3 || n > hosts/20+1 {
		t.Errorf("it took %d transactions", n)
	}
	deleted := 0
	for _, event := range m.events() {
		switch {
		case event.Kind == access.MachineDeleted:
			deleted++
		case event.Kind == access.ApplicationDeleted && event.Details["machines"] != fmt.Sprint(hosts):
			t.Errorf("it says that %s machines were in it", event.Details["machines"])
		}
	}
	if left := must(m.Machines.Machines(m.ctx, m.admin, engine.MachineFilter{}, engine.Page{}))(
		t).Items; deleted != hosts || len(left) > 0 {
		t.Errorf("%d machines were deleted, %d are left", deleted, len(left))
	}
	if _, err := m.Apps.Application(m.ctx, m.admin, "shop"); access.KindOf(err) != access.KindNotFound {
		t.Errorf("the application: %v", err)
	}
}

// Who has activated a role many times gives all of it back by one change, in several transactions.
func TestManyActivationsAreGivenBackInSteps(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.eligible(nil)
	for range 250 {
		must(v.Requests.Activate(v.ctx, v.vic, contributor(time.Hour)))(t)
	}
	store := &counted{Store: v.store}
	v.Services = v.another(func(c *services.Config) { c.Store = store })
	in := roles.RoleChangeInput{
		ID: access.RoleChangeID(uuid.NewString()), Of: access.OfAssignment,
		Kind: access.RoleChangeGiveBack, Role: "Contributor", Scope: v.scope,
	}
	for range 2 { // the same again gives the same
		d := must(v.Roles.ChangeRole(v.ctx, v.vic, in))(t)
		if d.Change.ID != in.ID || d.Standing {
			t.Errorf("the record is %+v", d)
		}
	}
	if n := store.changes.Load(); n != 4 {
		t.Errorf("it took %d transactions, want 3 and one", n)
	}
	if left := must(v.Requests.Grants(v.ctx, v.vic, engine.GrantFilter{States: access.NotEnded()}, engine.Page{}))(
		t).Items; len(left) != 0 || v.may(v.vic, rbac.PoliciesWrite) {
		t.Errorf("%d activations are left", len(left))
	}
}

// A hundred activations by the customer's own eligibilities at the managed group hide none of the publisher's.
func TestActivationsOfOthersHideNoneOfTheApplication(t *testing.T) {
	t.Parallel()
	m := newMarket(t, func(in *apps.AppDefinitionInput) { in.Public, in.Lock = true, app.LockNone })
	a := m.deploy(&app.Settings{JIT: true}).Application
	must(m.Requests.Activate(m.ctx, m.vic, m.activate(time.Hour)))(t)
	ben := m.user("ben", "")
	must(m.Roles.WriteEligibility(m.ctx, m.admin,
		roles.EligibilityInput{Principal: "ben", Role: "Reader", Scope: a.Managed, Max: time.Hour}))(
		t)
	m.clock.advance(time.Minute)
	for range 100 {
		must(m.Requests.Activate(m.ctx, ben,
			requests.ActivateInput{
				Roles: []requests.EligibleRole{{Role: "Reader"}}, Duration: time.Hour,
				Justification: "look",
			}))(
			t)
	}
	if d := must(m.Apps.Application(m.ctx, m.admin, "shop"))(
		t); len(d.Live) != 1 || d.Live[0].Principal != m.vic.Principal {
		t.Errorf("live is %+v", d.Live)
	}
	wantCode(t, m.Apps.DeleteApplication(m.ctx, m.admin, "shop", false), access.KindConflict, "activationsLive")
}
