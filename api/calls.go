package api

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// SignIn opens a session; its token goes into WithToken.
func (c *Client) SignIn(ctx context.Context, in SignIn) (Session, error) {
	return ask[Session](ctx, c, call{method: http.MethodPost, path: "/sessions", body: in})
}

// SignOut ends the session that the client calls with.
func (c *Client) SignOut(ctx context.Context) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/sessions/current"})
}

// Me tells who the caller is.
func (c *Client) Me(ctx context.Context) (Me, error) {
	return ask[Me](ctx, c, call{method: http.MethodGet, path: "/me"})
}

// PrincipalQuery narrows Principals; zero fields do not.
type PrincipalQuery struct {
	Kind  string
	Group string // name or id: only its direct members

	Member string // name or id: only groups that it is a direct member of
}

// Principals lists principals by name.
func (c *Client) Principals(ctx context.Context, q PrincipalQuery) iter.Seq2[Principal, error] {
	return pages[Principal](ctx, c, "/principals", query("kind", q.Kind, "group", q.Group, "member", q.Member))
}

// Principal gives one principal by name or id.
func (c *Client) Principal(ctx context.Context, ref string) (Principal, error) {
	return ask[Principal](ctx, c, call{method: http.MethodGet, path: "/principals/" + url.PathEscape(ref)})
}

// ResetPassword gives a user another password; without one the answer holds a one-time one.
func (c *Client) ResetPassword(ctx context.Context, ref string, in PasswordReset) (PasswordWasReset, error) {
	return ask[PasswordWasReset](ctx, c,
		call{method: http.MethodPost, path: "/principals/" + url.PathEscape(ref) + "/password", body: in})
}

// ChangePassword replaces the caller's own password.
func (c *Client) ChangePassword(ctx context.Context, in PasswordChange) error {
	return c.do(ctx, call{method: http.MethodPost, path: "/me/password", body: in})
}

// CreatePrincipal adds a principal.
func (c *Client) CreatePrincipal(ctx context.Context, in NewPrincipal) (CreatedPrincipal, error) {
	return ask[CreatedPrincipal](ctx, c, call{method: http.MethodPost, path: "/principals", body: in})
}

// ChangePrincipal changes what the fields that are present say.
func (c *Client) ChangePrincipal(ctx context.Context, ref string, in PrincipalChange) (Principal, error) {
	return ask[Principal](ctx, c, call{method: http.MethodPatch, path: "/principals/" + url.PathEscape(ref), body: in})
}

// AddMember puts a principal into a group; both are names or ids.
func (c *Client) AddMember(ctx context.Context, group, member string) error {
	return c.do(ctx,
		call{method: http.MethodPut, path: "/groups/" + url.PathEscape(group) + "/members/" + url.PathEscape(member)})
}

// RemoveMember takes a principal out of a group; both are names or ids.
func (c *Client) RemoveMember(ctx context.Context, group, member string) error {
	return c.do(ctx,
		call{
			method: http.MethodDelete,
			path:   "/groups/" + url.PathEscape(group) + "/members/" + url.PathEscape(member),
		})
}

// DeleteGroup deletes a group that nothing names any more.
func (c *Client) DeleteGroup(ctx context.Context, group string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/groups/" + url.PathEscape(group)})
}

// MachineQuery narrows Machines; zero fields do not.
type MachineQuery struct {
	Standing string
	Scope    string // a resource id
	Prefix   string // of the name

	Search string // words in the name or in an address, or of labels: env=prod, env!=prod, env=
	Group  string // name of a resource group
	Labels string // such as env=prod,role=web: machines that have them all
	State  string // open or trouble
	Sort   string // name, group, lastAccess or createdAt; a minus before it turns the order round
}

// Machines lists machines, by name where nothing else is said.
func (c *Client) Machines(ctx context.Context, q MachineQuery) iter.Seq2[Machine, error] {
	return pages[Machine](ctx, c, "/machines", query("standing", q.Standing, "scope", q.Scope, "prefix", q.Prefix,
		"search", q.Search, "group", q.Group, "labels", q.Labels, "state", q.State, "sort", q.Sort))
}

// Machine gives one machine by name, id or resource id.
func (c *Client) Machine(ctx context.Context, ref string) (Machine, error) {
	return ask[Machine](ctx, c, call{method: http.MethodGet, path: "/machines/" + url.PathEscape(ref)})
}

// AddMachine adds a machine behind a gateway.
func (c *Client) AddMachine(ctx context.Context, in NewMachine) (Machine, error) {
	return ask[Machine](ctx, c, call{method: http.MethodPost, path: "/machines", body: in})
}

