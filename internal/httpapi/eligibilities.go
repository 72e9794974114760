package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/roles"
)

const activateID = "activateRoles"

func (a *API) eligibilityRoutes() {
	const tag = "Eligibilities"
	register(a, operation{
		method: http.MethodGet, path: "/me/eligible-roles", id: "listEligibleRoles", tag: tag, entry: people,
		summary: "List the roles that the caller may activate, and what they have active; there is one page",
	}, a.listEligibleRoles)
	register(a, operation{
		method: http.MethodPost, path: "/activations", id: activateID, tag: tag, status: http.StatusCreated,
		entry:   people,
		summary: "Ask for roles that the caller is eligible for; where the rule approves by itself, they are in force",
	}, a.activate)
	register(a, operation{
		method: http.MethodGet, path: "/eligibilities", id: "listEligibilities", tag: tag, entry: people,
		summary: "List who may activate which role where",
	}, a.listEligibilities)
	register(a, operation{
		method: http.MethodPost, path: "/eligibilities", id: "createEligibility", tag: tag, status: http.StatusCreated,
		entry:   people,
		summary: "Make a principal eligible for a role at a scope",
	}, a.createEligibility)
	register(a, operation{
		method: http.MethodGet, path: "/eligibilities/{eligibility}", id: "getEligibility", tag: tag, entry: people,
		summary: "Get one eligibility",
	}, a.getEligibility)
	register(a, operation{
		method: http.MethodPut, path: "/eligibilities/{eligibility}", id: "changeEligibility", tag: tag, entry: people,
		summary: "Give an eligibility other terms, all of them",
	}, a.changeEligibility)
	register(a, operation{
		method: http.MethodDelete, path: "/eligibilities/{eligibility}", id: "deleteEligibility", tag: tag,
		entry:   people,
		summary: "Take an eligibility away, and end what is active by it",
	}, a.deleteEligibility)
}

func (a *API) listEligibleRoles(ctx context.Context, in *callInput) (*answer[api.Page[api.Eligibility]], error) {
	list, err := a.engine.Roles.EligibleRoles(ctx, in.caller)
	return &answer[api.Page[api.Eligibility]]{
		page(engine.Listed[engine.EligibilityDetail]{Items: list}, eligibilityOut),
	}, err
}

type activateInput struct {
	calling

	Key  string `header:"Idempotency-Key" maxLength:"255" doc:"Two calls with one key happen once; with another body, the second is refused."`
	Body api.NewActivation
}

func (a *API) activate(ctx context.Context, in *activateInput) (*answer[api.Request], error) {
	var wrong invalid
	b := in.Body
	ask := requests.ActivateInput{
		Start: moment(b.Start), Duration: seconds(b.ForSeconds), Until: moment(b.Until), Justification: b.Justification,
		Ticket: b.Ticket, IdempotencyKey: in.Key,
	}
	for i, r := range b.Roles {
		ask.Roles = append(ask.Roles, requests.EligibleRole{
			Eligibility: access.EligibilityID(r.Eligibility), Role: r.Role,
			Scope: wrong.scope(fmt.Sprintf("roles[%d].scope", i), r.Scope),
		})
	}
	if len(wrong) > 0 {
		a.recordRefusal(ctx, in.caller, problemOf(wrong.err()).Reasons)
		return nil, wrong.err()
	}
	digest, err := digestOf(b)
	if err != nil {
		return nil, err
	}
	ask.Digest = digest
	d, err := a.engine.Requests.Activate(ctx, in.caller, ask)
	return &answer[api.Request]{requestOut(d)}, err
}

