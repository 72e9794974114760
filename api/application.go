package api

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// ApplicationAuthorization gives a role on the managed resource group to a principal of the publisher; of a group, each
// member has or activates it for themselves.
type ApplicationAuthorization struct {
	Principal   string `json:"principal" minLength:"1" maxLength:"256" doc:"Name or id."`
	PrincipalID string `json:"principalId,omitempty" maxLength:"64" doc:"Of an answer."`
	Kind        string `json:"kind,omitempty" enum:"user,group,servicePrincipal" doc:"Of an answer."`
	Role        string `json:"role" minLength:"1" maxLength:"512" doc:"Name or id of a built-in role."`
	RoleID      string `json:"roleId,omitempty" maxLength:"64" doc:"Of an answer."`
	MaxSeconds  int64  `json:"maxSeconds,omitempty" minimum:"0" doc:"The longest activation; absent is what the offer says."`
}

// ApplicationOffer says whether the publisher's access can be just in time.
type ApplicationOffer struct {
	Available  bool  `json:"available" doc:"Whoever deploys it may choose just-in-time access."`
	Required   bool  `json:"required,omitempty" doc:"There is no deployment with permanent access."`
	MaxSeconds int64 `json:"maxSeconds,omitempty" minimum:"0" doc:"The longest activation that a customer may allow; absent is 24 hours."`
}

// ApplicationDefinitionInput is a whole definition of a managed application.
type ApplicationDefinitionInput struct {
	ResourceGroup        string                     `json:"resourceGroup,omitempty" maxLength:"2048" doc:"Name or id of where it lies; absent is the default one."`
	DisplayName          string                     `json:"displayName,omitempty" maxLength:"256"`
	Description          string                     `json:"description,omitempty" maxLength:"4096"`
	Version              string                     `json:"version,omitempty" maxLength:"32" doc:"Three numbers, such as 1.4.0; absent is the next patch."`
	Disabled             bool                       `json:"disabled,omitempty" doc:"Nothing new is deployed from it."`
	Public               bool                       `json:"public,omitempty" doc:"Every tenant may deploy it."`
	Audience             []string                   `json:"audience,omitempty" maxItems:"1000" doc:"Else these tenants may, by name or id."`
	Authorizations       []ApplicationAuthorization `json:"authorizations,omitempty" maxItems:"100"`
	JIT                  ApplicationOffer           `json:"jit"`
	LockLevel            string                     `json:"lockLevel,omitempty" enum:"ReadOnly,CanNotDelete,None" doc:"What the customer's own principals may not do in the managed resource group; absent is ReadOnly."`
	Unmanaged            bool                       `json:"unmanaged,omitempty" doc:"The publisher has no access at all."`
	AllowedActions       []string                   `json:"allowedActions,omitempty" maxItems:"1000" doc:"What the lock leaves to the customer."`
	AllowedDataActions   []string                   `json:"allowedDataActions,omitempty" maxItems:"1000"`
	NotificationEndpoint string                     `json:"notificationEndpoint,omitempty" maxLength:"2048" doc:"Where the publisher's program is told, in Azure's form; /resource is appended to its path."`
	CreateUIDefinition   string                     `json:"createUiDefinition,omitempty" doc:"The form, as JSON text."`
	MainTemplate         string                     `json:"mainTemplate,omitempty" doc:"As JSON text; it is kept and given back."`
	PackageFileURI       string                     `json:"packageFileUri,omitempty" maxLength:"2048"`
	Tags                 map[string]string          `json:"tags,omitempty"`
}

