package armapi

import (
	"maps"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// changeKinds gives Azure's types of requests that are changes of roles, and what the engine calls them.
func changeKinds() map[access.RoleChangeKind]string {
	return map[access.RoleChangeKind]string{
		access.RoleChangeAssign: "AdminAssign", access.RoleChangeUpdate: "AdminUpdate",
		access.RoleChangeExtend: "AdminExtend",
		access.RoleChangeRenew:  "AdminRenew", access.RoleChangeRemove: "AdminRemove",
		access.RoleChangeGiveBack:  "SelfDeactivate",
		access.RoleChangeAskExtend: "SelfExtend", access.RoleChangeAskRenew: "SelfRenew",
	}
}

// requestKindOf gives the type of the requests about a subject.
func requestKindOf(of access.RoleSubject) string {
	if of == access.OfEligibility {
		return "roleEligibilityScheduleRequests"
	}
	return requestKind
}

// changeRole makes the change of a role that is wanted.
func (c *call) changeRole(of access.RoleSubject, w wanted) (map[string]any, error) {
	in := roles.RoleChangeInput{
		ID: access.RoleChangeID(w.id), Of: of, Target: w.target, Principal: w.principal, Role: w.role, Scope: w.scope,
		Start: w.from, End: w.end(c.api.config.Now()),
		Justification: w.justification, Ticket: w.ticket,
	}
	for kind, name := range changeKinds() {
		if strings.EqualFold(name, w.given) {
			in.Kind = kind
		}
	}
	switch in.Kind {
	case "":
		return nil, unsupportedRequest(w.given, requestKinds(of)...)
	case access.RoleChangeGiveBack:
		if err := c.mine(w); err != nil {
			return nil, err
		}
	case access.RoleChangeUpdate, access.RoleChangeExtend, access.RoleChangeRenew, access.RoleChangeAskExtend,
		access.RoleChangeAskRenew:
		if !w.timed {
			return nil, access.Fault(access.KindInvalid, "InvalidParameter",
				"say in scheduleInfo.expiration until when it is to be, or NoExpiration")
		}
	case access.RoleChangeAssign, access.RoleChangeRemove:
	}
	if in.Kind.Asks() && in.Principal == "" {
		in.Principal = string(c.caller.Principal)
	}
	d, err := c.engine().Roles.ChangeRole(c.Context(), c.caller, in)
	if err != nil {
		return nil, err
	}
	return roleChange(d), nil
}

// requestKinds gives the types of requests that there are about a subject.
func requestKinds(of access.RoleSubject) []string {
	if of == access.OfEligibility {
		return eligibilityRequestKinds()
	}
	return roleRequestKinds()
}

// roleChange shows the request that a change was made by.
func roleChange(d roles.RoleChangeDetail) map[string]any {
	made := d.Change
	s := subject{
		made.Scope, roleOf(access.RoleTarget{ID: made.Role, Name: made.RoleName}),
		access.Principal{ID: made.Principal, Name: made.PrincipalName, Kind: made.PrincipalKind},
	}
	start, end := made.Start, made.End
	if start.IsZero() || made.Kind == access.RoleChangeRemove || made.Kind == access.RoleChangeGiveBack {
		start = made.CreatedAt
	}
	properties := map[string]any{
		"requestType": changeKinds()[made.Kind], "status": changeStatus(d), "approvalId": nil,
		"requestorId": made.Requester, "createdOn": stamp(made.CreatedAt),
		"justification": made.Justification,
		"ticketInfo":    map[string]any{"ticketNumber": orNull(made.Ticket), "ticketSystem": nil},
		"scheduleInfo":  map[string]any{"startDateTime": stamp(start), "expiration": expiration(end)},
	}
	if made.Of == access.OfEligibility {
		properties["targetRoleEligibilityScheduleId"] = made.Target
		properties["targetRoleEligibilityScheduleInstanceId"] = made.Target
		return s.view(requestKindOf(made.Of), string(made.ID), properties)
	}
	properties["targetRoleAssignmentScheduleId"] = made.Target
	properties["targetRoleAssignmentScheduleInstanceId"] = made.Target
	properties["linkedRoleEligibilityScheduleId"] = nil
	if made.Eligibility != "" {
		properties["linkedRoleEligibilityScheduleId"] = scheduleID(made.Scope, "roleEligibilitySchedules",
			string(made.Eligibility))
	}
	return s.view(requestKindOf(made.Of), string(made.ID), properties)
}

// changeStatus gives Azure's word for how a change stands.
func changeStatus(d roles.RoleChangeDetail) string {
	switch {
	case d.Change.State == access.RoleChangeCanceled:
		return "Canceled"
	case d.Change.State == access.RoleChangeWaiting && d.Standing:
		return "PendingAdminDecision"
	case d.Change.State == access.RoleChangeWaiting:
		return "Denied" // what more time was asked for was taken away
	case d.Standing:
		return "Provisioned"
	}
	return "Revoked"
}

// roleChanges gives the changes that the $filter asks for, as requests, page by page.
func (c *call) roleChanges(of access.RoleSubject, n narrowing) source {
	f := engine.RoleChangeFilter{Of: of, Principal: n.principal, Role: n.role, NeedsMe: n.decides}
	if n.own {
		f.Principal = c.caller.Principal
	}
	if n.asked {
		f.Requester = c.caller.Principal
	}
	return func(page engine.Page) ([]map[string]any, string, error) {
		listed, err := c.engine().Roles.RoleChanges(c.Context(), c.caller, f, page)
		if err != nil {
			return nil, "", err
		}
		var views []map[string]any
		for _, d := range listed.Items {
			if n.keeps(d.Change.Scope, d.Change.Role) && (n.principal == "" || n.principal == d.Change.Principal) {
				views = append(views, roleChange(d))
			}
		}
		return views, listed.Next, nil
	}
}

// unrecorded gives those of the views whose names are of no change on record, by name.
func (c *call) unrecorded(views map[access.RoleChangeID]map[string]any) ([]map[string]any, error) {
	recorded, err := c.engine().Roles.RecordedChanges(c.Context(), c.caller, slices.Collect(maps.Keys(views)))
	if err != nil {
		return nil, err
	}
	var rest []map[string]any
	for _, id := range slices.Sorted(maps.Keys(views)) {
		if !recorded[id] {
			rest = append(rest, views[id])
		}
	}
	return rest, nil
}

// namedChange gives the change that the path names.
func (c *call) namedChange(of access.RoleSubject, scope access.ResourceID) (roles.RoleChangeDetail, error) {
	d, err := c.engine().Roles.RoleChange(c.Context(), c.caller, access.RoleChangeID(c.vars["id"]))
	if err == nil && (d.Change.Of != of || !d.Change.Scope.Within(scope)) {
		err = access.Fault(access.KindNotFound, "RoleAssignmentScheduleRequestNotFound",
			"There is no request '%s' here.", clip(c.vars["id"]))
	}
	return d, err
}

// cancelChange takes back what waits for an administrator.
func (c *call) cancelChange(of access.RoleSubject, scope access.ResourceID) error {
	d, err := c.namedChange(of, scope)
	if err != nil {
		return err
	}
	if err = c.engine().Roles.CancelRoleChange(c.Context(), c.caller,
		d.Change.ID); access.CodeOf(err) == "roleChangeSettled" {
		return notCancelable()
	}
	return err
}

func notCancelable() error {
	return access.Fault(access.KindInvalid, "RoleAssignmentRequestCannotBeCanceled",
		"The request was carried out when it was made, or is over: take away what it made by a request of type "+
			"AdminRemove.")
}

// scheduleRefusal puts the engine's refusals into Azure's words.
func scheduleRefusal(err error) error {
	if access.CodeOf(err) == "nothingToChange" {
		return access.Fault(access.KindInvalid, "RoleAssignmentDoesNotExist", "The Role assignment does not exist: %s",
			err.Error())
	}
	return policyFailed(assignRefusal(err))
}
