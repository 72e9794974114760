package armapi

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Privileged Identity Management is Azure's name for roles that are had for a while. Its schedules are a view of role
// assignments and eligibilities, and its requests one of requests for roles.

func scheduleVersions() []string {
	return []string{"2020-10-01", "2020-10-01-preview", "2022-04-01-preview"}
}

func scheduleRoutes() []route {
	on := func(method, pattern string, handle func(*call) (reply, error)) route {
		return route{
			method: method, pattern: authorizationPath + pattern, versions: scheduleVersions(),
			handle: func(c *call) (reply, error) {
				answer, err := handle(c)
				c.nameScopes(answer.body)
				return answer, err
			},
		}
	}
	return []route{
		on(http.MethodGet, "/roleAssignmentSchedules", listActive(schedule)),
		on(http.MethodGet, "/roleAssignmentSchedules/{id}", getActive(schedule)),
		on(http.MethodGet, "/roleAssignmentScheduleInstances", listActive(scheduleInstance)),
		on(http.MethodGet, "/roleAssignmentScheduleInstances/{id}", getActive(scheduleInstance)),
		on(http.MethodGet, "/roleAssignmentScheduleRequests", listRoleRequests),
		on(http.MethodGet, "/roleAssignmentScheduleRequests/{id}", getRoleRequest),
		on(http.MethodPut, "/roleAssignmentScheduleRequests/{id}", putRoleRequest),
		on(http.MethodPost, "/roleAssignmentScheduleRequests/{id}/cancel", cancelRoleRequest),
		on(http.MethodPost, "/roleAssignmentScheduleRequests/{id}/validate", validateRoleRequest),
		on(http.MethodGet, "/roleEligibilitySchedules", listEligible(eligibilitySchedule)),
		on(http.MethodGet, "/roleEligibilitySchedules/{id}", getEligible(eligibilitySchedule)),
		on(http.MethodGet, "/roleEligibilityScheduleInstances", listEligible(eligibilityInstance)),
		on(http.MethodGet, "/roleEligibilityScheduleInstances/{id}", getEligible(eligibilityInstance)),
		on(http.MethodGet, "/roleEligibilityScheduleRequests", listEligibilityRequests),
		on(http.MethodGet, "/roleEligibilityScheduleRequests/{id}", getEligibilityRequest),
		on(http.MethodPut, "/roleEligibilityScheduleRequests/{id}", putEligibilityRequest),
		on(http.MethodPost, "/roleEligibilityScheduleRequests/{id}/cancel", cancelEligibilityRequest),
		on(http.MethodPost, "/roleEligibilityScheduleRequests/{id}/validate", validateEligibilityRequest),
		on(http.MethodGet, "/eligibleChildResources", listEligibleChildren),
	}
}

// nameScopes gives the subscriptions in views of schedules the names that people know, where the caller may see them.
func (c *call) nameScopes(body any) {
	views := []any{body}
	if many, is := body.(list); is {
		views, _ = many.Value.([]any)
	}
	names := map[string]string{}
	for _, v := range views {
		view, _ := v.(map[string]any)
		properties, _ := view["properties"].(map[string]any)
		expanded, _ := properties["expandedProperties"].(map[string]any)
		scope, _ := expanded["scope"].(map[string]any)
		id, _ := scope["displayName"].(string)
		if id == "" || scope["type"] != "subscription" {
			continue
		}
		if _, asked := names[id]; !asked {
			names[id] = id
			if name, err := c.engine().Directory.SubscriptionName(c.Context(), c.caller,
				access.SubscriptionID(id)); err == nil {
				names[id] = name
			}
		}
		scope["displayName"] = names[id]
	}
}

// subject is who has a role where, or may have it: what all views of schedules share.
type subject struct {
	scope     access.ResourceID
	role      rbac.Definition
	principal access.Principal
}

// view gives a schedule, an instance or a request as a resource at the subject's scope.
func (s subject) view(kind, name string, properties map[string]any) map[string]any {
	role := roleID(s.scope, s.role.ID)
	properties["scope"], properties["roleDefinitionId"] = s.scope, role
	properties["principalId"], properties["principalType"] = s.principal.ID, principalType(s.principal.Kind)
	properties["condition"], properties["conditionVersion"] = nil, nil
	properties["expandedProperties"] = map[string]any{
		"scope":          map[string]any{"id": s.scope, "displayName": s.scope.Name(), "type": scopeType(s.scope)},
		"roleDefinition": map[string]any{"id": role, "displayName": s.role.Name, "type": kindOfRole(s.role)},
		"principal": map[string]any{
			"id": s.principal.ID, "displayName": s.principal.Name,
			"type": principalType(s.principal.Kind),
		},
	}
	return map[string]any{
		"id": scheduleID(s.scope, kind, name), "name": name,
		"type": "Microsoft.Authorization/" + kind, "properties": properties,
	}
}