// ApplicationDefinition is what a publisher offers. A customer is not told of the notification endpoint and of other
// customers.
type ApplicationDefinition struct {
	ApplicationDefinitionInput

	ID          string          `json:"id" doc:"Resource id."`
	Name        string          `json:"name"`
	Publisher   string          `json:"publisher" doc:"Name of the publisher's tenant."`
	PublisherID string          `json:"publisherId"`
	Form        ApplicationForm `json:"form" doc:"What is asked of whoever deploys it."`
	Deployed    int             `json:"deployed" doc:"How many applications there are of it; for its publisher alone."`
	CreatedAt   time.Time       `json:"createdAt"`
	UpdatedAt   time.Time       `json:"updatedAt"`
	Revision    int64           `json:"revision"`
	Digest      string          `json:"digest" doc:"Send it with a deployment or a refresh, to agree to this and nothing else."`
}

// ApplicationForm is a createUiDefinition that was understood.
type ApplicationForm struct {
	Wizard bool          `json:"wizard,omitempty" doc:"Each step is checked before the next."`
	Basics []FormElement `json:"basics,omitempty"`
	Steps  []FormStep    `json:"steps,omitempty"`
}

// FormStep is a page of a form.
type FormStep struct {
	Name     string        `json:"name"`
	Label    string        `json:"label"`
	Elements []FormElement `json:"elements,omitempty"`
}

// FormElement asks for one thing.
type FormElement struct {
	Name     string        `json:"name"`
	Type     string        `json:"type" doc:"Such as Microsoft.Common.TextBox."`
	Label    string        `json:"label,omitempty"`
	ToolTip  string        `json:"toolTip,omitempty"`
	Default  any           `json:"default,omitempty" doc:"A value, or an expression in brackets."`
	Required any           `json:"required,omitempty" doc:"Likewise."`
	Visible  any           `json:"visible,omitempty" doc:"Likewise; absent is true."`
	Allowed  []FormChoice  `json:"allowed,omitempty"`
	Elements []FormElement `json:"elements,omitempty" doc:"Of a section; of a grid its columns."`
}

// FormChoice is a value that an element allows.
type FormChoice struct {
	Label string `json:"label"`
	Value any    `json:"value,omitempty"`
}

// ApplicationSettings are the customer's terms for the publisher's access.
type ApplicationSettings struct {
	JIT        bool                  `json:"jit" doc:"False: the publisher's roles are permanent."`
	Approval   string                `json:"approval,omitempty" enum:"automatic,manual" doc:"Absent is automatic."`
	MaxSeconds int64                 `json:"maxSeconds,omitempty" minimum:"0" doc:"The longest activation; absent is 8 hours, or less where the definition says so."`
	Approvers  []ApplicationApprover `json:"approvers,omitempty" maxItems:"100" doc:"The publisher is not told of them."`
}

// ApplicationApprover is a person or a group of the customer's tenant.
type ApplicationApprover struct {
	Name string `json:"name" minLength:"1" maxLength:"256" doc:"Name or id."`
	ID   string `json:"id,omitempty" maxLength:"64" doc:"Of an answer."`
	Kind string `json:"kind,omitempty" enum:"user,group" doc:"Of an answer."`
}

// Answers are what was answered to the elements of a form, by name: any JSON, whose objects keep the order of their
// members.
type Answers = map[string]json.RawMessage

// NewApplication deploys an application.
type NewApplication struct {
	Name                 string               `json:"name" minLength:"3" maxLength:"64"`
	ResourceGroup        string               `json:"resourceGroup,omitempty" maxLength:"2048" doc:"Name or id of where it lies; absent is the default one."`
	Definition           string               `json:"definition" minLength:"1" maxLength:"2048" doc:"Resource id or name, or another tenant's as tenant/name."`
	DefinitionDigest     string               `json:"definitionDigest,omitempty" maxLength:"64" doc:"Of the definition that was shown: where it is another by now, nothing is deployed and the answer is 409. Absent: it is taken as it is."`
	ManagedResourceGroup string               `json:"managedResourceGroup,omitempty" maxLength:"2048" doc:"Name or id of a group that is not there yet; absent is mrg- and the application's name."`
	Settings             *ApplicationSettings `json:"settings,omitempty" doc:"Absent: what the form says, or just-in-time access with automatic approval where that is offered."`
	Basics               Answers              `json:"basics,omitempty" doc:"Answers to the form's basics, by element."`
	Steps                map[string]Answers   `json:"steps,omitempty" doc:"Answers to the form's steps, by step and element."`
	Parameters           string               `json:"parameters,omitempty" doc:"Of the template, as JSON text."`
	Tags                 map[string]string    `json:"tags,omitempty"`
}

