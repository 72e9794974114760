package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/machines"
)

func (a *API) policyRoutes() {
	const tag = "Policies"
	register(a, operation{
		method: http.MethodGet, path: "/policies", id: "listPolicies", tag: tag, entry: people,
		summary: "List what guards the machines, by policy",
	}, a.listPolicies)
	register(a, operation{
		method: http.MethodGet, path: "/machines/{machine}/policy", id: "getMachinePolicy", tag: tag, entry: people,
		summary: "Get what guards a machine",
	}, a.getMachinePolicy)
	register(a, operation{
		method: http.MethodPut, path: "/machines/{machine}/policy", id: "setMachinePolicy", tag: tag, entry: people,
		summary: "Set what guards a machine",
	}, a.setMachinePolicy)
	register(a, operation{
		method: http.MethodDelete, path: "/machines/{machine}/policy", id: "deleteMachinePolicy", tag: tag,
		entry:   people,
		summary: "Stop guarding a machine and end what is open on it",
	}, a.deleteMachinePolicy)
	register(a, operation{
		method: http.MethodPost, path: "/machines/{machine}/policy/confirm", id: "confirmMachinePolicy", tag: tag,
		entry: people,
		summary: "Have a policy stand that is taken back otherwise, by a call over a connection that was made after the " +
			"guard took effect",
	}, a.confirmMachinePolicy)
	register(a, operation{
		method: http.MethodPost, path: "/machines/{machine}/policy/undo", id: "undoMachinePolicy", tag: tag, entry: people,
		summary: "Take back a policy that waits to be confirmed",
	}, a.undoMachinePolicy)
}

func (a *API) listPolicies(ctx context.Context, in *listInput) (*answer[api.Page[api.MachinePolicyView]], error) {
	list, err := a.engine.Requests.Guarded(ctx, in.caller, in.page())
	if err != nil {
		return nil, err
	}
	var named []access.PrincipalID
	for _, d := range list.Items {
		named = append(named, engine.NamedInPolicy(d.Entry)...)
	}
	people, err := a.engine.Machines.Names(ctx, in.caller, named)
	return &answer[api.Page[api.MachinePolicyView]]{page(list, func(d engine.PolicyDetail) api.MachinePolicyView {
		return viewOut(d.Policy, d.Entry, cmp.Or(d.Machine.Name, string(d.Entry.Machine)), people)
	})}, err
}

type policyAnswer struct {
	ETag string `header:"ETag" doc:"The revision of what the policy says of this machine; send it as If-Match to change what you saw."`
	Body api.MachinePolicyView
}

// policyAnswerOf answers with what guards a machine.
func (a *API) policyAnswerOf(ctx context.Context, c engine.Caller,
	found machines.MachineGuards,
) (*policyAnswer, error) {
	var named []access.PrincipalID
	for _, d := range slices.Concat(found.Guards, found.Instead) {
		named = append(named, engine.NamedInPolicy(d.Entry)...)
		if t := d.Entry.Trial; t != nil {
			named = append(named, t.By)
		}
	}
	names, err := a.engine.Machines.Names(ctx, c, named)
	if err != nil {
		return nil, err
	}
	views := func(guards []engine.PolicyDetail) (out []api.MachinePolicyView) {
		for _, d := range guards {
			out = append(out, viewOut(d.Policy, d.Entry, d.Machine.Name, names))
		}
		return out
	}
	first := views(found.Guards[:1])[0]
	if first.Trial != nil {
		first.Trial.InForceAt = instant(found.InForce)
	}
	first.Others, first.Instead = views(found.Guards[1:]), views(found.Instead)
	return &policyAnswer{ETag: etag(first.Revision), Body: first}, nil
}

func etag(revision int64) string { return strconv.Quote(strconv.FormatInt(revision, 10)) }

func (a *API) getMachinePolicy(ctx context.Context, in *machineInput) (*policyAnswer, error) {
	found, err := a.engine.Machines.MachinePolicy(ctx, in.caller, in.Machine)
	if err != nil {
		return nil, err
	}
	return a.policyAnswerOf(ctx, in.caller, found)
}

type setPolicyInput struct {
	calling

	Machine string `path:"machine" maxLength:"2048" doc:"Name, id or resource id; a resource id with its slashes escaped."`
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag that was seen: with another one now, nothing changes and the answer is 409."`
	Within  int64  `query:"confirmWithinSeconds" minimum:"0" maximum:"3600" doc:"Take the policy back unless it is confirmed within so many seconds, 60 at least; absent or 0: it stands at once."`
	Body    api.MachinePolicy
}

