package access

import "time"

// DefaultActivation is the longest activation where nobody says otherwise, as Azure has it.
const DefaultActivation = 8 * time.Hour

// Eligibility says that a principal may activate a role at a scope for a while, and under which rule. It gives nothing
// by itself. Where the principal is a group, each member activates for themselves.
type Eligibility struct {
	ID             EligibilityID
	Tenant         TenantID    // of the scope
	Principal      PrincipalID // of any tenant
	Role           RoleID
	Scope          ResourceID
	Start          time.Time     // zero: since ever
	End            time.Time     // zero: for ever; no activation lasts beyond it
	Max            time.Duration // the longest activation
	Justification  JustificationRule
	Ticket         TicketRule
	Approval       Rule          // who must agree; the zero rule approves by itself
	PendingTimeout time.Duration // how long a request may wait for its decision; 0 means DefaultPending
	// activations of one person that lie less than it apart count as one; 0 means DefaultGap
	Gap       time.Duration
	Loosened  []Loosening // who made it or loosened it lately
	Origin    ResourceID  // the managed application that it belongs to; empty where it was given directly
	CreatedBy PrincipalID
	CreatedAt time.Time
	UpdatedAt time.Time
	Revision  int64
}

// InForce tells whether start <= now < end.
func (e Eligibility) InForce(now time.Time) bool {
	return !now.Before(e.Start) && (e.End.IsZero() || now.Before(e.End))
}

// Terms gives what is asked of a request for the role, in the form in which a policy asks it for a machine.
func (e Eligibility) Terms() MachinePolicy {
	return MachinePolicy{
		Justification: e.Justification, Ticket: e.Ticket, Approval: e.Approval, PendingTimeout: e.PendingTimeout,
		Gap: e.Gap, Loosened: e.Loosened,
	}
}
