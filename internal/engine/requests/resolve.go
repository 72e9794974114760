package requests

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// resolve finds the machines and policies that the items name, and whether the caller may ask for access to them: every
// refusal is given, in the order of the items. They take effect at sites.
func resolve(ctx context.Context, r engine.Reader, may engine.Rights, in SubmitInput,
) (policy.Input, []access.Machine, error) {
	asked := in.asked()
	if len(in.Items) > access.MaxItems {
		return asked, nil, access.Fault(access.KindInvalid, "tooManyItems", "the request has %d items; %d are allowed",
			len(in.Items), access.MaxItems)
	}
	if _, err := may.Anywhere(rbac.PoliciesInitiate); err != nil {
		return asked, nil, err
	}
	found := map[string]resolved{}
	networks := machines.NetworkNames{R: r, Tenant: may.Caller.Tenant}
	sites := make([]access.Machine, len(in.Items))
	var refusal *access.Error
	for i, item := range in.Items {
		known, ok := found[item.Machine]
		if !ok {
			var err error
			if known, err = resolveMachine(ctx, r, may, item.Machine); err != nil {
				return asked, nil, err
			}
			found[item.Machine] = known
		}
		if known.refusal != nil {
			refusal = engine.Worse(refusal, known.refusal, fmt.Sprintf("items[%d].machine", i))
			continue
		}
		sites[i] = known.site
		if in.Policy != "" && !known.ruling(item.Port).Resource.Equal(in.Policy) {
			refusal = engine.Worse(refusal, access.Fault(access.KindInvalid, "machineNotInPolicy",
				"machine %q is not named by this policy", known.site.Name), fmt.Sprintf("items[%d].machine", i))
			continue
		}
		sources, err := networks.Prefixes(ctx, item.Port.Sources, item.Networks)
		if refused := engine.ByRule(err); refused != nil {
			refusal = engine.Worse(refusal, refused, fmt.Sprintf("items[%d].sources", i))
			continue
		}
		if err != nil {
			return asked, nil, err
		}
		if len(sources) == 0 && may.Caller.Address.IsValid() {
			sources = []netip.Prefix{access.SingleAddress(may.Caller.Address)}
		}
		item.Port.Sources = sources
		asked.Items = append(asked.Items, known.judge(item.Item, item.Port))
	}
	if refusal != nil {
		return asked, nil, refusal
	}
	return asked, sites, nil
}

// resolved is what a machine's name led to.
type resolved struct {
	site   access.Machine
	guards []access.Policy // what guards the machine; nothing where no policy does
	// says that just-in-time access is disabled for the machine; empty where it is not
	disabled string
	refusal  *access.Error
}

// ruling returns the policy that holds for a port of the machine.
func (m resolved) ruling(port access.PortTarget) access.Policy {
	return access.Ruling(m.guards, port.Ports, port.Protocol)
}

// judge returns an item for a port of the machine as it is judged.
func (m resolved) judge(item access.Item, port access.PortTarget) policy.Item {
	port.Machine = m.site.ID
	item.Target = port
	p := m.ruling(port)
	entry, guarded := p.Of(m.site.ID)
	if !guarded {
		return policy.Item{Item: item, Name: m.site.Name, Disabled: m.disabled}
	}
	return policy.Item{
		Item: item.Under(p.ID, entry.Revision), Name: m.site.Name, Policy: &entry, Disabled: m.disabled,
	}
}

func resolveMachine(ctx context.Context, r engine.Reader, may engine.Rights, ref string) (resolved, error) {
	m, err := engine.FindMachine(ctx, r, may, ref, rbac.PoliciesInitiate)
	if refusal := engine.ByRule(err); refusal != nil {
		return resolved{refusal: refusal}, nil //nolint:nilerr // the refusal is the answer
	}
	if err != nil {
		return resolved{}, err
	}
	out := resolved{site: m}
	networks := machines.NetworkNames{R: r, Tenant: m.Tenant}
	if out.guards, err = networks.Guards(ctx, m); err != nil {
		return out, err
	}
	out.disabled, err = networks.Disabled(ctx, m)
	return out, err
}

// oneTenant refuses a request for machines of several tenants: each tenant decides about its own.
func oneTenant(sites []access.Machine) error {
	for _, m := range sites {
		if m.Tenant != sites[0].Tenant {
			return access.Fault(access.KindInvalid, "severalTenants",
				"machines %q and %q are of different tenants: make a request for each", sites[0].Name,
				m.Name)
		}
	}
	return nil
}
