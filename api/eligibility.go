package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// RoleAt is a role at a scope, as an item of a request or a grant has it where it is of no port.
type RoleAt struct {
	ID          string `json:"id" doc:"The role's id."`
	Name        string `json:"name" doc:"The role's name, as it was when asked."`
	Scope       string `json:"scope" doc:"A resource id."`
	Eligibility string `json:"eligibility" doc:"Id of the eligibility by which it was asked for."`
	Application string `json:"application,omitempty" doc:"Name of the managed application that it is of; of a request that is got by itself and waits for a decision."`
}

// EligibilityTerms is how long a role may be active, and what is asked of a request for it.
type EligibilityTerms struct {
	Start                 *time.Time        `json:"start,omitempty" doc:"Absent: since ever."`
	End                   *time.Time        `json:"end,omitempty" doc:"Absent: for ever. No activation lasts beyond it."`
	MaxSeconds            int64             `json:"maxSeconds,omitempty" minimum:"0" doc:"The longest activation; absent is 8 hours."`
	Justification         JustificationRule `json:"justification,omitzero"`
	Ticket                TicketRule        `json:"ticket,omitzero"`
	Approval              []ApprovalCase    `json:"approval,omitempty" maxItems:"50" doc:"Who must agree; absent approves by itself."`
	PendingTimeoutSeconds int64             `json:"pendingTimeoutSeconds,omitempty" minimum:"0" doc:"How long a request may wait; absent is 24 hours."`
	GapSeconds            int64             `json:"gapSeconds,omitempty" minimum:"0" doc:"Activations of one person that lie less than so long apart count as one; absent is 15 minutes."`
}

// NewEligibility makes a principal eligible for a role at a scope. Of a group, each member activates for themselves.
type NewEligibility struct {
	EligibilityTerms

	Principal string `json:"principal" minLength:"1" maxLength:"256" doc:"Name or id."`
	Role      string `json:"role" minLength:"1" maxLength:"512" doc:"Name or id."`
	Scope     string `json:"scope,omitempty" maxLength:"2048" doc:"A resource id; absent is the default subscription."`
}

// Eligibility says who may activate which role where, and under which rule.
type Eligibility struct {
	EligibilityTerms

	ID            string    `json:"id"`
	Principal     string    `json:"principal" doc:"Name of who is eligible."`
	PrincipalID   string    `json:"principalId"`
	PrincipalKind string    `json:"principalKind" enum:"user,group,servicePrincipal"`
	Role          string    `json:"role" doc:"Name of the role."`
	RoleID        string    `json:"roleId"`
	Scope         string    `json:"scope"`
	Application   string    `json:"application,omitempty" doc:"Resource id of the managed application that it belongs to, whose settings change it."`
	CreatedAt     time.Time `json:"createdAt"`
	UpdatedAt     time.Time `json:"updatedAt"`
	Revision      int64     `json:"revision"`
	Active        []Grant   `json:"active,omitempty" doc:"In the list of the caller's eligible roles: their grants by it that have not ended."`
}

// NewActivation asks for roles that the caller is eligible for, all at one scope and for one time.
type NewActivation struct {
	Roles         []RoleRef  `json:"roles" minItems:"1" maxItems:"20"`
	Start         *time.Time `json:"start,omitempty" doc:"Absent: as soon as it is approved."`
	ForSeconds    int64      `json:"forSeconds,omitempty" minimum:"0" doc:"How long; either this or until."`
	Until         *time.Time `json:"until,omitempty"`
	Justification string     `json:"justification,omitempty" maxLength:"4096"`
	Ticket        string     `json:"ticket,omitempty" maxLength:"256"`
}

// RoleRef names a role to activate: by the eligibility, or by the role and, where there is more than one, its scope.
type RoleRef struct {
	Eligibility string `json:"eligibility,omitempty" maxLength:"64" doc:"Id."`
	Role        string `json:"role,omitempty" maxLength:"512" doc:"Name or id."`
	Scope       string `json:"scope,omitempty" maxLength:"2048" doc:"A resource id."`
}

// EligibleRoles lists the roles that the caller may activate.
func (c *Client) EligibleRoles(ctx context.Context) iter.Seq2[Eligibility, error] {
	return pages[Eligibility](ctx, c, "/me/eligible-roles", nil)
}

// Activate asks for roles. Calls with the same idempotency key happen once; an empty key makes one.
func (c *Client) Activate(ctx context.Context, in NewActivation, key string) (Request, error) {
	if key == "" {
		key = NewIdempotencyKey()
	}
	return ask[Request](ctx, c,
		call{method: http.MethodPost, path: "/activations", header: http.Header{"Idempotency-Key": {key}}, body: in})
}

// EligibilityQuery narrows Eligibilities; zero fields do not.
type EligibilityQuery struct {
	Principal string // name or id
	Scope     string // a resource id
}

// Eligibilities lists who may activate which role.
func (c *Client) Eligibilities(ctx context.Context, q EligibilityQuery) iter.Seq2[Eligibility, error] {
	return pages[Eligibility](ctx, c, "/eligibilities", query("principal", q.Principal, "scope", q.Scope))
}

// Eligibility gives one eligibility.
func (c *Client) Eligibility(ctx context.Context, id string) (Eligibility, error) {
	return ask[Eligibility](ctx, c, call{method: http.MethodGet, path: "/eligibilities/" + url.PathEscape(id)})
}

// CreateEligibility makes somebody eligible.
func (c *Client) CreateEligibility(ctx context.Context, in NewEligibility) (Eligibility, error) {
	return ask[Eligibility](ctx, c, call{method: http.MethodPost, path: "/eligibilities", body: in})
}

// ChangeEligibility gives the eligibility that was seen at revision other terms, all of them.
func (c *Client) ChangeEligibility(ctx context.Context, id string, revision int64,
	in EligibilityTerms,
) (Eligibility, error) {
	return ask[Eligibility](ctx, c,
		call{method: http.MethodPut, path: "/eligibilities/" + url.PathEscape(id), header: ifMatch(revision), body: in})
}

// DeleteEligibility takes an eligibility away, and ends what is active by it.
func (c *Client) DeleteEligibility(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/eligibilities/" + url.PathEscape(id)})
}
