package cli

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

func (a *app) machineLabelCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "label MACHINE NAME=VALUE… [NAME-…]",
		Short: "Set or remove labels of a machine",
		Long: `Set labels of a machine; NAME- removes one. Requests select machines by label, conditions of approval rules can
use labels, and scope policies reach machines by them. If a scope policy would no longer reach the machine, or would
reach it from then on, the command first says so and asks for confirmation; --yes confirms in advance.`,
		Example: "  postern machine label web-1 env=prod role=web\n  postern machine label web-1 role-",
		Args:    takes(2, -1),
		RunE: func(c *cobra.Command, args []string) error {
			in := api.LabelChange{Set: map[string]string{}}
			for _, arg := range args[1:] {
				if name, value, sets := strings.Cut(arg, "="); sets {
					in.Set[name] = value
				} else if name, removes := strings.CutSuffix(arg, "-"); removes {
					in.Remove = append(in.Remove, name)
				} else {
					return usage(c, "%q is neither NAME=VALUE nor NAME-", arg)
				}
			}
			cl, err := a.client()
			if err != nil {
				return err
			}
			if !yes { // who confirmed in advance need not be told
				if err := a.confirmLabels(c.Context(), cl, args[0], in); err != nil {
					return err
				}
			}
			m, err := cl.LabelMachine(c.Context(), args[0], in)
			if err != nil {
				return err
			}
			return printItem(a, m, machineColumns())
		},
	}
	yesFlag(c, &yes)
	return c
}

// confirmLabels has a person agree where labels bring a machine under other scope policies, as far as they may see
// those.
func (a *app) confirmLabels(ctx context.Context, cl *api.Client, machine string, change api.LabelChange) error {
	policies, err := api.All(cl.ScopePolicies(ctx))
	if problem, refused := errors.AsType[*api.Problem](err); refused && problem.Status == http.StatusForbidden {
		return nil
	}
	if err != nil {
		return err
	}
	policies = slices.DeleteFunc(policies, func(p api.ScopePolicy) bool { return len(p.Labels) == 0 })
	if len(policies) == 0 {
		return nil
	}
	m, err := cl.Machine(ctx, machine)
	if err != nil {
		return err
	}
	after := maps.Clone(m.Labels)
	if after == nil {
		after = map[string]string{}
	}
	for _, name := range change.Remove {
		delete(after, name)
	}
	maps.Copy(after, change.Set)
	at := func(labels map[string]string) access.Machine {
		return access.Machine{Resource: access.ResourceID(m.Resource), Labels: labels}
	}
	var lines []string
	for _, p := range policies {
		reach := access.ScopePolicy{Scope: access.ResourceID(p.Scope), Labels: p.Labels}
		switch was, is := reach.Reaches(at(m.Labels)), reach.Reaches(at(after)); {
		case was && !is:
			lines = append(lines, "  - the scope policy "+p.Name+" no longer reaches it: "+unguardedText(p.Ports))
		case is && !was:
			lines = append(lines, "  - the scope policy "+p.Name+" reaches it from then on, and applies to "+ports(p.Ports)+
				" before policies of a higher order, of its resource group and of its subscription")
		}
	}
	if len(lines) == 0 {
		return nil
	}
	lines = append(lines, "  - open grants that are then outside their limits are revoked")
	return a.confirm(false, append([]string{"The labels change what guards " + m.Name + ":"}, lines...)...)
}
