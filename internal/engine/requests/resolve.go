package requests

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// place is where an item of a request is to take effect.
type place struct {
	machine  access.Machine
	policy   access.PolicyID
	revision int64
}

// resolve finds the machines and policies that the items name, and whether the caller may ask for access to them: every
// refusal is given, in the order of the items. What could not be resolved has no place.
func resolve(ctx context.Context, r engine.Reader, may engine.Rights, in SubmitInput) (policy.Input, []place, error) {
	asked := policy.Input{Start: in.Start, Justification: in.Justification, Ticket: in.Ticket}
	if len(in.Items) > access.MaxItems {
		return asked, nil, access.Fault(access.KindInvalid, "tooManyItems", "the request has %d items; %d are allowed",
			len(in.Items), access.MaxItems)
	}
	if _, err := may.Anywhere(rbac.PoliciesInitiate); err != nil {
		return asked, nil, err
	}
	found := map[string]resolved{}
	networks := machines.NetworkNames{R: r, Tenant: may.Caller.Tenant}
	places := make([]place, len(in.Items))
	var refusal *access.Error
	for i, item := range in.Items {
		known, ok := found[item.Machine]
		if !ok {
			var err error
			if known, err = resolveMachine(ctx, r, may, item.Machine, in.Policy); err != nil {
				return asked, nil, err
			}
			found[item.Machine] = known
		}
		if known.refusal != nil {
			refusal = worse(refusal, known.refusal, fmt.Sprintf("items[%d].machine", i))
			continue
		}
		places[i] = known.place
		sources, err := networks.Prefixes(ctx, item.Sources, item.Networks)
		if refused := byRule(err); refused != nil {
			refusal = worse(refusal, refused, fmt.Sprintf("items[%d].sources", i))
			continue
		}
		if err != nil {
			return asked, nil, err
		}
		if len(sources) == 0 && may.Caller.Address.IsValid() {
			sources = []netip.Prefix{access.SingleAddress(may.Caller.Address)}
		}
		asked.Items = append(asked.Items, policy.Item{
			Machine: known.place.machine.ID, Name: known.place.machine.Name, Policy: known.entry,
			Ports: item.Ports, Protocol: item.Protocol, Sources: sources, Duration: item.Duration, Until: item.Until,
		})
	}
	if refusal != nil {
		return asked, nil, refusal
	}
	return asked, places, nil
}

// resolved is what a machine's name led to.
type resolved struct {
	place   place
	entry   *access.MachinePolicy // nil where no policy guards the machine
	refusal *access.Error
}

func resolveMachine(ctx context.Context, r engine.Reader, may engine.Rights, ref string,
	only access.ResourceID,
) (resolved, error) {
	m, err := engine.FindMachine(ctx, r, may, ref, rbac.PoliciesInitiate)
	if refusal := byRule(err); refusal != nil {
		return resolved{refusal: refusal}, nil //nolint:nilerr // the refusal is the answer
	}
	if err != nil {
		return resolved{}, err
	}
	out := resolved{place: place{machine: m}}
	p, err := r.GuardOf(ctx, m.ID)
	found := !engine.IsKind(err, access.KindNotFound)
	switch {
	case err != nil && found:
		return resolved{}, fmt.Errorf("read policy: %w", err)
	case only != "" && !p.Resource.Equal(only):
		return resolved{refusal: access.Fault(access.KindInvalid, "machineNotInPolicy",
			"machine %q is not named by this policy", m.Name)}, nil
	case !found:
		return out, nil
	}
	if entry, ok := p.Of(m.ID); ok {
		networks := machines.NetworkNames{R: r, Tenant: m.Tenant}
		if entry, err = networks.Entry(ctx, entry); err != nil {
			return resolved{}, err
		}
		out.entry, out.place.policy, out.place.revision = &entry, p.ID, entry.Revision
	}
	return out, nil
}

// byRule gives err where it is a refusal by a rule of ours, and nil where it is a fault, or nothing.
func byRule(err error) *access.Error {
	var refusal *access.Error
	if engine.AsError(err,
		&refusal) && (refusal.Kind == access.KindForbidden || refusal.Kind == access.KindNotFound ||
		refusal.Kind == access.KindInvalid) {
		return refusal
	}
	return nil
}

// worse adds the refusal of one item to those so far; what is forbidden outweighs what is not found, and that what is
// malformed.
func worse(so, next *access.Error, field string) *access.Error {
	reason := access.Reason{Code: next.Code, Field: field, Message: next.Message}
	if len(next.Reasons) > 0 {
		reason.Message += " (" + next.Reasons[0].Message + ")"
	}
	rank := []access.Kind{access.KindInvalid, access.KindNotFound, access.KindForbidden}
	if so == nil || slices.Index(rank, next.Kind) > slices.Index(rank, so.Kind) {
		var earlier []access.Reason
		if so != nil {
			earlier = so.Reasons
		}
		so = access.Fault(next.Kind, next.Code, "%s", next.Message)
		so.Reasons = earlier
	}
	so.Reasons = append(so.Reasons, reason)
	return so
}

// oneTenant refuses a request for machines of several tenants: each tenant decides about its own.
func oneTenant(places []place) error {
	for _, p := range places {
		if p.machine.Tenant != places[0].machine.Tenant {
			return access.Fault(access.KindInvalid, "severalTenants",
				"machines %q and %q are of different tenants: make a request for each", places[0].machine.Name,
				p.machine.Name)
		}
	}
	return nil
}
