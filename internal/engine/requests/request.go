package requests

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// RequestDetail is a request and what became of it.
type RequestDetail struct {
	Request  access.Request
	Grants   []access.Grant
	Machines map[access.MachineID]string // names of the machines that it is about

	// What follows is there where the request was asked for by itself, or submitted, or decided; in lists, where they
	// are of requests that need the caller's decision.
	Decisions []access.Decision
	Progress  []ApprovalProgress            // how deciding stands, one for each of the request's approvals
	Names     map[access.PrincipalID]string // of the groups and people that Progress speaks of
	Mine      bool                          // the caller may decide now

	Applications map[access.EligibilityID]string // names of the managed applications that its roles are of

	Chains []Chain // what would be open without a break for longer than what is asked for by itself; of one that waits
}

// Request gives one request: the caller's own, or one on a machine whose requests they may read.
func (e *Service) Request(ctx context.Context, c engine.Caller, id access.RequestID) (d RequestDetail, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.RequestsRead, Request: id},
		func(r engine.Reader, may engine.Rights) error {
			request, err := FindRequest(ctx, r, may, id)
			if err != nil {
				return err
			}
			if d, err = e.describeWhole(ctx, r, may, &engine.NameCache{R: r},
				request); err != nil || request.State != access.RequestPending {
				return err
			}
			if d.Applications, err = applicationsOf(ctx, r, request); err != nil {
				return err
			}
			d.Chains, err = chainsOf(ctx, r, request, may.Now)
			return err
		})
	return d, err
}

// applicationsOf names the managed applications that the roles of a request are of.
func applicationsOf(ctx context.Context, r engine.Reader,
	request access.Request,
) (map[access.EligibilityID]string, error) {
	names := map[access.EligibilityID]string{}
	for _, item := range request.Items {
		id := eligibilityOf(item.Target)
		if id == "" {
			continue
		}
		e, err := r.Eligibility(ctx, id)
		switch {
		case err != nil && !engine.IsKind(err, access.KindNotFound):
			return nil, fmt.Errorf("read eligibility: %w", err)
		case err == nil && e.Origin != "":
			names[id] = e.Origin.Name()
		}
	}
	return names, nil
}

// Requests lists the requests that the caller may see, newest first: their own, and those on machines whose requests
// they may read.
func (e *Service) Requests(ctx context.Context, c engine.Caller, f engine.RequestFilter,
	p engine.Page,
) (list engine.Listed[RequestDetail], err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{Action: rbac.RequestsRead},
		func(r engine.Reader, may engine.Rights) error {
			if f.NeedsMe {
				list, err = e.needsMe(ctx, r, may, f, p)
				return err
			}
			if len(may.Dir.Scopes(c.Principal, rbac.RequestsRead, may.Now)) == 0 {
				if f.Requester != "" && f.Requester != c.Principal {
					return engine.Forbidden(rbac.RequestsRead, access.Root, "you may see your own requests alone")
				}
				f.Requester = c.Principal
			}
			f.Tenant, f.Beside = c.Tenant, may.Beside()
			names := engine.NameCache{R: r}
			list, err = engine.Visible(p,
				func(p engine.Page) (engine.Listed[access.Request], error) { return r.Requests(ctx, f, p) },
				func(request access.Request) (RequestDetail, bool, error) {
					seen, err := sees(ctx, may, &names, request)
					if err != nil || !seen {
						return RequestDetail{}, false, err
					}
					d, err := describeRequest(ctx, r, may, &names, request)
					return d, true, err
				})
			return err
		})
	return list, err
}