// LabelMachine changes the labels of a machine.
func (c *Client) LabelMachine(ctx context.Context, ref string, in LabelChange) (Machine, error) {
	return ask[Machine](ctx, c,
		call{method: http.MethodPatch, path: "/machines/" + url.PathEscape(ref) + "/labels", body: in})
}

// DeleteMachine removes a machine and ends what is open on it.
func (c *Client) DeleteMachine(ctx context.Context, ref string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/machines/" + url.PathEscape(ref)})
}

// Agents lists enforcement points by name.
func (c *Client) Agents(ctx context.Context) iter.Seq2[Agent, error] {
	return pages[Agent](ctx, c, "/agents", nil)
}

// RevokeGateway revokes a gateway that no machine is behind.
func (c *Client) RevokeGateway(ctx context.Context, ref string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/agents/" + url.PathEscape(ref)})
}

// EnrollmentTokens lists the tokens that no agent has enrolled with yet.
func (c *Client) EnrollmentTokens(ctx context.Context) iter.Seq2[WaitingToken, error] {
	return pages[WaitingToken](ctx, c, "/enrollment-tokens", nil)
}

// DeleteEnrollmentToken withdraws a token.
func (c *Client) DeleteEnrollmentToken(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/enrollment-tokens/" + url.PathEscape(id)})
}

// CreateEnrollmentToken makes a token with which one agent enrolls, once.
func (c *Client) CreateEnrollmentToken(ctx context.Context, in NewEnrollmentToken) (EnrollmentToken, error) {
	return ask[EnrollmentToken](ctx, c, call{method: http.MethodPost, path: "/enrollment-tokens", body: in})
}

// Policies lists what guards the machines that the caller may read.
func (c *Client) Policies(ctx context.Context) iter.Seq2[MachinePolicyView, error] {
	return pages[MachinePolicyView](ctx, c, "/policies", nil)
}

// MachinePolicy gives what guards a machine.
func (c *Client) MachinePolicy(ctx context.Context, machine string) (MachinePolicyView, error) {
	return ask[MachinePolicyView](ctx, c, call{method: http.MethodGet, path: policyPath(machine)})
}

// SetMachinePolicy replaces what guards a machine. Where ifRevision is not 0 and the policy has another revision, it
// changes nothing and gives a conflict.
func (c *Client) SetMachinePolicy(ctx context.Context, machine string, in MachinePolicy,
	ifRevision int64,
) (MachinePolicyView, error) {
	return ask[MachinePolicyView](ctx, c,
		call{method: http.MethodPut, path: policyPath(machine), header: ifMatch(ifRevision), body: in})
}

// TryMachinePolicy is SetMachinePolicy until a time is over: unless ConfirmMachinePolicy is called by then, what
// guarded the machine before guards it again.
func (c *Client) TryMachinePolicy(ctx context.Context, machine string, in MachinePolicy, ifRevision int64,
	within time.Duration,
) (MachinePolicyView, error) {
	return ask[MachinePolicyView](ctx, c, call{
		method: http.MethodPut, path: policyPath(machine), header: ifMatch(ifRevision), body: in,
		query: url.Values{"confirmWithinSeconds": {strconv.FormatInt(int64(within/time.Second), 10)}},
	})
}

// ConfirmMachinePolicy has what is tried on a machine stand. It calls over a new connection, which proves that the
// guard lets the caller through.
func (c *Client) ConfirmMachinePolicy(ctx context.Context, machine string) error {
	c.http.CloseIdleConnections()
	return c.do(ctx, call{method: http.MethodPost, path: policyPath(machine) + "/confirm"})
}

// UndoMachinePolicy takes back what is tried on a machine.
func (c *Client) UndoMachinePolicy(ctx context.Context, machine string) error {
	return c.do(ctx, call{method: http.MethodPost, path: policyPath(machine) + "/undo"})
}

// DeleteMachinePolicy takes a machine out of its policy; ifRevision as in SetMachinePolicy.
func (c *Client) DeleteMachinePolicy(ctx context.Context, machine string, ifRevision int64) error {
	return c.do(ctx, call{method: http.MethodDelete, path: policyPath(machine), header: ifMatch(ifRevision)})
}

// ScopePolicies lists the policies of resource groups, subscriptions and labels, in the order in which they count.
func (c *Client) ScopePolicies(ctx context.Context) iter.Seq2[ScopePolicy, error] {
	return pages[ScopePolicy](ctx, c, "/scope-policies", nil)
}

