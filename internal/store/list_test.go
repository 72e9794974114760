package store_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// pages walks over a list to its end in pages of size, and gives all of it.
func pages[T any](t *testing.T, size int, list func(engine.Page) (engine.Listed[T], error)) []T {
	t.Helper()
	var items []T
	p := engine.Page{Limit: size}
	for range 10_000 {
		listed, err := list(p)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, listed.Items...)
		if listed.Next == "" {
			return items
		}
		if len(listed.Items) != size {
			t.Fatalf("a page that is not the last has %d items of %d", len(listed.Items), size)
		}
		p.Cursor = listed.Next
	}
	t.Fatal("the list does not end")
	return nil
}

func ids[T any](items []T, id func(T) string) []string {
	names := make([]string, len(items))
	for i, item := range items {
		names[i] = id(item)
	}
	return names
}

// TestRequestAndGrantLists compares each combination of filters with a plain loop over everything.
func TestRequestAndGrantLists(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		var requests []access.Request
		var grants []access.Grant
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			if err := firstOf(tx.SaveTenant(ctx, access.Tenant{ID: "other", Name: "Other"}),
				tx.SavePrincipal(ctx, person("user-2", "Bob"), 0)); err != nil {
				return err
			}
			for i := range 40 {
				r, g, _ := f.request(day().Add(time.Duration(i/3) * time.Second)) // some at the same time
				if i%2 == 0 {
					r.Tenant, g.Tenant = "other", "other"
				}
				if i%3 == 0 {
					r.Requester, g.Principal = "user-2", "user-2"
				}
				if i%5 == 0 {
					r.State, g.State, g.EndedAt = access.RequestPending, access.GrantExpired, day()
				}
				if i%7 == 0 {
					other := access.Item{Target: access.PortTarget{Machine: "machine-2"}}
					g.Target, r.Items = other.Target, append(r.Items, other, other)
				}
				if err := firstOf(tx.SaveRequest(ctx, r, 0), tx.SaveGrant(ctx, g, 0)); err != nil {
					return err
				}
				requests, grants = append(requests, r), append(grants, g)
			}
			return nil
		})
		slices.SortFunc(requests, func(a, b access.Request) int {
			return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
		})
		slices.SortFunc(grants,
			func(a, b access.Grant) int { return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID)) })
		requestID := func(r access.Request) string { return string(r.ID) }
		grantID := func(g access.Grant) string { return string(g.ID) }
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			for _, tenant := range []access.TenantID{"", tenantID, "none"} {
				for _, who := range []access.PrincipalID{"", "user-2"} {
					for _, m := range []access.MachineID{"", "machine-1", "machine-2"} {
						for _, state := range []access.RequestState{"", access.RequestPending} {
							rf := engine.RequestFilter{Tenant: tenant, Requester: who, State: state, Machine: m}
							want := slices.DeleteFunc(slices.Clone(requests), func(r access.Request) bool {
								return tenant != "" && r.Tenant != tenant || who != "" && r.Requester != who ||
									state != "" && r.State != state ||
									m != "" && !slices.ContainsFunc(r.Items,
										func(it access.Item) bool { return it.Place().Machine == m })
							})
							got := pages(t, 7,
								func(p engine.Page) (engine.Listed[access.Request], error) {
									return r.Requests(ctx, rf,
										p)
								})
							same(t, fmt.Sprintf("%+v", rf), ids(want, requestID), ids(got, requestID))
						}
						for _, states := range [][]access.GrantState{
							nil,
							{access.GrantOpening},
							{access.GrantOpening, access.GrantExpired},
							{access.GrantRevoked, access.GrantExpired},
						} {
							gf := engine.GrantFilter{Tenant: tenant, Principal: who, Machine: m, States: states}
							want := slices.DeleteFunc(slices.Clone(grants), func(g access.Grant) bool {
								return tenant != "" && g.Tenant != tenant || who != "" && g.Principal != who ||
									m != "" && g.Place().Machine != m ||
									len(states) > 0 && !slices.Contains(states, g.State)
							})
							got := pages(t, 7,
								func(p engine.Page) (engine.Listed[access.Grant], error) {
									return r.Grants(ctx, gf,
										p)
								})
							same(t, fmt.Sprintf("%+v", gf), ids(want, grantID), ids(got, grantID))
						}
					}
				}
			}
			var many []access.MachineID
			for i := range 250 {
				many = append(many, access.MachineID(fmt.Sprintf("machine-%d", i)))
			}
			now := day().Add(30 * time.Minute)
			live, err := r.LiveGrants(ctx, many, now)
			want := slices.DeleteFunc(slices.Clone(grants), func(g access.Grant) bool {
				return g.State != access.GrantOpening && g.State != access.GrantActive || g.Start.After(
					now) || !g.ClosedAt.IsZero()
			})
			got := ids(live, grantID)
			slices.Sort(got)
			expected := ids(want, grantID)
			slices.Sort(expected)
			same(t, "live", expected, got)
			return err
		})
	})
}

