package armapi

import (
	"net/http"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// eligible is a role that somebody may activate.
type eligible struct {
	subject

	access.Eligibility

	member string
}

func (c *call) eligible(d engine.EligibilityDetail, n narrowing) eligible {
	e := eligible{subject{d.Eligibility.Scope, d.Role, d.Principal}, d.Eligibility, "Direct"}
	switch {
	case n.own && d.Principal.Kind == access.Group:
		e.member = "Group"
	case n.at != "" && !e.scope.Within(n.at):
		e.member = "Inherited"
	}
	return e
}

func (e eligible) began() any {
	if e.Start.IsZero() {
		return stamp(e.CreatedAt)
	}
	return stamp(e.Start)
}

func eligibilitySchedule(e eligible) map[string]any {
	return e.view("roleEligibilitySchedules", string(e.ID), map[string]any{
		"memberType": e.member, "status": "Provisioned", "startDateTime": e.began(), "endDateTime": instant(e.End), "createdOn": stamp(e.CreatedAt), "updatedOn": stamp(e.UpdatedAt),
		"roleEligibilityScheduleRequestId": scheduleID(e.scope, "roleEligibilityScheduleRequests", string(e.ID)),
	})
}

func eligibilityInstance(e eligible) map[string]any {
	return e.view("roleEligibilityScheduleInstances", string(e.ID), map[string]any{
		"memberType": e.member, "status": "Provisioned", "startDateTime": e.began(), "endDateTime": instant(e.End), "createdOn": stamp(e.CreatedAt),
		"roleEligibilityScheduleId": scheduleID(e.scope, "roleEligibilitySchedules", string(e.ID)),
	})
}

// eligibilityRequest shows the request that made an eligibility: it is gone with it.
func eligibilityRequest(e eligible) map[string]any {
	return e.view("roleEligibilityScheduleRequests", string(e.ID), map[string]any{
		"requestType": "AdminAssign", "status": "Provisioned", "approvalId": nil, "requestorId": e.CreatedBy, "createdOn": stamp(e.CreatedAt), "justification": nil,
		"scheduleInfo":                    map[string]any{"startDateTime": e.began(), "expiration": expiration(e.End)},
		"targetRoleEligibilityScheduleId": e.ID, "targetRoleEligibilityScheduleInstanceId": e.ID, "ticketInfo": map[string]any{"ticketNumber": nil, "ticketSystem": nil},
	})
}

// listEligible answers with the eligibilities that the $filter asks for, as show writes them. Instances are of now.
func listEligible(show func(eligible) map[string]any) func(*call) (reply, error) {
	return func(c *call) (reply, error) {
		n, err := c.narrowing("asRequestor()", "asApprover()")
		if err != nil {
			return reply{}, err
		}
		value := []any{}
		if n.decides {
			return ok(list{Value: value}) // nobody decides on eligibilities: they are given
		}
		found, err := c.eligibilities(n)
		if err != nil {
			return reply{}, err
		}
		now := c.api.config.Now()
		for _, d := range found {
			e := c.eligible(d, n)
			view := show(e)
			if view["type"] == "Microsoft.Authorization/roleEligibilityScheduleInstances" && !e.InForce(now) || n.asked && e.CreatedBy != c.caller.Principal {
				continue
			}
			if n.shown(view) {
				value = append(value, view)
			}
		}
		return ok(list{Value: value})
	}
}

// eligibilities gives what the $filter asks for: the caller's own, or those that they may read.
func (c *call) eligibilities(n narrowing) ([]engine.EligibilityDetail, error) {
	var found []engine.EligibilityDetail
	if n.own {
		all, err := c.engine().EligibleRoles(c.Context(), c.caller)
		if err != nil {
			return nil, err
		}
		found = all
	} else {
		f := engine.EligibilityFilter{Principal: n.principal, Role: n.role}
		for page := (engine.Page{Limit: 1000}); ; {
			listed, err := c.engine().Eligibilities(c.Context(), c.caller, f, page)
			if err != nil {
				return nil, err
			}
			found = append(found, listed.Items...)
			if page.Cursor = listed.Next; page.Cursor == "" {
				break
			}
		}
	}
	var kept []engine.EligibilityDetail
	for _, d := range found {
		if n.keeps(d.Eligibility.Scope, d.Eligibility.Role) && (n.principal == "" || n.own || d.Eligibility.Principal == n.principal) {
			kept = append(kept, d)
		}
	}
	return kept, nil
}

// namedEligibility gives the eligibility with that name at the scope.
func (c *call) namedEligibility(name string, scope access.ResourceID) (engine.EligibilityDetail, error) {
	d, err := c.engine().Eligibility(c.Context(), c.caller, access.EligibilityID(strings.ToLower(name)))
	if err == nil && !d.Eligibility.Scope.Equal(scope) {
		err = access.Fault(access.KindNotFound, "RoleEligibilityScheduleNotFound", "There is no eligibility '%s' at %s.", clip(name), scope)
	}
	return d, err
}

func getEligible(show func(eligible) map[string]any) func(*call) (reply, error) {
	return func(c *call) (reply, error) {
		scope, err := c.authorizationScope()
		if err != nil {
			return reply{}, err
		}
		d, err := c.namedEligibility(c.vars["id"], scope)
		if err != nil {
			return reply{}, err
		}
		return ok(show(c.eligible(d, narrowing{})))
	}
}

func putEligibilityRequest(c *call) (reply, error) {
	w, err := c.readSchedule()
	if err != nil {
		return reply{}, err
	}
	var view map[string]any
	switch w.kind {
	case "adminassign":
		view, err = c.makeEligible(w)
	case "adminupdate", "adminextend", "adminrenew":
		view, err = c.changeEligible(w)
	case "adminremove":
		view, err = c.removeEligible(w)
	default:
		err = unsupportedRequest(w.given, eligibilityRequestKinds()...)
	}
	if err != nil {
		return reply{}, policyFailed(assignRefusal(err))
	}
	return reply{status: http.StatusCreated, body: view}, nil
}

func eligibilityRequestKinds() []string {
	return []string{"AdminAssign", "AdminUpdate", "AdminExtend", "AdminRenew", "AdminRemove"}
}

// makeEligible makes an eligibility with the request's name. Azure has one rule for each role at a scope, whoever is eligible:
// so where there is an eligibility for that already, the new one has its rule, and never an easier one.
func (c *call) makeEligible(w wanted) (map[string]any, error) {
	in := engine.EligibilityInput{
		ID: access.EligibilityID(w.id), Principal: w.principal, Role: w.role, Scope: w.scope, Start: w.from, End: w.end(c.api.config.Now()),
	}
	others, err := c.eligibilities(narrowing{at: w.scope, role: access.RoleID(strings.ToLower(w.role))})
	if err != nil {
		return nil, err
	}
	for _, d := range others {
		e := d.Eligibility
		if !e.Scope.Equal(w.scope) || e.Origin != "" {
			continue
		}
		if string(e.ID) == w.id && string(e.Principal) == w.principal {
			return eligibilityRequest(c.eligible(d, narrowing{})), nil // the call was repeated
		}
		in = withTerms(in, e)
	}
	d, err := c.engine().WriteEligibility(c.Context(), c.caller, in)
	if err != nil {
		return nil, err
	}
	return eligibilityRequest(c.eligible(d, narrowing{})), nil
}

func withTerms(in engine.EligibilityInput, e access.Eligibility) engine.EligibilityInput {
	in.Max, in.Justification, in.Ticket, in.Approval, in.PendingTimeout = e.Max, e.Justification, e.Ticket, e.Approval, e.PendingTimeout
	return in
}

// targeted gives the eligibility that a request is about: the one that it names, or the one of its principal, role and scope.
func (c *call) targeted(w wanted) (engine.EligibilityDetail, error) {
	if w.target != "" {
		return c.namedEligibility(w.target, w.scope)
	}
	found, err := c.eligibilities(narrowing{at: w.scope, principal: access.PrincipalID(strings.ToLower(w.principal)), role: access.RoleID(strings.ToLower(w.role))})
	if err != nil {
		return engine.EligibilityDetail{}, err
	}
	for _, d := range found {
		if d.Eligibility.Scope.Equal(w.scope) {
			return d, nil
		}
	}
	return engine.EligibilityDetail{}, access.Fault(access.KindInvalid, "RoleAssignmentDoesNotExist", "The Role assignment does not exist: nobody %s is eligible for this role at %s.", clip(w.principal), w.scope)
}

// changeEligible gives an eligibility another window, and leaves its rule.
func (c *call) changeEligible(w wanted) (map[string]any, error) {
	d, err := c.targeted(w)
	if err != nil {
		return nil, err
	}
	e := d.Eligibility
	in := withTerms(engine.EligibilityInput{
		ID: e.ID, Was: e.Revision, Principal: string(e.Principal), Role: string(e.Role), Scope: e.Scope, Start: e.Start, End: w.end(c.api.config.Now()),
	}, e)
	if !w.from.IsZero() {
		in.Start = w.from
	}
	if d, err = c.engine().WriteEligibility(c.Context(), c.caller, in); err != nil {
		return nil, err
	}
	return w.settled(c.eligible(d, narrowing{}), "Provisioned"), nil
}

// removeEligible takes an eligibility away, and with it what is active by it.
func (c *call) removeEligible(w wanted) (map[string]any, error) {
	d, err := c.targeted(w)
	if err != nil {
		return nil, err
	}
	if err := c.engine().DeleteEligibility(c.Context(), c.caller, d.Eligibility.ID); err != nil {
		return nil, err
	}
	return w.settled(c.eligible(d, narrowing{}), "Revoked"), nil
}

// settled shows a request that changed an eligibility.
func (w *wanted) settled(e eligible, status string) map[string]any {
	view := eligibilityRequest(e)
	view["id"], view["name"] = scheduleID(w.scope, "roleEligibilityScheduleRequests", w.id), w.id
	if properties, is := view["properties"].(map[string]any); is {
		properties["requestType"], properties["status"], properties["justification"] = w.given, status, w.justification
	}
	return view
}

// cancelEligibilityRequest refuses: such requests are done when they are answered, and none of them waits.
func cancelEligibilityRequest(c *call) (reply, error) {
	scope, err := c.authorizationScope()
	if err == nil {
		_, err = c.namedEligibility(c.vars["id"], scope)
	}
	if err != nil {
		return reply{}, err
	}
	return reply{}, access.Fault(access.KindInvalid, "RoleAssignmentRequestCannotBeCanceled", "The request was carried out when it was made: take the eligibility away by a request of type AdminRemove.")
}

func validateEligibilityRequest(c *call) (reply, error) {
	w, err := c.readSchedule()
	if err != nil {
		return reply{}, err
	}
	if !containsFold(eligibilityRequestKinds(), w.kind) {
		return reply{}, unsupportedRequest(w.given, eligibilityRequestKinds()...)
	}
	return ok(w.echo("roleEligibilityScheduleRequests"))
}

// listEligibleChildren lists the scopes below at which the caller may activate a role.
func listEligibleChildren(c *call) (reply, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return reply{}, err
	}
	kinds, err := childKinds(c.query("$filter"))
	if err != nil {
		return reply{}, err
	}
	all, err := c.engine().EligibleRoles(c.Context(), c.caller)
	if err != nil {
		return reply{}, err
	}
	value, seen := []any{}, map[string]bool{}
	for _, d := range all {
		child := d.Eligibility.Scope
		if child.Equal(scope) || !child.Within(scope) || seen[child.Fold()] || len(kinds) > 0 && !containsFold(kinds, scopeType(child)) {
			continue
		}
		seen[child.Fold()] = true
		value = append(value, map[string]any{"id": child, "name": child.Name(), "type": scopeType(child)})
	}
	return ok(list{Value: value})
}

// childKinds reads resourceType eq 'subscription' or resourceType eq 'resourcegroup', the one $filter whose conditions are
// alternatives.
func childKinds(text string) ([]string, error) {
	var kinds []string
	for rest := strings.TrimSpace(text); rest != ""; {
		one, after, valid := cutCondition(rest)
		if !valid || one.field != "resourcetype" || one.operator != "eq" {
			return nil, access.Fault(access.KindInvalid, "InvalidFilter", "the $filter cannot be read at %q: write resourceType eq 'subscription' or resourceType eq 'resourcegroup'", clip(rest))
		}
		kinds = append(kinds, one.value)
		rest = strings.TrimSpace(after)
		if len(rest) > 3 && strings.EqualFold(rest[:3], "or ") {
			rest = strings.TrimSpace(rest[3:])
		} else if rest != "" {
			return nil, access.Fault(access.KindInvalid, "InvalidFilter", "the $filter cannot be read at %q: join conditions by or", clip(rest))
		}
	}
	return kinds, nil
}
