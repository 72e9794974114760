package armapi

import (
	"net/http"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/app"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/apps"
)

// applicationBody is a managed application as clients send it, or the changes of one.
type applicationBody struct {
	_          struct{}           `also:"id name type systemData managedBy sku"`
	Kind       string             `json:"kind"`
	Location   string             `json:"location"`
	Tags       *map[string]string `json:"tags"`
	Properties struct {
		_          struct{}  `also:"provisioningState outputs billingDetails publisherTenantId authorizations managementMode customerSupport supportUrls artifacts createdBy updatedBy publisherPackageId uiDefinitionUri definitionVersion"`
		Managed    string    `json:"managedResourceGroupId"`
		Definition string    `json:"applicationDefinitionId"`
		Parameters *jsonText `json:"parameters"`
		JIT        any       `json:"jitAccessPolicy"`
	} `json:"properties"`
}

// settings gives the terms that the body says; nil where it says none.
func (b applicationBody) settings() (*app.Settings, error) {
	if b.Properties.JIT == nil {
		return nil, nil //nolint:nilnil // none were said, and that is no error
	}
	s, reasons := app.ReadPolicy(b.Properties.JIT)
	if len(reasons) > 0 {
		refusal := access.Fault(access.KindInvalid, "InvalidJitAccessPolicy",
			"the jitAccessPolicy cannot be taken as it is")
		refusal.Reasons = reasons
		return nil, refusal
	}
	return &s, nil
}

func listApplications(c *call) (reply, error) {
	listed, err := c.engine().Apps.Applications(c.Context(), c.caller, engine.ApplicationFilter{Scope: c.scope()},
		c.page(100))
	if err != nil {
		return reply{}, err
	}
	value := make([]any, 0, len(listed.Items))
	for _, d := range listed.Items {
		value = append(value, c.showApplication(d))
	}
	return ok(c.list(value, listed.Next))
}

func (c *call) application() (apps.ApplicationDetail, error) {
	id := c.solutionID("applications")
	d, err := c.engine().Apps.Application(c.Context(), c.caller, string(id))
	if access.KindOf(err) == access.KindNotFound {
		return d, missingSolution(id)
	}
	return d, err
}

func getApplication(c *call) (reply, error) {
	d, err := c.application()
	if err != nil {
		return reply{}, err
	}
	return ok(c.showApplication(d))
}

// putApplication deploys an application, or gives the one that is there the terms of the body.
func putApplication(c *call) (reply, error) {
	var body applicationBody
	if err := c.decode(&body); err != nil {
		return reply{}, err
	}
	if body.Kind == "" {
		return reply{}, access.Fault(access.KindInvalid, "InvalidRequestContent",
			"The request content was invalid: kind is required; use ServiceCatalog.")
	}
	was, err := c.application()
	switch {
	case err == nil:
		return c.replaceApplication(was.Application, body)
	case access.KindOf(err) != access.KindNotFound:
		return reply{}, err
	}
	settings, err := body.settings()
	if err != nil {
		return reply{}, err
	}
	in := apps.ApplicationInput{
		Resource: c.solutionID("applications"), Definition: body.Properties.Definition,
		Managed: body.Properties.Managed, Location: body.Location, Kind: body.Kind, Settings: settings,
	}
	if in.Definition == "" {
		return reply{}, access.Fault(access.KindInvalid, "InvalidRequestContent",
			"The request content was invalid: properties.applicationDefinitionId is required.")
	}
	if body.Tags != nil {
		in.Tags = *body.Tags
	}
	if body.Properties.Parameters != nil {
		in.Parameters = string(*body.Properties.Parameters)
	}
	d, err := c.engine().Apps.DeployApplication(c.Context(), c.caller, in)
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusCreated, body: c.showApplication(d)}, nil
}

func (c *call) replaceApplication(was app.Application, body applicationBody) (reply, error) {
	p := body.Properties
	fixed := func(name string, is access.ResourceID, asked string) error {
		if asked == "" || is.Equal(access.ResourceID(asked)) {
			return nil
		}
		return access.Fault(access.KindConflict, "PropertyChangeNotAllowed",
			"%s of application %q is %s and stays so: deploy another application", name, was.Name(), is)
	}
	if err := fixed("applicationDefinitionId", was.Definition, p.Definition); err != nil {
		return reply{}, err
	}
	if err := fixed("managedResourceGroupId", was.Managed, p.Managed); err != nil {
		return reply{}, err
	}
	return c.changeApplication(body)
}

func patchApplication(c *call) (reply, error) {
	var body applicationBody
	if c.ContentLength != 0 {
		if err := c.decode(&body); err != nil {
			return reply{}, err
		}
	}
	d, err := c.application()
	if err != nil {
		return reply{}, err
	}
	return c.replaceApplication(d.Application, body)
}

