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
		"memberType": e.member, "status": "Provisioned", "startDateTime": e.began(), "endDateTime": instant(e.End),
		"createdOn": stamp(e.CreatedAt), "updatedOn": stamp(e.UpdatedAt),
		"roleEligibilityScheduleRequestId": scheduleID(e.scope, "roleEligibilityScheduleRequests", string(e.ID)),
	})
}

func eligibilityInstance(e eligible) map[string]any {
	return e.view("roleEligibilityScheduleInstances", string(e.ID), map[string]any{
		"memberType": e.member, "status": "Provisioned", "startDateTime": e.began(), "endDateTime": instant(e.End),
		"createdOn":                 stamp(e.CreatedAt),
		"roleEligibilityScheduleId": scheduleID(e.scope, "roleEligibilitySchedules", string(e.ID)),
	})
}

// eligibilityRequest shows an eligibility that was made without a request as the request that it could have come by.
func eligibilityRequest(e eligible) map[string]any {
	return e.view("roleEligibilityScheduleRequests", string(e.ID), map[string]any{
		"requestType": "AdminAssign", "status": "Provisioned", "approvalId": nil, "requestorId": e.CreatedBy,
		"createdOn": stamp(e.CreatedAt), "justification": nil,
		"scheduleInfo":                    map[string]any{"startDateTime": e.began(), "expiration": expiration(e.End)},
		"targetRoleEligibilityScheduleId": e.ID, "targetRoleEligibilityScheduleInstanceId": e.ID,
		"ticketInfo": map[string]any{"ticketNumber": nil, "ticketSystem": nil},
	})
}

