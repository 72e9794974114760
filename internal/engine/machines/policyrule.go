package machines

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// SettleRules puts the ids of groups and people in the place of the names by which an entry may speak of them, and
// gives everything that is wrong with its approval rule and its emergency rule. who says who may ask under it. The
// rules name people of the policy's tenant: nobody else decides there. A guest names them by their ids alone, since a
// guest does not learn the names that there are.
func (e *Service) SettleRules(ctx context.Context, r engine.Reader, may engine.Rights, tenant access.TenantID,
	entry access.MachinePolicy, who Askers,
) (access.MachinePolicy, []access.Reason, error) {
	s := settling{
		ctx: ctx, r: r, tenant: tenant, byName: may.IsHome(tenant),
		known: map[access.PrincipalID]access.Principal{},
	}
	rule := access.Rule{Cases: slices.Clone(entry.Approval.Cases)}
	for i := range rule.Cases {
		stages := slices.Clone(rule.Cases[i].Stages)
		for k := range stages {
			stages[k].AllOf = s.quorums(stages[k].AllOf)
			stages[k].AnyOf = s.quorums(stages[k].AnyOf)
		}
		rule.Cases[i].Stages = stages
	}
	entry.Approval = rule
	reasons := policy.ValidateRule("approval", rule, engine.People{Dir: may.Dir}, s.is, e.rules.Compile, e.rules.Zone)
	reasons = append(reasons, policy.TooDear("approval", rule, longestWindow(entry), e.rules.Compile)...)
	if len(reasons) == 0 {
		reasons = onlyRequesters(may, entry.Approval, who)
	}
	if entry.BreakGlass != nil {
		glass := access.BreakGlass{
			Groups: s.ids(entry.BreakGlass.Groups, access.Group),
			People: s.ids(entry.BreakGlass.People, access.User), Max: entry.BreakGlass.Max,
		}
		entry.BreakGlass = &glass
		for i, g := range glass.Groups {
			if !s.is(g, access.Group) {
				reasons = append(reasons,
					access.Reason{
						Code: "unknownGroup", Field: fmt.Sprintf("breakGlass.groups[%d]", i),
						Message: "there is no group " + engine.Clip(string(g)),
					})
			}
		}
		for i, p := range glass.People {
			if !s.is(p, access.User) {
				reasons = append(reasons,
					access.Reason{
						Code: "unknownPerson", Field: fmt.Sprintf("breakGlass.people[%d]", i),
						Message: "there is no user " + engine.Clip(string(p)),
					})
			}
		}
	}
	if entry.Ticket.Checked && e.tickets == nil {
		reasons = append(reasons,
			access.Reason{
				Code: "ticketWebhookMissing", Field: "ticket.checked",
				Message: "the server has no ticket webhook: set ticketWebhook in its configuration first",
			})
	}
	return entry, reasons, s.err
}

// longestWindow gives how long an entry opens a port for at the most; of an eligibility, which names none, as long as
// anything may be.
func longestWindow(entry access.MachinePolicy) time.Duration {
	longest := time.Duration(0)
	for _, rule := range entry.Ports {
		longest = max(longest, rule.Max)
	}
	return cmp.Or(longest, access.MaxDuration)
}

// Askers are the principals that may ask for something.
type Askers struct {
	What string
	All  iter.Seq[access.PrincipalID]
}

// askersOf gives who may ask for access to a machine.
func askersOf(may engine.Rights, m access.Machine) Askers {
	return Askers{What: m.Name, All: may.Dir.Holders(rbac.PoliciesInitiate, m.Resource, may.Now)}
}

// onlyRequesters gives the stages that can never be met because whoever may ask is needed to decide there, and nobody
// decides their own request. Where nobody may ask yet, there is nothing to say.
func onlyRequesters(may engine.Rights, rule access.Rule, who Askers) []access.Reason {
	var reasons []access.Reason
	for i, c := range rule.Cases {
		asked, met, stage := false, false, 0
		for person := range who.All {
			asked = true
			if stage, met = policy.Reachable(c, person, engine.People{Dir: may.Dir}); met {
				break
			}
		}
		if asked && !met {
			reasons = append(reasons, access.Reason{
				Code: "quorumOnlyRequester", Field: fmt.Sprintf("approval[%d].stages[%d]", i, stage),
				Message: "whoever may ask for " + who.What +
					" is needed to meet this stage, and nobody decides their own request: name other people",
			})
		}
	}
	return reasons
}

// settling looks principals up, each once.
type settling struct {
	ctx    context.Context //nolint:containedctx // it lives as long as one call
	r      engine.Reader
	tenant access.TenantID
	byName bool
	known  map[access.PrincipalID]access.Principal
	err    error
}

func (s *settling) quorums(quorums []access.Quorum) []access.Quorum {
	out := slices.Clone(quorums)
	for i := range out {
		out[i].Groups = s.ids(out[i].Groups, access.Group)
		out[i].People = s.ids(out[i].People, access.User)
	}
	return out
}

// ids gives the ids behind names; what there is not stays as it is.
func (s *settling) ids(refs []access.PrincipalID, kind access.PrincipalKind) []access.PrincipalID {
	out := slices.Clone(refs)
	for i, ref := range refs {
		if uuid.Validate(string(ref)) == nil {
			out[i] = access.PrincipalID(strings.ToLower(string(ref)))
			continue
		}
		if !s.byName {
			continue
		}
		p, err := s.r.PrincipalByName(s.ctx, s.tenant, string(ref))
		switch {
		case engine.IsKind(err, access.KindNotFound):
		case err != nil:
			s.err = fmt.Errorf("read principal: %w", err)
		case p.Kind == kind:
			out[i] = p.ID
			s.known[p.ID] = p
		}
	}
	return out
}

// is tells whether a principal is there, in this tenant, and of the kind.
func (s *settling) is(id access.PrincipalID, kind access.PrincipalKind) bool {
	p, ok := s.known[id]
	if !ok {
		var err error
		if p, err = s.r.Principal(s.ctx, id); err != nil && !engine.IsKind(err, access.KindNotFound) {
			s.err = fmt.Errorf("read principal: %w", err)
		}
		s.known[id] = p
	}
	return p.ID != "" && p.Tenant == s.tenant && p.Kind == kind
}

// Names gives the names of principals of the caller's tenant, as policies that the caller may read speak of them. One
// that is not there stands under its id.
func (e *Service) Names(ctx context.Context, c engine.Caller,
	ids []access.PrincipalID,
) (names map[access.PrincipalID]string, err error) {
	if len(ids) == 0 {
		return map[access.PrincipalID]string{}, nil
	}
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		names = make(map[access.PrincipalID]string, len(ids))
		for _, id := range ids {
			if _, known := names[id]; known {
				continue
			}
			p, err := r.Principal(ctx, id)
			switch {
			case engine.IsKind(err, access.KindNotFound) || err == nil && p.Tenant != c.Tenant:
				names[id] = string(id)
			case err != nil:
				return fmt.Errorf("read principal: %w", err)
			default:
				names[id] = p.Name
			}
		}
		return nil
	})
	return names, err
}