// digestOf gives what an idempotency key is compared by.
func digestOf(body any) (string, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("digest the request: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

type listEligibilitiesInput struct {
	calling
	Paging

	Principal string `query:"principal" maxLength:"256" doc:"Name or id: only those of it."`
	Scope     string `query:"scope" maxLength:"2048" doc:"A resource id: only those at it or below."`
}

func (a *API) listEligibilities(ctx context.Context,
	in *listEligibilitiesInput,
) (*answer[api.Page[api.Eligibility]], error) {
	var wrong invalid
	f := engine.EligibilityFilter{Scope: wrong.scope("scope", in.Scope)}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	var err error
	if f.Principal, err = a.principalID(ctx, in.caller, in.Principal); err != nil {
		return nil, err
	}
	list, err := a.engine.Roles.Eligibilities(ctx, in.caller, f, in.page())
	return &answer[api.Page[api.Eligibility]]{page(list, eligibilityOut)}, err
}

type eligibilityInput struct {
	calling

	Eligibility string `path:"eligibility" maxLength:"64" doc:"Id."`
}

type eligibilityAnswer struct {
	ETag string `header:"ETag" doc:"The eligibility's revision; send it as If-Match to change what you saw."`
	Body api.Eligibility
}

func eligibilityAnswerOf(d engine.EligibilityDetail) *eligibilityAnswer {
	return &eligibilityAnswer{ETag: etag(d.Eligibility.Revision), Body: eligibilityOut(d)}
}

func (a *API) getEligibility(ctx context.Context, in *eligibilityInput) (*eligibilityAnswer, error) {
	d, err := a.engine.Roles.Eligibility(ctx, in.caller, access.EligibilityID(in.Eligibility))
	return eligibilityAnswerOf(d), err
}

type createEligibilityInput struct {
	calling

	Body api.NewEligibility
}

func (a *API) createEligibility(ctx context.Context, in *createEligibilityInput) (*eligibilityAnswer, error) {
	var wrong invalid
	write := wrong.terms(in.Body.EligibilityTerms)
	write.Principal, write.Role, write.Scope = in.Body.Principal, in.Body.Role, wrong.scope("scope", in.Body.Scope)
	if err := wrong.err(); err != nil {
		return nil, err
	}
	d, err := a.engine.Roles.WriteEligibility(ctx, in.caller, write)
	return eligibilityAnswerOf(d), asWritten(err)
}

type changeEligibilityInput struct {
	calling

	Eligibility string `path:"eligibility" maxLength:"64" doc:"Id."`
	IfMatch     string `header:"If-Match" required:"true" maxLength:"64" doc:"The ETag that was seen: with another one now, nothing changes and the answer is 409."`
	Body        api.EligibilityTerms
}

func (a *API) changeEligibility(ctx context.Context, in *changeEligibilityInput) (*eligibilityAnswer, error) {
	var wrong invalid
	write := wrong.terms(in.Body)
	write.ID = access.EligibilityID(in.Eligibility)
	revision := wrong.ifMatch(in.IfMatch)
	if revision == nil || *revision == 0 {
		wrong.add("malformedETag", "If-Match", "send back what the ETag header said, with its quotes")
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	write.Was = *revision
	d, err := a.engine.Roles.WriteEligibility(ctx, in.caller, write)
	return eligibilityAnswerOf(d), asWritten(err)
}

func (a *API) deleteEligibility(ctx context.Context, in *eligibilityInput) (*nothing, error) {
	return &nothing{}, a.engine.Roles.DeleteEligibility(ctx, in.caller, access.EligibilityID(in.Eligibility))
}

func (in *invalid) terms(b api.EligibilityTerms) roles.EligibilityInput {
	return roles.EligibilityInput{
		Start: moment(b.Start), End: moment(b.End), Max: seconds(b.MaxSeconds),
		PendingTimeout: seconds(b.PendingTimeoutSeconds),
		Gap:            seconds(b.GapSeconds),
		Justification:  access.JustificationRule(b.Justification), Ticket: access.TicketRule(b.Ticket),
		Approval: in.approval(b.Approval),
	}
}

func eligibilityOut(d engine.EligibilityDetail) api.Eligibility {
	e := d.Eligibility
	out := api.Eligibility{
		ID: string(e.ID), Principal: d.Principal.Name, PrincipalID: string(e.Principal),
		PrincipalKind: string(d.Principal.Kind),
		Role:          d.Role.Name, RoleID: string(e.Role), Scope: string(e.Scope), Application: string(e.Origin),
		CreatedAt: e.CreatedAt.UTC(), UpdatedAt: e.UpdatedAt.UTC(), Revision: e.Revision,
		EligibilityTerms: api.EligibilityTerms{
			Start: instant(e.Start), End: instant(e.End), MaxSeconds: int64(e.Max / time.Second),
			PendingTimeoutSeconds: int64(e.PendingTimeout / time.Second),
			GapSeconds:            int64(e.Gap / time.Second),
			Justification:         api.JustificationRule(e.Justification), Ticket: api.TicketRule(e.Ticket),
		},
	}
	for _, c := range e.Approval.Cases {
		out.Approval = append(out.Approval, caseOut(c, d.Names))
	}
	for _, g := range d.Active {
		out.Active = append(out.Active, grantOut(engine.GrantDetail{Grant: g}))
	}
	return out
}
