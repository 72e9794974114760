package machines

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// Networks lists the named networks of the caller's tenant, by name. Whoever may ask for access somewhere may see them,
// since a request may name one.
func (e *Service) Networks(ctx context.Context, c engine.Caller) (list []access.Network, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.NetworksRead},
		func(r engine.Reader, may engine.Rights) error {
			if _, err := may.Anywhere(rbac.NetworksRead, rbac.PoliciesInitiate); err != nil {
				return err
			}
			list, err = r.Networks(ctx, c.Tenant)
			return err
		})
	return list, err
}

// SetNetwork makes a named network, or gives it other prefixes. Requests that were made keep what the name stood for
// then. Where ifRevision is given, the network must have that one, and with 0 there must be none of that name.
func (e *Service) SetNetwork(ctx context.Context, c engine.Caller, name string, prefixes []netip.Prefix,
	ifRevision *int64,
) (n access.Network, err error) {
	err = e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.NetworksWrite, Details: map[string]string{"network": name}},
		func(tx engine.Tx, may engine.Rights) error {
			if err := may.Require(rbac.NetworksWrite, access.Root); err != nil {
				return err
			}
			clean, err := access.CheckNetwork(name, prefixes)
			if err != nil {
				return err
			}
			was, err := tx.Network(ctx, c.Tenant, name)
			if err != nil && !engine.IsKind(err, access.KindNotFound) {
				return fmt.Errorf("read network: %w", err)
			}
			switch {
			case ifRevision == nil, *ifRevision == was.Revision:
			case *ifRevision == 0:
				return access.Fault(access.KindConflict, "networkExists",
					"there is a network %s already: change that one, or choose another name", was.Name)
			default:
				return access.Fault(access.KindConflict, "networkChanged",
					"the network %s has changed, or is deleted, since you read it: read it again", name)
			}
			if was.Name == "" {
				all, err := tx.Networks(ctx, c.Tenant)
				if err != nil {
					return fmt.Errorf("read networks: %w", err)
				}
				if len(all) >= access.MaxNetworks {
					return access.Fault(access.KindConflict, "tooManyNetworks",
						"there are %d networks, the most that are allowed: delete one first", len(all))
				}
				was.CreatedAt = may.Now
			}
			before, err := tx.NetworksChanged(ctx)
			if err != nil {
				return fmt.Errorf("read networks: %w", err)
			}
			n = access.Network{Tenant: c.Tenant, Name: name, Prefixes: clean, CreatedAt: was.CreatedAt}
			// whatever the clocks of replicas say: the sweep sees by it that there was a change
			n.UpdatedAt = engine.Later(may.Now, before.Add(time.Microsecond))
			n.Revision = n.UpdatedAt.UnixMicro() // no number comes again where a network is deleted and made anew
			if was.Name == n.Name && slices.Equal(was.Prefixes, n.Prefixes) {
				n = was
				return nil
			}
			n = n.Remember(was, c.Principal, policy.WidenedNetwork(was, n), may.Now)
			if err := tx.SaveNetwork(ctx, n, was.Revision); err != nil {
				return fmt.Errorf("save network: %w", err)
			}
			return tx.Append(ctx, access.Event{
				At: may.Now, Kind: access.NetworkWritten, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: c.Tenant,
				Action: rbac.NetworksWrite,
				Details: map[string]string{
					"network": n.Name, "prefixes": prefixText(n.Prefixes),
					"before": prefixText(was.Prefixes),
				},
			})
		})
	return n, err
}

