package engine

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// RequestDetail is a request and what became of it.
type RequestDetail struct {
	Request  access.Request
	Grants   []access.Grant
	Machines map[access.MachineID]string // names of the machines that it is about

	// What follows is there where the request was asked for by itself, or submitted, or decided; in lists, where they are of
	// requests that need the caller's decision.
	Decisions []access.Decision
	Progress  []ApprovalProgress            // how deciding stands, one for each of the request's approvals
	Names     map[access.PrincipalID]string // of the groups and people that Progress speaks of
	Mine      bool                          // the caller may decide now

	Chains []Chain // what would be open without a break for longer than what is asked for by itself; of one that waits
}

// Request gives one request: the caller's own, or one on a machine whose requests they may read.
func (e *Engine) Request(ctx context.Context, c Caller, id access.RequestID) (d RequestDetail, err error) {
	err = e.look(ctx, c, attempt{action: rbac.RequestsRead, request: id}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		request, err := findRequest(ctx, r, may, id)
		if err != nil {
			return err
		}
		if d, err = e.describeWhole(ctx, r, may, &nameCache{r: r}, request); err != nil || request.State != access.RequestPending {
			return err
		}
		d.Chains, err = chainsOf(ctx, r, request, may.now)
		return err
	})
	return d, err
}

// Requests lists the requests that the caller may see, newest first: their own, and those on machines whose requests they
// may read.
func (e *Engine) Requests(ctx context.Context, c Caller, f RequestFilter, p Page) (list Listed[RequestDetail], err error) {
	err = e.look(ctx, c, attempt{action: rbac.RequestsRead}, func(r Reader) error {
		may, err := e.rights(ctx, r, c)
		if err != nil {
			return err
		}
		if f.NeedsMe {
			list, err = e.needsMe(ctx, r, may, f, p)
			return err
		}
		if len(may.dir.Scopes(c.Principal, rbac.RequestsRead, may.now)) == 0 {
			if f.Requester != "" && f.Requester != c.Principal {
				return forbidden(rbac.RequestsRead, access.Root, "you may see your own requests alone")
			}
			f.Requester = c.Principal
		}
		f.Tenant, f.Beside = c.Tenant, may.beside()
		names := nameCache{r: r}
		list, err = visible(p, func(p Page) (Listed[access.Request], error) { return r.Requests(ctx, f, p) },
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
func (e *Engine) Cancel(ctx context.Context, c Caller, id access.RequestID, reason string) (d RequestDetail, err error) {
	if len(reason) > access.MaxText {
		return d, access.Fault(access.KindInvalid, "reasonTooLong", "the reason has %d bytes; %d are allowed", len(reason), access.MaxText)
	}
	err = e.change(ctx, c, attempt{action: rbac.RequestsCancel, request: id}, func(tx Tx) error {
		may, err := e.rights(ctx, tx, c)
		if err != nil {
			return err
		}
		request, err := findRequest(ctx, tx, may, id)
		if err != nil {
			return err
		}
		names := nameCache{r: tx}
		if request.Requester != c.Principal {
			for _, item := range request.Items {
				m, err := names.site(ctx, item.Role, item.Machine)
				if err != nil {
					return err
				}
				if err := may.requireOf(request.Tenant, rbac.RequestsCancel, scopeOf(m)); err != nil {
					return err
				}
			}
		}
		if request.State != access.RequestCanceled {
			next, events, err := request.Cancel(may.actor(request.Tenant), reason, may.now)
			if err != nil {
				return err
			}
			if err := tx.SaveRequest(ctx, next, request.Revision); err != nil {
				return fmt.Errorf("save request: %w", err)
			}
			w := e.newWork(tx, may.now)
			w.events = append(w.events, events...)
			w.notify(notice{kind: NotifyDecided, request: next, by: may.name(next.Tenant), recipients: []access.PrincipalID{next.Requester}})
			if err := w.finish(ctx); err != nil {
				return err
			}
			request = next
		}
		d, err = describeRequest(ctx, tx, may, &names, request)
		return err
	})
	return d, err
}

// findRequest gives a request that the caller may see.
func findRequest(ctx context.Context, r Reader, may rights, id access.RequestID) (access.Request, error) {
	unknown := access.Fault(access.KindNotFound, "unknownRequest", "there is no request %q that you may see", clip(string(id)))
	request, err := r.Request(ctx, id)
	if isKind(err, access.KindNotFound) {
		return access.Request{}, unknown
	}
	if err != nil {
		return access.Request{}, fmt.Errorf("read request: %w", err)
	}
	seen, err := sees(ctx, may, &nameCache{r: r}, request)
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
func sees(ctx context.Context, may rights, names *nameCache, request access.Request) (bool, error) {
	if request.Requester == may.caller.Principal && may.caller.Bounds == nil {
		return true, nil
	}
	approver := isApprover(may.dir, request, may.caller.Principal)
	for _, item := range request.Items {
		m, err := names.site(ctx, item.Role, item.Machine)
		if err == nil && approver && may.caller.Bounds.cover(rbac.RequestsRead, scopeOf(m)) {
			continue
		}
		if err != nil || !may.owns(request.Requester, rbac.RequestsRead, scopeOf(m)) && !may.mayOf(request.Tenant, rbac.RequestsRead, scopeOf(m)) {
			return false, err
		}
	}
	return true, nil
}

func describeRequest(ctx context.Context, r Reader, may rights, names *nameCache, request access.Request) (RequestDetail, error) {
	d := RequestDetail{Request: request, Machines: map[access.MachineID]string{}}
	for _, item := range request.Items {
		if !item.Role.IsZero() {
			continue
		}
		m, err := names.machine(ctx, item.Machine)
		if err != nil {
			return RequestDetail{}, err
		}
		d.Machines[item.Machine] = nameOf(m, item.Machine)
	}
	grants, err := r.GrantsOfRequest(ctx, request.ID)
	if err != nil {
		return RequestDetail{}, fmt.Errorf("read grants: %w", err)
	}
	d.Grants = grants
	return may.border(r, request.Tenant).request(d), nil
}
