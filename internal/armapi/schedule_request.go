package armapi

import (
	"net/http"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
)

const requestKind = "roleAssignmentScheduleRequests"

// roleRequest shows the request for a role that somebody is eligible for.
func (c *call) roleRequest(d requests.RequestDetail) map[string]any {
	r, item := d.Request, d.Request.Items[0]
	kind, start := "SelfActivate", r.CreatedAt
	switch {
	case r.Extends != "":
		kind = "SelfExtend"
	case r.Tags[renewed] != "":
		kind = "SelfRenew"
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
	role, _ := roleAsked(r)
	s := subject{
		role.Scope, roleOf(role),
		access.Principal{ID: r.Requester, Name: r.RequesterName, Kind: c.kind(r.Requester)},
	}
	return s.view(requestKind, string(r.ID), map[string]any{
		"requestType": kind, "status": roleRequestStatus(d), "approvalId": approval, "requestorId": r.Requester,
		"createdOn": stamp(r.CreatedAt), "justification": r.Justification,
		"scheduleInfo":                   map[string]any{"startDateTime": stamp(start), "expiration": until},
		"ticketInfo":                     map[string]any{"ticketNumber": orNull(r.Ticket), "ticketSystem": nil},
		"targetRoleAssignmentScheduleId": target, "targetRoleAssignmentScheduleInstanceId": target,
		"linkedRoleEligibilityScheduleId": role.Eligibility,
	})
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// roleRequestStatus gives Azure's word for how a request for a role stands.
func roleRequestStatus(d requests.RequestDetail) string {
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

// assignRequest shows a role assignment that was made without a request as the request that it could have come by.
func assignRequest(a active) map[string]any {
	return a.view(requestKind, a.name(), map[string]any{
		"requestType": "AdminAssign", "status": "Provisioned", "approvalId": nil, "requestorId": a.assignment.CreatedBy,
		"createdOn":     stamp(a.assignment.CreatedAt),
		"justification": a.assignment.Description,
		"scheduleInfo": map[string]any{
			"startDateTime": stamp(a.began()),
			"expiration":    expiration(a.assignment.End),
		},
		"targetRoleAssignmentScheduleId": a.name(), "targetRoleAssignmentScheduleInstanceId": a.name(),
		"linkedRoleEligibilityScheduleId": nil,
		"ticketInfo":                      map[string]any{"ticketNumber": nil, "ticketSystem": nil},
	})
}

// roleRequests gives one page of the requests for roles that the $filter asks for.
func (c *call) roleRequests(n narrowing, page engine.Page) ([]requests.RequestDetail, string, error) {
	f := engine.RequestFilter{Roles: true, Requester: n.principal, NeedsMe: n.decides}
	if n.own || n.asked {
		f.Requester = c.caller.Principal
	}
	listed, err := c.engine().Requests.Requests(c.Context(), c.caller, f, page)
	if err != nil {
		return nil, "", err
	}
	var found []requests.RequestDetail
	for _, d := range listed.Items {
		if role, is := roleAsked(d.Request); is && n.keeps(role.Scope, role.ID) {
			found = append(found, d)
		}
	}
	return found, listed.Next, nil
}

// listRoleRequests lists the requests for roles, then the changes of assignments, then assignments that came by
// neither.
func listRoleRequests(c *call) (reply, error) {
	n, err := c.narrowing("asRequestor()", "asApprover()")
	if err != nil {
		return reply{}, err
	}
	return c.paged(n.shown, func(p engine.Page) ([]map[string]any, string, error) {
		requests, next, err := c.roleRequests(n, p)
		var views []map[string]any
		for _, d := range requests {
			views = append(views, c.roleRequest(d))
		}
		return views, next, err
	}, c.roleChanges(access.OfAssignment, n), func(engine.Page) ([]map[string]any, string, error) {
		if n.asked || n.decides {
			return nil, "", nil
		}
		assigned, err := c.activeRoles(n)
		if err != nil {
			return nil, "", err
		}
		views := map[access.RoleChangeID]map[string]any{}
		for _, a := range assigned {
			if a.eligibility == "" {
				views[access.RoleChangeID(a.name())] = assignRequest(a)
			}
		}
		unrecorded, err := c.unrecorded(views)
		return unrecorded, "", err
	})
}

// namedRequest gives the request for a role that the path names.
func (c *call) namedRequest(scope access.ResourceID) (requests.RequestDetail, error) {
	d, err := c.engine().Requests.Request(c.Context(), c.caller, access.RequestID(strings.ToLower(c.vars["id"])))
	if err != nil {
		return d, err
	}
	if role, is := roleAsked(d.Request); !is || !role.Scope.Within(scope) {
		err = access.Fault(access.KindNotFound, "RoleAssignmentScheduleRequestNotFound",
			"There is no request for a role '%s' here.", clip(c.vars["id"]))
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
		return ok(c.roleRequest(d))
	}
	if access.KindOf(err) != access.KindNotFound {
		return reply{}, err
	}
	change, err := c.namedChange(access.OfAssignment, scope)
	if err == nil {
		return ok(roleChange(change))
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
	view, err := c.askRole()
	return reply{status: http.StatusCreated, body: view}, err
}

// askRole makes the request that the body says.
func (c *call) askRole() (map[string]any, error) {
	w, err := c.readSchedule()
	if err != nil {
		return nil, err
	}
	var view map[string]any
	switch w.kind {
	case "selfactivate":
		view, err = c.activate(w, nil)
	case "selfextend":
		view, err = c.extend(w)
	case "selfrenew":
		view, err = c.renew(w)
	default:
		view, err = c.changeRole(access.OfAssignment, w)
	}
	if err != nil {
		return nil, scheduleRefusal(err)
	}
	return view, nil
}

// roleRequestKinds gives the types of request about a role that somebody has.
func roleRequestKinds() []string {
	return []string{
		"SelfActivate", "SelfDeactivate", "SelfExtend", "SelfRenew", "AdminAssign", "AdminUpdate",
		"AdminExtend", "AdminRenew", "AdminRemove",
	}
}

// mine refuses what somebody asks for in another's name: only the caller can activate, extend and deactivate for
// themselves.
func (c *call) mine(w wanted) error {
	if w.principal != "" && !strings.EqualFold(w.principal, string(c.caller.Principal)) {
		return access.Fault(access.KindForbidden, "AuthorizationFailed",
			"requests whose type begins with Self are for oneself: principalId must be your own id, %s",
			c.caller.Principal)
	}
	return nil
}

// activate asks for a role that the caller is eligible for. The same call again gives the same request.
func (c *call) activate(w wanted, tags map[string]string) (map[string]any, error) {
	if err := c.mine(w); err != nil {
		return nil, err
	}
	role := requests.EligibleRole{Role: w.role, Scope: w.scope}
	if w.linked != "" {
		d, err := c.engine().Roles.Eligibility(c.Context(), c.caller, w.linked)
		if err != nil {
			return nil, err
		}
		if !d.Eligibility.Scope.Equal(w.scope) || string(d.Eligibility.Role) != w.role {
			return nil, access.Fault(access.KindInvalid, "notEligible",
				"the eligibility %s is of another role or scope", w.linked)
		}
		role.Eligibility = w.linked
	}
	made, err := c.engine().Requests.Activate(c.Context(), c.caller, requests.ActivateInput{
		ID: access.RequestID(w.id), Tags: tags, Roles: []requests.EligibleRole{role}, Start: w.start,
		Duration: w.length, Until: w.until,
		Justification: w.justification, Ticket: w.ticket, IdempotencyKey: "arm/" + w.id,
	})
	if err != nil {
		return nil, err
	}
	return c.roleRequest(made), nil
}

// extend asks for a later end of an activation, under its eligibility's rule; where the role was given and not
// activated, it asks an administrator.
func (c *call) extend(w wanted) (map[string]any, error) {
	if err := c.mine(w); err != nil {
		return nil, err
	}
	made, err := c.engine().Roles.ExtendRole(c.Context(), c.caller,
		roles.RoleChangeInput{Target: w.target, Role: w.role, Scope: w.scope}, requests.ExtendInput{
			ID: access.RequestID(w.id), Until: w.end(c.api.config.Now()), Justification: w.justification,
			Ticket: w.ticket,
		})
	if access.CodeOf(err) == "nothingToChange" {
		return c.changeRole(access.OfAssignment, w)
	}
	if err != nil {
		return nil, err
	}
	return c.roleRequest(made), nil
}

// renewed is the tag of a request that activates a role anew.
const renewed = "requestType"

// renew asks an administrator for more time of a role that was given; what was activated is activated anew, under its
// eligibility's rule.
func (c *call) renew(w wanted) (map[string]any, error) {
	if err := c.mine(w); err != nil {
		return nil, err
	}
	view, err := c.changeRole(access.OfAssignment, w)
	switch access.CodeOf(err) {
	case "nothingToChange", "roleActivated":
		return c.activate(w, map[string]string{renewed: w.given})
	}
	return view, err
}

// cancelRoleRequest takes a request back that waits for a decision.
func cancelRoleRequest(c *call) (reply, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return reply{}, err
	}
	d, err := c.namedRequest(scope)
	switch {
	case err == nil:
		_, err = c.engine().Requests.Cancel(c.Context(), c.caller, d.Request.ID, "")
	case access.KindOf(err) == access.KindNotFound:
		err = c.cancelChange(access.OfAssignment, scope)
	}
	return reply{status: http.StatusOK}, err
}

// validateRoleRequest says what the PUT of the same would say, and makes nothing.
func validateRoleRequest(c *call) (reply, error) { return c.validated(c.askRole) }

// validated tries what a PUT does.
func (c *call) validated(ask func() (map[string]any, error)) (reply, error) {
	c.Request = c.WithContext(engine.Trial(c.Context()))
	view, err := ask()
	if err != nil {
		return reply{}, err
	}
	if properties, is := view["properties"].(map[string]any); is {
		if properties["status"] == "Provisioned" {
			properties["status"] = "Granted" // it would be, and is not
		}
		properties["approvalId"] = nil
	}
	return ok(view)
}
