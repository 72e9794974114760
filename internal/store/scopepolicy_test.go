package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// TestTheDatabaseAndTheCoreAgreeOnWhatAPolicyReaches holds that the counts and lists of machines by their standing go by
// the same rule as what guards each: whatever is in labels, in names of groups that begin alike, and in what case.
func TestTheDatabaseAndTheCoreAgreeOnWhatAPolicyReaches(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		labels := []map[string]string{
			nil,
			{"env": "prod"},
			{"env": "PROD"},
			{"Env": "prod"},
			{"env": "prod", "role": "web"},
			{"note": `"env":"prod"`},
			{"xenv": "prod"},
			{"env": `a\b%_'"`},
			{"env": "prod-2"},
			{"ü": "é"},
		}
		var all []access.Machine
		var scopes []access.ScopePolicy
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			for _, group := range []string{"web", "web-2", "WEB-3"} {
				if err := tx.SaveResourceGroup(ctx, access.ResourceGroup{
					Subscription: subID, Name: group, Location: "local",
				}); err != nil {
					return err
				}
				for i, l := range labels {
					m := machine(access.MachineID(fmt.Sprintf("%s-%d", group, i)), fmt.Sprintf("%s-%d", group, i), f.agent)
					m.Resource, m.Labels = access.MachineResource(subID, group, m.Name), l
					all = append(all, m)
					if err := tx.SaveMachine(ctx, m, 0); err != nil {
						return err
					}
				}
			}
			return nil
		})
		count := func() (n int) {
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				counts, err := r.MachineCounts(ctx, engine.MachineFilter{Tenant: tenantID, NamePrefix: "web"})
				n = counts[access.Configured]
				return err
			})
			return n
		}
		save := func(group string, pairs map[string]string) {
			t.Helper()
			p := access.ScopePolicy{
				ID: access.PolicyID(fmt.Sprintf("p%d", len(scopes))), Tenant: tenantID, Name: "p",
				Scope: access.SubscriptionScope(subID), Labels: pairs, Order: len(scopes) + 1, CreatedAt: day(),
				UpdatedAt: day(), Revision: 1,
				Rules: access.MachinePolicy{Ports: []access.PortRule{
					{Ports: access.SinglePort(22), Protocol: access.TCP, Max: time.Hour},
				}},
			}
			if group != "" {
				p.Scope = access.ResourceGroupScope(subID, group)
			}
			p.Resource = access.ScopePolicyResource(p.Scope, string(p.ID))
			scopes = append(scopes, p)
			f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.SaveScopePolicy(ctx, p, 0) })
			want := 0
			for _, m := range all {
				if len(access.Guards(m, access.Policy{}, scopes)) > 0 {
					want++
				}
			}
			reached := 0
			for _, m := range all {
				if p.Reaches(m) {
					reached++
				}
			}
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				got, err := r.MachinesReached(ctx, p.ID)
				if got != reached {
					t.Errorf("a policy of %q for %v reaches %d machines, want %d", p.Scope, pairs, got, reached)
				}
				return err
			})
			if got := count(); got != want {
				t.Errorf("with a policy of %q for %v the database counts %d, want %d", p.Scope, pairs, got, want)
			}
		}
		if got := count(); got != 0 {
			t.Errorf("without policies %d are guarded", got)
		}
		for _, l := range labels[1:] {
			save("Web-3", l)
			save("web", l)
		}
		save("web-3", nil)
		save("", map[string]string{"role": "web"})
		save("web", nil)
		var before, after int64
		revision := func(to *int64) {
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				a, err := r.Agent(ctx, f.agent)
				*to = a.Revision
				return err
			})
		}
		bump := func(scope access.ResourceID, want int64) {
			t.Helper()
			revision(&before)
			f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.BumpWithin(ctx, tenantID, scope) })
			if revision(&after); after-before != want {
				t.Errorf("at %s the revision moved by %d, want %d", scope, after-before, want)
			}
		}
		bump(access.ResourceGroupScope(subID, "WEB"), 1) // once, for ten machines
		bump(access.ResourceGroupScope(subID, "we"), 0)
		bump(access.SubscriptionScope(subID), 1)
		last := scopes[len(scopes)-1]
		err := f.try(t, func(ctx context.Context, tx engine.Tx) error { return tx.DeleteScopePolicy(ctx, last.ID, 2) })
		if access.KindOf(err) != access.KindConflict {
			t.Errorf("deleted over another revision: %v", err)
		}
		for _, p := range scopes {
			f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.DeleteScopePolicy(ctx, p.ID, 1) })
		}
		if got := count(); got != 0 {
			t.Errorf("without policies %d are guarded", got)
		}
	})
}

