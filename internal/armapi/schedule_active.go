package armapi

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// active is a role that somebody has, or will have: assigned, or activated by an eligibility.
type active struct {
	subject

	assignment  rbac.Assignment
	eligibility access.EligibilityID // empty: it was assigned
	request     string               // name of the request that it came by
	member      string
}

func (a active) name() string { return string(a.assignment.ID) }

func (a active) began() time.Time {
	if a.assignment.Start.IsZero() {
		return a.assignment.CreatedAt
	}
	return a.assignment.Start
}

// linked gives the id of the eligibility's resource of a kind, null for what was assigned.
func (a active) linked(kind string) any {
	if a.eligibility == "" {
		return nil
	}
	return scheduleID(a.scope, kind, string(a.eligibility))
}

func (a active) assignmentType() string {
	if a.eligibility == "" {
		return "Assigned"
	}
	return "Activated"
}

func schedule(a active) map[string]any {
	return a.view("roleAssignmentSchedules", a.name(), map[string]any{
		"assignmentType": a.assignmentType(), "memberType": a.member, "status": "Provisioned",
		"createdOn": stamp(a.assignment.CreatedAt), "updatedOn": stamp(a.assignment.CreatedAt),
		"startDateTime": stamp(a.began()), "endDateTime": instant(a.assignment.End),
		"linkedRoleEligibilityScheduleId": a.linked("roleEligibilitySchedules"),
		"roleAssignmentScheduleRequestId": scheduleID(a.scope, "roleAssignmentScheduleRequests", a.request),
	})
}

func scheduleInstance(a active) map[string]any {
	return a.view("roleAssignmentScheduleInstances", a.name(), map[string]any{
		"assignmentType": a.assignmentType(), "memberType": a.member, "status": "Provisioned",
		"createdOn":     stamp(a.assignment.CreatedAt),
		"startDateTime": stamp(a.began()), "endDateTime": instant(a.assignment.End),
		"roleAssignmentScheduleId":                scheduleID(a.scope, "roleAssignmentSchedules", a.name()),
		"originRoleAssignmentId":                  assignmentID(a.assignment),
		"linkedRoleEligibilityScheduleId":         a.linked("roleEligibilitySchedules"),
		"linkedRoleEligibilityScheduleInstanceId": a.linked("roleEligibilityScheduleInstances"),
	})
}

// listActive answers with the roles that the $filter asks for, as show writes them. Instances are of now.
func listActive(show func(active) map[string]any) func(*call) (reply, error) {
	return func(c *call) (reply, error) {
		n, err := c.narrowing()
		if err != nil {
			return reply{}, err
		}
		all, err := c.activeRoles(n)
		if err != nil {
			return reply{}, err
		}
		value := []any{}
		for _, a := range all {
			view := show(a)
			if view["type"] == "Microsoft.Authorization/roleAssignmentScheduleInstances" && !inForce(a.assignment,
				c.api.config.Now()) {
				continue
			}
			if n.shown(view) {
				value = append(value, view)
			}
		}
		return ok(list{Value: value})
	}
}

func inForce(a rbac.Assignment, now time.Time) bool {
	return !now.Before(a.Start) && (a.End.IsZero() || now.Before(a.End))
}

func getActive(show func(active) map[string]any) func(*call) (reply, error) {
	return func(c *call) (reply, error) {
		scope, err := c.authorizationScope()
		if err != nil {
			return reply{}, err
		}
		a, err := c.oneActive(scope)
		if err != nil {
			return reply{}, err
		}
		return ok(show(a))
	}
}

// oneActive gives the role that the path names: one of the caller's own, or one that they may read.
func (c *call) oneActive(scope access.ResourceID) (active, error) {
	for _, own := range []bool{true, false} {
		all, err := c.activeRoles(narrowing{at: scope, over: true, own: own})
		if err != nil {
			return active{}, err
		}
		for _, a := range all {
			if strings.EqualFold(a.name(), c.vars["id"]) && a.scope.Equal(scope) {
				return a, nil
			}
		}
	}
	return active{}, access.Fault(access.KindNotFound, "RoleAssignmentScheduleNotFound",
		"There is no role assignment schedule '%s' here.", clip(c.vars["id"]))
}

// activeRoles gives role assignments, and the caller's own activations, which they see without any right.
func (c *call) activeRoles(n narrowing) ([]active, error) {
	activations, err := c.activations(n.own)
	if err != nil {
		return nil, err
	}
	f := roles.AssignmentFilter{Principal: string(n.principal), Role: string(n.role)}
	if f.Around = n.at; n.over {
		f.Around, f.Over = "", n.at
	}
	if n.own {
		f.Holder = string(c.caller.Principal)
	}
	assignments, err := c.assignments(f)
	if n.own && access.KindOf(err) == access.KindForbidden {
		assignments, err = nil, nil
	}
	if err != nil {
		return nil, assignRefusal(err)
	}
	all := make([]active, 0, len(assignments)+len(activations))
	for _, d := range assignments {
		a := active{
			subject: subject{d.Assignment.Scope, d.Role, d.Principal}, assignment: d.Assignment,
			request: string(d.Assignment.ID), member: "Direct",
		}
		switch {
		case n.own && d.Principal.Kind == access.Group:
			a.member = "Group"
		case !d.Assignment.Scope.Within(n.at):
			a.member = "Inherited"
		}
		if g, is := activations[a.name()]; is {
			a.eligibility, a.request = g.Target.Guard().Eligibility, string(g.Request)
			delete(activations, a.name())
		}
		all = append(all, a)
	}
	if !n.own {
		return all, nil
	}
	for _, id := range slices.Sorted(maps.Keys(activations)) {
		g := activations[id]
		if role, is := roleIn(g.Target); is && n.keeps(role.Scope, role.ID) {
			all = append(all, c.activated(g, role))
		}
	}
	return all, nil
}

// activated shows the grant of a role as the role assignment that enforces it.
func (c *call) activated(g access.Grant, role access.RoleTarget) active {
	return active{
		subject: subject{
			role.Scope, roleOf(role),
			access.Principal{ID: g.Principal, Name: g.PrincipalName, Kind: c.kind(g.Principal)},
		},
		eligibility: role.Eligibility, request: string(g.Request), member: "Direct",
		assignment: rbac.Assignment{
			ID: rbac.AssignmentID(g.ID), Principal: g.Principal, Definition: role.ID,
			Scope: role.Scope, Start: g.Start, End: g.End, CreatedAt: g.CreatedAt,
		},
	}
}

// roleOf gives what a request or a grant keeps of its role.
func roleOf(r access.RoleTarget) rbac.Definition {
	d := rbac.Definition{ID: r.ID, Name: r.Name}
	d.BuiltIn = slices.ContainsFunc(rbac.BuiltIn(), func(b rbac.Definition) bool { return b.ID == r.ID })
	return d
}

// activations gives the grants of roles that have not ended, by name: the caller's own, or all that they may see.
func (c *call) activations(own bool) (map[string]access.Grant, error) {
	f := engine.GrantFilter{Roles: true, States: access.NotEnded()}
	if own {
		f.Principal = c.caller.Principal
	}
	all := map[string]access.Grant{}
	for page := (engine.Page{Limit: 1000}); ; {
		listed, err := c.engine().Requests.Grants(c.Context(), c.caller, f, page)
		if err != nil {
			return nil, err
		}
		for _, d := range listed.Items {
			all[string(d.Grant.ID)] = d.Grant
		}
		if page.Cursor = listed.Next; page.Cursor == "" {
			return all, nil
		}
	}
}
