package engine

import (
	"context"
	"net/netip"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/core/rbac"
)

type snapshot struct{}

var errPending = access.Fault(access.KindInternal, "pending", "not written yet")

// Bootstrap makes, at the first start, the tenant, the default subscription and resource group, the built-in roles and the
// user "admin", who is Owner of everything, with a random one-time password. hash makes the PHC string of a password. On
// later starts it brings the built-in roles up to date and gives an empty password.
func (e *Engine) Bootstrap(ctx context.Context, hash func(password string) (string, error)) (adminPassword string, err error) {
	return "", errPending
}

// Submit asks for access, and where the policy approves by itself makes the grants in the same transaction.
func (e *Engine) Submit(ctx context.Context, c Caller, in SubmitInput) (RequestDetail, error) {
	return RequestDetail{}, errPending
}

// Request gives one request: the caller's own, or one on a machine whose requests they may read.
func (e *Engine) Request(ctx context.Context, c Caller, id access.RequestID) (RequestDetail, error) {
	return RequestDetail{}, errPending
}

// Requests lists requests, newest first.
func (e *Engine) Requests(ctx context.Context, c Caller, f RequestFilter, p Page) (Listed[RequestDetail], error) {
	return Listed[RequestDetail]{}, errPending
}

// Cancel takes a pending request back.
func (e *Engine) Cancel(ctx context.Context, c Caller, id access.RequestID, reason string) (RequestDetail, error) {
	return RequestDetail{}, errPending
}

// Grant gives one grant: the caller's own, or one on a machine whose grants they may read.
func (e *Engine) Grant(ctx context.Context, c Caller, id access.GrantID) (GrantDetail, error) {
	return GrantDetail{}, errPending
}

// WaitGrant is Grant, but waits up to most while the grant is scheduled or opening.
func (e *Engine) WaitGrant(ctx context.Context, c Caller, id access.GrantID, most time.Duration) (GrantDetail, error) {
	return GrantDetail{}, errPending
}

// Grants lists grants, newest first.
func (e *Engine) Grants(ctx context.Context, c Caller, f GrantFilter, p Page) (Listed[GrantDetail], error) {
	return Listed[GrantDetail]{}, errPending
}

// Revoke ends a grant early.
func (e *Engine) Revoke(ctx context.Context, c Caller, id access.GrantID, reason string) (GrantDetail, error) {
	return GrantDetail{}, errPending
}

// Machine gives one machine by its name, id or resource id.
func (e *Engine) Machine(ctx context.Context, c Caller, ref string) (MachineDetail, error) {
	return MachineDetail{}, errPending
}

// Machines lists machines by name.
func (e *Engine) Machines(ctx context.Context, c Caller, f MachineFilter, p Page) (Listed[MachineDetail], error) {
	return Listed[MachineDetail]{}, errPending
}

// AddMachine adds a machine behind a gateway.
func (e *Engine) AddMachine(ctx context.Context, c Caller, in AddMachineInput) (MachineDetail, error) {
	return MachineDetail{}, errPending
}

// DeleteMachine revokes what is open on a machine and forgets it; the agent on it, in host mode, is revoked.
func (e *Engine) DeleteMachine(ctx context.Context, c Caller, ref string) error { return errPending }

// MakeEnrollmentToken makes a token with which one agent enrols, once. It is shown here and never again.
func (e *Engine) MakeEnrollmentToken(ctx context.Context, c Caller, in TokenInput) (token string, t EnrollmentToken, err error) {
	return "", EnrollmentToken{}, errPending
}

// MachinePolicy gives what guards a machine.
func (e *Engine) MachinePolicy(ctx context.Context, c Caller, machine string) (PolicyDetail, error) {
	return PolicyDetail{}, errPending
}

// SetMachinePolicy sets what guards a machine, in the policy that names it, or else in the policy "default" of its resource
// group. entry.Machine is ignored. With ifRevision it fails with a conflict unless the policy is still at that revision.
func (e *Engine) SetMachinePolicy(ctx context.Context, c Caller, machine string, entry access.MachinePolicy, ifRevision *int64) (PolicyDetail, error) {
	return PolicyDetail{}, errPending
}