// TestOrdersOfMachines holds each order, read in small pages, to a sort of all machines; some are alike in what they
// are ordered by.
func TestOrdersOfMachines(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dsn(t))
			all := []access.Machine{}
			f.update(t, func(ctx context.Context, tx engine.Tx) error {
				for i, name := range []string{"b", "A", "c-1", "B-2", "zz", "10", "9"} {
					m := machine(access.MachineID(fmt.Sprint("m", i)), name, "")
					m.Resource = access.MachineResource(subID, []string{"Default", "default-2"}[i%2], name)
					m.CreatedAt = day().Add(time.Duration(i%3) * time.Minute)
					if i%4 > 0 {
						m.LastAccess = day().Add(time.Duration(i%4) * time.Hour)
					}
					all = append(all, m)
					if err := tx.SaveMachine(ctx, m, 0); err != nil {
						return err
					}
				}
				return nil
			})
			byID := func(m access.Machine) string { return string(m.ID) }
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				mine := engine.MachineFilter{NamePrefix: ""}
				for order, key := range map[engine.MachineOrder]func(access.Machine) string{
					engine.ByName:       func(m access.Machine) string { return strings.ToLower(m.Name) },
					engine.ByPlace:      func(m access.Machine) string { return m.Resource.Fold() },
					engine.ByLastAccess: func(m access.Machine) string { return fmt.Sprintf("%020d", max(m.LastAccess.Unix(), 0)) },
					engine.ByAge:        func(m access.Machine) string { return m.CreatedAt.Format(time.RFC3339) },
				} {
					want := slices.SortedFunc(slices.Values(all), func(a, b access.Machine) int {
						return cmp.Or(cmp.Compare(key(a), key(b)), cmp.Compare(a.ID, b.ID))
					})
					for _, backwards := range []bool{false, true} {
						mine.Order, mine.Backwards = order, backwards
						got := pages(t, 2, func(p engine.Page) (engine.Listed[access.Machine], error) {
							return r.Machines(ctx, mine, p)
						})
						got = slices.DeleteFunc(got, func(m access.Machine) bool { return m.Name == "web-1" }) // the fixture's
						same(t, fmt.Sprintf("%q %v", order, backwards), ids(want, byID), ids(got, byID))
						slices.Reverse(want)
					}
				}
				_, err := r.Machines(ctx, engine.MachineFilter{Order: "odd"}, engine.Page{Limit: 1})
				wantKind(t, "order", err, access.KindInvalid, "")
				return nil
			})
		})
	}
}

