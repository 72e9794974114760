package armapi

import (
	"net/http"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

const requestKind = "roleAssignmentScheduleRequests"

// roleRequest shows the request for a role that somebody is eligible for.
func roleRequest(d engine.RequestDetail) map[string]any {
	r, item := d.Request, d.Request.Items[0]
	kind, start := "SelfActivate", r.CreatedAt
	if r.Extends != "" {
		kind = "SelfExtend"
	}
	if !r.Start.IsZero() {
		start = r.Start
	}
	until := expiration(item.Until)
	if item.Duration > 0 {
		until = map[string]any{"type": "AfterDuration", "duration": formatDuration(item.Duration), "endDateTime": nil}
	}
	var approval, target any
	if len(r.Approvals) > 0 {
		approval = r.ID
	}
	switch {
	case len(d.Grants) > 0:
		target = d.Grants[0].ID
	case r.Extends != "":
		target = r.Extends
	}
	s := subject{item.Role.Scope, roleOf(item.Role), access.Principal{ID: r.Requester, Name: r.RequesterName, Kind: access.User}}
	return s.view(requestKind, string(r.ID), map[string]any{
		"requestType": kind, "status": roleRequestStatus(d), "approvalId": approval, "requestorId": r.Requester, "createdOn": stamp(r.CreatedAt), "justification": r.Justification,
		"scheduleInfo": map[string]any{"startDateTime": stamp(start), "expiration": until}, "ticketInfo": map[string]any{"ticketNumber": orNull(r.Ticket), "ticketSystem": nil},
		"targetRoleAssignmentScheduleId": target, "targetRoleAssignmentScheduleInstanceId": target, "linkedRoleEligibilityScheduleId": item.Role.Eligibility,
	})
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// roleRequestStatus gives Azure's word for how a request for a role stands.
func roleRequestStatus(d engine.RequestDetail) string {
	switch d.Request.State {
	case access.RequestPending:
		return "PendingApproval"
	case access.RequestDenied:
		return "Denied"
	case access.RequestCanceled:
		return "Canceled"
	case access.RequestTimedOut:
		return "TimedOut"
	case access.RequestApproved:
	}
	for _, g := range d.Grants {
		switch g.State {
		case access.GrantScheduled:
			return "ScheduleCreated"
		case access.GrantOpening:
			return "PendingProvisioning"
		case access.GrantFailed:
			return "Failed"
		case access.GrantExpired, access.GrantRevoked, access.GrantSuperseded:
			return "Revoked"
		case access.GrantActive:
		}
	}
	return "Provisioned"
}

// assignRequest shows the request that made a role assignment: that one is gone with it.
func assignRequest(a active) map[string]any {
	return a.view(requestKind, a.name(), map[string]any{
		"requestType": "AdminAssign", "status": "Provisioned", "approvalId": nil, "requestorId": a.assignment.CreatedBy, "createdOn": stamp(a.assignment.CreatedAt),
		"justification": a.assignment.Description, "scheduleInfo": map[string]any{"startDateTime": stamp(a.began()), "expiration": expiration(a.assignment.End)},
		"targetRoleAssignmentScheduleId": a.name(), "targetRoleAssignmentScheduleInstanceId": a.name(), "linkedRoleEligibilityScheduleId": nil,
		"ticketInfo": map[string]any{"ticketNumber": nil, "ticketSystem": nil},
	})
}

// roleRequests gives the requests for roles that the $filter asks for.
func (c *call) roleRequests(n narrowing) ([]engine.RequestDetail, error) {
	f := engine.RequestFilter{Roles: true, Requester: n.principal, NeedsMe: n.decides}
	if n.own || n.asked {
		f.Requester = c.caller.Principal
	}
	var all []engine.RequestDetail
	for page := (engine.Page{Limit: 1000}); ; {
		listed, err := c.engine().Requests(c.Context(), c.caller, f, page)
		if err != nil {
			return nil, err
		}
		for _, d := range listed.Items {
			if role := d.Request.Items[0].Role; n.keeps(role.Scope, role.ID) {
				all = append(all, d)
			}
		}
		if page.Cursor = listed.Next; page.Cursor == "" {
			return all, nil
		}
	}
}

func listRoleRequests(c *call) (reply, error) {
	n, err := c.narrowing("asRequestor()", "asApprover()")
	if err != nil {
		return reply{}, err
	}
	requests, err := c.roleRequests(n)
	if err != nil {
		return reply{}, err
	}
	views := []map[string]any{}
	for _, d := range requests {
		views = append(views, roleRequest(d))
	}
	if !n.asked && !n.decides {
		assigned, err := c.activeRoles(n)
		if err != nil {
			return reply{}, err
		}
		for _, a := range assigned {
			if a.eligibility == "" {
				views = append(views, assignRequest(a))
			}
		}
	}
	value := []any{}
	for _, view := range views {
		if n.shown(view) {
			value = append(value, view)
		}
	}
	return ok(list{Value: value})
}

// namedRequest gives the request for a role that the path names.
func (c *call) namedRequest(scope access.ResourceID) (engine.RequestDetail, error) {
	d, err := c.engine().Request(c.Context(), c.caller, access.RequestID(c.vars["id"]))
	if err == nil && (!d.Request.ForRoles() || !d.Request.Items[0].Role.Scope.Within(scope)) {
		err = access.Fault(access.KindNotFound, "RoleAssignmentScheduleRequestNotFound", "There is no request for a role '%s' here.", clip(c.vars["id"]))
	}
	return d, err
}

func getRoleRequest(c *call) (reply, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return reply{}, err
	}
	d, err := c.namedRequest(scope)
	if err == nil {
		return ok(roleRequest(d))
	}
	if access.KindOf(err) != access.KindNotFound {
		return reply{}, err
	}
	a, err := c.oneActive(scope)
	if err != nil {
		return reply{}, err
	}
	return ok(assignRequest(a))
}

func putRoleRequest(c *call) (reply, error) {
	w, err := c.readSchedule()
	if err != nil {
		return reply{}, err
	}
	var view map[string]any
	switch w.kind {
	case "selfactivate":
		view, err = c.activate(w)
	case "selfextend":
		view, err = c.extend(w)
	case "selfdeactivate":
		view, err = c.deactivate(w)
	case "adminassign":
		view, err = c.assign(w)
	case "adminremove":
		view, err = c.unassign(w)
	default:
		err = unsupportedRequest(w.given, roleRequestKinds()...)
	}
	if err != nil {
		return reply{}, policyFailed(err)
	}
	return reply{status: http.StatusCreated, body: view}, nil
}

func roleRequestKinds() []string {
	return []string{"SelfActivate", "SelfExtend", "SelfDeactivate", "AdminAssign", "AdminRemove"}
}

// mine refuses what somebody asks for in another's name: only the caller can activate, extend and deactivate for themselves.
func (c *call) mine(w wanted) error {
	if w.principal != "" && w.principal != string(c.caller.Principal) {
		return access.Fault(access.KindForbidden, "AuthorizationFailed", "requests whose type begins with Self are for oneself: principalId must be your own id, %s", c.caller.Principal)
	}
	return nil
}

// activate asks for a role that the caller is eligible for. The same call again gives the same request.
func (c *call) activate(w wanted) (map[string]any, error) {
	if err := c.mine(w); err != nil {
		return nil, err
	}
	role := engine.EligibleRole{Role: w.role, Scope: w.scope}
	if w.linked != "" {
		d, err := c.engine().Eligibility(c.Context(), c.caller, w.linked)
		if err != nil {
			return nil, err
		}
		if !d.Eligibility.Scope.Equal(w.scope) || string(d.Eligibility.Role) != w.role {
			return nil, access.Fault(access.KindInvalid, "notEligible", "the eligibility %s is of another role or scope", w.linked)
		}
		role.Eligibility = w.linked
	}
	made, err := c.engine().Activate(c.Context(), c.caller, engine.ActivateInput{
		ID: access.RequestID(w.id), Roles: []engine.EligibleRole{role}, Start: w.start, Duration: w.length, Until: w.until,
		Justification: w.justification, Ticket: w.ticket, IdempotencyKey: "arm/" + w.id,
	})
	if err != nil {
		return nil, err
	}
	return roleRequest(made), nil
}

// held gives the caller's activations of the role that is wanted, or the one that is named; at least one.
func (c *call) held(w wanted) ([]access.Grant, error) {
	if err := c.mine(w); err != nil {
		return nil, err
	}
	activations, err := c.activations(true)
	if err != nil {
		return nil, err
	}
	var found []access.Grant
	for _, g := range activations {
		if g.Role.Scope.Equal(w.scope) && (w.target == string(g.ID) || w.target == "" && string(g.Role.ID) == w.role) {
			found = append(found, g)
		}
	}
	if len(found) == 0 {
		return nil, access.Fault(access.KindInvalid, "RoleAssignmentDoesNotExist", "The Role assignment does not exist: you have not activated this role at %s.", w.scope)
	}
	slices.SortFunc(found, func(a, b access.Grant) int { return b.End.Compare(a.End) })
	return found, nil
}

// extend asks for a later end of the activation that lasts longest.
func (c *call) extend(w wanted) (map[string]any, error) {
	held, err := c.held(w)
	if err != nil {
		return nil, err
	}
	made, err := c.engine().Extend(c.Context(), c.caller, held[0].ID, engine.ExtendInput{
		ID: access.RequestID(w.id), Until: w.end(c.api.config.Now()), Justification: w.justification, Ticket: w.ticket,
	})
	if err != nil {
		return nil, err
	}
	return roleRequest(made), nil
}

// deactivate ends the caller's activations of a role. It is done when it is answered, and is no request that one could ask
// for later.
func (c *call) deactivate(w wanted) (map[string]any, error) {
	held, err := c.held(w)
	if err != nil {
		return nil, err
	}
	for _, g := range held {
		if _, err := c.engine().Revoke(c.Context(), c.caller, g.ID, w.justification); err != nil {
			return nil, err
		}
	}
	return w.done(activated(held[0]), "SelfDeactivate", c.caller.Principal, c.api.config.Now()), nil
}

// done shows a request that took a role away.
func (w *wanted) done(a active, kind string, by access.PrincipalID, now time.Time) map[string]any {
	return a.view(requestKind, w.id, map[string]any{
		"requestType": kind, "status": "Revoked", "approvalId": nil, "requestorId": by, "createdOn": stamp(now), "justification": w.justification,
		"scheduleInfo":                   map[string]any{"startDateTime": stamp(now), "expiration": expiration(time.Time{})},
		"targetRoleAssignmentScheduleId": a.name(), "targetRoleAssignmentScheduleInstanceId": a.name(), "linkedRoleEligibilityScheduleId": a.linked("roleEligibilitySchedules"),
		"ticketInfo": map[string]any{"ticketNumber": orNull(w.ticket), "ticketSystem": nil},
	})
}

// assign gives a role at once, for the window that is wanted. The assignment has the request's name.
func (c *call) assign(w wanted) (map[string]any, error) {
	d, err := c.engine().AssignRole(c.Context(), c.caller, engine.AssignInput{
		ID: rbac.AssignmentID(w.id), Principal: w.principal, Role: w.role, Scope: w.scope, Start: w.from, End: w.end(c.api.config.Now()), Description: w.justification,
	})
	if err != nil {
		return nil, assignRefusal(err)
	}
	return assignRequest(active{subject: subject{d.Assignment.Scope, d.Role, d.Principal}, assignment: d.Assignment}), nil
}

// unassign takes the assignment away that has the principal, role and scope of the request; an activation too.
func (c *call) unassign(w wanted) (map[string]any, error) {
	all, err := c.assignments(engine.AssignmentFilter{Principal: w.principal, Role: w.role, Over: w.scope})
	if err != nil {
		return nil, assignRefusal(err)
	}
	for _, d := range all {
		if !d.Assignment.Scope.Equal(w.scope) || w.target != "" && w.target != string(d.Assignment.ID) {
			continue
		}
		if err := c.engine().UnassignRole(c.Context(), c.caller, d.Assignment.ID); err != nil {
			return nil, err
		}
		gone := active{subject: subject{d.Assignment.Scope, d.Role, d.Principal}, assignment: d.Assignment}
		return w.done(gone, "AdminRemove", c.caller.Principal, c.api.config.Now()), nil
	}
	return nil, access.Fault(access.KindInvalid, "RoleAssignmentDoesNotExist", "The Role assignment does not exist.")
}

// cancelRoleRequest takes a request back that waits for a decision.
func cancelRoleRequest(c *call) (reply, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return reply{}, err
	}
	d, err := c.namedRequest(scope)
	if err != nil {
		return reply{}, err
	}
	_, err = c.engine().Cancel(c.Context(), c.caller, d.Request.ID, "")
	return reply{status: http.StatusOK}, err
}

// validateRoleRequest checks the form of a request, and echoes it.
func validateRoleRequest(c *call) (reply, error) {
	w, err := c.readSchedule()
	if err != nil {
		return reply{}, err
	}
	if !containsFold(roleRequestKinds(), w.kind) {
		return reply{}, unsupportedRequest(w.given, roleRequestKinds()...)
	}
	return ok(w.echo(requestKind))
}

// echo shows a request that was looked at and not made.
func (w *wanted) echo(kind string) map[string]any {
	return map[string]any{
		"id": scheduleID(w.scope, kind, w.id), "name": w.id, "type": "Microsoft.Authorization/" + kind,
		"properties": map[string]any{"requestType": w.given, "principalId": w.principal, "roleDefinitionId": roleID(w.scope, rbac.DefinitionID(w.role)), "scope": w.scope},
	}
}