// DeleteMachinePolicy stops guarding a machine and revokes what is open on it.
func (e *Engine) DeleteMachinePolicy(ctx context.Context, c Caller, machine string, ifRevision *int64) error {
	return errPending
}

// Policies lists policies by resource id.
func (e *Engine) Policies(ctx context.Context, c Caller, f PolicyFilter, p Page) (Listed[access.Policy], error) {
	return Listed[access.Policy]{}, errPending
}

// PolicyByResource gives one policy by its resource id.
func (e *Engine) PolicyByResource(ctx context.Context, c Caller, id access.ResourceID) (access.Policy, error) {
	return access.Policy{}, errPending
}

// PutPolicy makes or replaces a whole policy.
func (e *Engine) PutPolicy(ctx context.Context, c Caller, in PolicyInput, ifRevision *int64) (p access.Policy, created bool, err error) {
	return access.Policy{}, false, errPending
}

// DeletePolicy deletes a policy and revokes what is open on its machines.
func (e *Engine) DeletePolicy(ctx context.Context, c Caller, id access.ResourceID, ifRevision *int64) error {
	return errPending
}

// Check tells whether the caller may do action at scope: nil, or an error of access.KindForbidden.
func (e *Engine) Check(ctx context.Context, c Caller, action string, scope access.ResourceID) error {
	return errPending
}

// Self gives the caller's own principal.
func (e *Engine) Self(ctx context.Context, c Caller) (access.Principal, error) {
	return access.Principal{}, errPending
}

// CreatePrincipal adds a user, a group or a service principal to the caller's tenant.
func (e *Engine) CreatePrincipal(ctx context.Context, c Caller, in PrincipalInput) (access.Principal, error) {
	return access.Principal{}, errPending
}

// Principal gives one principal by its name or id.
func (e *Engine) Principal(ctx context.Context, c Caller, ref string) (access.Principal, error) {
	return access.Principal{}, errPending
}

// Principals lists the principals of the caller's tenant by name. f.Group and f.Member are ids or names.
func (e *Engine) Principals(ctx context.Context, c Caller, f PrincipalFilter, p Page) (Listed[access.Principal], error) {
	return Listed[access.Principal]{}, errPending
}

// ChangePrincipal changes a principal; one who becomes disabled is signed out everywhere.
func (e *Engine) ChangePrincipal(ctx context.Context, c Caller, ref string, change PrincipalChange) (access.Principal, error) {
	return access.Principal{}, errPending
}

// AddMember puts member into group, both by name or id. One who is a member stays one.
func (e *Engine) AddMember(ctx context.Context, c Caller, group, member string) error {
	return errPending
}

// RemoveMember takes member out of group, both by name or id.
func (e *Engine) RemoveMember(ctx context.Context, c Caller, group, member string) error {
	return errPending
}

// RoleDefinitions lists the roles that exist in the caller's tenant, by name.
func (e *Engine) RoleDefinitions(ctx context.Context, c Caller) ([]rbac.Definition, error) {
	return nil, errPending
}

// AssignRole gives a role to a principal at a scope.
func (e *Engine) AssignRole(ctx context.Context, c Caller, in AssignInput) (AssignmentDetail, error) {
	return AssignmentDetail{}, errPending
}

// RoleAssignments lists role assignments by id.
func (e *Engine) RoleAssignments(ctx context.Context, c Caller, f AssignmentFilter, p Page) (Listed[AssignmentDetail], error) {
	return Listed[AssignmentDetail]{}, errPending
}

// UnassignRole takes a role assignment away.
func (e *Engine) UnassignRole(ctx context.Context, c Caller, id rbac.AssignmentID) error {
	return errPending
}

// Agents lists agents by name.
func (e *Engine) Agents(ctx context.Context, c Caller, p Page) (Listed[access.Agent], error) {
	return Listed[access.Agent]{}, errPending
}

// Events lists the activity log.
func (e *Engine) Events(ctx context.Context, c Caller, f EventFilter, p Page) (Listed[access.Event], error) {
	return Listed[access.Event]{}, errPending
}

