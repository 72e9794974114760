package api

import "time"

// Page is one page of a list.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; absent on the last."`
}

// Problem is an error: problem details as in RFC 9457, with a stable code and every reason.
type Problem struct { //nolint:errname // RFC 9457 calls it a problem
	Type     string   `json:"type,omitempty"`
	Title    string   `json:"title"`
	Status   int      `json:"status"`
	Detail   string   `json:"detail" doc:"What is wrong and what to do, for people."`
	Code     string   `json:"code" doc:"Stable, for programs."`
	Reasons  []Reason `json:"reasons,omitempty" doc:"Every reason for a refusal."`
	Instance string   `json:"instance,omitempty" doc:"The request's id, as in the server's log."`
}

// Reason is one cause of a refusal.
type Reason struct {
	Code    string `json:"code"`
	Field   string `json:"field,omitempty" doc:"Where in the input, such as items[0].ports."`
	Message string `json:"message" doc:"Which limit was broken, and what would be allowed."`
}

// SignIn asks for a session.
type SignIn struct {
	Name        string `json:"name" maxLength:"256" doc:"A name of the home tenant, or name@tenant."`
	Tenant      string `json:"tenant,omitempty" maxLength:"256" doc:"Name or id of the tenant that the name is of; absent: as the name says."`
	Password    string `json:"password" maxLength:"1024"`
	NewPassword string `json:"newPassword,omitempty" maxLength:"1024" doc:"Replaces the password; needed with a one-time password."`
}

// Session is a sign-in; send the token as "Authorization: Bearer".
type Session struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expiresAt"`
	Principal Principal `json:"principal"`
}

// Me is who the caller is.
type Me struct {
	Principal Principal `json:"principal"`
	Address   string    `json:"address" doc:"The caller's address as the server sees it."`
	Warning   string    `json:"warning,omitempty" doc:"Why that address is a poor source, if it is."`

	SteppedUpAt *time.Time `json:"steppedUpAt,omitempty" doc:"When the session was last confirmed with a passkey."`

	Actions    []string `json:"actions,omitempty" doc:"Of the actions that Postern checks, those that the caller may do somewhere."`
	RunsServer bool     `json:"runsServer,omitempty" doc:"The caller's tenant is the one that runs the server, whose files and network its channels may use."`
}

// Principal is a user, a group or a service principal.
type Principal struct {
	ID          string    `json:"id"`
	Tenant      string    `json:"tenant"`
	Kind        string    `json:"kind" enum:"user,group,servicePrincipal"`
	Name        string    `json:"name"`
	DisplayName string    `json:"displayName,omitempty"`
	Email       string    `json:"email,omitempty"`
	Disabled    bool      `json:"disabled,omitempty"`
	CreatedAt   time.Time `json:"createdAt"`
}

// NewPrincipal creates a principal. A user without a password gets a one-time one, which the answer holds.
type NewPrincipal struct {
	Kind        string `json:"kind" enum:"user,group,servicePrincipal"`
	Name        string `json:"name" maxLength:"256"`
	DisplayName string `json:"displayName,omitempty" maxLength:"256"`
	Email       string `json:"email,omitempty" maxLength:"256"`
	Password    string `json:"password,omitempty" maxLength:"1024"`
}

// CreatedPrincipal is a new principal, with the password that Postern made for it, if it made one.
type CreatedPrincipal struct {
	Principal Principal `json:"principal"`
	Password  string    `json:"oneTimePassword,omitempty"`
}

// PasswordReset gives a user another password. Without one Postern makes a one-time one, which the answer holds.
type PasswordReset struct {
	Password string `json:"password,omitempty" maxLength:"1024"`
}

// PasswordWasReset holds the password that Postern made, if it made one.
type PasswordWasReset struct {
	Password string `json:"oneTimePassword,omitempty"`
}