// ApplicationChange changes an application; what is absent stays.
type ApplicationChange struct {
	Settings *ApplicationSettings `json:"settings,omitempty"`
	Tags     *map[string]string   `json:"tags,omitempty"`
}

// ApplicationRefresh accepts a definition for an application.
type ApplicationRefresh struct {
	DefinitionDigest string `json:"definitionDigest" minLength:"1" maxLength:"64" doc:"Of the definition that was shown: where it is another by now, nothing changes and the answer is 409."`
}

// Application is a managed application, as the caller's side sees it.
type Application struct {
	ID                   string                     `json:"id" doc:"Resource id."`
	Name                 string                     `json:"name"`
	Side                 string                     `json:"side" enum:"customer,publisher" doc:"Whose the caller is."`
	Customer             string                     `json:"customer" doc:"Name of the customer's tenant."`
	Publisher            string                     `json:"publisher" doc:"Name of the publisher's tenant."`
	Definition           string                     `json:"definition" doc:"Resource id of the definition."`
	Version              string                     `json:"version" doc:"Of the definition, as the customer deployed or accepted it."`
	DefinitionRevision   int64                      `json:"definitionRevision" doc:"Likewise."`
	NewestRevision       int64                      `json:"newestRevision,omitempty" doc:"Of the definition as it is now; absent: it was deleted."`
	ManagedResourceGroup string                     `json:"managedResourceGroup" doc:"Resource id."`
	LockLevel            string                     `json:"lockLevel"`
	AllowedActions       []string                   `json:"allowedActions,omitempty"`
	AllowedDataActions   []string                   `json:"allowedDataActions,omitempty"`
	Unmanaged            bool                       `json:"unmanaged,omitempty" doc:"The publisher has no access at all."`
	Authorizations       []ApplicationAuthorization `json:"authorizations" doc:"Who of the publisher has or activates which role."`
	JIT                  ApplicationOffer           `json:"jit" doc:"What the definition offers."`
	Settings             ApplicationSettings        `json:"settings"`
	Active               []Grant                    `json:"active,omitempty" doc:"Activations that have not ended."`
	Parameters           string                     `json:"parameters,omitempty"`
	Tags                 map[string]string          `json:"tags,omitempty"`
	CreatedAt            time.Time                  `json:"createdAt"`
	UpdatedAt            time.Time                  `json:"updatedAt"`
	Revision             int64                      `json:"revision" doc:"Send it as If-Match to change what you saw."`
}

// DenyAssignment takes actions from principals, whatever their roles.
type DenyAssignment struct {
	ID                 string    `json:"id"`
	Name               string    `json:"name"`
	Description        string    `json:"description,omitempty"`
	Scope              string    `json:"scope"`
	Actions            []string  `json:"actions,omitempty"`
	NotActions         []string  `json:"notActions,omitempty"`
	DataActions        []string  `json:"dataActions,omitempty"`
	NotDataActions     []string  `json:"notDataActions,omitempty"`
	Principals         []string  `json:"principals,omitempty" doc:"Ids; absent is everybody."`
	ExcludedPrincipals []string  `json:"excludedPrincipals,omitempty" doc:"Ids."`
	Application        string    `json:"application,omitempty" doc:"Resource id of the managed application that it belongs to."`
	CreatedAt          time.Time `json:"createdAt"`
}

