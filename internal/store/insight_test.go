package store_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

func heldID(h engine.Held) string { return cmp.Or(string(h.Grant.ID), string(h.Use.Request.ID)) }

// byHeld orders as the store does: the latest by at first, then by id.
func byHeld(at func(engine.Held) time.Time) func(a, b engine.Held) int {
	return func(a, b engine.Held) int { return cmp.Or(at(b).Compare(at(a)), cmp.Compare(heldID(b), heldID(a))) }
}

// heldOn returns the machine on which something was held.
func heldOn(h engine.Held) access.MachineID {
	if h.ByCode() {
		return h.Use.Request.Items[0].Place().Machine
	}
	return h.Grant.Place().Machine
}

// TestWhatWasHeld compares who had access at an instant, and what was not seen closed, with a plain loop over
// everything: grants in every condition that one can be in, and uses of codes, many of them at the same time.
func TestWhatWasHeld(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		var all []engine.Held
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		draw := rand.New(rand.NewPCG(seed, 0))
		minute := func(most int) time.Time { return day().Add(time.Duration(draw.IntN(most)) * time.Minute) }
		machines := []access.MachineID{"machine-1", "machine-2", "gone"}
		people := []access.PrincipalID{f.user, "user-2"}
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			if err := firstOf(tx.SavePrincipal(ctx, person("user-2", "Bob"), 0),
				tx.SaveMachine(ctx, machine("machine-2", "web-2", ""), 0)); err != nil {
				return err
			}
			for i := range 300 {
				r, g, _ := f.request(minute(60))
				m, who := machines[draw.IntN(3)], people[draw.IntN(2)]
				r.Requester, g.Principal = who, who
				g.Target = access.PortTarget{Machine: m, Ports: access.SinglePort(22), Protocol: access.TCP}
				r.Items[0].Target = g.Target
				if i%3 == 0 {
					u := engine.CodeUse{Request: r, Opened: minute(60)}
					u.Over = u.Opened.Add(time.Duration(1+draw.IntN(60)) * time.Minute)
					if err := firstOf(tx.SaveRequest(ctx, r, 0), tx.SaveCodeUse(ctx, u)); err != nil {
						return err
					}
					all = append(all, engine.Held{Use: u})
					continue
				}
				g.Start = minute(60)
				g.End = g.Start.Add(time.Duration(1+draw.IntN(60)) * time.Minute)
				g.State = []access.GrantState{
					access.GrantScheduled, access.GrantOpening, access.GrantActive,
					access.GrantFailed, access.GrantRevoked, access.GrantExpired,
				}[draw.IntN(6)]
				if draw.IntN(2) == 0 {
					g.OpenedAt = minute(60)
				}
				if g.State.Ended() {
					g.EndedAt = minute(60)
					if draw.IntN(2) == 0 {
						g.ClosedAt = minute(120)
					}
				}
				if err := firstOf(tx.SaveRequest(ctx, r, 0), tx.SaveGrant(ctx, g, 0)); err != nil {
					return err
				}
				all = append(all, engine.Held{Grant: g})
			}
			return nil
		})
		had := func(h engine.Held, m access.MachineID, at time.Time) bool {
			if h.ByCode() {
				return heldOn(h) == m && !h.Use.Opened.After(at) && at.Before(h.Use.Over)
			}
			g := h.Grant
			if g.Place().Machine != m || g.CreatedAt.After(at) || !g.ClosedAt.IsZero() && !g.ClosedAt.After(at) {
				return false
			}
			if !g.OpenedAt.IsZero() {
				return !g.OpenedAt.After(at)
			}
			canceled := !g.EndedAt.IsZero() && g.EndedAt.Before(g.Start)
			return g.State != access.GrantFailed && !canceled && !g.Start.After(at) && at.Before(g.End)
		}
		mayBeOpen := func(h engine.Held, now time.Time) bool {
			if h.ByCode() {
				return now.Before(h.Use.Over)
			}
			g := h.Grant
			// which alone has an agent
			return g.State.Ended() && g.ClosedAt.IsZero() && !g.EndedAt.Before(
				g.Start) && (now.Before(g.End) || g.Place().Machine == "machine-1")
		}
		only := func(keep func(engine.Held) bool) []engine.Held {
			return slices.DeleteFunc(slices.Clone(all), func(h engine.Held) bool { return !keep(h) })
		}
		created := func(h engine.Held) time.Time { return cmp.Or(h.Grant.CreatedAt, h.Use.Request.CreatedAt) }
		ended := func(h engine.Held) time.Time { return cmp.Or(h.Grant.EndedAt, h.Use.Over) }
		f.view(t, func(ctx context.Context, r engine.Reader) error {
			for _, after := range []time.Duration{-time.Minute, 0, 20 * time.Minute, 45 * time.Minute, 90 * time.Minute} {
				at := day().Add(after)
				for _, m := range machines {
					want := slices.SortedFunc(slices.Values(only(func(h engine.Held) bool { return had(h, m, at) })),
						byHeld(created))
					got := pages(t, 7,
						func(p engine.Page) (engine.Listed[engine.Held], error) { return r.HeldAt(ctx, m, at, p) })
					same(t, fmt.Sprint("held on ", m, " at ", at), ids(want, heldID), ids(got, heldID))
					for _, who := range append(people, "") {
						filter := engine.NotClosedFilter{Tenant: tenantID, Machine: m, Principal: who, Now: at}
						want = slices.SortedFunc(slices.Values(only(func(h engine.Held) bool {
							of := h.Grant.Principal
							if h.ByCode() {
								of = h.Use.Request.Requester
							}
							return mayBeOpen(h, at) && heldOn(h) == m && (who == "" || of == who)
						})), byHeld(ended))
						got = pages(t, 3,
							func(p engine.Page) (engine.Listed[engine.Held], error) {
								return r.NotClosed(ctx, filter,
									p)
							})
						same(t, fmt.Sprintf("not closed, %+v", filter), ids(want, heldID), ids(got, heldID))
					}
				}
				want := slices.SortedFunc(slices.Values(only(func(h engine.Held) bool { return mayBeOpen(h, at) })),
					byHeld(ended))
				got := pages(t, 7, func(p engine.Page) (engine.Listed[engine.Held], error) {
					return r.NotClosed(ctx, engine.NotClosedFilter{Now: at}, p)
				})
				same(t, fmt.Sprint("not closed at ", at), ids(want, heldID), ids(got, heldID))
				on, err := r.NotClosedOn(ctx, machines, at)
				if err != nil {
					return err
				}
				// which nothing that ended does, but by these numbers
				begun := slices.DeleteFunc(want, func(h engine.Held) bool { return h.Grant.Start.After(at) })
				same(t, fmt.Sprint("not closed on all at ", at), ids(begun, heldID),
					ids(slices.SortedFunc(slices.Values(on), byHeld(ended)), heldID))

				open, err := r.Machines(ctx, engine.MachineFilter{Open: at}, engine.Page{Limit: 10})
				var expect []string
				for _, m := range machines[:2] {
					if slices.ContainsFunc(all, func(h engine.Held) bool {
						live := h.Grant.State == access.GrantOpening || h.Grant.State == access.GrantActive
						return heldOn(h) == m && (live || mayBeOpen(h, at))
					}) {
						expect = append(expect, string(m))
					}
				}
				same(t, fmt.Sprint("open at ", at), expect,
					ids(open.Items, func(m access.Machine) string { return string(m.ID) }))
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// TestUsesOfCodesFromBefore proves that a database of before knows when what codes opened was open.
func TestUsesOfCodesFromBefore(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := dsn(t)
			request := func(id, start string) string {
				return `insert into requests (id, tenant, requester, requester_name, address, via, items, start_at, justification, ticket, state, reason, created_at, pending_until,
decided_at, digest, revision, ask, stage_until, role_scope) values ('` + id + `', 't', 'u', 'Ada', '', 'agent',
'[{"machine":"m1","ports":{"first":22,"last":22},"protocol":"tcp","sources":["203.0.113.7/32"],"duration":60000000000}]', ` + start + `, '', '', 'approved', '', 5000000, 0,
5000000, '', 1, '{}', 0, '')`
			}
			review := func(id, request, offline string) string {
				return "insert into reviews (id, tenant, person, person_name, request, offline, created_at, " +
					"closed_at, closed_by, comment, revision) values ('" + id + "', 't', 'u', 'Ada', '" + request +
					"', " + offline + ", 1, 0, '', '', 1)"
			}
			older(t, where, "code_uses",
				"insert into tenants (id, name, name_key, created_at) values ('t', 'T', 't', 1)",
				"insert into principals (id, tenant, kind, name, name_key, display_name, email, disabled, "+
					"created_at, revision) values ('u', 't', 'user', 'Ada', 'ada', '', '', 0, 1, 1)",
				request("r1", "2000000"), request("r2", "9000000"), request("r3", "2000000"), review("v1", "r1", "1"),
				review("v2", "r2", "1"), review("v3", "r3", "0"))
			f := &fixture{DB: open(t, where)}
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				list, err := r.HeldAt(ctx, "m1", time.UnixMicro(6000000), engine.Page{Limit: 10})
				var got []string
				for _, h := range list.Items {
					got = append(got,
						fmt.Sprint(h.Use.Request.ID, " ", h.Use.Opened.UnixMicro(), " ", h.Use.Over.UnixMicro()))
				}
				same(t, "uses", []string{"r2 5000000 65000000", "r1 2000000 62000000"}, got)
				return err
			})
		})
	}
}