func TestNamedLists(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dsn(t))
			names := []string{"Zoë", "zoe", "äpfel", "B_1", "b-1", "B.1", "10", "9", "a%b", "ZEBRA", "aé", "Straße"}
			f.update(t, func(ctx context.Context, tx engine.Tx) error {
				for i, name := range names {
					m := machine(access.MachineID(fmt.Sprint("m", i)), name, "")
					if i%2 == 0 {
						m.Agent = f.agent
					}
					if i%3 == 0 {
						m.Resource = access.MachineResource(subID, "Default-2", name)
					}
					a := agent(access.AgentID(fmt.Sprint("a", i)), name)
					p := person(access.PrincipalID(fmt.Sprint("p", i)), name)
					if i%2 == 0 {
						p.Kind = access.Group
					}
					pol := policy(access.PolicyID(fmt.Sprint("po", i)), name)
					if i%4 == 0 {
						pol.Machines = policy("", "", m.ID).Machines
					}
					if err := firstOf(tx.SaveAgent(ctx, a), tx.SaveMachine(ctx, m, 0), tx.SavePrincipal(ctx, p, 0),
						tx.SavePolicy(ctx, pol, 0)); err != nil {
						return err
					}
				}
				return firstOf(tx.AddMember(ctx, "p0", "p1", "", day()), tx.AddMember(ctx, "p0", "p3", "", day()),
					tx.AddMember(ctx, "p2", "p1", "", day()))
			})
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				machines := func(mf engine.MachineFilter) []string {
					return ids(pages(t, 3,
						func(p engine.Page) (engine.Listed[access.Machine], error) { return r.Machines(ctx, mf, p) }),
						func(m access.Machine) string { return m.Name })
				}
				// Byte-wise order of the folded names, on both engines.
				same(t, "machines",
					[]string{
						"10", "9", "a%b", "aé", "b-1", "B.1", "B_1", "Straße", "web-1", "ZEBRA", "zoe", "Zoë",
						"äpfel",
					},
					machines(engine.MachineFilter{}))
				same(t, "prefix", []string{"b-1", "B.1", "B_1"}, machines(engine.MachineFilter{NamePrefix: "b"}))
				same(t, "prefix is no pattern", []string{"a%b"}, machines(engine.MachineFilter{NamePrefix: "A%"}))
				same(t, "group", []string{"10", "B_1", "ZEBRA", "Zoë"},
					machines(engine.MachineFilter{Scope: access.ResourceGroupScope(subID, "DEFAULT-2")}))
				if n := len(machines(engine.MachineFilter{
					Scope: access.ResourceGroupScope(subID, "Default"),
				})); n != len(names)+1-4 {
					t.Errorf("group Default has %d machines: a scope ends at a segment", n)
				}
				if n := len(machines(engine.MachineFilter{Scope: access.Root, Tenant: tenantID})); n != len(names)+1 {
					t.Errorf("the root has %d machines", n)
				}
				configured, not, unsupported := machines(
					engine.MachineFilter{
						Standing: access.Configured,
					}), machines(
					engine.MachineFilter{
						Standing: access.NotConfigured,
					}), machines(engine.MachineFilter{Standing: access.Unsupported})
				same(t, "configured", []string{"a%b", "b-1", "Zoë"}, configured)
				if len(not) != 4 || len(unsupported) != 6 {
					t.Errorf("standings: %v %v", not, unsupported)
				}
				same(t, "searched", []string{"b-1", "web-1"},
					machines(engine.MachineFilter{
						Search: "-1", Labels: map[string]string{"env": "prod"},
						Scopes: []access.ResourceID{access.Root},
					}))
				same(t, "search is no pattern", []string{"B_1"}, machines(engine.MachineFilter{Search: "b_"}))
				same(t, "no such label", []string{},
					machines(engine.MachineFilter{Labels: map[string]string{"env": "pro"}}))
				if n := len(machines(engine.MachineFilter{Search: "2001:DB8::7"})); n != len(names)+1 {
					t.Errorf("%d machines have the address", n)
				}
				same(t, "of scopes", []string{"10", "b-1", "B_1", "ZEBRA", "Zoë"},
					machines(engine.MachineFilter{
						Scopes: []access.ResourceID{
							access.ResourceGroupScope(subID, "default-2"),
							access.MachineResource(subID, "Default", "B-1"),
						},
					}))
				same(t, "words", []string{"B_1"}, machines(engine.MachineFilter{Search: "_1 b"}))
				prod := engine.LabelTest{Name: "env", Value: "prod"}
				for _, c := range []struct {
					tests []engine.LabelTest
					all   bool
				}{
					{[]engine.LabelTest{prod}, true},
					{[]engine.LabelTest{{Name: "env", Value: "pro"}}, false},
					{[]engine.LabelTest{{Name: "env", Any: true}}, true},
					{[]engine.LabelTest{{Name: "en", Any: true}}, false},
					{[]engine.LabelTest{{Name: "nv", Any: true}}, false},
					{[]engine.LabelTest{{Name: "prod", Any: true}}, false},
					{[]engine.LabelTest{{Name: "env", Value: "prod", Not: true}}, false},
					{[]engine.LabelTest{{Name: "env", Value: "dev", Not: true}}, true},
					{[]engine.LabelTest{{Name: "env", Any: true, Not: true}}, false},
					{[]engine.LabelTest{prod, {Name: "env", Value: "x", Not: true}}, true},
				} {
					if n := len(machines(engine.MachineFilter{Tests: c.tests})); (n == len(names)+1) != c.all || !c.all && n > 0 {
						t.Errorf("%d machines pass %+v", n, c.tests)
					}
				}
				same(t, "open", []string{}, machines(engine.MachineFilter{Open: day()}))
				if n := len(machines(engine.MachineFilter{
					Trouble: day().Add(time.Hour),
				})); n == 0 || n != len(configured)+len(not) {
					t.Errorf("%d machines were not heard of", n)
				}
				counts, err := r.MachineCounts(ctx, engine.MachineFilter{Tenant: tenantID, Search: "-1"})
				if err != nil || counts[access.Configured] != 1 ||
					counts[access.NotConfigured]+counts[access.Unsupported] != 1 {
					t.Errorf("counts are %v, %v", counts, err)
				}
				_, err = r.Machines(ctx, engine.MachineFilter{Standing: "odd"}, engine.Page{Limit: 1})
				wantKind(t, "standing", err, access.KindInvalid, "")

				agents := ids(pages(t, 5,
					func(p engine.Page) (engine.Listed[access.Agent], error) { return r.Agents(ctx, p) }),
					func(a access.Agent) string { return a.Name })
				same(t, "agents",
					[]string{
						"10", "9", "a%b", "aé", "b-1", "B.1", "B_1", "gate", "Straße", "ZEBRA", "zoe", "Zoë",
						"äpfel",
					},
					agents)
				principals := func(pf engine.PrincipalFilter) []string {
					return ids(pages(t, 2,
						func(p engine.Page) (engine.Listed[access.Principal], error) {
							return r.Principals(ctx, pf,
								p)
						}),
						func(p access.Principal) string { return string(p.ID) })
				}
				same(t, "members", []string{"p3", "p1"}, principals(engine.PrincipalFilter{Group: "p0"}))
				same(t, "groups of", []string{"p0", "p2"},
					sorted(principals(engine.PrincipalFilter{Member: "p1", Kind: access.Group, Tenant: tenantID}), "p0",
						"p2"))
				same(t, "users of no such tenant", []string{},
					principals(engine.PrincipalFilter{Tenant: "x", Kind: access.User}))
				policies := ids(pages(t, 5, func(p engine.Page) (engine.Listed[access.Policy], error) {
					return r.Policies(ctx,
						engine.PolicyFilter{
							Tenant: tenantID, Location: "LOCAL",
							Scope: access.SubscriptionScope(subID),
						},
						p)
				}), func(p access.Policy) string { return fmt.Sprint(p.Name, len(p.Machines)) })
				same(t, "policies",
					[]string{
						"100", "90", "a%b1", "aé0", "b-11", "B.10", "B_10", "Straße0", "ZEBRA0", "zoe0", "Zoë1",
						"äpfel0",
					},
					policies)
				return nil
			})
		})
	}
}