func (a *API) setMachinePolicy(ctx context.Context, in *setPolicyInput) (*policyAnswer, error) {
	var wrong invalid
	entry := wrong.machinePolicy(in.Body)
	revision := wrong.ifMatch(in.IfMatch)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	d, err := a.engine.Machines.TryMachinePolicy(ctx, in.caller, in.Machine, entry, revision, seconds(in.Within))
	if err != nil {
		return nil, asWritten(err)
	}
	return a.policyAnswerOf(ctx, in.caller, machines.MachineGuards{Guards: []engine.PolicyDetail{d}})
}

func (a *API) confirmMachinePolicy(ctx context.Context, in *machineInput) (*nothing, error) {
	return &nothing{}, a.engine.Hosts.ConfirmMachinePolicy(ctx, in.caller, in.Machine)
}

func (a *API) undoMachinePolicy(ctx context.Context, in *machineInput) (*nothing, error) {
	return &nothing{}, a.engine.Hosts.UndoMachinePolicy(ctx, in.caller, in.Machine)
}

type deletePolicyInput struct {
	calling

	Machine string `path:"machine" maxLength:"2048" doc:"Name, id or resource id; a resource id with its slashes escaped."`
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag that was seen: with another one now, nothing changes and the answer is 409."`
}

func (a *API) deleteMachinePolicy(ctx context.Context, in *deletePolicyInput) (*nothing, error) {
	var wrong invalid
	revision := wrong.ifMatch(in.IfMatch)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	return &nothing{}, a.engine.Machines.DeleteMachinePolicy(ctx, in.caller, in.Machine, revision)
}

// ifMatch reads the revision of an If-Match header; nil where there is none.
func (in *invalid) ifMatch(header string) *int64 {
	if header == "" || header == "*" {
		return nil
	}
	text, opened := strings.CutPrefix(header, `"`)
	text, closed := strings.CutSuffix(text, `"`)
	revision, err := strconv.ParseInt(text, 10, 64)
	if err != nil || !opened || !closed || revision < 0 {
		in.add("malformedETag", "If-Match",
			"%q is not an ETag; send back what the ETag header or the revision said, in quotes", clip(header))
	}
	return &revision
}

// asWritten gives a refusal of a policy with the names that fields have on the wire.
func asWritten(err error) error {
	e, ok := errors.AsType[*access.Error](err)
	if !ok {
		return err
	}
	told := *e
	told.Reasons = slices.Clone(e.Reasons)
	for i := range told.Reasons {
		field := &told.Reasons[i].Field
		*field = strings.ReplaceAll(*field, ".networks[", ".sources[")
		for _, n := range [][2]string{
			{".max", ".maxSeconds"},
			{".timeout", ".timeoutSeconds"},
			{"whenServerIsLost", "closeAfterLossSeconds"},
			{"pendingTimeout", "pendingTimeoutSeconds"},
			{"gap", "gapSeconds"},
		} {
			if before, found := strings.CutSuffix(*field, n[0]); found {
				*field = before + n[1]
			}
		}
	}
	return &told
}

func (in *invalid) machinePolicy(b api.MachinePolicy) access.MachinePolicy {
	entry := access.MachinePolicy{
		Sessions: access.SessionMode(b.Sessions), WhenServerIsLost: seconds(b.CloseAfterLossSeconds),
		PendingTimeout: seconds(b.PendingTimeoutSeconds), Gap: seconds(b.GapSeconds),
		Justification: access.JustificationRule(b.Justification), Ticket: access.TicketRule(b.Ticket),
		Approval: in.approval(b.Approval),
	}
	if g := b.BreakGlass; g != nil {
		entry.BreakGlass = &access.BreakGlass{
			Groups: principals(g.Groups), People: principals(g.People),
			Max: seconds(g.MaxSeconds),
		}
	}
	if entry.Sessions == "" {
		entry.Sessions = access.SessionsCut
	}
	for i, r := range b.Ports {
		field := fmt.Sprintf("ports[%d]", i)
		rule := access.PortRule{
			Ports: in.portRange(field+".ports", r.Ports), Protocol: access.Protocol(r.Protocol),
			Max: seconds(r.MaxSeconds),
		}
		if rule.Protocol == "" {
			rule.Protocol = access.TCP
		}
		for j, s := range r.Sources {
			in.source(fmt.Sprintf("%s.sources[%d]", field, j), s, &rule.Sources, &rule.Networks)
		}
		entry.Ports = append(entry.Ports, rule)
	}
	return entry
}