// PasswordChange replaces the caller's own password.
type PasswordChange struct {
	Password    string `json:"password" maxLength:"1024" doc:"The present one."`
	NewPassword string `json:"newPassword" maxLength:"1024"`
}

// PrincipalChange changes a principal; what is absent stays.
type PrincipalChange struct {
	DisplayName *string `json:"displayName,omitempty" maxLength:"256"`
	Email       *string `json:"email,omitempty" maxLength:"256"`
	Disabled    *bool   `json:"disabled,omitempty" doc:"A disabled principal cannot sign in, and its rights count for nothing."`
}

// Machine is a host whose ports are guarded.
type Machine struct {
	ID         string            `json:"id"`
	Resource   string            `json:"resource" doc:"Its Azure Resource Manager id."`
	Name       string            `json:"name"`
	Location   string            `json:"location"`
	OS         string            `json:"os,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Addresses  []string          `json:"addresses,omitempty"`
	Standing   string            `json:"standing" enum:"configured,notConfigured,unsupported"`
	Reason     string            `json:"reason,omitempty" doc:"Why it is unsupported and what to do."`
	DisabledBy string            `json:"disabledBy,omitempty" doc:"Resource id of the subscription or the resource group for which just-in-time access is disabled; a policy may guard the machine all the same."`
	Policy     string            `json:"policy,omitempty" doc:"Resource id of the policy that guards it; the first of several."`
	Agent      *Agent            `json:"agent,omitempty"`
	CreatedAt  time.Time         `json:"createdAt"`
	LastAccess *time.Time        `json:"lastAccess,omitempty"`

	Group        string        `json:"group" doc:"Name of its resource group."`
	Subscription string        `json:"subscription,omitempty" doc:"Name of its subscription."`
	Ports        []GuardedPort `json:"ports,omitempty" doc:"What is guarded on it, for whoever may read policies or ask for access there."`

	Activity *MachineActivity `json:"activity,omitempty" doc:"Where it was asked for, and the caller may read requests and grants on the machine."`
}

// GuardedPort is a port, or a range of ports, that a policy guards.
type GuardedPort struct {
	Ports    string `json:"ports"`
	Protocol string `json:"protocol" enum:"tcp,udp,any"`
}

// MachineActivity is what happened on a machine lately, and what is open on it.
type MachineActivity struct {
	Approved int     `json:"approved" doc:"Requests of the last seven days that were approved."`
	LastUser string  `json:"lastUser,omitempty" doc:"Name of who last had it open."`
	Live     []Grant `json:"live" doc:"Grants that are open or opening, at most 100."`
	// NotClosed is what Client.NotClosed lists.
	NotClosed []Access `json:"notClosed,omitempty" doc:"What may be open though no grant in force says so, at most 100 grants and 100 codes."`
}

// MachineOverview is how many machines the caller may see, and by what they can be told apart.
type MachineOverview struct {
	Configured    int      `json:"configured"`
	NotConfigured int      `json:"notConfigured"`
	Unsupported   int      `json:"unsupported"`
	Groups        []string `json:"groups" doc:"Names of the resource groups in which the caller may see machines."`
}

// Agent is an enforcement point.
type Agent struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Mode       string     `json:"mode" enum:"host,gateway"`
	Version    string     `json:"version,omitempty"`
	EnrolledAt time.Time  `json:"enrolledAt"`
	LastSeenAt *time.Time `json:"lastSeenAt,omitempty"`
	SkewMillis int64      `json:"skewMillis" doc:"Its wall clock minus the server's, when last seen."`
	Revision   int64      `json:"revision" doc:"Number of its desired state."`
	Reported   int64      `json:"reported" doc:"The newest revision that it has in force."`
	Problem    string     `json:"problem,omitempty"`

	ResourceGroup string `json:"resourceGroup,omitempty" doc:"That it enrolled for, in which its name is unique; absent where that is not known."`

	Foreign []ForeignRule `json:"foreign,omitempty" doc:"Rules of other firewall tables on its host that touch guarded ports."`
}

// ForeignRule is a rule of a firewall table that is not Postern's and touches a guarded port.
type ForeignRule struct {
	Table    string `json:"table" maxLength:"256" doc:"Family and name, such as inet filter."`
	Chain    string `json:"chain" maxLength:"256"`
	Effect   string `json:"effect" enum:"accepts,drops,unknown,bypasses" doc:"accepts: it lets connections to the guarded port in, as far as that table decides. drops: it keeps closed what Postern opens. unknown: it may do that, by something that the agent does not understand. bypasses: it takes packets past Postern, so that the port is not guarded on that path."`
	Protocol string `json:"protocol,omitempty" doc:"Absent: any."`
	Ports    string `json:"ports" doc:"The guarded ports that it touches." maxLength:"16"`
	Text     string `json:"text,omitempty" maxLength:"1024"`
}

// LabelChange changes the labels of a machine; what it does not name stays.
type LabelChange struct {
	Set    map[string]string `json:"set,omitempty"`
	Remove []string          `json:"remove,omitempty" maxItems:"50" doc:"Names of labels to take away."`
}

// NewMachine adds a machine that cannot run an agent, behind a gateway.
type NewMachine struct {
	Name          string            `json:"name" maxLength:"64"`
	Gateway       string            `json:"gateway" doc:"Name or id of the gateway's agent."`
	Addresses     []string          `json:"addresses" minItems:"1" maxItems:"64"`
	ResourceGroup string            `json:"resourceGroup,omitempty"`
	Location      string            `json:"location,omitempty" maxLength:"64" doc:"Absent: that of the resource group."`
	OS            string            `json:"os,omitempty" enum:"linux,windows,"`
	Labels        map[string]string `json:"labels,omitempty"`
}

// NewEnrollmentToken asks for a token with which one agent enrolls, once.
type NewEnrollmentToken struct {
	Name          string `json:"name,omitempty" maxLength:"64" doc:"Name of the machine; without it the host's own name."`
	Mode          string `json:"mode,omitempty" enum:"host,gateway" default:"host"`
	ResourceGroup string `json:"resourceGroup,omitempty"`
	TTLSeconds    int64  `json:"ttlSeconds,omitempty" minimum:"1" maximum:"2592000" doc:"How long it is good for; one hour if absent."`
}

// WaitingToken is an enrollment token that no agent has enrolled with yet.
type WaitingToken struct {
	ID            string    `json:"id"`
	Name          string    `json:"name,omitempty"`
	Mode          string    `json:"mode" enum:"host,gateway"`
	ResourceGroup string    `json:"resourceGroup"`
	CreatedAt     time.Time `json:"createdAt"`
	ExpiresAt     time.Time `json:"expiresAt"`
}

// EnrollmentToken is such a token; it is shown once.
type EnrollmentToken struct {
	Token     string    `json:"token"`
	CreatedAt time.Time `json:"createdAt" doc:"By the server's clock, as the enrolledAt of the agent that enrolls with it."`
	ExpiresAt time.Time `json:"expiresAt"`
	CA        string    `json:"ca" doc:"The server's CA certificate, PEM: the agent's --ca."`
}

// MachinePolicy is what a policy says of one machine.
type MachinePolicy struct {
	Ports                 []PortRule        `json:"ports" maxItems:"100"`
	Sessions              string            `json:"sessions,omitempty" enum:"cut,keep" doc:"What becomes of established connections at the end; cut if absent."`
	CloseAfterLossSeconds int64             `json:"closeAfterLossSeconds,omitempty" minimum:"0" doc:"Close openings so long after the agent lost the server; absent keeps them until they expire."`
	Justification         JustificationRule `json:"justification,omitzero"`
	Ticket                TicketRule        `json:"ticket,omitzero"`
	Approval              []ApprovalCase    `json:"approval,omitempty" maxItems:"20" doc:"Who must agree: the first case that applies; absent approves at once."`
	BreakGlass            *BreakGlassRule   `json:"breakGlass,omitempty" doc:"Absent: nobody may open without the approval."`
	PendingTimeoutSeconds int64             `json:"pendingTimeoutSeconds,omitempty" minimum:"0" doc:"How long a request waits for its decision; a day if absent."`
	GapSeconds            int64             `json:"gapSeconds,omitempty" minimum:"0" doc:"Openings of one person that lie less than so long apart count as one; 15 minutes if absent."`
}

// PortRule is one guarded port or range, and the limits within which a request may open it.
type PortRule struct {
	Ports      string   `json:"ports" doc:"A port or an inclusive range: 22 or 8000-8010."`
	Protocol   string   `json:"protocol,omitempty" enum:"tcp,udp,any" doc:"tcp if absent; any means TCP and UDP."`
	Sources    []string `json:"sources,omitempty" maxItems:"100" doc:"Prefixes, or names of networks, that a request's sources must lie in; absent means any address."`
	MaxSeconds int64    `json:"maxSeconds" minimum:"1" doc:"The longest opening."`
}

// JustificationRule says what a justification must be.
type JustificationRule struct {
	Required  bool `json:"required,omitempty"`
	MinLength int  `json:"minLength,omitempty" minimum:"0" maximum:"4096"`

	Pattern string `json:"pattern,omitempty" maxLength:"512" doc:"A regular expression (RE2) that it must match where it is given."`
}

// MachinePolicyView is what guards a machine now.
type MachinePolicyView struct {
	MachinePolicy

	Machine  string `json:"machine" doc:"Name of the machine."`
	Policy   string `json:"policy" doc:"Resource id of the policy."`
	Revision int64  `json:"revision" doc:"Also in the ETag header; send it as If-Match to change what you saw. 0: no policy names the machine."`

	Name   string              `json:"name,omitempty" doc:"Name of the policy."`
	Reach  string              `json:"reach,omitempty" doc:"By what a policy of a scope reaches the machine, such as label env=prod; absent: the policy names it."`
	Others []MachinePolicyView `json:"others,omitempty" doc:"Policies that guard further ports of the machine, in the order in which they count. For each port one policy holds whole. Only where the policy is read."`

	Instead []MachinePolicyView `json:"instead,omitempty" doc:"What would guard the machine if no policy named it."`

	Trial *PolicyTrial `json:"trial,omitempty" doc:"What the policy says of the machine is taken back unless somebody confirms it; absent: it stands."`
}

// PolicyTrial says that a change of a machine's policy waits to be confirmed.
type PolicyTrial struct {
	By        string     `json:"by" doc:"Who made the change; the id where the caller may not know the name."`
	BeganAt   time.Time  `json:"beganAt"`
	Until     time.Time  `json:"until" doc:"Unless it is confirmed by then, the machine's agent takes it back."`
	InForceAt *time.Time `json:"inForceAt,omitempty" doc:"Since when the agent has it in force, by what it said over a connection that it made under it; absent: it has not said so yet. Only where the policy is read. What confirms it comes over a connection that was made later."`
	HadPolicy bool       `json:"hadPolicy" doc:"Whether a policy named the machine before, and will again."`
}

// ScopePolicy guards the machines of a resource group or a subscription, or those of them with labels; also machines
// that come later.
type ScopePolicy struct {
	MachinePolicy

	Name          string            `json:"name"`
	Resource      string            `json:"resource" doc:"Resource id of the policy."`
	Scope         string            `json:"scope" doc:"Resource id of the resource group or the subscription."`
	ResourceGroup string            `json:"resourceGroup,omitempty" doc:"Name; absent: the whole subscription."`
	Labels        map[string]string `json:"labels,omitempty"`
	Order         int               `json:"order,omitempty" doc:"Of policies with labels the lowest comes first."`
	Reach         string            `json:"reach" doc:"Which machines it reaches, in words."`
	Machines      int               `json:"machines" doc:"How many machines it reaches now, whether or not another policy comes before it there."`
	Revision      int64             `json:"revision" doc:"Also in the ETag header; send it as If-Match to change what you saw."`
	UpdatedAt     time.Time         `json:"updatedAt"`
}

// NewScopePolicy is a policy of a scope as it is to be.
type NewScopePolicy struct {
	MachinePolicy

	ResourceGroup string            `json:"resourceGroup,omitempty" maxLength:"2048" doc:"Name or resource id; absent: the subscription."`
	Subscription  string            `json:"subscription,omitempty" maxLength:"2048" doc:"Name, GUID or resource id; absent: the default one."`
	Labels        map[string]string `json:"labels,omitempty" maxProperties:"50" doc:"A machine must have them all; absent: every machine in the scope."`
	Order         int               `json:"order,omitempty" minimum:"0" maximum:"10000" doc:"Of policies with labels the lowest comes first; each has a number of its own."`
}

// NewRequest asks for access. Exactly one of ForSeconds and Until is given, unless each item has its own.
type NewRequest struct {
	Items         []NewItem  `json:"items" minItems:"1" maxItems:"1000"`
	Start         *time.Time `json:"start,omitempty" doc:"Absent: as soon as it is approved."`
	ForSeconds    int64      `json:"forSeconds,omitempty" minimum:"1"`
	Until         *time.Time `json:"until,omitempty"`
	Justification string     `json:"justification,omitempty" maxLength:"4096"`
	Ticket        string     `json:"ticket,omitempty" maxLength:"256"`
	Repeat        string     `json:"repeat,omitempty" maxLength:"520" doc:"Makes a series: an RRULE of RFC 5545, such as FREQ=WEEKLY;BYDAY=MO;COUNT=10."`
	Zone          string     `json:"zone,omitempty" maxLength:"64" doc:"IANA time zone of the series; UTC if absent."`
	BreakGlass    bool       `json:"breakGlass,omitempty" doc:"Open at once, without approval, in an emergency; leaves a debt of review."`
}

// NewItem is one port of one machine in a request, or of every machine that a selector or a resource group picks.
type NewItem struct {
	Machine       string `json:"machine,omitempty" doc:"Name, id or resource id." maxLength:"2048"`
	Selector      string `json:"selector,omitempty" doc:"Labels, such as env=prod,role=web: every machine that has them all." maxLength:"1024"`
	ResourceGroup string `json:"resourceGroup,omitempty" doc:"Name: every machine of it, or those of it that the selector picks." maxLength:"256"`

	Ports    string   `json:"ports" doc:"A port or an inclusive range: 22 or 8000-8010." maxLength:"16"`
	Protocol string   `json:"protocol,omitempty" enum:"tcp,udp,any" doc:"Absent: what the policy guards that port for."`
	Sources  []string `json:"sources,omitempty" maxItems:"100" doc:"Prefixes, addresses, or names of networks; absent, or \"me\", is the caller's own address."`

	ForSeconds int64      `json:"forSeconds,omitempty" minimum:"1" doc:"How long this item is open; absent, with until absent too: what the request says."`
	Until      *time.Time `json:"until,omitempty" doc:"When this item ends, in place of forSeconds."`
}

// Request is an ask and what became of it.
type Request struct {
	ID            string     `json:"id"`
	Requester     string     `json:"requester" doc:"Name of who asked."`
	RequesterID   string     `json:"requesterId"`
	Address       string     `json:"address,omitempty" doc:"Where it was asked from."`
	Items         []Item     `json:"items"`
	Start         *time.Time `json:"start,omitempty"`
	Justification string     `json:"justification,omitempty"`
	Ticket        string     `json:"ticket,omitempty"`
	State         string     `json:"state" enum:"pending,approved,denied,canceled,timedOut"`
	Reason        string     `json:"reason,omitempty"`
	CreatedAt     time.Time  `json:"createdAt"`
	PendingUntil  *time.Time `json:"pendingUntil,omitempty"`
	DecidedAt     *time.Time `json:"decidedAt,omitempty"`
	Digest        string     `json:"digest" doc:"Of what an approver is shown; a decision names it."`
	Grants        []Grant    `json:"grants,omitempty"`

	Windows    []time.Time `json:"windows,omitempty" doc:"Starts of a series' windows."`
	Extends    string      `json:"extends,omitempty" doc:"Id of the grant that it asks more time for."`
	Moves      string      `json:"moves,omitempty" doc:"Id of the grant that it asks to open from other sources instead."`
	BreakGlass bool        `json:"breakGlass,omitempty"`
	Approvals  []Approval  `json:"approvals,omitempty" doc:"How deciding stands; where the request was asked for by itself, or needs the caller's decision."`
	Chains     []Chain     `json:"chains,omitempty" doc:"Of items that would be open without a break for longer than what is asked for by itself; while it is pending, and was asked for by itself."`
	Decisions  []Decision  `json:"decisions,omitempty"`
	Mine       bool        `json:"mine,omitempty" doc:"The caller may decide it now."`
	Warnings   []string    `json:"warnings,omitempty" doc:"When it was made for the caller's own address: why that is a poor source, if it is."`
}

// Item is one port of one machine in a request.
type Item struct {
	Role       *RoleAt    `json:"role,omitempty" doc:"The role that is asked for; machine, ports, protocol and sources are empty then."`
	Machine    string     `json:"machine" doc:"Name of the machine."`
	MachineID  string     `json:"machineId"`
	Ports      string     `json:"ports"`
	Protocol   string     `json:"protocol"`
	Sources    []string   `json:"sources"`
	Networks   []string   `json:"networks,omitempty" doc:"Names of networks that were asked for; sources holds what they stood for then."`
	ForSeconds int64      `json:"forSeconds,omitempty"`
	Until      *time.Time `json:"until,omitempty"`
}

// Grant is the time-bounded right that an approved request created.
type Grant struct {
	ID          string     `json:"id"`
	Request     string     `json:"request"`
	Principal   string     `json:"principal" doc:"Name of who holds it."`
	PrincipalID string     `json:"principalId"`
	Role        *RoleAt    `json:"role,omitempty" doc:"The role that it is of; machine, ports, protocol and sources are empty then."`
	Machine     string     `json:"machine" doc:"Name of the machine."`
	MachineID   string     `json:"machineId"`
	Ports       string     `json:"ports"`
	Protocol    string     `json:"protocol"`
	Sources     []string   `json:"sources"`
	Start       time.Time  `json:"start"`
	End         time.Time  `json:"end"`
	State       string     `json:"state" enum:"scheduled,opening,active,expired,revoked,superseded,failed"`
	InPart      bool       `json:"inPart,omitempty" doc:"It is active, and some of its openings are not in force: reason says which, and why."`
	Reason      string     `json:"reason,omitempty" doc:"Why it ended or failed, or of an active grant what is not in force."`
	MovedFrom   string     `json:"movedFrom,omitempty" doc:"Id of the grant whose place it took, at other sources."`
	Since       *time.Time `json:"since,omitempty" doc:"When the first of the grants began that it carries on: the maximum duration counts from there. Absent: from start."`
	OpenedAt    *time.Time `json:"openedAt,omitempty" doc:"When the enforcer first reported it in force."`
	EndedAt     *time.Time `json:"endedAt,omitempty"`
	ClosedAt    *time.Time `json:"closedAt,omitempty" doc:"When it was seen gone."`
	Packets     uint64     `json:"packets"`
	Bytes       uint64     `json:"bytes"`
}

// Note is the reason that goes with cancelling or revoking.
type Note struct {
	Reason string `json:"reason,omitempty" maxLength:"4096"`
}

// Role is a role definition.
type Role struct {
	ID               string       `json:"id"`
	Name             string       `json:"name"`
	Description      string       `json:"description,omitempty"`
	BuiltIn          bool         `json:"builtIn"`
	Permissions      []Permission `json:"permissions"`
	AssignableScopes []string     `json:"assignableScopes"`
	Revision         int64        `json:"revision" doc:"Send it as If-Match to change what you saw."`
}

// Permission is a set of actions less another.
type Permission struct {
	Actions        []string `json:"actions"`
	NotActions     []string `json:"notActions,omitempty"`
	DataActions    []string `json:"dataActions,omitempty"`
	NotDataActions []string `json:"notDataActions,omitempty"`
}

// RoleAssignment gives a role to a principal at a scope.
type RoleAssignment struct {
	ID          string     `json:"id"`
	Principal   string     `json:"principal" doc:"Name."`
	PrincipalID string     `json:"principalId"`
	Role        string     `json:"role" doc:"Name."`
	RoleID      string     `json:"roleId"`
	Scope       string     `json:"scope"`
	Start       *time.Time `json:"start,omitempty"`
	End         *time.Time `json:"end,omitempty"`
	CreatedAt   time.Time  `json:"createdAt"`
}

// NewRoleAssignment assigns a role.
type NewRoleAssignment struct {
	Principal string     `json:"principal" doc:"Name or id." maxLength:"256"`
	Role      string     `json:"role" doc:"Name or id." maxLength:"256"`
	Scope     string     `json:"scope,omitempty" doc:"Absent: the default subscription." maxLength:"2048"`
	Start     *time.Time `json:"start,omitempty"`
	End       *time.Time `json:"end,omitempty"`
}

// Event is one record of the activity log.
type Event struct {
	Seq     int64             `json:"seq"`
	At      time.Time         `json:"at"`
	Kind    string            `json:"kind"`
	Outcome string            `json:"outcome" enum:"succeeded,refused,failed"`
	Actor   string            `json:"actor"`
	ActorID string            `json:"actorId,omitempty"`
	Address string            `json:"address,omitempty"`
	Via     string            `json:"via,omitempty"`
	Scope   string            `json:"scope,omitempty"`
	Action  string            `json:"action,omitempty"`
	Request string            `json:"request,omitempty"`
	Grant   string            `json:"grant,omitempty"`
	Machine string            `json:"machine,omitempty" doc:"Id of the machine."`
	Agent   string            `json:"agent,omitempty"`
	Details map[string]string `json:"details,omitempty"`

	Summary       string `json:"summary" doc:"What happened, in one sentence."`
	MachineName   string `json:"machineName,omitempty"`
	Subscription  string `json:"subscription,omitempty" doc:"Name of the subscription that it happened in."`
	ResourceGroup string `json:"resourceGroup,omitempty"`
}

// Checkpoint is a signed statement of the activity log's size and root.
type Checkpoint struct {
	Size int64     `json:"size"`
	Root string    `json:"root" doc:"Base64 of the RFC 6962 root."`
	At   time.Time `json:"at"`
	Note string    `json:"note" doc:"The signed note."`
	Key  string    `json:"key" doc:"The verifier key, as golang.org/x/mod/sumdb/note writes it."`
}

// Proof is an RFC 6962 proof of inclusion or consistency.
type Proof struct {
	Hashes []string `json:"hashes" doc:"Base64, from the leaf upward."`
	Leaf   string   `json:"leaf,omitempty" doc:"Base64 of the canonical record, in a proof of inclusion."`
}

// ExportLine is one line of an export of the activity log: a record, or at the end the checkpoint.
type ExportLine struct {
	Seq        int64  `json:"seq"`
	Record     string `json:"record,omitempty" doc:"Base64 of the canonical record."`
	Checkpoint string `json:"checkpoint,omitempty" doc:"The signed note; on the last line, alone."`
}