// sorted puts names in the order of want, so that a list whose order is tested elsewhere can be compared as a set.
func sorted(names []string, want ...string) []string {
	slices.SortFunc(names, func(a, b string) int { return slices.Index(want, a) - slices.Index(want, b) })
	return names
}

func TestPageBounds(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			for _, limit := range []int{-1, 0, 1001} {
				_, err := r.Requests(ctx, engine.RequestFilter{}, engine.Page{Limit: limit})
				wantKind(t, fmt.Sprint("limit ", limit), err, access.KindInvalid, "malformedLimit")
				_, err = r.Due(ctx, day(), limit)
				wantKind(t, fmt.Sprint("limit of due ", limit), err, access.KindInvalid, "malformedLimit")
				_, err = r.Records(ctx, 0, limit)
				wantKind(t, fmt.Sprint("limit of records ", limit), err, access.KindInvalid, "malformedLimit")
			}
			for _, cursor := range []string{
				"x", "!", "MTp4", "MTp4MTp4MTp4", "OTk5OTk5OTk5OTk5OTk5OTk5OTk6eA", "LTE6",
				"MTpYMTpY",
			} {
				_, err := r.Requests(ctx, engine.RequestFilter{}, engine.Page{Limit: 1, Cursor: cursor})
				wantKind(t, "cursor "+cursor, err, access.KindInvalid, "malformedCursor")
				_, err = r.Events(ctx, engine.EventFilter{}, engine.Page{Limit: 1, Cursor: cursor})
				wantKind(t, "cursor of events "+cursor, err, access.KindInvalid, "malformedCursor")
			}
			return nil
		})
	})
}

// TestCursorUnderInserts pages through a list that grows meanwhile: what was there at the beginning comes once each.
func TestCursorUnderInserts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		add := func(n int, at time.Time) {
			f.update(t, func(ctx context.Context, tx engine.Tx) error {
				for range n {
					if err := f.submit(ctx, tx, at); err != nil {
						return err
					}
				}
				return nil
			})
		}
		add(30, day())
		seen := map[access.RequestID]int{}
		p := engine.Page{Limit: 4}
		for i := 0; ; i++ {
			var listed engine.Listed[access.Request]
			f.view(t, func(ctx context.Context, r engine.Reader) (err error) {
				listed, err = r.Requests(ctx, engine.RequestFilter{}, p)
				return err
			})
			for _, r := range listed.Items {
				seen[r.ID]++
			}
			if p.Cursor = listed.Next; p.Cursor == "" {
				break
			}
			add(3, day().Add(time.Duration(i)*time.Second))
		}
		for i := range 30 {
			if id := access.RequestID(fmt.Sprintf("request-%06d", i+1)); seen[id] != 1 {
				t.Errorf("%s came %d times", id, seen[id])
			}
		}
	})
}

