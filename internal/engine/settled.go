package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// maxAddressed is how many people a notification names one by one; beyond that it names their groups.
const maxAddressed = 200

// settled returns, beside a notice that a request was decided, what tells those who were asked, and have not decided
// it, that they need not any more; none where nobody was asked, or would hear of it.
func (w *Work) settled(ctx context.Context, n Notice) ([]Notification, error) {
	if n.Kind != NotifyDecided || n.Request.BreakGlass || len(n.Request.Approvals) == 0 {
		return nil, nil
	}
	heard, err := w.Hears(ctx, n.Request.Tenant)
	if err != nil || !heard {
		return nil, err
	}
	dir, err := w.kernel.Compiled(ctx, w.Tx)
	if err != nil {
		return nil, err
	}
	decisions, err := w.Tx.Decisions(ctx, n.Request.ID)
	if err != nil {
		return nil, fmt.Errorf("read decisions: %w", err)
	}
	n.Kind, n.Recipients = NotifySettled, AskedFor(dir, n.Request, decisions)
	if len(n.Recipients) == 0 {
		return nil, nil
	}
	out, err := w.write(ctx, n)
	for _, d := range decisions {
		out.Except = append(out.Except, d.Person)
	}
	return []Notification{out}, err
}

// AskedFor returns who was asked to decide a request that is decided, and has not: of the stages that have begun.
func AskedFor(dir *rbac.Directory, r access.Request, decisions []access.Decision) []access.PrincipalID {
	people := People{Dir: dir}
	var out []access.PrincipalID
	for i, p := range policy.TalliesOf(r, people, decisions, r.DecidedAt) {
		stages := r.Approvals[i].Case.Stages
		for _, s := range stages[:min(p.Stage+1, len(stages))] {
			out = append(out, Addressed(s, r.Requester, people)...)
		}
	}
	decided := func(p access.PrincipalID) bool {
		return slices.ContainsFunc(decisions, func(d access.Decision) bool { return d.Person == p })
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), decided)
}

// Addressed returns whom a stage asks: everybody who may decide in it, or the groups and people that it names where
// those are a great many.
func Addressed(s access.Stage, requester access.PrincipalID, people policy.People) []access.PrincipalID {
	addressed := policy.Deciders(s, requester, people)
	if len(addressed) > maxAddressed {
		return NamedIn(s)
	}
	return addressed
}