// listEligible answers with the eligibilities that the $filter asks for, as show writes them. Instances are of now.
func listEligible(show func(eligible) map[string]any) func(*call) (reply, error) {
	return func(c *call) (reply, error) {
		n, err := c.narrowing()
		if err != nil {
			return reply{}, err
		}
		value := []any{}
		found, err := c.eligibilities(n)
		if err != nil {
			return reply{}, err
		}
		now := c.api.config.Now()
		for _, d := range found {
			e := c.eligible(d, n)
			view := show(e)
			if view["type"] == "Microsoft.Authorization/roleEligibilityScheduleInstances" && !e.InForce(now) {
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
		all, err := c.engine().Roles.EligibleRoles(c.Context(), c.caller)
		if err != nil {
			return nil, err
		}
		found = all
	} else {
		f := engine.EligibilityFilter{Principal: n.principal, Role: n.role}
		for page := (engine.Page{Limit: 1000}); ; {
			listed, err := c.engine().Roles.Eligibilities(c.Context(), c.caller, f, page)
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
		if n.keeps(d.Eligibility.Scope,
			d.Eligibility.Role) && (n.principal == "" || n.own || d.Eligibility.Principal == n.principal) {
			kept = append(kept, d)
		}
	}
	return kept, nil
}

// namedEligibility gives the eligibility with that name at the scope.
func (c *call) namedEligibility(name string, scope access.ResourceID) (engine.EligibilityDetail, error) {
	d, err := c.engine().Roles.Eligibility(c.Context(), c.caller, access.EligibilityID(strings.ToLower(name)))
	if err == nil && !d.Eligibility.Scope.Equal(scope) {
		err = access.Fault(access.KindNotFound, "RoleEligibilityScheduleNotFound",
			"There is no eligibility '%s' at %s.", clip(name), scope)
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
	view, err := c.askEligibility()
	return reply{status: http.StatusCreated, body: view}, err
}

// askEligibility makes the request that the body says.
func (c *call) askEligibility() (map[string]any, error) {
	w, err := c.readSchedule()
	if err != nil {
		return nil, err
	}
	view, err := c.changeRole(access.OfEligibility, w)
	if err != nil {
		return nil, scheduleRefusal(err)
	}
	return view, nil
}

// eligibilityRequestKinds gives the types of request about an eligibility.
func eligibilityRequestKinds() []string {
	return []string{"AdminAssign", "AdminUpdate", "AdminExtend", "AdminRenew", "AdminRemove", "SelfExtend", "SelfRenew"}
}

// listEligibilityRequests lists the requests about eligibilities: those on record, and eligibilities that came by none.
func listEligibilityRequests(c *call) (reply, error) {
	n, err := c.narrowing("asRequestor()", "asApprover()")
	if err != nil {
		return reply{}, err
	}
	return c.paged(n.shown, c.roleChanges(access.OfEligibility, n),
		func(engine.Page) ([]map[string]any, string, error) {
			if n.decides {
				return nil, "", nil
			}
			found, err := c.eligibilities(n)
			if err != nil && (!n.asked || access.KindOf(err) != access.KindForbidden) {
				return nil, "", err
			}
			views := map[access.RoleChangeID]map[string]any{}
			for _, d := range found {
				if e := d.Eligibility; !n.asked || e.CreatedBy == c.caller.Principal {
					views[access.RoleChangeID(e.ID)] = eligibilityRequest(c.eligible(d, n))
				}
			}
			unrecorded, err := c.unrecorded(views)
			return unrecorded, "", err
		})
}

func getEligibilityRequest(c *call) (reply, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return reply{}, err
	}
	change, err := c.namedChange(access.OfEligibility, scope)
	if err == nil {
		return ok(roleChange(change))
	}
	if access.KindOf(err) != access.KindNotFound {
		return reply{}, err
	}
	d, err := c.namedEligibility(c.vars["id"], scope)
	if err != nil {
		return reply{}, err
	}
	return ok(eligibilityRequest(c.eligible(d, narrowing{})))
}

// cancelEligibilityRequest takes back what waits for an administrator. Other requests are done when they are answered.
func cancelEligibilityRequest(c *call) (reply, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return reply{}, err
	}
	err = c.cancelChange(access.OfEligibility, scope)
	if access.KindOf(err) == access.KindNotFound {
		if _, err = c.namedEligibility(c.vars["id"], scope); err == nil {
			err = notCancelable()
		}
	}
	return reply{status: http.StatusOK}, err
}

// validateEligibilityRequest says what the PUT of the same would say, and makes nothing.
func validateEligibilityRequest(c *call) (reply, error) { return c.validated(c.askEligibility) }

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
	all, err := c.engine().Roles.EligibleRoles(c.Context(), c.caller)
	if err != nil {
		return reply{}, err
	}
	value, seen := []any{}, map[string]bool{}
	for _, d := range all {
		child := d.Eligibility.Scope
		if child.Equal(scope) || !child.Within(
			scope) || seen[child.Fold()] || len(kinds) > 0 && !containsFold(kinds, scopeType(child)) {
			continue
		}
		seen[child.Fold()] = true
		value = append(value, map[string]any{"id": child, "name": child.Name(), "type": scopeType(child)})
	}
	return ok(list{Value: value})
}

// childKinds reads resourceType eq 'subscription' or resourceType eq 'resourcegroup', the one $filter whose conditions
// are alternatives.
func childKinds(text string) ([]string, error) {
	var kinds []string
	for rest := strings.TrimSpace(text); rest != ""; {
		one, after, valid := cutCondition(rest)
		if !valid || one.field != "resourcetype" || one.operator != "eq" {
			return nil, access.Fault(access.KindInvalid, "InvalidFilter",
				"the $filter cannot be read at %q: write resourceType eq 'subscription' or resourceType eq "+
					"'resourcegroup'",
				clip(rest))
		}
		kinds = append(kinds, one.value)
		rest = strings.TrimSpace(after)
		if len(rest) > 3 && strings.EqualFold(rest[:3], "or ") {
			rest = strings.TrimSpace(rest[3:])
		} else if rest != "" {
			return nil, access.Fault(access.KindInvalid, "InvalidFilter",
				"the $filter cannot be read at %q: join conditions by or", clip(rest))
		}
	}
	return kinds, nil
}
