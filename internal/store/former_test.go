package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// TestFormerMachines gives machines that left a policy, where something was asked of them since.
func TestFormerMachines(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			former := policy("policy-8", "former", "machine-8", "machine-9")
			errs := []error{
				tx.SaveMachine(ctx, machine("machine-8", "web-8", f.agent), 0),
				tx.SaveMachine(ctx, machine("machine-9", "web-9", f.agent), 0), tx.SavePolicy(ctx, former, 0),
			}
			r, _, _ := f.request(day())
			r.Items[0].Target = access.PortTarget{Machine: "machine-8"}
			errs = append(errs, tx.SaveRequest(ctx, r, 0))
			former.Machines, former.Revision = nil, 2
			return firstOf(append(errs, tx.SavePolicy(ctx, former, 1))...)
		})
		group := access.ResourceGroupScope(subID, "default")
		for _, one := range []struct {
			scope access.ResourceID
			since time.Time
			want  []access.MachineID
		}{
			{group, day(), []access.MachineID{"machine-8"}},
			{group, day().Add(time.Second), nil},
			{group + "-2", day(), nil},
			{access.SubscriptionScope(subID), day(), []access.MachineID{"machine-8"}},
		} {
			f.view(t, func(ctx context.Context, r engine.Reader) error {
				found, err := r.FormerMachines(ctx, one.scope, one.since, 10)
				if !slices.Equal(found, one.want) {
					t.Errorf("at %s since %s: %s, want %s", one.scope, one.since, found, one.want)
				}
				return err
			})
		}
	})
}
