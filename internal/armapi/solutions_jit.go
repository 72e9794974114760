package armapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
)

// jitRequestBody asks for roles on an application's managed resource group.
type jitRequestBody struct {
	_          struct{}          `also:"id name type location systemData"`
	Tags       map[string]string `json:"tags"`
	Properties struct {
		_           struct{}            `also:"provisioningState jitRequestState publisherTenantId createdBy updatedBy"`
		Application string              `json:"applicationResourceId"`
		Policies    []authorizationBody `json:"jitAuthorizationPolicies"`
		Schedule    *struct {
			Type     string `json:"type"`
			Duration string `json:"duration"`
			Start    string `json:"startTime"`
		} `json:"jitSchedulingPolicy"`
	} `json:"properties"`
}

// The tags that say what Azure's request has no field for.
const (
	justificationTag = "justification"
	ticketTag        = "ticket"
)

// startLag is how far back the start of a request may lie: it is read as now, since clients send the time that it is.
const startLag = 5 * time.Minute

// input gives what the body asks for, in the managed resource group of a.
func (b jitRequestBody) input(id access.ResourceID, a app.Application, now time.Time) (requests.ActivateInput, error) {
	in := requests.ActivateInput{
		Resource: id, Tags: b.Tags, Justification: b.Tags[justificationTag], Ticket: b.Tags[ticketTag],
	}
	s := b.Properties.Schedule
	switch {
	case s == nil || s.Duration == "" || s.Start == "":
		return in, access.Fault(access.KindInvalid, "InvalidRequestContent",
			"The request content was invalid: jitSchedulingPolicy needs a duration and a startTime.")
	case strings.EqualFold(s.Type, "Recurring"):
		return in, access.Fault(access.KindInvalid, "RecurringNotSupported",
			"a recurrence cannot be written here, since the type Recurring has no field that says when: ask for "+
				"each window with the type Once, or for openings that recur with 'postern request --repeat'")
	// A type that only reads, as in the models of 2019, is not sent.
	case s.Type != "" && !strings.EqualFold(s.Type, "Once"):
		return in, access.Fault(access.KindInvalid, "InvalidJitSchedulingPolicy",
			"the scheduling type %q is not known: use Once", clip(s.Type))
	case len(b.Properties.Policies) == 0:
		return in, access.Fault(access.KindInvalid, "InvalidRequestContent",
			"The request content was invalid: jitAuthorizationPolicies names no role.")
	}
	var err error
	if in.Duration, err = parseDuration(s.Duration); err != nil {
		return in, err
	}
	if in.Start, err = parseStamp(s.Start); err != nil {
		return in, err
	}
	if !in.Start.After(now) && now.Sub(in.Start) <= startLag {
		in.Start = time.Time{}
	}
	for _, p := range b.Properties.Policies {
		in.Roles = append(in.Roles,
			requests.EligibleRole{Role: p.role(), Scope: a.Managed, Principal: access.PrincipalID(p.principal())})
	}
	body, err := json.Marshal(b)
	sum := sha256.Sum256(body)
	in.Digest = hex.EncodeToString(sum[:])
	return in, err
}

// putJITRequest asks. The same call again gives the same request; the name is free again once the request was deleted.
func putJITRequest(c *call) (reply, error) {
	var body jitRequestBody
	if err := c.decode(&body); err != nil {
		return reply{}, err
	}
	a, err := c.engine().Apps.Application(c.Context(), c.caller, body.Properties.Application)
	switch {
	case body.Properties.Application == "":
		err = access.Fault(access.KindInvalid, "InvalidRequestContent",
			"The request content was invalid: applicationResourceId is required.")
	case access.KindOf(err) == access.KindNotFound:
		err = access.Fault(access.KindInvalid, "ApplicationNotFound", "there is no application %s that you may see",
			clip(body.Properties.Application))
	case err == nil && !a.Application.Settings.JIT:
		err = access.Fault(access.KindInvalid, "JitAccessNotEnabled",
			"just-in-time access was not chosen when application %q was deployed: its publisher's roles are permanent",
			a.Application.Name())
	}
	if err != nil {
		return reply{}, err
	}
	in, err := body.input(c.solutionID("jitRequests"), a.Application, c.api.config.Now())
	if err != nil {
		return reply{}, err
	}
	_, err = c.engine().Requests.RequestNamed(c.Context(), c.caller, in.Resource)
	status := http.StatusOK
	if access.KindOf(err) == access.KindNotFound {
		status = http.StatusCreated
	}
	d, err := c.engine().Requests.Activate(c.Context(), c.caller, in)
	if err != nil {
		return reply{}, jitRefusal(err)
	}
	return reply{status: status, body: c.showJITRequest(d, a.Application)}, nil
}

