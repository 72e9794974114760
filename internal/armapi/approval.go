package armapi

import (
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/requests"
)

// approvalRoutes serve the decisions on requests for roles. An approval has the request's name. It shows one stage, the
// one that is being decided, whose name stands for what was shown: once that has changed, the name is of no stage any
// more.
func approvalRoutes() []route {
	const one = "/roleAssignmentApprovals/{id}"
	on := func(method, pattern string, handle func(*call) (reply, error)) route {
		return route{
			method: method, pattern: authorizationPath + pattern, versions: []string{"2021-01-01-preview"},
			handle: handle,
		}
	}
	return []route{
		on(http.MethodGet, "/roleAssignmentApprovals", listApprovals),
		on(http.MethodGet, one, getApproval),
		on(http.MethodGet, one+"/stages", listStages),
		on(http.MethodGet, one+"/stages/{stage}", getStage),
		on(http.MethodPatch, one+"/stages/{stage}", decideStage),
		on(http.MethodPut, one+"/stages/{stage}", decideStage),
	}
}

const approvalPath = "/providers/Microsoft.Authorization/roleAssignmentApprovals/"

func approval(d requests.RequestDetail) map[string]any {
	return map[string]any{
		"id": approvalPath + string(d.Request.ID), "name": d.Request.ID,
		"type":       "Microsoft.Authorization/roleAssignmentApprovals",
		"properties": map[string]any{"stages": []any{stage(d)}},
	}
}

// stageID names what is to be decided by what was shown of it.
func stageID(r access.Request) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte("stage/"+string(r.ID)+"/"+r.Digest)).String()
}

func stage(d requests.RequestDetail) map[string]any {
	r := d.Request
	status, result := "Completed", "NotReviewed"
	switch r.State {
	case access.RequestPending:
		status = "InProgress"
	case access.RequestTimedOut:
		status = "Expired"
	case access.RequestApproved:
		result = "Approve"
	case access.RequestDenied:
		result = "Deny"
	case access.RequestCanceled:
	}
	properties := map[string]any{
		"displayName": r.RequesterName + " asks for " + r.Items[0].Target.Label(""), "status": status,
		"assignedToMe": d.Mine, "reviewResult": result,
		"justification": nil, "reviewedDateTime": nil, "reviewedBy": nil,
	}
	if n := len(d.Decisions); n > 0 {
		last := d.Decisions[n-1]
		properties["justification"], properties["reviewedDateTime"] = last.Comment, stamp(last.At)
		properties["reviewedBy"] = map[string]any{
			"principalId": last.Person, "principalType": "user",
			"principalName": last.Name, "userPrincipalName": last.Name,
		}
	}
	id := stageID(r)
	return map[string]any{
		"id": approvalPath + string(r.ID) + "/stages/" + id, "name": id,
		"type": "Microsoft.Authorization/roleAssignmentApprovals/stages", "properties": properties,
	}
}

// listApprovals lists the requests for roles that need an approval, or needed one: as a rule those that wait for the
// caller.
func listApprovals(c *call) (reply, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return reply{}, err
	}
	f, err := parseFilter(c.query("$filter"))
	if err == nil {
		err = f.only("asApprover()", "asCreatedBy()", "asTarget()")
	}
	if err != nil {
		return reply{}, err
	}
	n := narrowing{at: scope}
	_, byMe := f.take("ascreatedby()")
	_, forMe := f.take("astarget()")
	n.asked = byMe || forMe
	n.decides = !n.asked
	asked, next, err := c.roleRequests(n, c.page(schedulePage))
	if err != nil {
		return reply{}, err
	}
	value := []any{}
	for _, d := range asked {
		if len(d.Request.Approvals) > 0 {
			value = append(value, approval(d))
		}
	}
	return ok(c.list(value, next))
}

// approvalOf gives the request that the path names, with its decisions.
func (c *call) approvalOf() (requests.RequestDetail, error) {
	scope, err := c.authorizationScope()
	if err != nil {
		return requests.RequestDetail{}, err
	}
	d, err := c.namedRequest(scope)
	if err == nil && len(d.Request.Approvals) == 0 {
		err = access.Fault(access.KindNotFound, "RoleAssignmentApprovalNotFound", "The request '%s' needs no approval.",
			clip(c.vars["id"]))
	}
	return d, err
}

func getApproval(c *call) (reply, error) {
	d, err := c.approvalOf()
	if err != nil {
		return reply{}, err
	}
	return ok(approval(d))
}

func listStages(c *call) (reply, error) {
	d, err := c.approvalOf()
	if err != nil {
		return reply{}, err
	}
	return ok(list{Value: []any{stage(d)}})
}

// stageOf gives the request whose stage the path names.
func (c *call) stageOf() (requests.RequestDetail, error) {
	d, err := c.approvalOf()
	if err == nil && !strings.EqualFold(stageID(d.Request), c.vars["stage"]) {
		err = access.Fault(access.KindNotFound, "RoleAssignmentApprovalStageNotFound",
			"There is no stage '%s': the request may have changed since it was shown; look at it again.",
			clip(c.vars["stage"]))
	}
	return d, err
}

func getStage(c *call) (reply, error) {
	d, err := c.stageOf()
	if err != nil {
		return reply{}, err
	}
	return ok(stage(d))
}

// decideStage decides what was shown under the stage's name.
func decideStage(c *call) (reply, error) {
	var body struct {
		_             struct{} `also:"id name type displayName status assignedToMe reviewedBy reviewedDateTime"`
		Result        string   `json:"reviewResult"`
		Justification string   `json:"justification"`
	}
	if err := c.decode(&body); err != nil {
		return reply{}, err
	}
	approve := strings.EqualFold(body.Result, "Approve")
	if !approve && !strings.EqualFold(body.Result, "Deny") {
		return reply{}, access.Fault(access.KindInvalid, "InvalidParameter",
			"the reviewResult %q is not Approve or Deny", clip(body.Result))
	}
	d, err := c.stageOf()
	if err != nil {
		return reply{}, err
	}
	if d, err = c.engine().Requests.Decide(c.Context(), c.caller, d.Request.ID, approve, body.Justification,
		d.Request.Digest); err != nil {
		return reply{}, err
	}
	return ok(stage(d))
}
