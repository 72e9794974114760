package machines

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// LabelMachine gives labels to a machine, other values to those that it has, and takes away those of remove that are
// not set anew; one that the machine does not have is no error.
func (e *Service) LabelMachine(ctx context.Context, c engine.Caller, ref string, set map[string]string,
	remove []string,
) (d MachineDetail, err error) {
	a := engine.Attempt{Action: rbac.MachinesWrite, Details: map[string]string{"machine": ref}}
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		m, err := engine.FindMachine(ctx, tx, may, ref, rbac.MachinesWrite)
		if err != nil {
			return err
		}
		before := m
		m.Labels = maps.Clone(before.Labels)
		for _, name := range remove {
			delete(m.Labels, name)
		}
		if m.Labels == nil {
			m.Labels = map[string]string{}
		}
		maps.Copy(m.Labels, set)
		if err := checkLabels(m.OS, m.Labels); err != nil {
			return err
		}
		if !maps.Equal(m.Labels, before.Labels) {
			m.Revision++
			if err := tx.SaveMachine(ctx, m, before.Revision); err != nil {
				return fmt.Errorf("save machine: %w", err)
			}
			details := map[string]string{
				"labels": engine.Clip(access.LabelText(m.Labels)),
				"before": engine.Clip(access.LabelText(before.Labels)),
			}
			if err := e.relabeled(ctx, tx, may, before, m, details); err != nil {
				return err
			}
			err := tx.Append(ctx, access.Event{
				At: may.Now, Kind: access.MachineLabelled, Outcome: access.Succeeded, Actor: may.Actor(m.Tenant),
				Tenant: m.Tenant, Scope: m.Resource,
				Machine: m.ID, Agent: m.Agent, Action: rbac.MachinesWrite,
				Details: details,
			})
			if err != nil {
				return err
			}
		}
		d, err = describeMachine(ctx, tx, m)
		return err
	})
	return d, err
}

// relabeled applies that a machine has other labels. Where other policies reach it by them, that is a change of what
// guards it: the caller must be one who may write that, and its grants are judged by it. Where a rule looks at labels,
// who gave them is remembered as who gave it another rule.
func (e *Service) relabeled(ctx context.Context, tx engine.Tx, may engine.Rights, before, m access.Machine,
	details map[string]string,
) error {
	networks := NetworkNames{R: tx, Tenant: m.Tenant}
	was, err := networks.GuardsAsNamed(ctx, before)
	if err != nil {
		return err
	}
	guards, err := networks.GuardsAsNamed(ctx, m)
	if err != nil {
		return err
	}
	w := e.kernel.NewWork(tx, may.Now)
	w.Machines[m.ID] = m
	if otherRules(was, guards) {
		if err := may.Require(rbac.PoliciesWrite, m.Resource); err != nil {
			return err
		}
		details["guards"], details["guardsBefore"] = engine.Clip(guardText(guards)), engine.Clip(guardText(was))
		inForce := slices.Clone(guards)
		if err := networks.resolve(ctx, inForce); err != nil {
			return err
		}
		if err := applyPolicies(ctx, w, inForce, m, may.Actor(m.Tenant), "the machine has other labels"); err != nil {
			return err
		}
	}
	if err := rememberEasier(ctx, w, guards, policy.Easier(was, guards), m, may.Caller.Principal); err != nil {
		return err
	}
	for _, p := range guards {
		if err := e.looksAtLabels(ctx, w, p, m, may.Caller.Principal); err != nil {
			return err
		}
	}
	return w.Finish(ctx)
}

// mayLabel refuses a new machine with labels by which other policies guard it than without them, where the caller may
// not write policies there.
func mayLabel(ctx context.Context, r engine.Reader, may engine.Rights, m access.Machine) error {
	plain, guards := m, engine.Guards{R: r}
	plain.Labels = nil
	was, err := guards.With(ctx, plain, access.Policy{})
	if err != nil {
		return err
	}
	is, err := guards.With(ctx, m, access.Policy{})
	if err == nil && otherRules(was, is) {
		err = may.Require(rbac.PoliciesWrite, m.Resource)
	}
	return err
}

// guardText names what guards a machine, and which ports.
func guardText(guards []access.Policy) string {
	var texts []string
	for _, p := range guards {
		var ports []string
		for _, r := range p.Machines[0].Ports {
			ports = append(ports, r.Ports.String()+"/"+string(r.Protocol))
		}
		texts = append(texts, p.Name+" ("+strings.Join(ports, ", ")+")")
	}
	return cmp.Or(strings.Join(texts, "; "), "nothing")
}

// otherRules reports whether what guards a machine is not what it was.
func otherRules(was, is []access.Policy) bool {
	return !slices.EqualFunc(was, is, func(a, b access.Policy) bool {
		return a.ID == b.ID && reflect.DeepEqual(a.Machines[0].Ports, b.Machines[0].Ports)
	})
}

// looksAtLabels remembers who gave a machine other labels, where the rule of a policy looks at them: what it says of
// the machine stays as it is. A policy of a scope remembers it for all machines.
func (e *Service) looksAtLabels(ctx context.Context, w *engine.Work, p access.Policy, m access.Machine,
	by access.PrincipalID,
) error {
	entry := p.Machines[0]
	if !e.rules.LooksAt(entry.Approval, (*policy.Condition).LooksAtLabels) {
		return nil
	}
	how := []string{"other labels of " + m.Name + ", which the rule looks at"}
	if p.Reach != "" {
		return rememberScope(ctx, w, p.Resource, by, how)
	}
	whole, err := w.Tx.GuardOf(ctx, m.ID) // with all its ports, of which none was taken by another policy
	if err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	next := revised(w, whole, whole)
	next.Machines = []access.MachinePolicy{entry.Remember(entry, by, how, w.Now)}
	if err := w.Tx.SavePolicyEntry(ctx, next, whole.Revision, next.Machines[0]); err != nil {
		return fmt.Errorf("save policy: %w", err)
	}
	return nil
}

// checkLabels refuses labels that cannot be, or that no selector could name.
func checkLabels(os string, labels map[string]string) error {
	if os != "" && os != "linux" && os != "windows" {
		return access.Fault(access.KindInvalid, "unknownOs",
			"the operating system is %q; use linux, windows or nothing", engine.Clip(os))
	}
	if len(labels) > engine.MaxLabels {
		return access.Fault(access.KindInvalid, "tooManyLabels", "the machine has %d labels; %d are allowed",
			len(labels), engine.MaxLabels)
	}
	for name, value := range labels {
		if name == "" || len(name) > engine.MaxDetail || len(
			value) > engine.MaxDetail || strings.ContainsAny(name,
			",=") || strings.Contains(value, ",") || !directory.PlainText(name+value) {
			return access.Fault(access.KindInvalid, "malformedLabel",
				"label %q cannot be: a name has no comma and no equals sign, a value no comma, and each is at most "+
					"%d bytes long",
				engine.Clip(name+"="+value), engine.MaxDetail)
		}
	}
	return nil
}