// jitRefusal gives refusals the codes that stand in the documentation of this API.
func jitRefusal(err error) error {
	switch access.CodeOf(err) {
	case "requestIdTaken", "idempotencyKeyReused":
		return access.Fault(access.KindConflict, "JitRequestAlreadyExists",
			"there is another request of this name: choose another name, or delete that one first")
	}
	if access.CodeOf(err) == "notYourself" {
		return access.Fault(access.KindForbidden, "PrincipalNotAuthorized", "%s", err.Error())
	}
	return err
}

func getJITRequest(c *call) (reply, error) {
	d, a, err := c.activation()
	if err != nil {
		return reply{}, err
	}
	return ok(c.showJITRequest(d, a))
}

// activation finds the request that the path names, by the name that it was made by or by its id, and its application.
func (c *call) activation() (requests.RequestDetail, app.Application, error) {
	id := c.solutionID("jitRequests")
	d, err := c.engine().Requests.RequestNamed(c.Context(), c.caller, id)
	if access.KindOf(err) == access.KindNotFound {
		d, err = c.engine().Requests.Request(c.Context(), c.caller, access.RequestID(strings.ToLower(c.vars["name"])))
	}
	switch {
	case access.KindOf(err) == access.KindNotFound:
		return d, app.Application{}, missingSolution(id)
	case err != nil:
		return d, app.Application{}, err
	}
	if _, is := roleAsked(d.Request); !is || d.Request.Released {
		return d, app.Application{}, missingSolution(id)
	}
	a, err := c.applicationOf(d)
	if err == nil && a.Resource == "" {
		err = missingSolution(id)
	}
	return d, a, err
}

// applicationOf gives the application in whose managed resource group a request asks for roles; the zero one where
// there is none.
func (c *call) applicationOf(d requests.RequestDetail) (app.Application, error) {
	all, err := c.applicationsByGroup()
	return all[d.Request.Items[0].Place().Scope.Fold()], err
}

// applicationsByGroup gives the applications that the caller may see, by their managed resource groups.
func (c *call) applicationsByGroup() (map[string]app.Application, error) {
	all := map[string]app.Application{}
	for p := (engine.Page{Limit: 1000}); ; {
		listed, err := c.engine().Apps.Applications(c.Context(), c.caller, engine.ApplicationFilter{}, p)
		if access.KindOf(err) == access.KindForbidden {
			return all, nil // who may see no application sees none
		}
		if err != nil {
			return nil, err
		}
		for _, d := range listed.Items {
			all[d.Application.Managed.Fold()] = d.Application
		}
		if p.Cursor = listed.Next; p.Cursor == "" {
			return all, nil
		}
	}
}

// listJITRequests gives all of them in one page: clients follow no link here.
func listJITRequests(c *call) (reply, error) {
	applications, err := c.applicationsByGroup()
	if err != nil {
		return reply{}, err
	}
	value := []any{}
	for p := (engine.Page{Limit: 1000}); ; {
		listed, err := c.engine().Requests.Requests(c.Context(), c.caller, engine.RequestFilter{Roles: true}, p)
		if err != nil {
			return reply{}, err
		}
		for _, d := range listed.Items {
			a, known := applications[d.Request.Items[0].Place().Scope.Fold()]
			if known && !d.Request.Released && resourceOf(d.Request).Within(c.scope()) {
				value = append(value, c.showJITRequest(d, a))
			}
		}
		if p.Cursor = listed.Next; p.Cursor == "" {
			return ok(list{Value: value})
		}
	}
}

// resourceOf gives the resource id of a request: the one that it was made by, or one in the managed resource group.
func resourceOf(r access.Request) access.ResourceID {
	if r.Resource != "" {
		return r.Resource
	}
	return r.Items[0].Place().Scope + access.ResourceID(solutionsPath+"/jitRequests/"+string(r.ID))
}

func patchJITRequest(c *call) (reply, error) {
	var body tagsBody
	if err := c.decode(&body); err != nil {
		return reply{}, err
	}
	d, a, err := c.activation()
	if err == nil && body.Tags != nil {
		d, err = c.engine().Requests.TagRequest(c.Context(), c.caller, d.Request.ID, body.Tags)
	}
	if err != nil {
		return reply{}, err
	}
	return ok(c.showJITRequest(d, a))
}