// DeleteNetwork deletes a named network that no policy names.
func (e *Service) DeleteNetwork(ctx context.Context, c engine.Caller, name string) error {
	return e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.NetworksWrite, Details: map[string]string{"network": name}},
		func(tx engine.Tx, may engine.Rights) error {
			if err := may.Require(rbac.NetworksWrite, access.Root); err != nil {
				return err
			}
			was, err := tx.Network(ctx, c.Tenant, name)
			if engine.IsKind(err, access.KindNotFound) {
				return unknownNetwork(name)
			}
			if err != nil {
				return fmt.Errorf("read network: %w", err)
			}
			if err := networkUnused(ctx, tx, was); err != nil {
				return err
			}
			if err := tx.DeleteNetwork(ctx, c.Tenant, was.Name); err != nil {
				return fmt.Errorf("delete network: %w", err)
			}
			return tx.Append(ctx, access.Event{
				At: may.Now, Kind: access.NetworkDeleted, Outcome: access.Succeeded, Actor: c.Actor(), Tenant: c.Tenant,
				Action:  rbac.NetworksWrite,
				Details: map[string]string{"network": was.Name, "before": prefixText(was.Prefixes)},
			})
		})
}

// networkUnused refuses where a policy names the network, with every place that does.
func networkUnused(ctx context.Context, r engine.Reader, n access.Network) error {
	refusal := access.Fault(access.KindConflict, "networkInUse",
		"network %s is used by policies: remove it from them first", n.Name)
	err := directory.EachEntryWith(ctx, r, n.Tenant, n.Name, func(of string, entry access.MachinePolicy) (bool, error) {
		for i, rule := range entry.Ports {
			if !slices.ContainsFunc(rule.Networks,
				func(name string) bool {
					return strings.EqualFold(name,
						n.Name)
				}) || len(refusal.Reasons) == engine.MaxReasons {
				continue
			}
			refusal.Reasons = append(refusal.Reasons, access.Reason{
				Code: "networkInUse", Field: fmt.Sprintf("%s ports[%d].sources", of, i),
				Message: fmt.Sprintf("the %s names it for %s/%s", of, rule.Ports, rule.Protocol),
			})
		}
		return len(refusal.Reasons) < engine.MaxReasons, nil
	})
	if err != nil {
		return err
	}
	if len(refusal.Reasons) > 0 {
		return refusal
	}
	return nil
}

func unknownNetwork(name string) *access.Error {
	return access.Fault(access.KindNotFound, "unknownNetwork",
		"there is no network %q: write a prefix, or the name of a network", engine.Clip(name))
}

// NetworkNames reads networks once, by name.
type NetworkNames struct {
	R      engine.Reader
	Tenant access.TenantID
	known  map[string]access.Network
	guards engine.Guards
}

func (n *NetworkNames) find(ctx context.Context, name string) (access.Network, error) {
	key := strings.ToLower(name)
	if found, ok := n.known[key]; ok {
		return found, nil
	}
	if !access.IsNetworkName(name) {
		return access.Network{}, unknownNetwork(name)
	}
	found, err := n.R.Network(ctx, n.Tenant, name)
	if engine.IsKind(err, access.KindNotFound) {
		return access.Network{}, unknownNetwork(name)
	}
	if err != nil {
		return access.Network{}, fmt.Errorf("read network: %w", err)
	}
	if n.known == nil {
		n.known = map[string]access.Network{}
	}
	n.known[key] = found
	return found, nil
}

