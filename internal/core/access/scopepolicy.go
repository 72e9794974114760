package access

import (
	"cmp"
	"slices"
	"time"
)

// ScopePolicy says what guards the machines of a resource group or a subscription: all of them, or those with labels.
// Machines that come later are guarded by it from their enrollment on.
type ScopePolicy struct {
	ID       PolicyID
	Resource ResourceID
	Tenant   TenantID
	Name     string
	Scope    ResourceID        // a subscription or a resource group
	Labels   map[string]string // a machine must have them all; none: every machine in the scope
	Order    int               // of the policies with labels the lowest comes first; 0 where there are no labels
	// what holds for each machine; it names none. Its revision is that of the policy when it last said something else,
	// or of other machines
	Rules MachinePolicy

	CreatedAt time.Time
	UpdatedAt time.Time
	Revision  int64
}

// Limits on what a policy of a scope says.
const (
	MaxScopePolicies = 200    // of one tenant: each change of access looks at them all
	MaxOrder         = 10_000 // 1 to that
)

// ScopePolicyResource returns the resource id of a policy of a scope.
func ScopePolicyResource(scope ResourceID, name string) ResourceID {
	return ResourceID(string(scope) + "/providers/Postern.Access/policies/" + name)
}

// Reaches reports whether the policy says something of m.
func (p ScopePolicy) Reaches(m Machine) bool {
	if p.Tenant != m.Tenant || !m.Resource.Within(p.Scope) {
		return false
	}
	for name, value := range p.Labels {
		if has, ok := m.Labels[name]; !ok || has != value {
			return false
		}
	}
	return true
}

// Reach says in words by what the policy reaches a machine: "label env=prod", "resource group web" or "the
// subscription".
func (p ScopePolicy) Reach() string {
	if len(p.Labels) > 0 {
		return "label " + LabelText(p.Labels)
	}
	return reachOf(p.Scope)
}

// Rank returns where the policy stands among those that reach one machine: those with labels, by their order, come
// before that of the resource group, and that before the one of the subscription.
func (p ScopePolicy) Rank() int {
	switch {
	case len(p.Labels) > 0:
		return p.Order
	case p.Scope.Segment("resourceGroups") != "":
		return MaxOrder + 1
	default:
		return MaxOrder + 2
	}
}

// Head returns the policy as one that says nothing of a machine.
func (p ScopePolicy) Head() Policy {
	return Policy{
		ID: p.ID, Resource: p.Resource, Tenant: p.Tenant, Name: p.Name, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
		Revision: p.Revision, Reach: p.Reach(),
	}
}

// guard returns the policy as what guards m.
func (p ScopePolicy) guard(m MachineID) Policy {
	guard, entry := p.Head(), p.Rules
	entry.Machine = m
	guard.Machines = []MachinePolicy{entry}
	return guard
}

// Guards returns what guards m, each policy with what it says of m alone: own, the policy that names it (the zero
// Policy where none does), before those that reach it, in the order in which they count. For each port and transport
// the first that has a rule for it holds whole, so each has what those before it say nothing of, and one that has
// nothing left is not there. No port and transport is guarded by two of them.
func Guards(m Machine, own Policy, scopes []ScopePolicy) []Policy {
	var all []Policy
	if entry, ok := own.Of(m.ID); ok {
		own.Machines = []MachinePolicy{entry}
		all = append(all, own)
	}
	reaching := slices.DeleteFunc(slices.Clone(scopes), func(p ScopePolicy) bool { return !p.Reaches(m) })
	slices.SortFunc(reaching,
		func(a, b ScopePolicy) int { return cmp.Or(cmp.Compare(a.Rank(), b.Rank()), cmp.Compare(a.ID, b.ID)) })
	for _, p := range reaching {
		all = append(all, p.guard(m.ID))
	}
	var ruled []PortRule
	guards := all[:0]
	for _, p := range all {
		entry := &p.Machines[0]
		ports := make([]PortRule, 0, len(entry.Ports))
		for _, rule := range entry.Ports {
			ports = append(ports, rule.without(ruled)...)
		}
		ruled = append(ruled, entry.Ports...)
		if entry.Ports = ports; len(ports) > 0 {
			guards = append(guards, p)
		}
	}
	return guards
}

// Ruling returns the guard whose rules hold for ports of a machine; the protocol may be empty, for that of the rule.
// Where no guard has them all in one rule it is one that has a part, and else the first: what it says of the ports is
// why they cannot be opened. It is the zero Policy where nothing guards the machine.
func Ruling(guards []Policy, ports PortRange, protocol Protocol) Policy {
	for _, fits := range []func(PortRule) bool{
		func(r PortRule) bool { return r.Ports.Covers(ports) && (protocol == "" || r.Protocol.Covers(protocol)) },
		func(r PortRule) bool {
			return r.Ports.Overlaps(ports) && (protocol == "" || r.Protocol.Overlaps(protocol))
		},
		func(r PortRule) bool { return r.Ports.Overlaps(ports) },
		func(PortRule) bool { return true },
	} {
		for _, p := range guards {
			if slices.ContainsFunc(p.Machines[0].Ports, fits) {
				return p
			}
		}
	}
	return Policy{}
}

// Leaves reports whether rules say nothing of a port that others say something of.
func Leaves(others, rules []PortRule) bool {
	return slices.ContainsFunc(others, func(r PortRule) bool { return len(r.without(rules)) > 0 })
}

// without returns what is left of a rule where others hold for a part of its ports: as few rules as say it.
func (r PortRule) without(others []PortRule) []PortRule {
	overlapping := slices.DeleteFunc(slices.Clone(others), func(o PortRule) bool {
		return !o.Ports.Overlaps(r.Ports) || !o.Protocol.Overlaps(r.Protocol)
	})
	if len(overlapping) == 0 {
		return []PortRule{r}
	}
	starts := []int{int(r.Ports.First)} // of stretches of ports for which the same others hold
	for _, o := range overlapping {
		starts = append(starts, max(int(o.Ports.First), int(r.Ports.First)), int(o.Ports.Last)+1)
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	var left []PortRule
	for i, first := range starts {
		if first > int(r.Ports.Last) {
			break
		}
		last := int(r.Ports.Last)
		if i+1 < len(starts) {
			last = min(last, starts[i+1]-1)
		}
		piece := r
		piece.Ports = PortRange{First: uint16(first), Last: uint16(last)} //nolint:gosec // both lie within the rule's
		piece.Protocol = r.Protocol.without(piece.Ports, overlapping)
		if piece.Protocol == "" {
			continue
		}
		if n := len(left); n > 0 && left[n-1].Protocol == piece.Protocol &&
			left[n-1].Ports.Last+1 == piece.Ports.First {
			left[n-1].Ports.Last = piece.Ports.Last
			continue
		}
		left = append(left, piece)
	}
	return left
}

// without returns what is left of p where others hold for the ports, each of which has all of them or none; empty where
// nothing is.
func (p Protocol) without(ports PortRange, others []PortRule) Protocol {
	left := slices.DeleteFunc(p.Transports(), func(transport Protocol) bool {
		return slices.ContainsFunc(others, func(o PortRule) bool {
			return o.Ports.Covers(ports) && o.Protocol.Covers(transport)
		})
	})
	switch len(left) {
	case 0:
		return ""
	case 1:
		return left[0]
	default:
		return AnyProtocol
	}
}