// deleteJITRequest takes a pending request back, or ends what it led to, and makes it gone here; elsewhere it stays on
// record.
func deleteJITRequest(c *call) (reply, error) {
	d, _, err := c.activation()
	if access.KindOf(err) == access.KindNotFound {
		return reply{status: http.StatusNoContent}, nil
	}
	if err == nil {
		err = c.endJITRequest(d, "")
	}
	if err == nil {
		err = c.engine().Requests.ReleaseRequest(c.Context(), c.caller, d.Request.ID)
	}
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK}, nil
}

func (c *call) endJITRequest(d requests.RequestDetail, reason string) error {
	if d.Request.State == access.RequestPending {
		_, err := c.engine().Requests.Cancel(c.Context(), c.caller, d.Request.ID, reason)
		return err
	}
	for _, g := range d.Grants {
		if g.State.Ended() {
			continue
		}
		if _, err := c.engine().Requests.Revoke(c.Context(), c.caller, g.ID, reason); err != nil {
			return err
		}
	}
	return nil
}

// jitRequestOf finds a request of an application by the name or the resource id that a client calls it by.
func (c *call) jitRequestOf(a app.Application, ref string) (requests.RequestDetail, error) {
	id := access.RequestID(strings.ToLower(access.ResourceID(ref).Name()))
	names := []access.ResourceID{access.ResourceID(ref)}
	if !strings.HasPrefix(ref, "/") {
		id = access.RequestID(strings.ToLower(ref))
		group := access.ResourceID(strings.TrimSuffix(string(a.Resource), solutionsPath+"/applications/"+a.Name()))
		names = []access.ResourceID{
			a.Managed + access.ResourceID(solutionsPath+"/jitRequests/"+ref),
			group + access.ResourceID(solutionsPath+"/jitRequests/"+ref),
		}
	}
	look := []func() (requests.RequestDetail, error){
		func() (requests.RequestDetail, error) { return c.engine().Requests.Request(c.Context(), c.caller, id) },
	}
	for _, name := range names {
		look = append(look, func() (requests.RequestDetail, error) {
			return c.engine().Requests.RequestNamed(c.Context(), c.caller, name)
		})
	}
	for _, find := range look {
		d, err := find()
		if access.KindOf(err) == access.KindNotFound {
			continue
		}
		if err != nil {
			return d, err
		}
		if role, is := roleAsked(d.Request); is && !d.Request.Released && role.Scope.Equal(a.Managed) {
			return d, nil
		}
	}
	return requests.RequestDetail{}, access.Fault(access.KindNotFound, "JitRequestNotFound",
		"there is no request %q for application %q that you may see", clip(ref), a.Name())
}

// jitState gives how a request stands in Azure's words.
func jitState(d requests.RequestDetail) string {
	switch d.Request.State {
	case access.RequestPending:
		return "Pending"
	case access.RequestDenied:
		return "Denied"
	case access.RequestCanceled:
		return "Canceled"
	case access.RequestTimedOut:
		return "Timeout"
	case access.RequestApproved:
	}
	state := "Expired"
	for _, g := range d.Grants {
		switch {
		case g.State == access.GrantFailed:
			return "Failed"
		case !g.State.Ended():
			return "Approved"
		case g.State == access.GrantRevoked:
			state = "Canceled"
		}
	}
	return state
}

func (c *call) showJITRequest(d requests.RequestDetail, a app.Application) map[string]any {
	r := d.Request
	id := resourceOf(r)
	policies := make([]authorizationBody, 0, len(r.Items))
	for _, item := range r.Items {
		role, _ := roleIn(item.Target)
		policies = append(policies, authorizationBody{Principal: string(r.Requester), Role: string(role.ID)})
	}
	start, end := r.Window(r.Items[0], r.CreatedAt)
	if len(d.Grants) > 0 {
		start, end = d.Grants[0].Start, d.Grants[0].End
	}
	who := map[string]any{"oid": r.Requester, "puid": "", "applicationId": ""}
	return map[string]any{
		"id": id, "name": id.Name(), "type": "Microsoft.Solutions/jitRequests", "location": a.Location,
		"tags": tagged(r.Tags),
		"systemData": map[string]any{
			"createdBy": r.RequesterName, "createdByType": c.creatorType(r.Requester),
			"createdAt": stamp(r.CreatedAt),
		},
		"properties": map[string]any{
			"applicationResourceId": a.Resource, "publisherTenantId": a.Publisher, "jitAuthorizationPolicies": policies,
			"jitSchedulingPolicy": map[string]any{
				"type": "Once", "duration": formatDuration(end.Sub(start)),
				"startTime": stamp(start),
			},
			"jitRequestState": jitState(d), "provisioningState": "Succeeded", "createdBy": who, "updatedBy": who,
		},
	}
}