func scheduleID(scope access.ResourceID, kind, name string) string {
	return strings.TrimSuffix(string(scope), "/") + "/providers/Microsoft.Authorization/" + kind + "/" + name
}

// scopeType writes what a scope is as Azure does.
func scopeType(scope access.ResourceID) string {
	switch {
	case scope.Segment("providers") != "":
		return "resource"
	case scope.Segment("resourceGroups") != "":
		return "resourcegroup"
	case scope.Segment("subscriptions") != "":
		return "subscription"
	}
	return "root"
}

// narrowing is what the $filter of a list of schedules says.
type narrowing struct {
	at        access.ResourceID
	over      bool // at and above alone
	own       bool // what the caller has or may have
	asked     bool // what the caller asked for
	decides   bool // what waits for the caller
	principal access.PrincipalID
	role      access.RoleID
	status    string
}

// narrowing reads the $filter. Only what is named in more may be there beside what all lists of schedules take.
func (c *call) narrowing(more ...string) (narrowing, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return narrowing{}, err
	}
	f, err := parseFilter(c.query("$filter"))
	if err == nil {
		err = f.only(slices.Concat([]string{
			"atScope()", "asTarget()", "principalId", "assignedTo()",
			"roleDefinitionId", "status",
		},
			more)...)
	}
	if err != nil {
		return narrowing{}, err
	}
	n := narrowing{at: scope}
	_, n.over = f.take("atscope()")
	_, n.own = f.take("astarget()")
	_, n.asked = f.take("asrequestor()")
	_, n.decides = f.take("asapprover()")
	n.status, _ = f.take("status")
	principal, _ := f.take("principalid")
	n.principal = access.PrincipalID(strings.ToLower(principal))
	role, _ := f.take("roledefinitionid")
	n.role = access.RoleID(strings.ToLower(access.ResourceID(role).Name()))
	if holder, has := f.take("assignedto()"); has {
		if !strings.EqualFold(holder, string(c.caller.Principal)) {
			return narrowing{}, access.Fault(access.KindInvalid, "InvalidFilter",
				"assignedTo() takes your own id here; for what somebody else has write principalId eq 'ID'")
		}
		n.own = true
	}
	return n, nil
}

// keeps tells whether the scope and the role of something are asked for.
func (n narrowing) keeps(scope access.ResourceID, role access.RoleID) bool {
	return (n.role == "" || strings.EqualFold(string(n.role),
		string(role))) && (n.at.Within(scope) || !n.over && scope.Within(n.at))
}

// shown tells whether a view has the status that is asked for.
func (n narrowing) shown(view map[string]any) bool {
	properties, _ := view["properties"].(map[string]any)
	status, _ := properties["status"].(string)
	return n.status == "" || strings.EqualFold(n.status, status)
}

// scheduleBody is what a request for a schedule says.
type scheduleBody struct {
	_          struct{} `also:"id name type"`
	Properties struct {
		_             struct{} `also:"scope principalType status approvalId conditionVersion createdOn requestorId expandedProperties"`
		Principal     string   `json:"principalId"`
		Role          string   `json:"roleDefinitionId"`
		Type          string   `json:"requestType"`
		Justification string   `json:"justification"`
		Ticket        *struct {
			_      struct{} `also:"ticketSystem"`
			Number string   `json:"ticketNumber"`
		} `json:"ticketInfo"`
		Linked       string `json:"linkedRoleEligibilityScheduleId"`
		Target       string `json:"targetRoleAssignmentScheduleId"`
		Instance     string `json:"targetRoleAssignmentScheduleInstanceId"`
		Eligible     string `json:"targetRoleEligibilityScheduleId"`
		EligibleOnce string `json:"targetRoleEligibilityScheduleInstanceId"`
		Info         *struct {
			Start      *string `json:"startDateTime"`
			Expiration *struct {
				Type     string  `json:"type"`
				Duration *string `json:"duration"`
				End      *string `json:"endDateTime"`
			} `json:"expiration"`
		} `json:"scheduleInfo"`
		Condition *string `json:"condition"`
	} `json:"properties"`
}

// wanted is a request for a schedule, read.
type wanted struct {
	id            string
	given         string // the type of the request as it was written
	kind          string // and folded: selfactivate
	scope         access.ResourceID
	principal     string
	role          string
	justification string
	ticket        string
	linked        access.EligibilityID
	target        string        // name of the schedule that it is about
	from          time.Time     // the start as it was written
	start         time.Time     // zero: now
	length        time.Duration // with an expiration AfterDuration
	until         time.Time     // with an expiration AfterDateTime
	timed         bool          // whether there is an expiration
}

