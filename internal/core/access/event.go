package access

import "time"

// EventKind says what happened. The value is stable and stands in the activity log.
type EventKind string

// The kinds of event.
const (
	RequestSubmitted   EventKind = "request.submitted"
	RequestRefused     EventKind = "request.refused" // outside the policy or not authorized: nothing came of it
	RequestWasApproved EventKind = "request.approved"
	RequestWasDenied   EventKind = "request.denied"
	RequestWasCanceled EventKind = "request.canceled"
	RequestDidTimeOut  EventKind = "request.timedOut"
	RequestReminded    EventKind = "request.reminded"  // those who have not decided were told that the time for it ends
	RequestStageOver   EventKind = "request.stageOver" // a stage was not met in its time: the next one decides
	// It got other tags, or lost the name that a client of Azure's gave it.
	RequestTagged EventKind = "request.tagged"
	// Its policy changed while it waited: it is to be looked at again.
	RequestReframed EventKind = "request.reframed"

	GrantCreated       EventKind = "grant.created"
	GrantBegan         EventKind = "grant.began"
	GrantOpened        EventKind = "grant.opened"
	GrantDrifted       EventKind = "grant.drifted"
	GrantDidFail       EventKind = "grant.failed"
	GrantExtended      EventKind = "grant.extended"
	GrantMoved         EventKind = "grant.moved" // it ended, and another one of the same holder took its place
	GrantDidExpire     EventKind = "grant.expired"
	GrantWasRevoked    EventKind = "grant.revoked"
	GrantWasSuperseded EventKind = "grant.superseded"
	GrantClosed        EventKind = "grant.closed"
	GrantWarned        EventKind = "grant.warned" // its holder was told that it will end soon

	// GrantsRecalled says that many grants are to end at once: none of them is open from here on, and each has an event
	// of its own when it was ended.
	GrantsRecalled EventKind = "grant.recalled"

	DecisionMade    EventKind = "decision.made"
	DecisionRefused EventKind = "decision.refused" // not theirs to decide, or no longer what was shown

	GlassBroken       EventKind = "breakGlass.used"
	GlassReviewed     EventKind = "breakGlass.reviewed"
	GlassCodesIssued  EventKind = "breakGlass.codesIssued" // for use with the server out of reach
	GlassCodesRevoked EventKind = "breakGlass.codesRevoked"

	PolicyWritten   EventKind = "policy.written"
	PolicyDeleted   EventKind = "policy.deleted"
	PolicyDisabled  EventKind = "policy.disabled"    // just-in-time access, for the machines of a scope
	PolicyEnabled   EventKind = "policy.enabled"     // and again
	PolicyConfirmed EventKind = "policy.confirmed"   // what was to be taken back unless somebody confirmed it stands
	PolicyUndone    EventKind = "policy.undone"      // nobody confirmed it in time, or somebody took it back
	PolicyExploited EventKind = "policy.loosenedUse" // who loosened a policy lately asks for access under it
	MachineAdded    EventKind = "machine.added"
	MachineLabelled EventKind = "machine.labelled"
	MachineDeleted  EventKind = "machine.deleted"

	AgentTokenMade    EventKind = "agent.tokenMade"
	AgentTokenDeleted EventKind = "agent.tokenDeleted" // withdrawn before an agent enrolled with it
	AgentEnrolled     EventKind = "agent.enrolled"
	AgentEnrolRefused EventKind = "agent.enrolRefused"
	AgentReplaced     EventKind = "agent.replaced" // another agent took its place on a machine
	// A second one with the same certificate wanted its desired state, and was refused.
	AgentTwice EventKind = "agent.twice"
	// It had a newer state than the server: the server was restored from a backup.
	AgentAhead EventKind = "agent.ahead"
	// An agent that was replaced said that it holds nothing open any more.
	AgentReleased      EventKind = "agent.released"
	AgentRevoked       EventKind = "agent.revoked" // its certificate counts no longer, and nothing takes its place
	AgentRefused       EventKind = "agent.refused" // a certificate that does not count, or another machine's state
	AgentDrift         EventKind = "agent.drift"   // somebody changed our firewall table; the agent healed it
	AgentProblem       EventKind = "agent.problem" // the agent could not do something
	AgentSkewed        EventKind = "agent.skewed"  // its clock is too far off; it refuses to open
	AgentDeniedTraffic EventKind = "agent.deniedTraffic"
	// Rules of other firewall tables at guarded ports have come or gone.
	AgentForeign EventKind = "agent.foreignRules"

	SignedIn         EventKind = "session.signedIn"
	SignInRefused    EventKind = "session.refused"
	SignedOut        EventKind = "session.signedOut"
	PasswordChanged  EventKind = "principal.passwordChanged"
	PrincipalCreated EventKind = "principal.created"
	PrincipalChanged EventKind = "principal.changed"
	SecretAdded      EventKind = "principal.secretAdded" // a secret or certificate of a service principal
	SecretDeleted    EventKind = "principal.secretDeleted"
	APITokenMade     EventKind = "principal.tokenMade"
	APITokenRevoked  EventKind = "principal.tokenRevoked"
	PasskeyAdded     EventKind = "principal.passkeyAdded"
	PasskeyDeleted   EventKind = "principal.passkeyDeleted"
	SteppedUp        EventKind = "session.steppedUp" // confirmed with a passkey
	MemberAdded      EventKind = "group.memberAdded"
	GroupDeleted     EventKind = "group.deleted"
	MemberRemoved    EventKind = "group.memberRemoved"

	RoleAssigned   EventKind = "role.assigned"
	RoleUnassigned EventKind = "role.unassigned"
	RoleDefined    EventKind = "role.defined"
	RoleDeleted    EventKind = "role.deleted"

	RoleTimeAsked    EventKind = "role.timeAsked"    // the holder of a role, or of an eligibility, asks for more time
	RoleTimeCanceled EventKind = "role.timeCanceled" // and takes that back
	RoleTimeGiven    EventKind = "role.timeGiven"    // and has it

	EligibilityWritten EventKind = "eligibility.written"
	EligibilityDeleted EventKind = "eligibility.deleted"

	AccessReviewStarted     EventKind = "accessReview.started"
	AccessReviewChanged     EventKind = "accessReview.changed" // its reviewers or its due date
	AccessReviewReminded    EventKind = "accessReview.reminded"
	AccessReviewDecided     EventKind = "accessReview.decided"     // one item of it
	AccessReviewItemChanged EventKind = "accessReview.itemChanged" // what was decided of it counts no longer
	AccessReviewCarriedOut  EventKind = "accessReview.carriedOut"  // one item was removed, was gone, or could not be
	AccessReviewEnded       EventKind = "accessReview.ended"       // it takes no more decisions
	AccessReviewClosed      EventKind = "accessReview.closed"      // and what was to be removed was, or failed
	AccessReviewCanceled    EventKind = "accessReview.canceled"

	ChannelWritten   EventKind = "channel.written"
	ChannelDeleted   EventKind = "channel.deleted"
	ChannelTested    EventKind = "channel.tested"
	RouteWritten     EventKind = "route.written"
	RouteDeleted     EventKind = "route.deleted"
	DeliveryRequeued EventKind = "delivery.requeued"

	AlertOpened       EventKind = "alert.opened"
	AlertEscalated    EventKind = "alert.escalated" // it has become more severe
	AlertAcknowledged EventKind = "alert.acknowledged"
	AlertClosed       EventKind = "alert.closed"
	AlertRuleChanged  EventKind = "alertRule.changed"

	AppDefinitionWritten EventKind = "applicationDefinition.written"
	AppDefinitionDeleted EventKind = "applicationDefinition.deleted"
	ApplicationCreated   EventKind = "application.created"
	// Its settings, or the revision of the definition that counts.
	ApplicationChanged EventKind = "application.changed"
	ApplicationDeleted EventKind = "application.deleted"

	NetworkWritten EventKind = "network.written"
	NetworkDeleted EventKind = "network.deleted"

	AccessRefused EventKind = "access.refused" // an attempt at anything else that the caller may not do
	ServerStarted EventKind = "server.started"
	TenantCreated EventKind = "tenant.created"

	SubscriptionCreated  EventKind = "subscription.created"
	ResourceGroupCreated EventKind = "resourceGroup.created"
	ResourceGroupDeleted EventKind = "resourceGroup.deleted"
)

// Outcome says how an attempt ended.
type Outcome string

// The outcomes.
const (
	Succeeded Outcome = "succeeded"
	Refused   Outcome = "refused" // by a rule of ours
	Failed    Outcome = "failed"  // something broke
)

// Event is one record of the activity log. The store numbers it when it is appended.
type Event struct {
	Seq     int64 // position in the log, from 0; set by the store
	At      time.Time
	Kind    EventKind
	Outcome Outcome
	Actor   Actor
	Tenant  TenantID
	Scope   ResourceID // the resource concerned; may be empty
	Action  string     // the permission that was asked for, where one was
	Request RequestID
	Grant   GrantID
	Machine MachineID
	Agent   AgentID
	Details map[string]string // everything else worth keeping, by name; never a secret
}
