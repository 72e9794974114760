package armapi

import (
	"net/http"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

func scheduleVersions() []string {
	return []string{"2020-10-01", "2020-10-01-preview", "2022-04-01-preview"}
}

// Schedules are Azure's view of role assignments with a beginning and an end. An administrator's request for one takes
// effect at once, and the assignment that it makes has its name.
func scheduleRoutes() []route {
	on := func(method, pattern string, handle func(*call) (reply, error)) route {
		return route{method: method, pattern: authorizationPath + pattern, versions: scheduleVersions(), handle: handle}
	}
	return []route{
		on(http.MethodPut, "/roleAssignmentScheduleRequests/{id}", putScheduleRequest),
		on(http.MethodGet, "/roleAssignmentScheduleRequests/{id}", one(scheduleRequest)),
		on(http.MethodGet, "/roleAssignmentScheduleRequests", listed(scheduleRequest)),
		on(http.MethodPost, "/roleAssignmentScheduleRequests/{id}/validate", validateSchedule),
		on(http.MethodGet, "/roleAssignmentSchedules/{id}", one(schedule)),
		on(http.MethodGet, "/roleAssignmentSchedules", listed(schedule)),
		on(http.MethodGet, "/roleAssignmentScheduleInstances/{id}", one(scheduleInstance)),
		on(http.MethodGet, "/roleAssignmentScheduleInstances", listed(scheduleInstance)),
	}
}

// one answers with one assignment as show writes it.
func one(show func(*call, engine.AssignmentDetail) map[string]any) func(*call) (reply, error) {
	return func(c *call) (reply, error) {
		d, err := c.oneAssignment()
		if err != nil {
			return reply{}, err
		}
		return ok(show(c, d))
	}
}

// listed answers with the assignments that the $filter allows, as show writes them.
func listed(show func(*call, engine.AssignmentDetail) map[string]any) func(*call) (reply, error) {
	return func(c *call) (reply, error) {
		f, err := c.assignmentFilter()
		if err != nil {
			return reply{}, err
		}
		all, err := c.assignments(f)
		if err != nil {
			return reply{}, err
		}
		value := make([]any, 0, len(all))
		for _, d := range all {
			value = append(value, show(c, d))
		}
		return ok(list{Value: value})
	}
}

// scheduled gives what all views of an assignment share.
func scheduled(d engine.AssignmentDetail, kind string, properties map[string]any) map[string]any {
	a := d.Assignment
	properties["scope"] = a.Scope
	properties["roleDefinitionId"] = roleID(a.Scope, a.Definition)
	properties["principalId"] = a.Principal
	properties["principalType"] = principalType(d.Principal.Kind)
	properties["condition"], properties["conditionVersion"] = nil, nil
	properties["createdOn"] = stamp(a.CreatedAt)
	properties["expandedProperties"] = map[string]any{
		"scope":          map[string]any{"id": a.Scope, "displayName": a.Scope.Name(), "type": ""},
		"roleDefinition": map[string]any{"id": roleID(a.Scope, a.Definition), "displayName": d.Role.Name, "type": kindOfRole(d.Role)},
		"principal":      map[string]any{"id": a.Principal, "displayName": d.Principal.Name, "type": principalType(d.Principal.Kind)},
	}
	return map[string]any{
		"id": strings.TrimSuffix(string(a.Scope), "/") + "/providers/Microsoft.Authorization/" + kind + "/" + string(a.ID), "name": a.ID,
		"type": "Microsoft.Authorization/" + kind, "properties": properties,
	}
}

func started(a rbac.Assignment) time.Time {
	if a.Start.IsZero() {
		return a.CreatedAt
	}
	return a.Start
}

// ended gives when an assignment ends as JSON has it, null where it does not.
func ended(a rbac.Assignment) any {
	if a.End.IsZero() {
		return nil
	}
	return stamp(a.End)
}

func schedule(_ *call, d engine.AssignmentDetail) map[string]any {
	a := d.Assignment
	return scheduled(d, "roleAssignmentSchedules", map[string]any{
		"assignmentType": "Assigned", "memberType": "Direct", "status": "Provisioned",
		"startDateTime": stamp(started(a)), "endDateTime": ended(a), "updatedOn": stamp(a.CreatedAt), "linkedRoleEligibilityScheduleId": nil,
	})
}

func scheduleInstance(_ *call, d engine.AssignmentDetail) map[string]any {
	a := d.Assignment
	return scheduled(d, "roleAssignmentScheduleInstances", map[string]any{
		"assignmentType": "Assigned", "memberType": "Direct", "status": "Provisioned",
		"startDateTime": stamp(started(a)), "endDateTime": ended(a), "roleAssignmentScheduleId": scheduled(d, "roleAssignmentSchedules", map[string]any{})["id"],
		"originRoleAssignmentId": assignmentID(a), "linkedRoleEligibilityScheduleId": nil, "linkedRoleEligibilityScheduleInstanceId": nil,
	})
}

func scheduleRequest(_ *call, d engine.AssignmentDetail) map[string]any {
	a := d.Assignment
	expiration := map[string]any{"type": "NoExpiration", "duration": nil, "endDateTime": nil}
	if !a.End.IsZero() {
		expiration["type"], expiration["endDateTime"] = "AfterDateTime", stamp(a.End)
	}
	return scheduled(d, "roleAssignmentScheduleRequests", map[string]any{
		"requestType": "AdminAssign", "status": "Provisioned", "approvalId": nil,
		"requestorId": a.CreatedBy, "justification": a.Description, "scheduleInfo": map[string]any{"startDateTime": stamp(started(a)), "expiration": expiration},
		"targetRoleAssignmentScheduleId": a.ID, "targetRoleAssignmentScheduleInstanceId": a.ID, "linkedRoleEligibilityScheduleId": nil,
		"ticketInfo": map[string]any{"ticketNumber": nil, "ticketSystem": nil},
	})
}

// scheduleBody is what a request for a schedule says.
type scheduleBody struct {
	Properties struct {
		Principal     string `json:"principalId"`
		Role          string `json:"roleDefinitionId"`
		Type          string `json:"requestType"`
		Justification string `json:"justification"`
		Info          *struct {
			Start      *string `json:"startDateTime"`
			Expiration *struct {
				Type     string  `json:"type"`
				Duration *string `json:"duration"`
				End      *string `json:"endDateTime"`
			} `json:"expiration"`
		} `json:"scheduleInfo"`
	} `json:"properties"`
}

// window gives from when to when the schedule asks for; zero bounds bound nothing.
func (b scheduleBody) window(now time.Time) (start, end time.Time, err error) {
	info := b.Properties.Info
	if info == nil {
		return start, end, nil
	}
	if info.Start != nil && *info.Start != "" {
		if start, err = parseStamp(*info.Start); err != nil {
			return start, end, err
		}
	}
	e := info.Expiration
	switch {
	case e == nil || strings.EqualFold(e.Type, "NoExpiration"):
	case strings.EqualFold(e.Type, "AfterDuration") && e.Duration != nil:
		var length time.Duration
		if length, err = parseDuration(*e.Duration); err != nil {
			return start, end, err
		}
		from := start
		if from.IsZero() {
			from = now
		}
		end = from.Add(length)
	case strings.EqualFold(e.Type, "AfterDateTime") && e.End != nil:
		end, err = parseStamp(*e.End)
	default:
		err = access.Fault(access.KindInvalid, "InvalidParameter", "the expiration %q is not AfterDuration with a duration, AfterDateTime with an endDateTime, or NoExpiration", clip(e.Type))
	}
	return start, end, err
}

// readSchedule reads the body of a request for a schedule.
func (c *call) readSchedule() (scheduleBody, engine.AssignInput, error) {
	var body scheduleBody
	scope, err := c.authorizationScope()
	if err == nil {
		err = c.decode(&body)
	}
	if err != nil {
		return body, engine.AssignInput{}, err
	}
	in := engine.AssignInput{
		ID: rbac.AssignmentID(c.vars["id"]), Principal: body.Properties.Principal, Role: access.ResourceID(body.Properties.Role).Name(),
		Scope: scope, Description: body.Properties.Justification,
	}
	in.Start, in.End, err = body.window(c.api.config.Now())
	return body, in, err
}

func putScheduleRequest(c *call) (reply, error) {
	body, in, err := c.readSchedule()
	if err != nil {
		return reply{}, err
	}
	switch kind := body.Properties.Type; {
	case strings.EqualFold(kind, "AdminAssign"):
		d, err := c.engine().AssignRole(c.Context(), c.caller, in)
		if err != nil {
			return reply{}, assignRefusal(err)
		}
		return reply{status: http.StatusCreated, body: scheduleRequest(c, d)}, nil
	case strings.EqualFold(kind, "AdminRemove"):
		return c.removeScheduled(in)
	default:
		return reply{}, unsupportedSchedule(kind)
	}
}

// removeScheduled takes the assignment away that has the principal, role and scope of the request.
func (c *call) removeScheduled(in engine.AssignInput) (reply, error) {
	all, err := c.assignments(engine.AssignmentFilter{Principal: in.Principal, Role: in.Role, Over: in.Scope})
	if err != nil {
		return reply{}, assignRefusal(err)
	}
	for _, d := range all {
		if !d.Assignment.Scope.Equal(in.Scope) {
			continue
		}
		if err := c.engine().UnassignRole(c.Context(), c.caller, d.Assignment.ID); err != nil {
			return reply{}, err
		}
		d.Assignment.ID = in.ID
		body := scheduleRequest(c, d)
		if properties, is := body["properties"].(map[string]any); is {
			properties["requestType"], properties["status"] = "AdminRemove", "Revoked"
		}
		return reply{status: http.StatusCreated, body: body}, nil
	}
	return reply{}, access.Fault(access.KindInvalid, "RoleAssignmentDoesNotExist", "The Role assignment does not exist.")
}

// unsupportedSchedule refuses what rests on eligibilities: nobody is eligible for a role here.
func unsupportedSchedule(kind string) error {
	return access.Fault(access.KindInvalid, "RoleAssignmentRequestPolicyValidationFailed",
		`The following policy rules failed: ["EligibilityRule"]: requests of type %q are not supported; use AdminAssign or AdminRemove`, clip(kind))
}

// validateSchedule checks the form of a request, and echoes it.
func validateSchedule(c *call) (reply, error) {
	body, in, err := c.readSchedule()
	if err != nil {
		return reply{}, err
	}
	if !strings.EqualFold(body.Properties.Type, "AdminAssign") && !strings.EqualFold(body.Properties.Type, "AdminRemove") {
		return reply{}, unsupportedSchedule(body.Properties.Type)
	}
	return ok(map[string]any{
		"id":   strings.TrimSuffix(string(in.Scope), "/") + "/providers/Microsoft.Authorization/roleAssignmentScheduleRequests/" + string(in.ID),
		"name": in.ID, "type": "Microsoft.Authorization/roleAssignmentScheduleRequests",
		"properties": map[string]any{"requestType": body.Properties.Type, "principalId": in.Principal, "roleDefinitionId": body.Properties.Role, "scope": in.Scope},
	})
}
