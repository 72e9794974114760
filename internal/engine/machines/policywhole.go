package machines

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// PolicyInput is a whole policy. Its resource id says where it lies and what it is called.
type PolicyInput struct {
	Resource access.ResourceID
	Machines []access.MachinePolicy

	// PortsOnly says that Machines tell of ports alone: a machine that stays in the policy keeps everything else.
	PortsOnly bool
}

// maxPolicyMachines bounds a policy that is written as a whole, as Azure's clients do, since one transaction writes it.
const maxPolicyMachines = 1000

// Policies lists the policies that the caller may see, by resource id.
func (e *Service) Policies(ctx context.Context, c engine.Caller, f engine.PolicyFilter,
	p engine.Page,
) (list engine.Listed[access.Policy], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.PoliciesRead, Scope: f.Scope},
		func(r engine.Reader, may engine.Rights) error {
			scopes, err := may.Anywhere(rbac.PoliciesRead)
			if err != nil {
				return err
			}
			f.Tenant, f.Beside = c.Tenant, may.Beside()
			list, err = engine.Visible(p,
				func(p engine.Page) (engine.Listed[access.Policy], error) { return r.Policies(ctx, f, p) },
				func(p access.Policy) (access.Policy, bool, error) {
					return may.Policy(p), engine.Covered(p.Resource, scopes), nil
				})
			return err
		})
	return list, err
}

// PolicyByResource gives one policy by its resource id.
func (e *Service) PolicyByResource(ctx context.Context, c engine.Caller,
	id access.ResourceID,
) (p access.Policy, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.PoliciesRead, Scope: id},
		func(r engine.Reader, may engine.Rights) error {
			if err := may.Require(rbac.PoliciesRead, id); err != nil {
				return err
			}
			if p, err = findPolicy(ctx, r, id); err == nil {
				p = may.Policy(p)
			}
			return err
		})
	return p, err
}

// findPolicy gives a policy by its resource id, at which the caller was authorized.
func findPolicy(ctx context.Context, r engine.Reader, id access.ResourceID) (access.Policy, error) {
	p, err := r.PolicyByResource(ctx, id)
	return p, policyErr(id, err)
}

func policyErr(id access.ResourceID, err error) error {
	switch {
	case engine.IsKind(err, access.KindNotFound):
		return access.Fault(access.KindNotFound, "unknownPolicy", "there is no policy %s", engine.Clip(string(id)))
	case err != nil:
		return fmt.Errorf("read policy: %w", err)
	}
	return nil
}

// PutPolicy makes or replaces a whole policy. With ifRevision it fails with a conflict unless the policy is still at
// that revision, where 0 says that there must be none. Grants that the new policy would not allow are revoked.
func (e *Service) PutPolicy(ctx context.Context, c engine.Caller, in PolicyInput,
	ifRevision *int64,
) (p access.Policy, created bool, err error) {
	err = e.kernel.Change(ctx, c, engine.Attempt{Action: rbac.PoliciesWrite, Scope: in.Resource},
		func(tx engine.Tx, may engine.Rights) error {
			if err := may.Require(rbac.PoliciesWrite, in.Resource); err != nil {
				return err
			}
			was, err := wholePolicy(ctx, tx, in.Resource)
			if engine.IsKind(err, access.KindNotFound) {
				was, err = e.emptyPolicy(ctx, tx, may, in.Resource)
			}
			if err != nil {
				return err
			}
			if err := atRevision(was.Revision, ifRevision); err != nil {
				return err
			}
			w := e.kernel.NewWork(tx, may.Now)
			for _, entry := range in.Machines {
				m, err := w.Machine(ctx, entry.Machine)
				if err != nil {
					return err
				}
				if m.Tenant != was.Tenant {
					return access.Fault(access.KindNotFound, "unknownMachine", "there is no machine %q",
						engine.Clip(string(entry.Machine)))
				}
				if err := may.Require(rbac.MachinesWrite, m.Resource); err != nil {
					return err
				}
				if _, stays := was.Of(m.ID); !stays {
					if err := samePlace(m, was); err != nil {
						return err
					}
				}
				if other, err := tx.GuardOf(ctx, m.ID); err == nil && other.ID != was.ID {
					return access.Fault(access.KindConflict, "machineGuarded",
						"machine %q is part of the policy %s already: remove it there first", m.Name, other.Resource)
				} else if err != nil && !engine.IsKind(err, access.KindNotFound) {
					return fmt.Errorf("read policy: %w", err)
				}
			}
			next := was
			if next.Machines, err = in.over(ctx, tx, was); err != nil {
				return err
			}
			if !in.PortsOnly {
				for i, entry := range next.Machines {
					m, err := tx.Machine(ctx, entry.Machine)
					if err != nil {
						return fmt.Errorf("read machine: %w", err)
					}
					settled, reasons, err := e.SettleRules(ctx, tx, may, was.Tenant, entry, askersOf(may, m))
					if err != nil {
						return err
					}
					for k := range reasons {
						reasons[k].Field = fmt.Sprintf("machines[%d].%s", i, reasons[k].Field)
					}
					if err := malformedPolicy(reasons); err != nil {
						return err
					}
					next.Machines[i] = settled
				}
			}
			if p, err = savePolicy(ctx, w, was, next, may.Actor(was.Tenant)); err != nil {
				return err
			}
			created = was.Revision == 0
			return w.Finish(ctx)
		})
	return p, created, err
}

