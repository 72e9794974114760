package engine

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Surroundings tell where machines lie, and what is guarded on them to whoever may know.
type Surroundings struct {
	R             Reader
	May           Rights
	subscriptions map[access.SubscriptionID]string // nil until they are read
}

// Subscription returns the name of the subscription that a machine lies in.
func (s *Surroundings) Subscription(ctx context.Context, m access.Machine) (string, error) {
	if s.subscriptions == nil {
		all, err := s.R.Subscriptions(ctx)
		if err != nil {
			return "", fmt.Errorf("read subscriptions: %w", err)
		}
		s.subscriptions = make(map[access.SubscriptionID]string, len(all))
		for _, one := range all {
			s.subscriptions[one.ID] = one.Name
		}
	}
	return s.subscriptions[m.Subscription()], nil
}

// Ports returns what is guarded on a machine; nothing where the caller may neither read policies nor ask there.
func (s *Surroundings) Ports(m access.Machine, guards []access.Policy) (ports []access.PortRule) {
	if !s.May.May(rbac.PoliciesRead, m.Resource) && !s.May.May(rbac.PoliciesInitiate, m.Resource) {
		return nil
	}
	for _, p := range guards {
		ports = append(ports, p.Machines[0].Ports...)
	}
	return ports
}
