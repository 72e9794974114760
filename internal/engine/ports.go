package engine

import (
	"context"
	"net/netip"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Regrouping says that somebody, by an act of theirs, is in a group no more, or is in one without having been put into
// it, such as one that was disabled.
type Regrouping struct {
	Principal access.PrincipalID
	Group     access.PrincipalID
	Name      string // of the group, which may be gone
	Left      bool
	At        time.Time
}

// PolicyDetail is what guards one machine: the policy, its entry for the machine, and the machine.
type PolicyDetail struct {
	Policy  access.Policy
	Entry   access.MachinePolicy
	Machine access.Machine
}

// Store keeps everything. It never decides, never reads a clock, and knows no HTTP.
type Store interface {
	// View runs fn in a read transaction, which is always rolled back: what fn might write is lost.
	View(ctx context.Context, fn func(Reader) error) error

	// Update runs fn in a transaction and returns once it is durable. Transactions of concurrent callers are committed
	// together, each behind its own savepoint: an error of fn undoes what fn did and nothing else. fn may be run more
	// than once, so it must have no effect outside the transaction. A write that fails spoils the transaction: Update
	// fails with its error whatever fn does about it. The write itself may give nil, where it was only sent later; so
	// look at the error of Update, not of the write, to tell a conflict from a fault.
	Update(ctx context.Context, fn func(Tx) error) error

	// Watch gives a channel that receives, coalesced, after each commit that bumped the desired state of agent, by
	// whichever replica; now and then it may receive without one. stop releases it.
	Watch(agent access.AgentID) (changed <-chan struct{}, stop func())

	// WatchEvents is Watch for the activity log: it receives after each commit that appended to it.
	WatchEvents() (changed <-chan struct{}, stop func())

	// Ping tells whether the database answers.
	Ping(ctx context.Context) error

	// Scrub writes the database anew so far that none of its files holds a value that a setting had before. It takes
	// long, so it is for a start.
	Scrub(ctx context.Context) error
}

// Page bounds a list: at most Limit rows (1 to 1,000), after the row that Cursor names (empty: from the start).
type Page struct {
	Limit  int
	Cursor string
}

// Listed is one page of a list and the cursor of the next; Next is empty on the last page.
type Listed[T any] struct {
	Items []T
	Next  string
}

// Reader reads. Whatever looks for one thing and does not find it fails with access.KindNotFound. A malformed cursor
// is access.KindInvalid.
type Reader interface {
	OutboxReader
	AlertReader
	InsightReader
	InboxReader

	SignInReader
	ViewReader
	DecisionReader
	IdentityReader
	ApplicationReader
	EligibilityReader
	RoleChangeReader
	RecallReader
	ScopePolicyReader
	AccessReviewReader
	TrialReader
	QuotaReader

	Tenants(ctx context.Context) ([]access.Tenant, error)
	Subscriptions(ctx context.Context) ([]access.Subscription, error)
	ResourceGroups(ctx context.Context) ([]access.ResourceGroup, error)

	Principal(ctx context.Context, id access.PrincipalID) (access.Principal, error)
	PrincipalByName(ctx context.Context, tenant access.TenantID, name string) (access.Principal, error)
	// MembershipsBy gives the memberships of some that somebody gave since then and that still stand.
	MembershipsBy(ctx context.Context, by access.PrincipalID, since time.Time,
		of []access.PrincipalID) ([]rbac.Membership, error)
	Regroupings(ctx context.Context, principal access.PrincipalID, since time.Time) ([]Regrouping, error) // by group
	Principals(ctx context.Context, f PrincipalFilter, p Page) (Listed[access.Principal], error)          // by name

	// DirectoryRevision numbers everything that authorization rests on; it grows with every change of it.
	DirectoryRevision(ctx context.Context) (int64, error)
	// Directory loads all of that: role definitions, assignments, memberships, disabled principals.
	Directory(ctx context.Context) (rbac.Data, error)

	Password(ctx context.Context, principal access.PrincipalID) (Password, error)
	Session(ctx context.Context, hash string) (Session, error)
	Sessions(ctx context.Context, principal access.PrincipalID) ([]Session, error) // the newest first; at most 1,000
	EnrollmentToken(ctx context.Context, hash string) (EnrollmentToken, error)
	// EnrollmentTokens gives the tokens of a tenant that are good for an agent still, the first to expire first; at
	// most 1,000.
	EnrollmentTokens(ctx context.Context, tenant access.TenantID, now time.Time) ([]EnrollmentToken, error)

	Agent(ctx context.Context, id access.AgentID) (access.Agent, error)
	Agents(ctx context.Context, p Page) (Listed[access.Agent], error) // by name
	// in service, that enrolled for a resource group; at most 1,000
	AgentsIn(ctx context.Context, tenant access.TenantID, scope access.ResourceID) ([]access.Agent, error)
	// at most 1,000, those in service first, without regard to case
	AgentsByName(ctx context.Context, tenant access.TenantID, name string) ([]access.Agent, error)

	Machine(ctx context.Context, id access.MachineID) (access.Machine, error)
	MachineByResource(ctx context.Context, id access.ResourceID) (access.Machine, error)
	// at most 1,000, without regard to case
	MachinesByName(ctx context.Context, tenant access.TenantID, name string) ([]access.Machine, error)
	Machines(ctx context.Context, f MachineFilter, p Page) (Listed[access.Machine], error)

	Policy(ctx context.Context, id access.PolicyID) (access.Policy, error)
	PolicyByResource(ctx context.Context, id access.ResourceID) (access.Policy, error)
	// PolicyHead gives a policy without what it says of its machines.
	PolicyHead(ctx context.Context, id access.ResourceID) (access.Policy, error)
	// PolicyEntries gives what a policy says of its first machines; at most limit.
	PolicyEntries(ctx context.Context, id access.PolicyID, limit int) ([]access.MachinePolicy, error)
	// PolicyEntriesWith gives what the policies of a tenant say of machines, where it has a text such as the id of a
	// group or the name of a network, whatever that means there; by machine, after the one that is given, at most limit
	// (1 to 1,000).
	PolicyEntriesWith(ctx context.Context, tenant access.TenantID, text string, after access.MachineID,
		limit int) ([]access.MachinePolicy, error)
	// GuardOf gives the policy that names the machine, with its entry for that machine alone.
	GuardOf(ctx context.Context, machine access.MachineID) (access.Policy, error)
	// FormerEntry gives what a policy said last of a machine when it ceased to name it.
	FormerEntry(ctx context.Context, machine access.MachineID) (access.MachinePolicy, error)
	// Policies gives whole policies, by resource id. A page ends early where its policies name 10,000 machines.
	Policies(ctx context.Context, f PolicyFilter, p Page) (Listed[access.Policy], error)
	// Guards gives what policies say of machines, by the policy's resource id and in its order; each policy without the
	// other machines that it names. A machine that was deleted is zero.
	Guards(ctx context.Context, f PolicyFilter, p Page) (Listed[PolicyDetail], error)

	Request(ctx context.Context, id access.RequestID) (access.Request, error)
	Requests(ctx context.Context, f RequestFilter, p Page) (Listed[access.Request], error) // newest first
	Grant(ctx context.Context, id access.GrantID) (access.Grant, error)
	Grants(ctx context.Context, f GrantFilter, p Page) (Listed[access.Grant], error) // newest first
	GrantsOfRequest(ctx context.Context, id access.RequestID) ([]access.Grant, error)
	// Unended counts the grants of a request that have not ended.
	Unended(ctx context.Context, id access.RequestID) (int, error)
	// GrantsByID gives those of the grants that exist, in no order.
	GrantsByID(ctx context.Context, ids []access.GrantID) ([]access.Grant, error)
	// GrantsLike gives the grants that have not ended and are of the same principal, machine, ports, protocol and
	// sources as g, and end no later; at most limit, the first to end first.
	GrantsLike(ctx context.Context, g access.Grant, limit int) ([]access.Grant, error)
	// Windows gives the windows of what a principal has, had or will have of one thing: those that end after one
	// instant and begin before another. However many there are, it reads a few hundred.
	Windows(ctx context.Context, f WindowFilter) (Windows, error)
	// Scenes gives what the desired state of each agent is derived from; an agent that is not there has none.
	Scenes(ctx context.Context, agents []access.AgentID) (map[access.AgentID]access.Scene, error)
	// LiveGrants gives the grants of the machines that have begun by now and are open or opening, those that began
	// first first; at most 100 of each machine.
	LiveGrants(ctx context.Context, machines []access.MachineID, now time.Time) ([]access.Grant, error)
	// LastEnd gives when the last of the grants of a machine ends that began by then and were not seen gone; zero where
	// there is none.
	LastEnd(ctx context.Context, machine access.MachineID, began time.Time) (time.Time, error)
	// LastEndOf is LastEnd of all machines of an agent.
	LastEndOf(ctx context.Context, agent access.AgentID, began time.Time) (time.Time, error)

	// Due gives what the time has overtaken: pending requests to time out, whose stage is over or of which people are to
	// be reminded, scheduled grants to
	// begin, grants to expire and grants whose holder is to be warned; at most limit of each. Next is the earliest
	// instant at which more will be due; zero if there is none.
	Due(ctx context.Context, now time.Time, limit int) (Due, error)

	Event(ctx context.Context, seq int64) (access.Event, error)
	// newest first, or oldest first where f says so
	Events(ctx context.Context, f EventFilter, p Page) (Listed[access.Event], error)
	// Records gives the canonical records of events from number from on, in order; at most limit (1 to 1,000).
	Records(ctx context.Context, from int64, limit int) ([][]byte, error)
	// AuditSize is the number of events; AuditHashes reads nodes of the tree by their indexes in tlog's order of stored
	// hashes. In an Update, all that is read of the activity log is as it was before the transactions it is committed
	// with.
	AuditSize(ctx context.Context) (int64, error)
	AuditHashes(ctx context.Context, indexes []int64) ([]audit.Hash, error)
	Checkpoint(ctx context.Context) (audit.SignedCheckpoint, error)                  // the newest
	Checkpoints(ctx context.Context, p Page) (Listed[audit.SignedCheckpoint], error) // the newest first

	Idempotent(ctx context.Context, principal access.PrincipalID, key string) (Idempotency, error)
	// Setting reads a small named value, such as a key that the server made at its first start.
	Setting(ctx context.Context, name string) ([]byte, error)
	// TenantSettings returns the zero settings, of revision 0, where nothing was ever set.
	TenantSettings(ctx context.Context, tenant access.TenantID) (TenantSettings, error)
}

// Tx reads and writes. A Save method with a `was` argument compares and swaps: it fails with access.KindConflict
// unless the stored revision is `was`, where 0 means that there must be none. Names and resource ids are unique
// without regard to case; what breaks that, or refers to what is not there, is access.KindConflict too.
type Tx interface {
	Reader
	OutboxTx
	InboxWriter
	AlertWriter
	SignInWriter
	DecisionWriter
	IdentityWriter
	ApplicationWriter
	EligibilityWriter
	RoleChangeWriter
	RecallWriter
	ScopePolicyWriter
	AccessReviewWriter
	TrialWriter

	SaveTenant(ctx context.Context, t access.Tenant) error             // bumps the directory
	SaveSubscription(ctx context.Context, s access.Subscription) error // bumps the directory
	SaveResourceGroup(ctx context.Context, g access.ResourceGroup) error

	SavePrincipal(ctx context.Context, p access.Principal, was int64) error // bumps the directory
	SavePassword(ctx context.Context, p Password) error
	// AddMember remembers by whom, which is empty where nobody did, and when. It bumps the directory.
	AddMember(ctx context.Context, group, member, by access.PrincipalID, at time.Time) error
	// instead of that of the same principal and group
	SaveRegrouping(ctx context.Context, g Regrouping) error
	// bumps the directory; not found if it was none
	RemoveMember(ctx context.Context, group, member access.PrincipalID) error
	// and its memberships; bumps the directory
	DeleteGroup(ctx context.Context, id access.PrincipalID, was int64) error
	// inserts or replaces; bumps the directory
	SaveRoleDefinition(ctx context.Context, d rbac.Definition) error
	SaveRoleAssignment(ctx context.Context, a rbac.Assignment) error      // inserts; bumps the directory
	DeleteRoleAssignment(ctx context.Context, id rbac.AssignmentID) error // bumps the directory

	SaveSession(ctx context.Context, s Session) error
	// notes when it was used; nothing where it has ended
	UseSession(ctx context.Context, hash string, at time.Time) error
	DeleteSession(ctx context.Context, hash string) error
	DeleteSessionsOf(ctx context.Context, principal access.PrincipalID) error
	SaveEnrollmentToken(ctx context.Context, t EnrollmentToken) error
	UseEnrollmentToken(ctx context.Context, hash string, now time.Time) error // conflict if it was used already
	DeleteEnrollmentToken(ctx context.Context, hash string) error             // not found if it is not there

	// inserts, or replaces all but Revision, Epoch and Stream, which only these move:
	SaveAgent(ctx context.Context, a access.Agent) error
	BumpAgent(ctx context.Context, id access.AgentID) error
	// StartEpoch gives an agent another epoch and a revision that is larger than beyond and than the one before.
	StartEpoch(ctx context.Context, id access.AgentID, epoch string, beyond int64) error
	SaveStream(ctx context.Context, id access.AgentID, s access.Stream) error // and wakes who watches the agent
	SaveMachine(ctx context.Context, m access.Machine, was int64) error
	// all of an agent to another, each at its next revision
	MoveMachines(ctx context.Context, from, to access.AgentID) error
	DeleteMachine(ctx context.Context, id access.MachineID) error
	// conflict if another policy names one of its machines
	SavePolicy(ctx context.Context, p access.Policy, was int64) error
	// SavePolicyEntry saves a policy with what it says of one machine; what it says of others stays, whatever p has of
	// that.
	SavePolicyEntry(ctx context.Context, p access.Policy, was int64, m access.MachinePolicy) error
	// DeletePolicyEntries saves a policy and takes machines out of it, likewise.
	DeletePolicyEntries(ctx context.Context, p access.Policy, was int64, machines []access.MachineID) error
	DeletePolicy(ctx context.Context, id access.PolicyID, was int64) error

	SaveRequest(ctx context.Context, r access.Request, was int64) error
	SaveGrant(ctx context.Context, g access.Grant, was int64) error

	// Append adds events to the activity log and to its Merkle tree, in order.
	Append(ctx context.Context, events ...access.Event) error
	SaveCheckpoint(ctx context.Context, c audit.SignedCheckpoint) error

	SaveIdempotency(ctx context.Context, i Idempotency) error                  // conflict if the key is there
	SaveTenantSettings(ctx context.Context, s TenantSettings, was int64) error // compares and swaps
	SaveSetting(ctx context.Context, name string, value []byte) error
}

// PrincipalFilter narrows a list of principals; zero fields do not narrow.
type PrincipalFilter struct {
	Tenant access.TenantID
	Kind   access.PrincipalKind
	Member access.PrincipalID // only groups that this principal is a direct member of
	Group  access.PrincipalID // only direct members of this group
}

// MachineFilter narrows a list of machines; zero fields do not narrow.
type MachineFilter struct {
	Tenant     access.TenantID
	Beside     []access.TenantID // further tenants, beside Tenant
	Scope      access.ResourceID
	Standing   access.Standing
	NamePrefix string
	Search     string              // only those of which each of its words is in the name or in one of the addresses
	Labels     map[string]string   // only those that have them all
	Open       time.Time           // only those on which something is open then, about to be, or not seen closed
	Trouble    time.Time           // only those whose agent says that it has a problem, or was not heard of since then
	Scopes     []access.ResourceID // only those within one of them
	Agent      access.AgentID      // only those that it guards
	Address    netip.Addr          // only those that have it
	Tests      []LabelTest         // only those that pass them all

	Order     MachineOrder
	Backwards bool // the last of the order comes first

	// The engine's own, which the store does not look at.
	Group    string // name or id of a resource group, which becomes the Scope
	Selector string // labels, such as env=prod,role=web, which become the Labels
}

// LabelTest says which labels a machine must have, or must not have.
type LabelTest struct {
	Name, Value string
	Any         bool // whatever the value
	Not         bool // the label must not be there, or have another value
}

// MachineOrder is what a list of machines is in the order of.
type MachineOrder string

// The orders of a list of machines; what is alike follows by name or id.
const (
	ByName       MachineOrder = ""
	ByPlace      MachineOrder = "group" // the subscription, the resource group in it, the name
	ByLastAccess MachineOrder = "lastAccess"
	ByAge        MachineOrder = "createdAt"
)

// PolicyFilter narrows a list of policies; zero fields do not narrow.
type PolicyFilter struct {
	Tenant   access.TenantID
	Beside   []access.TenantID // further tenants, beside Tenant
	Scope    access.ResourceID
	Location string
}

// RequestFilter narrows a list of requests; zero fields do not narrow.
type RequestFilter struct {
	Tenant    access.TenantID
	Beside    []access.TenantID // further tenants, beside Tenant
	Requester access.PrincipalID
	State     access.RequestState
	Machine   access.MachineID
	Roles     bool              // requests for roles alone
	RoleScope access.ResourceID // requests for roles at this scope alone

	NeedsMe bool // only those that the caller may decide now; the engine's own, which the store does not look at
}

// GrantFilter narrows a list of grants; zero fields do not narrow.
type GrantFilter struct {
	Tenant      access.TenantID
	Beside      []access.TenantID // further tenants, beside Tenant
	Principal   access.PrincipalID
	Machine     access.MachineID
	Eligibility access.EligibilityID
	Roles       bool              // grants of roles alone
	RoleScope   access.ResourceID // grants of roles at this scope alone
	States      []access.GrantState
}

// WindowFilter says which windows are meant; each of its fields counts.
type WindowFilter struct {
	Principal access.PrincipalID
	Target    access.Target // those of what overlaps it
	After     time.Time     // those that end after it
	Before    time.Time     // those that begin before it
	Longest   time.Duration // no window that has not ended is longer
}

// Windows is what was found of a principal.
type Windows struct {
	Held     []policy.Window
	Whole    bool // these are all
	Standing bool // there may be a grant that ends after WindowFilter.After and has not ended
}

// EventFilter narrows the activity log; zero fields do not narrow.
type EventFilter struct {
	Tenant      access.TenantID
	Beside      []access.TenantID // further tenants, beside Tenant
	Since       time.Time         // inclusive
	Before      time.Time         // exclusive
	Kind        access.EventKind
	Actor       access.PrincipalID
	Machine     access.MachineID
	Request     access.RequestID
	Outcome     access.Outcome
	OldestFirst bool

	// Scope keeps events at or below it. The engine reads on for them; the store does not look at it.
	Scope access.ResourceID
}

// Due is what the time has overtaken.
type Due struct {
	Requests []access.Request // pending, past their PendingUntil
	Stages   []access.Request // pending, past their StageUntil
	Remind   []access.Request // pending, past their RemindAt
	Warn     []access.Grant   // past their WarnAt
	Begin    []access.Grant   // scheduled, past their start
	Expire   []access.Grant   // not ended, past their end
	Next     time.Time
}

// Password is what is kept of a principal's password.
type Password struct {
	Principal  access.PrincipalID
	Hash       string // argon2id in PHC form
	MustChange bool   // it was made by Postern and printed once: it is good for nothing but choosing another
	ChangedAt  time.Time
}

// Session is a sign-in: a bearer token of 32 random bytes, of which only the hash is kept.
type Session struct {
	Hash      string // SHA-256 of the token, hex
	Principal access.PrincipalID
	CreatedAt time.Time
	ExpiresAt time.Time
	Address   string // where from
	Client    string // what the client called itself

	// how it was opened: MethodPassword, MethodPasskey, or the issuer of the provider; empty where that was not kept
	Method      string
	ProvedAt    time.Time // when whoever holds it last proved who they are, by opening it or anew
	UsedAt      time.Time // about when it was last used; zero where that was not kept
	SteppedUpAt time.Time // when it was last confirmed with a passkey; zero where it never was
}

// EnrollmentToken lets one agent enroll, once.
type EnrollmentToken struct {
	Hash          string // SHA-256 of the token, hex
	Tenant        access.TenantID
	Subscription  access.SubscriptionID
	ResourceGroup string
	Name          string // of the machine; empty takes the host's own name
	Mode          access.Mode
	CreatedBy     access.PrincipalID
	CreatedAt     time.Time
	ExpiresAt     time.Time
	UsedAt        time.Time // zero while unused
}

// Idempotency remembers what a request with a key led to.
type Idempotency struct {
	Principal access.PrincipalID
	Key       string
	Digest    string // of the body: the same key with another body is a conflict
	Request   access.RequestID
	CreatedAt time.Time
}

// PublicID names a token, of which only the hash is kept, in the activity log and in lists.
func (t EnrollmentToken) PublicID() string { return t.Hash[:16] }

// Scope returns the resource group that the token enrolls into.
func (t EnrollmentToken) Scope() access.ResourceID {
	return access.ResourceGroupScope(t.Subscription, t.ResourceGroup)
}

// ClaimRead is what was read of one claim at a sign-in, for an administrator who wonders why somebody is called so, or
// is in no group.
type ClaimRead struct {
	Use     string   // name, displayName, email, emailVerified or groups; userinfo where that endpoint did not answer
	Claim   string   // its name
	From    string   // "id token" or "userinfo"; empty where it was not found
	Values  []string // at most maxClaimValues
	Problem string   // absent, overage, unreadable or failed; empty for none
}