// TestTheDatabaseAndTheCoreAgreeOnWhatIsDisabled holds that machines are listed and counted as unsupported exactly where
// a switch stops them, whatever their groups are called; that one that was turned on again stops nothing; and that the
// switch of a group goes with the group.
func TestTheDatabaseAndTheCoreAgreeOnWhatIsDisabled(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		var all []access.Machine
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			for _, group := range []string{"web", "web-2", "WEB-3", "empty"} {
				if err := tx.SaveResourceGroup(ctx, access.ResourceGroup{
					Subscription: subID, Name: group, Location: "local",
				}); err != nil {
					return err
				}
				if group == "empty" {
					continue
				}
				m := machine(access.MachineID("in-"+group), "in-"+group, f.agent)
				m.Resource = access.MachineResource(subID, group, m.Name)
				all = append(all, m)
				if err := tx.SaveMachine(ctx, m, 0); err != nil {
					return err
				}
			}
			return nil
		})
		var switches []access.Switch
		look := func(what string) {
			t.Helper()
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				kept, err := r.Switches(ctx, tenantID)
				if err != nil || len(kept) != len(switches) {
					t.Errorf("%s: %d switches are kept, want %d (%v)", what, len(kept), len(switches), err)
				}
				counts, err := r.MachineCounts(ctx, engine.MachineFilter{Tenant: tenantID, NamePrefix: "in-"})
				if err != nil {
					return err
				}
				for _, standing := range []access.Standing{access.Unsupported, access.NotConfigured, access.Configured} {
					want := 0
					for _, m := range all {
						if is, _ := access.StandingOf(m, false, access.DisabledBy(m, switches)); is == standing {
							want++
						}
					}
					list, err := r.Machines(ctx, engine.MachineFilter{
						Tenant: tenantID, NamePrefix: "in-", Standing: standing,
					}, engine.Page{Limit: 10})
					if err != nil {
						return err
					}
					if counts[standing] != want || len(list.Items) != want {
						t.Errorf("%s: %d are counted and %d listed as %s, want %d", what, counts[standing],
							len(list.Items), standing, want)
					}
				}
				return nil
			})
		}
		look("without switches")
		turn := func(scope access.ResourceID, off bool) {
			t.Helper()
			was := access.Switch{Scope: scope, Tenant: tenantID}
			for i, s := range switches {
				if s.Scope.Equal(scope) {
					was, switches = s, append(switches[:i:i], switches[i+1:]...)
					break
				}
			}
			next := was.Turned(off, "why", access.Actor{ID: f.user}, day().Add(time.Duration(was.Revision)*time.Hour))
			switches = append(switches, next)
			f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.SaveSwitch(ctx, next, was.Revision) })
			look(fmt.Sprintf("%s off: %t", scope, off))
		}
		for _, off := range []bool{true, false, true} {
			turn(access.ResourceGroupScope(subID, "Web"), off)
			turn(access.ResourceGroupScope(subID, "web-3"), off)
			turn(access.SubscriptionScope(subID), off)
		}
		turn(access.SubscriptionScope(subID), false)
		turn(access.ResourceGroupScope(subID, "empty"), true)
		err := f.try(t, func(ctx context.Context, tx engine.Tx) error { return tx.SaveSwitch(ctx, switches[0], 0) })
		if access.KindOf(err) != access.KindConflict {
			t.Errorf("one that is there is made again: %v", err)
		}
		f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.DeleteResourceGroup(ctx, subID, "EMPTY") })
		switches = switches[:len(switches)-1]
		look("without the group")
	})
}