func TestDue(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		now := day().Add(time.Hour)
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			d, err := r.Due(ctx, now, 10)
			same(t, "nothing", engine.Due{}, d)
			return err
		})
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			for i := range 5 { // each due a minute after the other, the third just now
				at := now.Add(time.Duration(i-2) * time.Minute)
				r, g, _ := f.request(day())
				r.State, r.DecidedAt, r.PendingUntil = access.RequestPending, time.Time{}, at
				g.End = at
				_, begin, _ := f.request(day())
				begin.Request, begin.State, begin.Start, begin.End = r.ID, access.GrantScheduled, at, now.Add(
					24*time.Hour)
				ended := begin
				ended.ID, ended.State, ended.End, ended.EndedAt = begin.ID+"-ended", access.GrantRevoked, at, at
				if err := firstOf(tx.SaveRequest(ctx, r, 0), tx.SaveGrant(ctx, g, 0), tx.SaveGrant(ctx, begin, 0),
					tx.SaveGrant(ctx, ended, 0)); err != nil {
					return err
				}
			}
			return nil
		})
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			d, err := r.Due(ctx, now, 10)
			if err != nil {
				return err
			}
			same(t, "due", []int{3, 3, 3}, []int{len(d.Requests), len(d.Begin), len(d.Expire)})
			same(t, "next", now.Add(time.Minute), d.Next)
			same(t, "the first is first", now.Add(-2*time.Minute), d.Expire[0].End)
			d, err = r.Due(ctx, now, 2)
			same(t, "at most two", []int{2, 2, 2}, []int{len(d.Requests), len(d.Begin), len(d.Expire)})
			return err
		})
	})
}

// TestGuardsAreThoseOfThePolicies pages what policies say of machines, and finds what the whole policies say, in their
// order.
func TestGuardsAreThoseOfThePolicies(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			for i := range 5 {
				var ids []access.MachineID
				for j := range 2 * i {
					m := machine(access.MachineID(fmt.Sprintf("m-%d-%d", i, 9-j)), fmt.Sprintf("m%d%d", i, j), f.agent)
					if err := tx.SaveMachine(ctx, m, 0); err != nil {
						return err
					}
					ids = append(ids, m.ID)
				}
				p := policy(access.PolicyID(fmt.Sprint("p", 9-i)), fmt.Sprint("P", i))
				if p.Machines = nil; i > 0 {
					p.Machines = policy("", "", ids...).Machines
				}
				if err := tx.SavePolicy(ctx, p, 0); err != nil {
					return err
				}
			}
			return nil
		})
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			var want []string
			for _, p := range pages(t, 2, func(p engine.Page) (engine.Listed[access.Policy], error) {
				return r.Policies(ctx, engine.PolicyFilter{}, p)
			}) {
				for _, e := range p.Machines {
					want = append(want, fmt.Sprintf("%s %s %d %+v", p.Resource, e.Machine, e.Revision, e.Ports))
				}
			}
			for _, size := range []int{1, 3, 7, 100} {
				var got []string
				for _, d := range pages(t, size, func(p engine.Page) (engine.Listed[engine.PolicyDetail], error) {
					return r.Guards(ctx, engine.PolicyFilter{}, p)
				}) {
					got = append(got,
						fmt.Sprintf("%s %s %d %+v", d.Policy.Resource, d.Entry.Machine, d.Entry.Revision,
							d.Entry.Ports))
					if d.Machine.ID != d.Entry.Machine || d.Machine.Name == "" || d.Machine.Tenant != tenantID {
						t.Errorf("the machine beside it is %+v", d.Machine)
					}
				}
				same(t, fmt.Sprint("pages of ", size), want, got)
			}
			if len(want) < 20 {
				t.Errorf("there are %d only", len(want))
			}
			none, err := r.Guards(ctx, engine.PolicyFilter{Tenant: "none"}, engine.Page{Limit: 10})
			if len(none.Items) > 0 {
				t.Errorf("another tenant has %d", len(none.Items))
			}
			return err
		})
	})
}