// Event gives one event of the activity log by its number.
func (e *Engine) Event(ctx context.Context, c Caller, seq int64) (access.Event, error) {
	return access.Event{}, errPending
}

// Export writes the canonical records from number from to the end of the newest checkpoint, and gives that checkpoint.
func (e *Engine) Export(ctx context.Context, c Caller, from int64, write func(seq int64, record []byte) error) (CheckpointDetail, error) {
	return CheckpointDetail{}, errPending
}

// Checkpoint gives the newest signed checkpoint.
func (e *Engine) Checkpoint(ctx context.Context, c Caller) (CheckpointDetail, error) {
	return CheckpointDetail{}, errPending
}

// InclusionProof proves that record seq is in the tree of size records; size 0 is that of the newest checkpoint.
func (e *Engine) InclusionProof(ctx context.Context, c Caller, seq, size int64) (Proof, error) {
	return Proof{}, errPending
}

// ConsistencyProof proves that the tree of from records is a beginning of the tree of to records; to 0 is that of the
// newest checkpoint.
func (e *Engine) ConsistencyProof(ctx context.Context, c Caller, from, to int64) (Proof, error) {
	return Proof{}, errPending
}

// Credentials gives what a sign-in under name is checked against; package identity alone calls it.
func (e *Engine) Credentials(ctx context.Context, name string) (Credentials, error) {
	return Credentials{}, errPending
}

// SignIn keeps a session.
func (e *Engine) SignIn(ctx context.Context, in SignInInput) error { return errPending }

// SignInRefused records a refused sign-in and locks the name after too many.
func (e *Engine) SignInRefused(ctx context.Context, in SignInRefusal) error { return errPending }

// Session gives the caller behind the hash of a session's token; it fails with access.KindUnauthenticated.
func (e *Engine) Session(ctx context.Context, hash string) (Caller, Session, error) {
	return Caller{}, Session{}, errPending
}

// SignOut ends the caller's session.
func (e *Engine) SignOut(ctx context.Context, c Caller) error { return errPending }

// Enroll uses a token up: it makes the agent and, in host mode, its machine. sign issues the certificate for the agent's
// id and gives the fingerprint of its public key; it is called once, outside any transaction.
func (e *Engine) Enroll(ctx context.Context, addr netip.Addr, in EnrollInput, sign func(access.AgentID) (fingerprint string, err error)) (Enrolled, error) {
	return Enrolled{}, errPending
}

// RenewAgent replaces an agent's certificate. The old one counts until it ends by itself, since the answer may be lost.
func (e *Engine) RenewAgent(ctx context.Context, agent access.AgentID, addr netip.Addr, sign func(access.AgentID) (fingerprint string, err error)) (Enrolled, error) {
	return Enrolled{}, errPending
}

// AuthenticateAgent checks that an agent's certificate, whose signature and validity identity has checked, still counts.
func (e *Engine) AuthenticateAgent(ctx context.Context, agent access.AgentID, fingerprint string, addr netip.Addr) (access.Agent, error) {
	return access.Agent{}, errPending
}

// AgentRefused records that somebody showed a certificate that does not count.
func (e *Engine) AgentRefused(ctx context.Context, addr netip.Addr, reason string, details map[string]string) error {
	return errPending
}

// Desired gives everything that should hold at the agent now; instants are of the server's wall clock.
func (e *Engine) Desired(ctx context.Context, agent access.AgentID) (access.DesiredState, error) {
	return access.DesiredState{}, errPending
}

// WatchDesired gives a channel that receives, coalesced, when Desired may have changed; now and then it receives without.
func (e *Engine) WatchDesired(agent access.AgentID) (changed <-chan struct{}, stop func()) {
	return e.store.Watch(agent)
}

// Report takes in what an agent says it really has.
func (e *Engine) Report(ctx context.Context, agent access.AgentID, addr netip.Addr, r access.Report) error {
	return errPending
}

// Run does what the time makes due and signs checkpoints until ctx ends; it then gives nil.
func (e *Engine) Run(ctx context.Context) error { return errPending }

var _ = audit.Hash{}
