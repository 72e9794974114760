package store

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// requestRow is a request as its row holds it.
type requestRow struct {
	access.Request

	Items []itemRow
}

// itemRow is an item as a row of a request holds it.
type itemRow struct {
	access.Item

	Of targetRow
}

func itemRows(items []access.Item) []itemRow {
	rows := make([]itemRow, len(items))
	for i, it := range items {
		rows[i] = itemRow{it, rowOf(it.Target)}
	}
	return rows
}

var (
	requestTable = describe("request", "requests", "r", "id",
		text("id", func(v *requestRow) *access.RequestID { return &v.ID }),
		text("tenant", func(v *requestRow) *access.TenantID { return &v.Tenant }),
		text("requester", func(v *requestRow) *access.PrincipalID { return &v.Requester }),
		text("requester_name", func(v *requestRow) *string { return &v.RequesterName }),
		address("address", func(v *requestRow) *netip.Addr { return &v.Address }),
		text("via", func(v *requestRow) *string { return &v.Via }),
		nestedBut("items", func(v *requestRow) *[]itemRow { return &v.Items }, parts{inline: []string{"Of"}, apart: []string{"Item.Target"}}),
		when("start_at", func(v *requestRow) *time.Time { return &v.Start }),
		text("justification", func(v *requestRow) *string { return &v.Justification }),
		text("ticket", func(v *requestRow) *string { return &v.Ticket }),
		oneOf("state", func(v *requestRow) *access.RequestState { return &v.State }, access.RequestPending,
			access.RequestApproved, access.RequestDenied, access.RequestCanceled, access.RequestTimedOut),
		text("reason", func(v *requestRow) *string { return &v.Reason }),
		when("created_at", func(v *requestRow) *time.Time { return &v.CreatedAt }),
		when("pending_until", func(v *requestRow) *time.Time { return &v.PendingUntil }),
		when("decided_at", func(v *requestRow) *time.Time { return &v.DecidedAt }),
		text("digest", func(v *requestRow) *string { return &v.Digest }),
		number("revision", func(v *requestRow) *int64 { return &v.Revision }),
		others[requestRow]("ask", parts{apart: []string{"Request.Items"}}),
		when("stage_until", func(v *requestRow) *time.Time { return &v.StageUntil }).as(func(v *requestRow) any { return v.due(v.StageUntil) }),
		when("remind_at", func(v *requestRow) *time.Time { return &v.RemindAt }).as(func(v *requestRow) any { return v.due(v.RemindAt) }),
		derived("role_scope", func(v *requestRow) any { return v.roleScope() }))

	selectRequest         = "select " + requestTable.selected + " from requests r where r.id = $1 limit 1"
	listRequests          = "select " + requestTable.selected + " from requests r"
	listRequestsOfMachine = "select " + requestTable.selected + " from request_machines x join requests r on r.id = x.request"
)

// due is when something of a request that waits is due.
func (r *requestRow) due(at time.Time) int64 {
	if r.State != access.RequestPending {
		return 0
	}
	return micros(at)
}

// roleScope is the scope of the roles that a request asks for, which are all at one.
func (r *requestRow) roleScope() (scope string) {
	for _, it := range r.Items {
		scope = it.Of.Role.Scope.Fold()
	}
	return scope
}

func scanRequest(row scanner) (access.Request, error) {
	r, err := requestTable.scan(row)
	for i := 0; err == nil && i < len(r.Items); i++ {
		item := r.Items[i].Item
		item.Target, err = r.Items[i].Of.target()
		r.Request.Items = append(r.Request.Items, item)
	}
	if err != nil {
		return access.Request{}, fmt.Errorf("request %s: %w", r.ID, err)
	}
	return r.Request, nil
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

const insertRequestMachine = "insert into request_machines (machine, created_at, request) values ($1, $2, $3)"

// SaveRequest implements engine.Tx. What a request asks for does not change, so its machines are written once.
func (t *tx) SaveRequest(ctx context.Context, r access.Request, was int64) error {
	err := swap(ctx, t, requestTable, requestRow{r, itemRows(r.Items)}, r.Revision, was)
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