// samePlace refuses a machine that does not lie where the policy does, as Azure does: who reads a resource group, or a
// location of it, finds there what guards its machines, and who may write policies there alone guards no others.
func samePlace(m access.Machine, p access.Policy) error {
	group := access.ResourceGroupScope(m.Subscription(), m.ResourceGroup())
	if p.Resource.Within(group) && strings.EqualFold(m.Location, p.Location) {
		return nil
	}
	return access.Fault(access.KindInvalid, "machineElsewhere",
		"machine %q lies in a different cloud, subscription, location or resource group than the policy: name it in "+
			"a policy of %s and the location %s",
		m.Name, group, m.Location)
}

// over gives what the machines of was become. Where only ports are told, a machine keeps everything else: also one that
// comes back, since no policy named it for a while.
func (in PolicyInput) over(ctx context.Context, r engine.Reader, was access.Policy) ([]access.MachinePolicy, error) {
	machines := slices.Clone(in.Machines)
	if !in.PortsOnly {
		return machines, nil
	}
	for i, entry := range machines {
		old, had := was.Of(entry.Machine)
		if !had {
			former, err := r.FormerEntry(ctx, entry.Machine)
			if engine.IsKind(err, access.KindNotFound) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("read former entry: %w", err)
			}
			old = former
			old.Trial = nil
		}
		old.Ports = entry.Ports
		machines[i] = old
	}
	return machines, nil
}

// emptyPolicy gives a policy that is not saved yet, whose resource id is checked.
func (*Service) emptyPolicy(ctx context.Context, tx engine.Tx, may engine.Rights,
	id access.ResourceID,
) (access.Policy, error) {
	group, err := engine.FindGroup(ctx, tx, may, string(id))
	if err != nil {
		return access.Policy{}, err
	}
	name, location := id.Name(), id.Segment("locations")
	want := access.PolicyResource(group.Subscription.ID, group.Group.Name, location, name)
	if !id.Equal(want) {
		return access.Policy{}, access.Fault(access.KindInvalid, "malformedResourceId",
			"%s is not the resource id of a policy; write one such as %s", engine.Clip(string(id)), want)
	}
	if err := access.CheckName("policy", name); err != nil {
		return access.Policy{}, err
	}
	if err := access.CheckName("location", location); err != nil {
		return access.Policy{}, err
	}
	return access.Policy{Resource: id, Tenant: group.Subscription.Tenant, Name: name, Location: location}, nil
}

// wholePolicy gives a policy with all its machines, and refuses one that has too many to be written as a whole.
func wholePolicy(ctx context.Context, r engine.Reader, id access.ResourceID) (access.Policy, error) {
	p, err := headOf(ctx, r, id)
	if err != nil {
		return p, err
	}
	if p.Machines, err = r.PolicyEntries(ctx, p.ID, maxPolicyMachines+1); err != nil {
		return p, fmt.Errorf("read policy: %w", err)
	}
	if len(p.Machines) > maxPolicyMachines {
		return p, malformedPolicy([]access.Reason{tooManyMachines("more than " + fmt.Sprint(maxPolicyMachines))})
	}
	return p, nil
}

// headOf is findPolicy without what the policy says of its machines.
func headOf(ctx context.Context, r engine.Reader, id access.ResourceID) (access.Policy, error) {
	p, err := r.PolicyHead(ctx, id)
	return p, policyErr(id, err)
}

// DeletePolicy deletes a policy and revokes what is open on its machines. Of more than a hundred machines it takes a
// hundred out of the policy in each transaction, so that nobody else waits for all of them; where it fails on the way,
// those that are left are still guarded, and it may be called again.
func (e *Service) DeletePolicy(ctx context.Context, c engine.Caller, id access.ResourceID, ifRevision *int64) error {
	for {
		more := false
		err := e.kernel.Change(ctx, c, engine.Attempt{Action: rbac.PoliciesDelete, Scope: id},
			func(tx engine.Tx, may engine.Rights) error {
				if err := may.Require(rbac.PoliciesDelete, id); err != nil {
					return err
				}
				was, err := headOf(ctx, tx, id)
				if err != nil {
					return err
				}
				if err := atRevision(was.Revision, ifRevision); err != nil {
					return err
				}
				if was.Machines, err = tx.PolicyEntries(ctx, was.ID, engine.ActChunk+1); err != nil {
					return fmt.Errorf("read policy: %w", err)
				}
				w := e.kernel.NewWork(tx, may.Now)
				if more = len(was.Machines) > engine.ActChunk; more {
					was.Machines = was.Machines[:engine.ActChunk]
					err = dropEntries(ctx, w, was, may.Actor(was.Tenant))
				} else {
					err = deletePolicy(ctx, w, was, may.Actor(was.Tenant))
				}
				if err != nil {
					return err
				}
				return w.Finish(ctx)
			})
		if err != nil || !more {
			return err
		}
		ifRevision = nil // it was at that revision when this began
	}
}
