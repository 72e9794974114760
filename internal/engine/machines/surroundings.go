package machines

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// surroundings add to machines where they lie, and what is guarded on them for whoever may know.
type surroundings struct {
	r             engine.Reader
	may           engine.Rights
	subscriptions map[access.SubscriptionID]string // nil until they are read
}

func (s *surroundings) add(ctx context.Context, d *MachineDetail) error {
	if s.subscriptions == nil {
		all, err := s.r.Subscriptions(ctx)
		if err != nil {
			return fmt.Errorf("read subscriptions: %w", err)
		}
		s.subscriptions = make(map[access.SubscriptionID]string, len(all))
		for _, one := range all {
			s.subscriptions[one.ID] = one.Name
		}
	}
	d.Subscription = s.subscriptions[d.Machine.Subscription()]
	at := d.Machine.Resource
	if !s.may.May(rbac.PoliciesRead, at) && !s.may.May(rbac.PoliciesInitiate, at) {
		return nil
	}
	for _, p := range d.Guards {
		d.Ports = append(d.Ports, p.Machines[0].Ports...)
	}
	return nil
}
