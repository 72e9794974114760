package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	corepolicy "github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/engine"
)

// windowGrant gives a grant of the fixture's user.
func (f *fixture) windowGrant(n int, ports access.PortRange, protocol access.Protocol,
	start, end time.Time,
) access.Grant {
	return access.Grant{
		Target:        access.PortTarget{Machine: f.machine, Policy: "p", Ports: ports, Protocol: protocol},
		ID:            access.GrantID(fmt.Sprintf("w-%d", n)),
		Request:       "r",
		Tenant:        tenantID,
		Principal:     f.user,
		PrincipalName: "ann",
		Start:         start,
		End:           end,
		State:         access.GrantScheduled,
		CreatedAt:     day(),
		Revision:      1,
	}
}

// TestWindowsAreThoseThatOverlap compares with a look at each grant.
func TestWindowsAreThoseThatOverlap(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		request, _, _ := f.request(day())
		request.ID = "r"
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.SaveRequest(ctx, request, 0) })
		draw := func(r *rapid.T, name string, least, most int) int { return rapid.IntRange(least, most).Draw(r, name) }
		minute := func(n int) time.Time { return day().Add(time.Duration(n) * time.Minute) }
		ports := func(r *rapid.T) access.PortRange {
			first := uint16(draw(r, "first", 20, 26))
			return access.PortRange{First: first, Last: first + uint16(draw(r, "more", 0, 1)*draw(r, "so many", 1, 4))}
		}
		protocols := []access.Protocol{access.TCP, access.UDP, access.AnyProtocol}
		n := 0
		rapid.Check(t, func(r *rapid.T) {
			var grants []access.Grant
			f.user = access.PrincipalID(fmt.Sprintf("u-%d", n)) // of whom there is nothing yet
			save := func(ctx context.Context, tx engine.Tx) error {
				return tx.SavePrincipal(ctx,
					access.Principal{
						ID: f.user, Tenant: tenantID, Kind: access.User, Name: string(f.user),
						CreatedAt: day(), Revision: 1,
					},
					0)
			}
			f.update(t, save)
			for range draw(r, "grants", 0, 12) {
				n++
				start := draw(r, "start", 0, 300)
				g := f.windowGrant(n, ports(r), rapid.SampledFrom(protocols).Draw(r, "protocol"), minute(start),
					minute(start+draw(r, "length", 1, 100)))
				g.Decided = rapid.Bool().Draw(r, "decided")
				switch draw(r, "state", 0, 4) {
				case 0:
					g.State, g.EndedAt = access.GrantRevoked, minute(start+draw(r, "ended after", -10, 100))
				case 1:
					g.State = access.GrantFailed
				case 2:
					g.State, g.OpenedAt = access.GrantFailed, g.Start
				}
				if draw(r, "a role", 0, 5) == 0 {
					g.Target = access.RoleTarget{
						Eligibility: "e", ID: "role", Name: "Role", Scope: "/subscriptions/X",
					}
				}
				f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.SaveGrant(ctx, g, 0) })
				grants = append(grants, g)
			}
			n++
			after := draw(r, "after", 0, 300)
			filter := engine.WindowFilter{
				Principal: f.user, Target: access.PortTarget{
					Machine: f.machine, Ports: ports(r),
					Protocol: rapid.SampledFrom(protocols).Draw(r, "asked protocol"),
				},
				After: minute(after), Before: minute(after + draw(r, "before", 1, 200)), Longest: 100 * time.Minute,
			}
			if draw(r, "roles", 0, 5) == 0 {
				filter.Target = access.RoleTarget{Eligibility: "e", ID: "role", Scope: "/SUBSCRIPTIONS/x"}
			}
			want := map[corepolicy.Window]bool{}
			standing := false
			for _, g := range grants {
				if g.Target.Overlaps(filter.Target) && g.Over().After(filter.After) {
					standing = standing || !g.State.Ended()
				}
				never := g.State == access.GrantFailed && g.OpenedAt.IsZero() || !g.Over().After(g.Start)
				if g.Target.Overlaps(filter.Target) && !never && g.Over().After(filter.After) && g.Start.Before(filter.Before) {
					want[corepolicy.Window{Start: g.Start, End: g.Over(), Decided: g.Decided}] = true
				}
			}
			f.view(t, func(ctx context.Context, reader engine.Reader) error {
				found, err := reader.Windows(ctx, filter)
				got := map[corepolicy.Window]bool{}
				for _, w := range found.Held {
					got[w] = true
				}
				if !found.Whole || len(got) != len(want) || found.Standing != standing {
					r.Fatalf("got %v (all: %t, standing: %t), want %v (standing: %t)", got, found.Whole, found.Standing,
						want, standing)
				}
				for w := range want {
					if !got[w] {
						r.Fatalf("%v is missing", w)
					}
				}
				return err
			})
		})
	})
}

// TestWindowsOfWhichThereAreVeryMany holds that reading them is bounded, and that what was left out is told where it
// matters.
func TestWindowsOfWhichThereAreVeryMany(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		request, _, _ := f.request(day())
		request.ID = "r"
		const many = 600
		ann, bob := f.user, access.PrincipalID("bob-of-ranges")
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			second := access.Principal{
				ID: bob, Tenant: tenantID, Kind: access.User, Name: "bob-of-ranges",
				CreatedAt: day(), Revision: 1,
			}
			if err := firstOf(tx.SaveRequest(ctx, request, 0), tx.SavePrincipal(ctx, second, 0)); err != nil {
				return err
			}
			for i := range many {
				start := day().Add(time.Duration(i) * 24 * time.Hour)
				daily := f.windowGrant(i, access.SinglePort(22), access.TCP, start, start.Add(time.Hour))
				dense := f.windowGrant(many+i, access.SinglePort(23), access.TCP, day(),
					day().Add(time.Duration(i+1)*time.Second))
				ranges := f.windowGrant(2*many+i, access.PortRange{First: 100, Last: 110}, access.TCP, day(),
					day().Add(time.Duration(i+1)*time.Second))
				ranges.Principal = bob
				if err := firstOf(tx.SaveGrant(ctx, daily, 0), tx.SaveGrant(ctx, dense, 0),
					tx.SaveGrant(ctx, ranges, 0)); err != nil {
					return err
				}
			}
			return nil
		})
		for name, c := range map[string]struct {
			who   access.PrincipalID
			ports access.PortRange
			most  int
			whole bool
		}{
			"a series far ahead":    {ann, access.SinglePort(22), 1, true},
			"all at once":           {ann, access.SinglePort(23), 257, false},
			"a range among so many": {ann, access.PortRange{First: 22, Last: 23}, 257, false},
			"another port":          {ann, access.SinglePort(24), 0, true},
			"a port of a range":     {bob, access.SinglePort(105), 257, false},
		} {
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				found, err := r.Windows(ctx, engine.WindowFilter{
					Principal: c.who,
					Target:    access.PortTarget{Machine: f.machine, Ports: c.ports, Protocol: access.TCP},
					After:     day().Add(-time.Hour), Before: day().Add(time.Hour), Longest: time.Hour,
				})
				if len(found.Held) > c.most || found.Whole != c.whole {
					t.Errorf("%s: %d windows, all: %t, want at most %d, %t", name, len(found.Held), found.Whole, c.most,
						c.whole)
				}
				return err
			})
		}
	})
}