// ApplicationDefinitions lists the definitions that the caller may see: their tenant's, and what others offer it.
func (c *Client) ApplicationDefinitions(ctx context.Context) iter.Seq2[ApplicationDefinition, error] {
	return pages[ApplicationDefinition](ctx, c, "/application-definitions", nil)
}

// ApplicationDefinition gives one definition by its name or resource id, or another tenant's as tenant/name.
func (c *Client) ApplicationDefinition(ctx context.Context, ref string) (ApplicationDefinition, error) {
	return ask[ApplicationDefinition](ctx, c, call{method: http.MethodGet, path: definitionPath(ref)})
}

// ApplicationDefinitionRevisions lists the revisions of a definition of the caller's own tenant, newest first.
func (c *Client) ApplicationDefinitionRevisions(ctx context.Context,
	ref string,
) iter.Seq2[ApplicationDefinition, error] {
	return pages[ApplicationDefinition](ctx, c, definitionPath(ref)+"/revisions", nil)
}

// SetApplicationDefinition makes a definition, or gives it other terms, all of them; ifRevision as in
// ChangeApplication.
func (c *Client) SetApplicationDefinition(ctx context.Context, name string, in ApplicationDefinitionInput,
	ifRevision int64,
) (ApplicationDefinition, error) {
	return ask[ApplicationDefinition](ctx, c,
		call{method: http.MethodPut, path: definitionPath(name), header: ifMatch(ifRevision), body: in})
}

// DeleteApplicationDefinition deletes a definition; applications of it go on by the terms that they have.
func (c *Client) DeleteApplicationDefinition(ctx context.Context, ref string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: definitionPath(ref)})
}

func definitionPath(ref string) string { return "/application-definitions/" + url.PathEscape(ref) }

// Applications lists the managed applications that the caller may see, of either side.
func (c *Client) Applications(ctx context.Context) iter.Seq2[Application, error] {
	return pages[Application](ctx, c, "/applications", nil)
}

// Application gives one application by its name or resource id.
func (c *Client) Application(ctx context.Context, ref string) (Application, error) {
	return ask[Application](ctx, c, call{method: http.MethodGet, path: applicationPath(ref)})
}

// DeployApplication makes an application and its managed resource group.
func (c *Client) DeployApplication(ctx context.Context, in NewApplication) (Application, error) {
	return ask[Application](ctx, c, call{method: http.MethodPost, path: "/applications", body: in})
}

// ChangeApplication changes the customer's terms. Where ifRevision is not 0 and the application has another revision,
// it changes nothing and gives a conflict.
func (c *Client) ChangeApplication(ctx context.Context, ref string, in ApplicationChange,
	ifRevision int64,
) (Application, error) {
	return ask[Application](ctx, c,
		call{method: http.MethodPatch, path: applicationPath(ref), header: ifMatch(ifRevision), body: in})
}

// RefreshApplication accepts the definition whose digest is given; where it is another by now, it changes nothing and
// gives a conflict.
func (c *Client) RefreshApplication(ctx context.Context, ref, digest string) (Application, error) {
	return ask[Application](ctx, c, call{
		method: http.MethodPost, path: applicationPath(ref) + "/refresh",
		body: ApplicationRefresh{DefinitionDigest: digest},
	})
}

// DeleteApplication deletes an application with its managed resource group, and where endActivations says so what is
// active.
func (c *Client) DeleteApplication(ctx context.Context, ref string, endActivations bool) error {
	q := url.Values{}
	if endActivations {
		q.Set("endActivations", "true")
	}
	return c.do(ctx, call{method: http.MethodDelete, path: applicationPath(ref), query: q})
}

func applicationPath(ref string) string { return "/applications/" + url.PathEscape(ref) }

// DenyAssignments lists the deny assignments at, above or below a scope; of every scope where it is empty.
func (c *Client) DenyAssignments(ctx context.Context, scope string) iter.Seq2[DenyAssignment, error] {
	return pages[DenyAssignment](ctx, c, "/deny-assignments", query("scope", scope))
}