func (c *call) changeApplication(body applicationBody) (reply, error) {
	settings, err := body.settings()
	if err != nil {
		return reply{}, err
	}
	change := apps.ApplicationChange{Settings: settings, Tags: body.Tags}
	if p := body.Properties.Parameters; p != nil {
		text := string(*p)
		change.Parameters = &text
	}
	d, err := c.engine().Apps.ChangeApplication(c.Context(), c.caller, string(c.solutionID("applications")), change)
	if err != nil {
		return reply{}, err
	}
	return ok(c.showApplication(d))
}

// deleteApplication answers 204, which every version of every client takes. What is active is not ended by it unawares.
func deleteApplication(c *call) (reply, error) {
	err := c.engine().Apps.DeleteApplication(c.Context(), c.caller, string(c.solutionID("applications")), false)
	if err != nil && access.KindOf(err) != access.KindNotFound {
		return reply{}, err
	}
	return reply{status: http.StatusNoContent}, nil
}

func refreshPermissions(c *call) (reply, error) {
	if _, err := c.engine().Apps.RefreshApplication(c.Context(), c.caller,
		string(c.solutionID("applications")), ""); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK}, nil
}

func listUpgradePlans(c *call) (reply, error) {
	if _, err := c.application(); err != nil {
		return reply{}, err
	}
	return ok(list{Value: []any{}})
}

func (c *call) showApplication(d apps.ApplicationDetail) map[string]any {
	a := d.Application
	given := showAuthorizations(a.Terms.Authorizations)
	mode := "Managed"
	if a.Terms.Unmanaged {
		mode = "Unmanaged"
	}
	return map[string]any{
		"id": a.Resource, "name": a.Name(), "type": "Microsoft.Solutions/applications", "kind": a.Kind,
		"location": a.Location, "tags": tagged(a.Tags), "managedBy": nil,
		"systemData": c.systemData(a.CreatedBy, a.CreatedAt, a.UpdatedBy, a.UpdatedAt),
		"properties": map[string]any{
			"provisioningState": "Succeeded", "managedResourceGroupId": a.Managed,
			"applicationDefinitionId": a.Definition, "publisherTenantId": a.Publisher,
			"parameters": jsonText(a.Parameters).show(), "outputs": map[string]any{}, "authorizations": given,
			"artifacts": []any{}, "managementMode": mode,
			"jitAccessPolicy": showPolicy(a.Settings), "definitionVersion": a.Terms.Version,
		},
	}
}

func showPolicy(s app.Settings) map[string]any {
	control := s.Control()
	policy := map[string]any{}
	for _, name := range []string{"jitAccessEnabled", "jitApprovalMode", "jitApprovers", "maximumJitAccessDuration"} {
		policy[name] = control[name]
	}
	if !s.JIT {
		policy["jitApprovalMode"], policy["maximumJitAccessDuration"] = "NotSpecified", nil
	}
	return policy
}

// accessBody is a decision on a request for access.
type accessBody struct {
	Approver string `json:"approver"`
	Status   string `json:"status"`
	Sub      string `json:"subStatus"`
	Metadata *struct {
		_       struct{} `also:"requestorId tenantDisplayName subjectDisplayName"`
		Request string   `json:"originRequestId"`
	} `json:"metadata"`
}

// updateAccess decides on a request, or ends what it led to. Whoever is no approver of the application decides nothing,
// whatever their roles.
func updateAccess(c *call) (reply, error) {
	var body accessBody
	if err := c.decode(&body); err != nil {
		return reply{}, err
	}
	id := c.solutionID("applications")
	a, err := c.engine().Apps.ApplicationToDecide(c.Context(), c.caller, id)
	if access.KindOf(err) == access.KindNotFound {
		return reply{}, missingSolution(id)
	}
	if err != nil {
		return reply{}, err
	}
	if body.Metadata == nil || body.Metadata.Request == "" {
		return reply{}, access.Fault(access.KindInvalid, "InvalidRequestContent",
			"The request content was invalid: metadata.originRequestId is required; it names the request.")
	}
	request, err := c.jitRequestOf(a, body.Metadata.Request)
	if err != nil {
		return reply{}, err
	}
	switch verdict := strings.ToLower(body.Status + "/" + body.Sub); verdict {
	case "elevate/approved", "remove/denied":
		_, err = c.engine().Requests.Decide(c.Context(), c.caller, request.Request.ID, verdict == "elevate/approved",
			body.comment(), request.Request.Digest)
	case "remove/approved", "remove/expired", "remove/failed", "remove/notspecified":
		err = c.endJITRequest(request, body.comment())
	default:
		err = access.Fault(access.KindInvalid, "InvalidUpdateAccess",
			"status %q with subStatus %q is not known: use Elevate with Approved, Remove with Denied, or Remove "+
				"with Approved or Expired to end what is active",
			clip(body.Status), clip(body.Sub))
	}
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK}, nil
}

func (b accessBody) comment() string {
	if b.Approver == "" {
		return ""
	}
	return "as " + b.Approver
}
