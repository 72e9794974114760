package requests

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// ask is a request that lies within its policies, on its way to the cases that decide it.
type ask struct {
	tenant        access.TenantID // of what is asked for
	requester     access.PrincipalID
	requesterName string
	address       string
	items         []access.Item
	entries       []*access.MachinePolicy // by item
	eligibilities []*access.Eligibility   // by item; nil where it is asked by a policy
	machines      []access.Machine        // by item
	justification string
	ticket        string
	asked         time.Time       // zero: now
	start         time.Time       // zero: at approval
	windows       []time.Time     // starts of a series
	carries       access.Grant    // what a later end, or another address, is asked for; the zero grant where it is none
	moves         bool            // it is another address that is asked for
	longest       []time.Duration // by item: what its rule allows
	chains        []Chain         // by item
}

// askOf gives what a request asks for; what guards it is still to be filled in.
func askOf(r access.Request) ask {
	a := ask{
		tenant: r.Tenant, requester: r.Requester, requesterName: r.RequesterName, items: r.Items,
		justification: r.Justification, ticket: r.Ticket,
		start: r.Start, windows: r.Windows, moves: r.Moves != "",
	}
	if r.Address.IsValid() {
		a.address = r.Address.String()
	}
	return a
}

// chosen is what the rules ask of a request.
type chosen struct {
	approvals []access.Approval // of the cases that have stages; none: it is approved at once
	cases     [][]access.Case   // by item: those under which it falls
	stepUp    bool              // asking needs a fresh sign-in with a passkey
	refusals  []access.Reason
}

// choose finds the cases of each item, and whether everybody together could meet them.
func (e *Service) choose(ctx context.Context, r engine.Reader, may engine.Rights, a ask,
	now time.Time,
) (chosen, error) {
	var out chosen
	var groups []string
	asked := false
	dir := may.Dir
	inquiry := policy.NewInquiry(e.rules.Compile, e.rules.Zone)
	for i := range a.items {
		rule := a.entries[i].Approval
		if !asked && slices.ContainsFunc(rule.Cases, func(c access.Case) bool { return c.When != "" }) {
			var err error
			if groups, err = groupNames(ctx, r, dir, a); err != nil {
				return out, err
			}
			asked = true
		}
		choice, err := inquiry.Choose(rule, a.facts(i, groups, now))
		out.cases = append(out.cases, choice.Cases)
		if reason, refused := a.unmet(i, choice, err, now); refused {
			out.refusals = append(out.refusals, reason)
			continue
		}
		for _, c := range choice.Cases {
			out.stepUp = out.stepUp || c.StepUp
			if len(c.Stages) > 0 {
				out.add(c, i)
			}
		}
	}
	for _, approval := range out.approvals {
		stage, ok := policy.Reachable(approval.Case, a.requester, engine.People{Dir: dir})
		if ok {
			continue
		}
		wanted, err := describeStage(ctx, r, may, approval.Case.Stages[stage])
		if err != nil {
			return out, err
		}
		out.refusals = append(out.refusals, access.Reason{
			Code: "quorumUnreachable", Field: fmt.Sprintf("items[%d]", approval.Items[0]),
			Message: fmt.Sprintf("stage %d of the approval needs %s, and without the requester there are not enough "+
				"people: ask an administrator to add some",
				stage+1, wanted),
		})
	}
	return out, nil
}

// unmet gives why no case of its rule decides item i.
func (a ask) unmet(i int, choice policy.Choice, err error, now time.Time) (access.Reason, bool) {
	reason := access.Reason{Field: fmt.Sprintf("items[%d]", i)}
	name := a.machines[i].Name
	switch {
	case err != nil:
		reason.Code, reason.Message = "ruleFailed", fmt.Sprintf(
			"the policy's approval rule for %s cannot be evaluated, so nothing is opened: %v", name, err)
	case choice.Beyond:
		return a.chains[i].tooLong(a.items[i].Target.Label(name)), true
	case choice.None.IsZero():
		return reason, false
	case choice.None.Equal(now):
		reason.Code, reason.Message = "noCaseApplies", fmt.Sprintf(
			"no case of the policy's approval rule for %s applies to this request now", name)
	default:
		reason.Code = "noCaseApplies"
		reason.Message = fmt.Sprintf("no case of the policy's approval rule for %s applies to what is asked for at %s",
			name, choice.None.UTC().Format(time.RFC3339))
	}
	return reason, true
}

// add puts item under the approval of its case, which items of one case share.
func (out *chosen) add(c access.Case, item int) {
	for k := range out.approvals {
		if reflect.DeepEqual(out.approvals[k].Case, c) {
			out.approvals[k].Items = append(out.approvals[k].Items, item)
			return
		}
	}
	out.approvals = append(out.approvals, access.Approval{Case: c, Items: []int{item}})
}

func (a ask) facts(i int, groups []string, now time.Time) policy.Facts {
	f := factsOf(a.items[i].Target)
	f.Requester, f.RequesterName, f.Groups, f.Address = a.requester, a.requesterName, groups, a.address
	f.Machine, f.Justification, f.Ticket = a.machines[i], a.justification, a.ticket
	f.Duration, f.Windows, f.Beyond = a.chains[i].Length(), a.ahead(i, now), a.chains[i].Beyond()
	f.Moves = a.moves
	f.Now, f.Start = cmp.Or(a.asked, now), a.start
	if f.Start.IsZero() {
		f.Start = now
	}
	return f
}

// groupNames gives the names of the groups that the requester is in, directly or not. A guest's are name@tenant, so
// that no other tenant can make somebody a member of a group by its name.
func groupNames(ctx context.Context, r engine.Reader, dir *rbac.Directory, a ask) ([]string, error) {
	ids := dir.GroupsOf(a.requester)
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		p, err := r.Principal(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("read principal: %w", err)
		}
		name := p.Name
		if p.Tenant != a.tenant {
			name += "@" + dir.TenantName(p.Tenant)
		}
		out = append(out, name)
	}
	return out, nil
}

// describeStage says in words whom a stage asks: "2 of ops and ann".
func describeStage(ctx context.Context, r engine.Reader, may engine.Rights, s access.Stage) (string, error) {
	names, err := engine.NamesOf(ctx, r, may, engine.NamedIn(s))
	if err != nil {
		return "", err
	}
	all := make([]string, 0, len(s.AllOf))
	for _, q := range s.AllOf {
		all = append(all, quorumText(q, names))
	}
	either := make([]string, 0, len(s.AnyOf))
	for _, q := range s.AnyOf {
		either = append(either, quorumText(q, names))
	}
	if len(either) > 0 {
		all = append(all, strings.Join(either, " or "))
	}
	return strings.Join(all, ", and "), nil
}

func quorumText(q access.Quorum, names map[access.PrincipalID]string) string {
	var of []string
	for _, id := range append(slices.Clone(q.Groups), q.People...) {
		of = append(of, names[id])
	}
	if len(of) == 0 {
		of = []string{"those whom the policy names"} // to whom it does not say who they are
	}
	return fmt.Sprintf("%d of %s", q.Count, strings.Join(of, ", "))
}

// isApprover tells whether person may decide in some stage of what the request asks for; never the requester.
func isApprover(dir *rbac.Directory, request access.Request, person access.PrincipalID) bool {
	for _, a := range request.Approvals {
		for _, s := range a.Case.Stages {
			if len(policy.EligibleFor(s, person, request.Requester, engine.People{Dir: dir})) > 0 {
				return true
			}
		}
	}
	return false
}
