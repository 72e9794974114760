package requests

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// ActivateInput asks for roles that the caller is eligible for, all at one scope and for one window. Exactly one of
// Duration and Until is set.
type ActivateInput struct {
	ID             access.RequestID  // a GUID that is free; empty makes one
	Resource       access.ResourceID // what a client of Azure's calls it, if it does: the id follows from it then
	Tags           map[string]string
	Roles          []EligibleRole
	Start          time.Time // zero: at approval
	Duration       time.Duration
	Until          time.Time
	Justification  string
	Ticket         string
	IdempotencyKey string // empty: none; at most 255 bytes
	Digest         string // SHA-256 of the body, for the key; empty: the engine makes one of the input
}

// EligibleRole names a role by the eligibility for it, or by itself and its scope.
type EligibleRole struct {
	Eligibility access.EligibilityID
	Role        string            // name or id
	Scope       access.ResourceID // empty: the only one at which the caller is eligible for it

	// Principal is who is to have it by the words of the client: the caller, or the group by which the caller is
	// eligible, and nobody else; empty is the caller, who gets it in any case.
	Principal access.PrincipalID
}

const maxRoles = 20 // of one request

// Activate asks for roles. The eligibility is the right to ask; where its rule approves by itself the roles are in
// force when the call returns. Each is a role assignment with a window of its own, so that nothing has to end it.
func (e *Service) Activate(ctx context.Context, c engine.Caller, in ActivateInput) (d RequestDetail, err error) {
	a := engine.Attempt{Kind: access.RequestRefused, Action: rbac.RoleActivate, All: true, Details: in.describe()}
	if len(in.Roles) == 1 {
		a.Scope = in.Roles[0].Scope
	}
	if err := longKey(in.IdempotencyKey); err != nil {
		return d, e.kernel.Refused(ctx, c, a, err)
	}
	return e.asking(ctx, c, a, func(tx engine.Tx, may engine.Rights, checked *ticketCheck) (RequestDetail, error) {
		return e.activate(ctx, tx, may, in, checked)
	})
}

func (e *Service) activate(ctx context.Context, tx engine.Tx, may engine.Rights, in ActivateInput,
	checked *ticketCheck,
) (RequestDetail, error) {
	if in.Resource != "" {
		n, err := engine.CalledBy(ctx, tx, in.Resource)
		if err != nil {
			return RequestDetail{}, err
		}
		in.ID = engine.RequestCalled(in.Resource, n)
		in.IdempotencyKey = "jitRequests/" + string(in.ID)
	}
	return once(ctx, tx, may, in.IdempotencyKey, in.digest(), func() (RequestDetail, error) {
		return e.activateNew(ctx, tx, may, in, checked)
	})
}

func (e *Service) activateNew(ctx context.Context, tx engine.Tx, may engine.Rights, in ActivateInput,
	checked *ticketCheck,
) (RequestDetail, error) {
	id, err := ChosenID(ctx, tx, in.ID)
	if err != nil {
		return RequestDetail{}, err
	}
	if err := checkTags(in.Tags); err != nil {
		return RequestDetail{}, err
	}
	if n := len(in.Roles); n == 0 || n > maxRoles {
		return RequestDetail{}, access.Fault(access.KindInvalid, "rolesOutOfRange",
			"name 1 to %d roles to activate, not %d", maxRoles, n)
	}
	eligible, err := engine.EligibleNow(ctx, tx, may)
	if err != nil {
		return RequestDetail{}, err
	}
	asked := in.asked()
	var sites []access.Machine
	var tenant access.TenantID
	for _, ref := range in.Roles {
		one, err := pickEligible(may, eligible, ref)
		if err != nil {
			return RequestDetail{}, err
		}
		if !may.Caller.Bounds.Cover(rbac.RoleActivate, one.Eligibility.Scope) {
			return RequestDetail{}, engine.OutOfBounds(rbac.RoleActivate, one.Eligibility.Scope)
		}
		role := one.AsRole()
		item := activation(one.Eligibility, role)
		item.Duration, item.Until = in.Duration, in.Until
		if len(sites) > 0 && !sites[0].Resource.Equal(role.Scope) {
			return RequestDetail{}, access.Fault(access.KindInvalid, "severalScopes",
				"one request activates roles at one scope: make another request for %s", role)
		}
		tenant = one.Eligibility.Tenant
		asked.Items = append(asked.Items, item)
		sites = append(sites, engine.RoleSite(role))
	}
	if owner := may.Dir.Owner(in.Resource); owner != "" && owner != tenant && !may.IsHome(owner) {
		return RequestDetail{}, access.Fault(access.KindForbidden, "subscriptionOfAnother",
			"the request would be called %s, and that subscription is neither yours nor of the tenant whose role "+
				"you ask for: name one that is",
			engine.Clip(string(in.Resource)))
	}
	verdict, err := e.judge(asked, checked, may)
	if err != nil {
		return RequestDetail{}, err
	}
	request := newRequest(may, tenant, asked, verdict)
	request.ID, request.Resource, request.Tags = id, in.Resource, in.Tags
	return e.file(ctx, tx, may, request, asked, sites, verdict)
}

