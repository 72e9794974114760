package access

import "time"

// RoleChangeKind says what is changed of a role that somebody has, or may activate.
type RoleChangeKind string

// The kinds of change. Those of an administrator, and the giving back of one's own, are carried out when they are made;
// what one asks for waits until an administrator makes a change that gives it.
const (
	RoleChangeAssign   RoleChangeKind = "assign"
	RoleChangeUpdate   RoleChangeKind = "update" // another window
	RoleChangeExtend   RoleChangeKind = "extend" // a later end of what has not ended
	RoleChangeRenew    RoleChangeKind = "renew"  // a later end of what has ended or soon will
	RoleChangeRemove   RoleChangeKind = "remove"
	RoleChangeGiveBack RoleChangeKind = "giveBack" // the activations of one's own

	RoleChangeAskExtend RoleChangeKind = "askExtend" // by who has it
	RoleChangeAskRenew  RoleChangeKind = "askRenew"
)

// Asks tells whether a change of the kind waits for an administrator.
func (k RoleChangeKind) Asks() bool { return k == RoleChangeAskExtend || k == RoleChangeAskRenew }

// RoleSubject says what a change is of.
type RoleSubject string

// The subjects of a change: a role that somebody has, or one that they may activate.
const (
	OfAssignment  RoleSubject = "assignment"
	OfEligibility RoleSubject = "eligibility"
)

// RoleChangeState is where a change stands.
type RoleChangeState string

// The states of a change. All but RoleChangeWaiting are final.
const (
	RoleChangeDone     RoleChangeState = "done"
	RoleChangeWaiting  RoleChangeState = "waiting"
	RoleChangeCanceled RoleChangeState = "canceled"
)

// RoleChange is the record of a change of a role assignment or an eligibility that was made under an id of the caller's
// own. It outlasts what it changed. What is asked for by right of an eligibility is a Request, and no RoleChange.
type RoleChange struct {
	ID     RoleChangeID
	Tenant TenantID // of the scope
	Of     RoleSubject
	Kind   RoleChangeKind
	Target string // id of the assignment or the eligibility
	// by which the assignment was activated; empty where it was given, and of an eligibility
	Eligibility   EligibilityID
	Principal     PrincipalID // who has the role, or may activate it
	PrincipalName string      // as it was then, as the next two
	PrincipalKind PrincipalKind
	Role          RoleID
	RoleName      string
	Scope         ResourceID
	Start         time.Time // the window that was made or asked for; zero: unbounded
	End           time.Time
	Requester     PrincipalID
	Justification string
	Ticket        string
	State         RoleChangeState
	CreatedAt     time.Time
	DecidedBy     PrincipalID // who gave what was asked for; empty for what waits, and what needed nobody
	Revision      int64
}

// Settle ends a change that waits. Nobody decides on what they asked for themselves.
func (c RoleChange) Settle(to RoleChangeState, by PrincipalID) (RoleChange, error) {
	switch {
	case c.State != RoleChangeWaiting:
		return c, Fault(KindConflict, "roleChangeSettled",
			"the change %s is %s already: there is nothing left to decide", c.ID, c.State)
	case to == RoleChangeCanceled && by != c.Requester:
		return c, Fault(KindForbidden, "notYourRequest", "only the requester of the change %s can cancel it", c.ID)
	case to != RoleChangeCanceled && by == c.Requester:
		return c, Fault(KindForbidden, "ownRequest",
			"nobody can decide their own request, whatever their roles; ask another approver")
	}
	c.State = to
	c.Revision++
	if to != RoleChangeCanceled {
		c.DecidedBy = by
	}
	return c, nil
}