// ScopePolicy returns one of them, by its name or resource id.
func (c *Client) ScopePolicy(ctx context.Context, policy string) (ScopePolicy, error) {
	return ask[ScopePolicy](ctx, c, call{method: http.MethodGet, path: scopePolicyPath(policy)})
}

// SetScopePolicy makes a policy of a scope, or replaces it; ifRevision as in SetMachinePolicy.
func (c *Client) SetScopePolicy(ctx context.Context, name string, in NewScopePolicy,
	ifRevision int64,
) (ScopePolicy, error) {
	return ask[ScopePolicy](ctx, c,
		call{method: http.MethodPut, path: scopePolicyPath(name), header: ifMatch(ifRevision), body: in})
}

// DeleteScopePolicy deletes a policy of a scope; ifRevision as in SetMachinePolicy.
func (c *Client) DeleteScopePolicy(ctx context.Context, policy string, ifRevision int64) error {
	return c.do(ctx, call{method: http.MethodDelete, path: scopePolicyPath(policy), header: ifMatch(ifRevision)})
}

func scopePolicyPath(policy string) string { return "/scope-policies/" + url.PathEscape(policy) }

func policyPath(machine string) string { return "/machines/" + url.PathEscape(machine) + "/policy" }

func ifMatch(revision int64) http.Header {
	if revision == 0 {
		return nil
	}
	return http.Header{"If-Match": {`"` + strconv.FormatInt(revision, 10) + `"`}}
}

// Submit asks for access. Two calls with one key happen once; an empty key is made up, so that nothing is shared.
func (c *Client) Submit(ctx context.Context, in NewRequest, idempotencyKey string) (Request, error) {
	if idempotencyKey == "" {
		idempotencyKey = NewIdempotencyKey()
	}
	return ask[Request](ctx, c, call{
		method: http.MethodPost, path: "/requests", header: http.Header{"Idempotency-Key": {idempotencyKey}},
		body: in,
	})
}

// RequestQuery narrows Requests; zero fields do not.
type RequestQuery struct {
	State     string
	Machine   string // name, id or resource id
	Requester string // name or id; "me" is the caller
	NeedsMe   bool   // only those that the caller may decide now

	Roles       bool   // only those for roles
	Application string // name or resource id of a managed application: only those for roles on it
}

// Requests lists requests, the newest first.
func (c *Client) Requests(ctx context.Context, q RequestQuery) iter.Seq2[Request, error] {
	v := query("state", q.State, "machine", q.Machine, "requester", q.Requester, "application", q.Application)
	if q.Roles {
		v.Set("roles", "true")
	}
	if q.NeedsMe {
		v.Set("needsMe", "true")
	}
	return pages[Request](ctx, c, "/requests", v)
}

// Request gives one request. It waits up to wait (at most 25 s) for it not to be pending any more.
func (c *Client) Request(ctx context.Context, id string, wait time.Duration) (Request, error) {
	return ask[Request](ctx, c,
		call{method: http.MethodGet, path: "/requests/" + url.PathEscape(id), query: waiting(wait)})
}

// CancelRequest takes a pending request back.
func (c *Client) CancelRequest(ctx context.Context, id, reason string) (Request, error) {
	return ask[Request](ctx, c,
		call{method: http.MethodPost, path: "/requests/" + url.PathEscape(id) + "/cancel", body: Note{Reason: reason}})
}

// GrantQuery narrows Grants; zero fields do not.
type GrantQuery struct {
	States    []string // any of them
	Machine   string   // name, id or resource id
	Principal string   // name or id; "me" is the caller
}

// Grants lists grants, the newest first.
func (c *Client) Grants(ctx context.Context, q GrantQuery) iter.Seq2[Grant, error] {
	v := query("machine", q.Machine, "principal", q.Principal)
	for i, state := range q.States {
		if i == 0 {
			v.Set("state", state)
		} else {
			v.Set("state", v.Get("state")+","+state)
		}
	}
	return pages[Grant](ctx, c, "/grants", v)
}

// Grant gives one grant. It waits up to wait (at most 25 s) for it to be neither scheduled nor opening.
func (c *Client) Grant(ctx context.Context, id string, wait time.Duration) (Grant, error) {
	return ask[Grant](ctx, c, call{method: http.MethodGet, path: "/grants/" + url.PathEscape(id), query: waiting(wait)})
}