// Cancel takes a pending request back: the requester's own, or any where the caller may cancel on all its machines. A
// request that is cancelled already stays as it is, and is no error: the call may have been repeated.
func (e *Service) Cancel(ctx context.Context, c engine.Caller, id access.RequestID,
	reason string,
) (d RequestDetail, err error) {
	if len(reason) > access.MaxText {
		return d, access.Fault(access.KindInvalid, "reasonTooLong", "the reason has %d bytes; %d are allowed",
			len(reason), access.MaxText)
	}
	err = e.kernel.Change(ctx, c, engine.Attempt{Action: rbac.RequestsCancel, Request: id},
		func(tx engine.Tx, may engine.Rights) error {
			request, err := FindRequest(ctx, tx, may, id)
			if err != nil {
				return err
			}
			names := engine.NameCache{R: tx}
			if request.Requester != c.Principal {
				for _, item := range request.Items {
					m, err := names.Site(ctx, item.Target)
					if err != nil {
						return err
					}
					if err := may.RequireOf(request.Tenant, rbac.RequestsCancel, engine.ScopeOf(m)); err != nil {
						return err
					}
				}
			}
			if request.State != access.RequestCanceled {
				next, events, err := request.Cancel(may.Actor(request.Tenant), reason, may.Now)
				if err != nil {
					return err
				}
				if err := tx.SaveRequest(ctx, next, request.Revision); err != nil {
					return fmt.Errorf("save request: %w", err)
				}
				w := e.kernel.NewWork(tx, may.Now)
				w.Events = append(w.Events, events...)
				w.Notify(engine.Notice{
					Kind: engine.NotifyDecided, Request: next, By: may.Name(next.Tenant), Actor: c.Principal,
					Recipients: []access.PrincipalID{next.Requester},
				})
				if err := w.Finish(ctx); err != nil {
					return err
				}
				request = next
			}
			d, err = describeRequest(ctx, tx, may, &names, request)
			return err
		})
	return d, err
}

// FindRequest gives a request that the caller may see.
func FindRequest(ctx context.Context, r engine.Reader, may engine.Rights, id access.RequestID) (access.Request, error) {
	unknown := access.Fault(access.KindNotFound, "unknownRequest", "there is no request %q that you may see",
		engine.Clip(string(id)))
	request, err := r.Request(ctx, id)
	if engine.IsKind(err, access.KindNotFound) {
		return access.Request{}, unknown
	}
	if err != nil {
		return access.Request{}, fmt.Errorf("read request: %w", err)
	}
	seen, err := sees(ctx, may, &engine.NameCache{R: r}, request)
	switch {
	case err != nil:
		return access.Request{}, err
	case !seen:
		return access.Request{}, unknown
	}
	return request, nil
}

// sees tells whether the caller may see a request: it is theirs, or theirs to decide in some stage, or they may read
// requests on each of its machines. One on a machine of which they may know nothing would tell its name.
func sees(ctx context.Context, may engine.Rights, names *engine.NameCache, request access.Request) (bool, error) {
	if request.Requester == may.Caller.Principal && may.Caller.Bounds == nil {
		return true, nil
	}
	approver := isApprover(may.Dir, request, may.Caller.Principal)
	for _, item := range request.Items {
		m, err := names.Site(ctx, item.Target)
		if err == nil && approver && may.Caller.Bounds.Cover(rbac.RequestsRead, engine.ScopeOf(m)) {
			continue
		}
		if err != nil || !may.Owns(request.Requester, rbac.RequestsRead,
			engine.ScopeOf(m)) && !may.MayOf(request.Tenant, rbac.RequestsRead, engine.ScopeOf(m)) {
			return false, err
		}
	}
	return true, nil
}

func describeRequest(ctx context.Context, r engine.Reader, may engine.Rights, names *engine.NameCache,
	request access.Request,
) (RequestDetail, error) {
	d := RequestDetail{Request: request, Machines: map[access.MachineID]string{}}
	for _, item := range request.Items {
		id := item.Place().Machine
		if id == "" {
			continue
		}
		m, err := names.Machine(ctx, id)
		if err != nil {
			return RequestDetail{}, err
		}
		d.Machines[id] = engine.NameOf(m, id)
	}
	grants, err := r.GrantsOfRequest(ctx, request.ID)
	if err != nil {
		return RequestDetail{}, fmt.Errorf("read grants: %w", err)
	}
	d.Grants = grants
	return requestAbroad(may.Border(r, request.Tenant), d), nil
}

// RequestRefused records an attempt at access that a façade refused before Submit, because it could not be read. scope
// is what it was sent to, where the façade knows.
func (e *Service) RequestRefused(ctx context.Context, c engine.Caller, scope access.ResourceID,
	reasons []access.Reason,
) error {
	refusal := access.Fault(access.KindInvalid, "invalidInput", "the request could not be read")
	refusal.Reasons = reasons
	event := engine.Attempt{Kind: access.RequestRefused, Scope: scope}.Event(c, refusal)
	event.At = e.kernel.Now()
	return e.kernel.RecordAttempt(ctx, c, event)
}
