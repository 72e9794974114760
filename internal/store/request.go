package store

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	requestColumns = `r.id, r.tenant, r.requester, r.requester_name, r.address, r.via, r.items, r.start_at, r.justification, r.ticket, r.state, r.reason,
r.created_at, r.pending_until, r.decided_at, r.digest, r.revision, r.ask, r.stage_until`
	selectRequest         = "select " + requestColumns + " from requests r where r.id = $1 limit 1"
	listRequests          = "select " + requestColumns + " from requests r"
	listRequestsOfMachine = "select " + requestColumns + " from request_machines x join requests r on r.id = x.request"
)

func scanRequest(row scanner) (r access.Request, err error) {
	var items []itemRecord
	var ask askRecord
	err = row.Scan(&r.ID, &r.Tenant, &r.Requester, &r.RequesterName, addrColumn{&r.Address}, &r.Via, jsonColumn{&items},
		timeColumn{&r.Start}, &r.Justification,
		&r.Ticket, &r.State, &r.Reason, timeColumn{&r.CreatedAt}, timeColumn{&r.PendingUntil}, timeColumn{&r.DecidedAt},
		&r.Digest, &r.Revision,
		jsonColumn{&ask}, timeColumn{&r.StageUntil})
	if err != nil {
		return r, err
	}
	ask.fill(&r)
	for _, it := range items {
		item, err := it.item()
		if err != nil {
			return r, fmt.Errorf("request %s: %w", r.ID, err)
		}
		r.Items = append(r.Items, item)
	}
	return r, nil
}

// Request implements engine.Reader.
func (r *reader) Request(ctx context.Context, id access.RequestID) (access.Request, error) {
	return one(ctx, r.q, "request", scanRequest, selectRequest, string(id))
}

// Requests implements engine.Reader.
func (r *reader) Requests(ctx context.Context, f engine.RequestFilter,
	p engine.Page,
) (engine.Listed[access.Request], error) {
	l, columns := from(listRequests), "r.created_at, r.id"
	if f.Machine != "" {
		l, columns = from(listRequestsOfMachine), "x.created_at, x.request"
		equal(l, "x.machine", f.Machine)
	}
	l.tenants("r.tenant", f.Tenant, f.Beside)
	if f.State == access.RequestPending && f.Machine == "" {
		// There are few of these, and SQLite would go through all requests of the requester for them.
		equal(l, "r.requester || ''", f.Requester)
	} else {
		equal(l, "r.requester", f.Requester)
	}
	equal(l, "r.state", f.State)
	if f.Roles {
		l.where("r.role_scope <> ''")
	}
	if f.RoleScope != "" {
		l.where("r.role_scope = ?", f.RoleScope.Fold())
	}
	l.after(p.Cursor, true, columns, cursorNumber, cursorText)
	return page(ctx, r.q, l, p, descending(columns), scanRequest,
		func(v access.Request) []any { return []any{micros(v.CreatedAt), v.ID} })
}

const (
	insertRequest = `insert into requests (id, tenant, requester, requester_name, address, via, items, start_at, justification, ticket, state, reason,
created_at, pending_until, decided_at, digest, revision, ask, stage_until, role_scope)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`
	updateRequest = `update requests set tenant = $2, requester = $3, requester_name = $4, address = $5, via = $6, items = $7, start_at = $8, justification = $9,
ticket = $10, state = $11, reason = $12, created_at = $13, pending_until = $14, decided_at = $15, digest = $16, revision = $17, ask = $18,
stage_until = $19, role_scope = $20 where id = $1 and revision = $21`
	insertRequestMachine = "insert into request_machines (machine, created_at, request) values ($1, $2, $3)"
)

// SaveRequest implements engine.Tx. What a request asks for does not change, so its machines are written once.
func (t *tx) SaveRequest(ctx context.Context, r access.Request, was int64) error {
	items, err := toJSON(itemRecords(r.Items))
	if err != nil {
		return err
	}
	ask, err := toJSON(askOf(r))
	if err != nil {
		return err
	}
	stage := int64(0)
	if r.State == access.RequestPending {
		stage = micros(r.StageUntil)
	}
	scope := "" // of the roles that it asks for, which are all at one
	for _, it := range r.Items {
		scope = it.Place().Scope.Fold()
	}
	err = t.swap(ctx, "request", r.Revision, was, insertRequest, updateRequest, []any{
		string(r.ID), string(r.Tenant), string(r.Requester), r.RequesterName, addrText(r.Address),
		r.Via, items, micros(r.Start), r.Justification, r.Ticket, string(r.State), r.Reason, micros(r.CreatedAt),
		micros(r.PendingUntil), micros(r.DecidedAt), r.Digest, r.Revision,
		ask, stage, scope,
	})
	if err != nil || was != 0 {
		return err
	}
	seen := make(map[access.MachineID]struct{}, len(r.Items))
	for _, it := range r.Items {
		machine := it.Place().Machine
		if _, ok := seen[machine]; ok || machine == "" {
			continue
		}
		seen[machine] = struct{}{}
		if err := t.exec(ctx, "request", nil, insertRequestMachine, string(machine), micros(r.CreatedAt),
			string(r.ID)); err != nil {
			return err
		}
	}
	return nil
}