// Prefixes gives sources and what the names stand for, each once.
func (n *NetworkNames) Prefixes(ctx context.Context, sources []netip.Prefix, names []string) ([]netip.Prefix, error) {
	if len(names) == 0 {
		return sources, nil
	}
	all := slices.Clone(sources)
	for _, name := range names {
		found, err := n.find(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, p := range found.Prefixes {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all, nil
}

// Entry gives what a policy says of a machine, with prefixes in the place of names, and who loosened it lately with who
// widened what the names stand for. A name that stands for nothing is an error, and never any address.
func (n *NetworkNames) Entry(ctx context.Context, entry access.MachinePolicy) (access.MachinePolicy, error) {
	entry.Ports, entry.Loosened = slices.Clone(entry.Ports), slices.Clip(entry.Loosened)
	var seen []string
	for i := range entry.Ports {
		rule := &entry.Ports[i]
		sources, err := n.Prefixes(ctx, rule.Sources, rule.Networks)
		if err != nil {
			return entry, err
		}
		for _, name := range rule.Networks {
			found, err := n.find(ctx, name)
			if err != nil {
				return entry, err
			}
			if !slices.Contains(seen, found.Name) {
				seen, entry.Loosened = append(seen, found.Name), append(entry.Loosened, found.Loosened...)
			}
		}
		rule.Sources, rule.Networks = sources, nil
	}
	return entry, nil
}

// GuardsAsNamed returns what guards a machine, with the names of networks.
func (n *NetworkNames) GuardsAsNamed(ctx context.Context, m access.Machine) ([]access.Policy, error) {
	n.guards.R = n.R
	return n.guards.Of(ctx, m)
}

// Disabled says by what just-in-time access is disabled for a machine; empty where it is not.
func (n *NetworkNames) Disabled(ctx context.Context, m access.Machine) (string, error) {
	n.guards.R = n.R
	disabled, err := n.guards.Disabled(ctx, m)
	if err != nil || !disabled.Off {
		return "", err
	}
	return disabled.Text(), nil
}

// Guards returns what guards a machine, as Entry gives it.
func (n *NetworkNames) Guards(ctx context.Context, m access.Machine) ([]access.Policy, error) {
	guards, err := n.GuardsAsNamed(ctx, m)
	if err != nil {
		return nil, err
	}
	return guards, n.resolve(ctx, guards)
}

// resolve puts prefixes in the place of the names of networks, as Entry does.
func (n *NetworkNames) resolve(ctx context.Context, guards []access.Policy) error {
	for i := range guards {
		entry, err := n.Entry(ctx, guards[i].Machines[0])
		if err != nil {
			return err
		}
		guards[i].Machines = []access.MachinePolicy{entry}
	}
	return nil
}

// MayConfigure refuses to set what guards a machine for which just-in-time access is disabled: its ports would be
// closed and nobody could be let in.
func (n *NetworkNames) MayConfigure(ctx context.Context, m access.Machine) error {
	disabled, err := n.Disabled(ctx, m)
	if err != nil || disabled == "" {
		return err
	}
	return access.Fault(access.KindConflict, policy.Disabled, "machine %q cannot be configured: %s", m.Name, disabled)
}

// check refuses a policy's entry that names a network that there is not.
func (n *NetworkNames) check(ctx context.Context, entry access.MachinePolicy) error {
	var reasons []access.Reason
	for i, rule := range entry.Ports {
		for j, name := range rule.Networks {
			_, err := n.find(ctx, name)
			if engine.IsKind(err, access.KindNotFound) {
				reasons = append(reasons,
					access.Reason{
						Code: "unknownNetwork", Field: fmt.Sprintf("ports[%d].networks[%d]", i, j),
						Message: unknownNetwork(name).Message,
					})
				continue
			}
			if err != nil {
				return err
			}
		}
	}
	return malformedPolicy(reasons)
}

func prefixText(prefixes []netip.Prefix) string {
	texts := make([]string, len(prefixes))
	for i, p := range prefixes {
		texts[i] = p.String()
	}
	return strings.Join(texts, " ")
}

// sharedWithin is how long an address counts as shared after somebody else asked for access from it.
const sharedWithin = 24 * time.Hour

// SharedAddress counts the others of the caller's tenant who asked for access from the caller's address within a day:
// an opening for it is one for them too.
func (e *Service) SharedAddress(ctx context.Context, c engine.Caller) (others int, err error) {
	if !c.Address.IsValid() {
		return 0, nil
	}
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		others, err = r.SharedAddress(ctx, c.Tenant, c.Address.String(), c.Principal, e.kernel.Now().Add(-sharedWithin))
		return err
	})
	return others, err
}