// ChosenID gives the id of a new request, or of a change of a role: the caller's choice where neither has it, or a new
// one.
func ChosenID(ctx context.Context, r engine.Reader, id access.RequestID) (access.RequestID, error) {
	if id == "" {
		return access.RequestID(engine.NewID()), nil
	}
	if uuid.Validate(string(id)) != nil {
		return "", access.Fault(access.KindInvalid, "malformedRequestId", "the id %q of a request must be a GUID",
			engine.Clip(string(id)))
	}
	id = access.RequestID(strings.ToLower(string(id)))
	_, err := r.Request(ctx, id)
	if engine.IsKind(err, access.KindNotFound) {
		if _, err = r.RoleChange(ctx, access.RoleChangeID(id)); engine.IsKind(err, access.KindNotFound) {
			return id, nil
		}
	}
	if err != nil {
		return "", fmt.Errorf("read request: %w", err)
	}
	return "", access.Fault(access.KindConflict, "requestIdTaken", "there is a request %s already: choose another id",
		id)
}

// activation returns the item that asks for a role, as it is judged, without its times.
func activation(e access.Eligibility, role access.RoleTarget) policy.Item {
	terms := e.Terms()
	return policy.Item{
		Item:        access.Item{Target: role, PolicyRevision: e.Revision},
		Eligibility: &e, Name: role.String(), Policy: &terms,
	}
}

// notEligibleFor refuses an activation, and says where the caller needs none.
func notEligibleFor(may engine.Rights, ref EligibleRole) *access.Error {
	what := ref.Role
	if role, known := may.Dir.Definition(rbac.DefinitionID(ref.Role)); known {
		what = role.Name
	}
	if ref.Eligibility != "" {
		what = "eligibility " + string(ref.Eligibility)
	}
	if ref.Scope != "" {
		what += " at " + string(ref.Scope)
	}
	if ref.Eligibility == "" && ref.Scope != "" && may.Dir.Holds(may.Caller.Principal, ref.Role, ref.Scope, may.Now) {
		return access.Fault(access.KindForbidden, "roleHeldAlready",
			"you have the role %s already, without activation: leave it out of the request", engine.Clip(what))
	}
	return access.Fault(access.KindForbidden, "notEligible", "you are not eligible for %s", engine.Clip(what))
}

// pickEligible finds the one of the caller's eligibilities that a reference names. Where several give the same role at
// one scope, the one that lasts longest counts.
func pickEligible(may engine.Rights, eligible []engine.EligibilityDetail,
	ref EligibleRole,
) (engine.EligibilityDetail, error) {
	var found []engine.EligibilityDetail
	another := false
	for _, one := range eligible {
		named := strings.EqualFold(string(one.Eligibility.Role), ref.Role) || strings.EqualFold(one.Role.Name, ref.Role)
		switch {
		case ref.Eligibility != "" && one.Eligibility.ID != ref.Eligibility,
			ref.Eligibility == "" && (!named || ref.Scope != "" && !ref.Scope.Equal(one.Eligibility.Scope)):
		case ref.isFor(may.Caller.Principal) || ref.isFor(one.Eligibility.Principal):
			found = append(found, one)
		default:
			another = true
		}
	}
	switch {
	case len(found) > 0:
	case another || !ref.isFor(may.Caller.Principal) && !may.Dir.InGroup(may.Caller.Principal, ref.Principal):
		return engine.EligibilityDetail{}, access.Fault(access.KindForbidden, "notYourself",
			"the request is for %s, and whoever asks gets the role: name yourself, %s, or a group through which you "+
				"are eligible",
			engine.Clip(string(ref.Principal)), may.Caller.Principal)
	default:
		return engine.EligibilityDetail{}, notEligibleFor(may, ref)
	}
	slices.SortStableFunc(found, func(a, b engine.EligibilityDetail) int {
		return int(b.Eligibility.Max/time.Second - a.Eligibility.Max/time.Second)
	})
	for _, one := range found {
		if !one.Eligibility.Scope.Equal(found[0].Eligibility.Scope) {
			return engine.EligibilityDetail{},
				access.Fault(access.KindInvalid, "scopeMissing",
					"you are eligible for %s at %s and at %s: name the scope",
					found[0].Role.Name, found[0].Eligibility.Scope, one.Eligibility.Scope)
		}
	}
	return found[0], nil
}

// isFor reports whether the client's words mean principal; without any they mean the caller, whoever that is.
func (r EligibleRole) isFor(principal access.PrincipalID) bool {
	return r.Principal == "" || strings.EqualFold(string(r.Principal), string(principal))
}

// asked returns the input as it is judged, but for its items.
func (in ActivateInput) asked() policy.Input {
	return policy.Input{Start: in.Start, Justification: in.Justification, Ticket: in.Ticket}
}

// digest gives what an idempotency key is compared by.
func (in ActivateInput) digest() string {
	if in.Digest != "" {
		return in.Digest
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d %d %d %q %q", in.Roles, in.Start.UnixMicro(), in.Duration,
		in.Until.UnixMicro(), in.Justification, in.Ticket))
	return hex.EncodeToString(sum[:])
}

// describe gives what was asked for as a refusal records it.
func (in ActivateInput) describe() map[string]string {
	details := map[string]string{
		"justification": in.Justification, "ticket": in.Ticket,
		"roles": fmt.Sprint(len(in.Roles)), "for": in.Duration.String(),
	}
	if !in.Start.IsZero() {
		details["start"] = in.Start.UTC().Format(time.RFC3339)
	}
	if !in.Until.IsZero() {
		details["until"] = in.Until.UTC().Format(time.RFC3339)
	}
	for i, role := range in.Roles[:min(len(in.Roles), maxRoles)] {
		details[fmt.Sprintf("item.%d",
			i)] = fmt.Sprintf("role %q at %q by eligibility %q", role.Role, role.Scope, role.Eligibility)
	}
	return details
}
