package machines

import (
	"context"
	"fmt"
	"maps"
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
			if err := e.relabeled(ctx, e.kernel.NewWork(tx, may.Now), m, c.Principal); err != nil {
				return err
			}
			err := tx.Append(ctx, access.Event{
				At: may.Now, Kind: access.MachineLabelled, Outcome: access.Succeeded, Actor: may.Actor(m.Tenant),
				Tenant: m.Tenant, Scope: m.Resource,
				Machine: m.ID, Agent: m.Agent, Action: rbac.MachinesWrite,
				Details: map[string]string{
					"labels": engine.Clip(labelText(m.Labels)),
					"before": engine.Clip(labelText(before.Labels)),
				},
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

// relabeled remembers who gave a machine other labels, where its rule looks at them, as who gave it another rule: what
// it says of the machine stays as it is.
func (e *Service) relabeled(ctx context.Context, w *engine.Work, m access.Machine, by access.PrincipalID) error {
	p, err := w.Tx.GuardOf(ctx, m.ID)
	if engine.IsKind(err, access.KindNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	entry, _ := p.Of(m.ID)
	if !e.rules.LooksAt(entry.Approval, (*policy.Condition).LooksAtLabels) {
		return nil
	}
	next := revised(w, p, p)
	next.Machines = []access.MachinePolicy{
		entry.Remember(entry, by, []string{"other labels, which the rule looks at"}, w.Now),
	}
	if err := w.Tx.SavePolicyEntry(ctx, next, p.Revision, next.Machines[0]); err != nil {
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

func labelText(labels map[string]string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, name+"="+labels[name])
	}
	return strings.Join(pairs, ",")
}