// Revoke ends a grant early.
func (c *Client) Revoke(ctx context.Context, id, reason string) (Grant, error) {
	return ask[Grant](ctx, c,
		call{method: http.MethodPost, path: "/grants/" + url.PathEscape(id) + "/revoke", body: Note{Reason: reason}})
}

// Roles lists the role definitions.
func (c *Client) Roles(ctx context.Context) iter.Seq2[Role, error] {
	return pages[Role](ctx, c, "/roles", nil)
}

// RoleAssignmentQuery narrows RoleAssignments; zero fields do not.
type RoleAssignmentQuery struct {
	Principal string // name or id
	Role      string // name or id
	Scope     string // a resource id: at it or below
}

// RoleAssignments lists who has which role where.
func (c *Client) RoleAssignments(ctx context.Context, q RoleAssignmentQuery) iter.Seq2[RoleAssignment, error] {
	return pages[RoleAssignment](ctx, c, "/role-assignments",
		query("principal", q.Principal, "role", q.Role, "scope", q.Scope))
}

// AssignRole gives a role to a principal at a scope.
func (c *Client) AssignRole(ctx context.Context, in NewRoleAssignment) (RoleAssignment, error) {
	return ask[RoleAssignment](ctx, c, call{method: http.MethodPost, path: "/role-assignments", body: in})
}

// UnassignRole takes an assignment back.
func (c *Client) UnassignRole(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/role-assignments/" + url.PathEscape(id)})
}

// EventQuery narrows Events; zero fields do not.
type EventQuery struct {
	Since   time.Time // inclusive
	Before  time.Time // exclusive
	Kind    string
	Actor   string // name or id; "me" is the caller
	Machine string // name, id or resource id
	Request string
	Outcome string
}

// Events lists the activity log, the newest first.
func (c *Client) Events(ctx context.Context, q EventQuery) iter.Seq2[Event, error] {
	v := query("kind", q.Kind, "actor", q.Actor, "machine", q.Machine, "request", q.Request, "outcome", q.Outcome)
	if !q.Since.IsZero() {
		v.Set("since", q.Since.UTC().Format(time.RFC3339Nano))
	}
	if !q.Before.IsZero() {
		v.Set("before", q.Before.UTC().Format(time.RFC3339Nano))
	}
	return pages[Event](ctx, c, "/events", v)
}

// Event gives one record of the activity log.
func (c *Client) Event(ctx context.Context, seq int64) (Event, error) {
	return ask[Event](ctx, c, call{method: http.MethodGet, path: "/events/" + strconv.FormatInt(seq, 10)})
}

// InclusionProof proves that record seq is in the log of that size; 0 is the size of the newest checkpoint.
func (c *Client) InclusionProof(ctx context.Context, seq, size int64) (Proof, error) {
	v := url.Values{}
	if size > 0 {
		v.Set("size", strconv.FormatInt(size, 10))
	}
	return ask[Proof](ctx, c,
		call{method: http.MethodGet, path: "/events/" + strconv.FormatInt(seq, 10) + "/proof", query: v})
}

// Checkpoint gives the newest signed checkpoint.
func (c *Client) Checkpoint(ctx context.Context) (Checkpoint, error) {
	return ask[Checkpoint](ctx, c, call{method: http.MethodGet, path: "/audit/checkpoint"})
}

// Checkpoints lists the signed checkpoints, the newest first.
func (c *Client) Checkpoints(ctx context.Context) iter.Seq2[Checkpoint, error] {
	return pages[Checkpoint](ctx, c, "/audit/checkpoints", nil)
}

// ConsistencyProof proves that the log of size to begins with the log of size from.
func (c *Client) ConsistencyProof(ctx context.Context, from, to int64) (Proof, error) {
	v := url.Values{"from": {strconv.FormatInt(from, 10)}, "to": {strconv.FormatInt(to, 10)}}
	return ask[Proof](ctx, c, call{method: http.MethodGet, path: "/audit/consistency", query: v})
}

// Export gives the activity log from record from on as lines of ExportLine, the last one with the checkpoint. An
// export that ends without one is not whole.
func (c *Client) Export(ctx context.Context, from int64) (io.ReadCloser, error) {
	response, err := c.send(ctx,
		call{method: http.MethodGet, path: "/audit/export", query: url.Values{"from": {strconv.FormatInt(from, 10)}}})
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

func query(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}

func waiting(wait time.Duration) url.Values {
	if wait <= 0 {
		return nil
	}
	seconds := min(max(int64(wait/time.Second), 1), 25)
	return url.Values{"waitSeconds": {strconv.FormatInt(seconds, 10)}}
}