// readSchedule reads the body of a request for a schedule.
func (c *call) readSchedule() (wanted, error) {
	var body scheduleBody
	scope, err := c.authorizationScope()
	if err == nil {
		err = c.decode(&body)
	}
	if err != nil {
		return wanted{}, err
	}
	p := body.Properties
	if p.Condition != nil && *p.Condition != "" {
		return wanted{}, access.Fault(access.KindInvalid, "InvalidParameter",
			"conditions of role assignments are not supported: leave condition out")
	}
	w := wanted{
		id: strings.ToLower(c.vars["id"]), given: p.Type, kind: strings.ToLower(p.Type), scope: scope,
		principal: p.Principal, role: access.ResourceID(p.Role).Name(),
		justification: p.Justification,
		linked:        access.EligibilityID(strings.ToLower(access.ResourceID(p.Linked).Name())),
	}
	for _, target := range []string{p.Target, p.Instance, p.Eligible, p.EligibleOnce} {
		if w.target == "" {
			w.target = strings.ToLower(access.ResourceID(target).Name())
		}
	}
	if p.Ticket != nil {
		w.ticket = p.Ticket.Number
	}
	return w, w.window(body, c.api.config.Now())
}

// window reads from when to when the schedule is to be. A start that lies in the past is now.
func (w *wanted) window(body scheduleBody, now time.Time) (err error) {
	info := body.Properties.Info
	if info == nil {
		return nil
	}
	if info.Start != nil && *info.Start != "" {
		if w.from, err = parseStamp(*info.Start); err != nil {
			return err
		}
		if w.from.After(now) {
			w.start = w.from
		}
	}
	e := info.Expiration
	w.timed = e != nil
	switch {
	case e == nil || strings.EqualFold(e.Type, "NoExpiration"):
		return nil
	case strings.EqualFold(e.Type, "AfterDuration") && e.Duration != nil:
		if w.length, err = parseDuration(*e.Duration); err == nil && w.length <= 0 {
			err = access.Fault(access.KindInvalid, "durationMissing",
				"the duration %q is none: an expiration AfterDuration comes after some time", clip(*e.Duration))
		}
	case strings.EqualFold(e.Type, "AfterDateTime") && e.End != nil:
		// The year 1 is how .NET writes a time that was never set; taken as it is, it would be no end at all.
		if w.until, err = parseStamp(*e.End); err == nil && w.until.IsZero() {
			err = access.Fault(access.KindInvalid, "InvalidParameter", "the endDateTime %q is none", clip(*e.End))
		}
	default:
		err = access.Fault(access.KindInvalid, "InvalidParameter",
			"the expiration %q is not AfterDuration with a duration, AfterDateTime with an endDateTime, or "+
				"NoExpiration",
			clip(e.Type))
	}
	return err
}

// end gives when what is wanted ends; zero where it does not.
func (w *wanted) end(now time.Time) time.Time {
	if w.length == 0 {
		return w.until
	}
	if w.from.IsZero() {
		return now.Add(w.length)
	}
	return w.from.Add(w.length)
}

// expiration shows an end as Azure does.
func expiration(end time.Time) map[string]any {
	if end.IsZero() {
		return map[string]any{"type": "NoExpiration", "duration": nil, "endDateTime": nil}
	}
	return map[string]any{"type": "AfterDateTime", "duration": nil, "endDateTime": stamp(end)}
}

// instant gives a time as JSON has it, null where there is none.
func instant(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return stamp(t)
}

// unsupportedRequest refuses a type of request that there is not.
func unsupportedRequest(kind string, supported ...string) error {
	return access.Fault(access.KindInvalid, "RoleAssignmentRequestPolicyValidationFailed",
		"requests of type %q are not supported here; use %s", clip(kind), strings.Join(supported, ", "))
}

// policyFailed puts the engine's refusal to give a role into Azure's words, which name the rules that failed.
func policyFailed(err error) error {
	e, is := errors.AsType[*access.Error](err)
	if !is || e.Kind != access.KindInvalid && e.Kind != access.KindForbidden {
		return err
	}
	codes := []string{e.Code}
	for _, r := range e.Reasons {
		codes = append(codes, r.Code)
	}
	var failed []string
	for _, code := range codes {
		rule := ruleOf(code)
		if rule != "" && !slices.Contains(failed, strconv.Quote(rule)) {
			failed = append(failed, strconv.Quote(rule))
		}
	}
	if len(failed) == 0 {
		return err
	}
	out := access.Fault(access.KindInvalid, "RoleAssignmentRequestPolicyValidationFailed",
		"The following policy rules failed: [%s]: %s", strings.Join(failed, ","), e.Message)
	out.Reasons = e.Reasons
	return out
}

// ruleOf gives Azure's name for the rule that a code of the engine's speaks of.
func ruleOf(code string) string {
	switch code {
	case "notEligible", "notYetEligible", "eligibilityEnds", "scopeMissing", "roleActivated":
		return "EligibilityRule"
	case "durationTooLong", "durationMissing", "maxOutOfRange", "endBeforeStart", "notLater", "roleEnded":
		return "ExpirationRule"
	case "justificationRequired", "justificationTooShort", "justificationMalformed":
		return "JustificationRule"
	case "ticketRequired", "ticketMalformed", "ticketRefused":
		return "TicketingRule"
	case "stepUpRequired":
		return "MfaRule"
	}
	return ""
}
