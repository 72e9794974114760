package roles

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
)

// RoleChangeInput changes a role assignment or an eligibility under an id of the caller's own. What is changed is named
// by Target, or by principal, role and scope; whatever of them is given must fit.
type RoleChangeInput struct {
	ID            access.RoleChangeID // a GUID that is free
	Of            access.RoleSubject
	Kind          access.RoleChangeKind
	Target        string            // id of the assignment or the eligibility
	Principal     string            // name or id
	Role          string            // name or id
	Scope         access.ResourceID // exactly there
	Start         time.Time         // zero: as it is, and of what is new since ever
	End           time.Time         // zero: for ever
	Justification string
	Ticket        string
}

// action gives the right that a change needs. What is one's own needs none, but lies within the bounds of a token or
// not.
func (in RoleChangeInput) action() string {
	switch {
	case in.Kind.Asks():
		return rbac.RoleActivate
	case in.Kind == access.RoleChangeGiveBack:
		return rbac.GrantsRevoke
	case in.Of == access.OfEligibility:
		return rbac.EligibilitiesWrite
	case in.Kind == access.RoleChangeRemove:
		return rbac.RoleAssignmentsDelete
	}
	return rbac.RoleAssignmentsWrite
}

// own tells whether a change is of what the caller has, and needs no right.
func (in RoleChangeInput) own() bool {
	return in.Kind.Asks() || in.Kind == access.RoleChangeGiveBack
}

// ChangeRole changes who has a role, or may activate it, and keeps a record of that under the id that the caller chose.
// The same call again gives the same record. What is active by an eligibility is only ever ended so: more time on it is
// its holder's to ask for, under the eligibility's rule.
func (e *Service) ChangeRole(ctx context.Context, c engine.Caller, in RoleChangeInput) (d RoleChangeDetail, err error) {
	a := engine.Attempt{Action: in.action(), Scope: in.Scope, Details: map[string]string{
		"principal": in.Principal, "role": in.Role, "target": in.Target,
		"change": string(in.Kind) + " of " + string(in.Of), "justification": in.Justification,
	}}
	for more := true; more && err == nil; {
		more, err = e.changeRole(ctx, c, a, in, &d)
	}
	return d, err
}

// changeRole is one transaction of it; more tells that it was not the last.
func (e *Service) changeRole(ctx context.Context, c engine.Caller, a engine.Attempt, in RoleChangeInput,
	d *RoleChangeDetail,
) (more bool, err error) {
	err = e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		more = false
		if in.Scope, err = access.ParseResourceID(string(in.Scope)); err != nil {
			return err
		}
		if !in.own() {
			err = may.Require(in.action(), in.Scope)
		} else if !c.Bounds.Cover(in.action(), in.Scope) {
			err = engine.OutOfBounds(in.action(), in.Scope)
		}
		if err != nil {
			return err
		}
		made, repeated, err := in.begin(ctx, tx, may)
		if err != nil {
			return err
		}
		if !repeated {
			if more, err = e.giveBackSome(ctx, tx, may, in); err != nil || more {
				return err
			}
			if made, err = e.carryOut(ctx, tx, may, in, made); err != nil {
				return err
			}
			if err := tx.SaveRoleChange(ctx, made, 0); err != nil {
				return fmt.Errorf("save change: %w", err)
			}
		}
		*d, err = describeChange(ctx, tx, made)
		return err
	})
	return more, err
}

// same reports whether a change that was made before under the same id is of the same: of who has what, where.
func (in RoleChangeInput) same(earlier access.RoleChange) bool {
	who := in.Principal == "" || strings.EqualFold(in.Principal,
		string(earlier.Principal)) || strings.EqualFold(in.Principal, earlier.PrincipalName)
	role := in.Role == "" || strings.EqualFold(in.Role,
		string(earlier.Role)) || strings.EqualFold(in.Role, earlier.RoleName)
	return who && role && earlier.Scope.Equal(
		in.Scope) && (in.Target == "" || strings.EqualFold(in.Target, earlier.Target))
}

// begin gives the record of a change, or that of the same change which was made before.
func (in RoleChangeInput) begin(ctx context.Context, tx engine.Tx,
	may engine.Rights,
) (made access.RoleChange, repeated bool, err error) {
	if in.ID == "" {
		return made, false, access.Fault(access.KindInvalid, "malformedRequestId",
			"the id %q of a request must be a GUID", "")
	}
	for what, text := range map[string]string{"justification": in.Justification, "ticket": in.Ticket} {
		if len(text) > access.MaxText {
			return made, false, access.Fault(access.KindInvalid, what+"TooLong", "the %s has %d bytes; %d are allowed",
				what, len(text), access.MaxText)
		}
	}
	earlier, err := tx.RoleChange(ctx, access.RoleChangeID(strings.ToLower(string(in.ID))))
	switch {
	case err == nil && earlier.Requester == may.Caller.Principal && earlier.Of == in.Of && earlier.Kind == in.Kind &&
		in.same(
			earlier):
		return earlier, true, nil
	case err != nil && !engine.IsKind(err, access.KindNotFound):
		return made, false, fmt.Errorf("read change: %w", err)
	}
	id, err := requests.ChosenID(ctx, tx, access.RequestID(in.ID))
	if err != nil {
		return made, false, err
	}
	return access.RoleChange{
		ID: access.RoleChangeID(id), Tenant: may.TenantOf(in.Scope), Of: in.Of, Kind: in.Kind, Scope: in.Scope,
		Requester:     may.Caller.Principal,
		Justification: in.Justification, Ticket: in.Ticket, State: access.RoleChangeDone, CreatedAt: may.Now,
		Revision: 1,
	}, false, nil
}

// carryOut does what the change says, and completes its record.
func (e *Service) carryOut(ctx context.Context, tx engine.Tx, may engine.Rights, in RoleChangeInput,
	made access.RoleChange,
) (access.RoleChange, error) {
	switch {
	case in.Kind == access.RoleChangeGiveBack && in.Of == access.OfAssignment:
		return e.giveBack(ctx, tx, may, in, made)
	case in.Kind.Asks():
		return e.askTime(ctx, tx, may, in, made)
	case in.Of == access.OfEligibility:
		return e.changeEligible(ctx, tx, may, in, made)
	case in.Of != access.OfAssignment:
		return made, access.Fault(access.KindInvalid, "unknownSubject",
			"a change is of an assignment or of an eligibility, not of %q", engine.Clip(string(in.Of)))
	}
	return e.changeAssigned(ctx, tx, may, in, made)
}

// changeAssigned assigns a role, gives an assignment another window, or takes it away.
func (e *Service) changeAssigned(ctx context.Context, tx engine.Tx, may engine.Rights, in RoleChangeInput,
	made access.RoleChange,
) (access.RoleChange, error) {
	if in.Kind == access.RoleChangeAssign {
		d, err := assignRole(ctx, tx, may, AssignInput{
			ID: rbac.AssignmentID(made.ID), Principal: in.Principal, Role: in.Role, Scope: in.Scope, Start: in.Start,
			End: in.End, Description: in.Justification,
		})
		return ofAssignment(made, d, ""), err
	}
	d, by, err := in.assignment(ctx, tx, may)
	switch {
	case err != nil:
		return made, err
	case in.Kind == access.RoleChangeRemove:
		return ofAssignment(made, d, by), e.Unassign(ctx, tx, may, d.Assignment.ID)
	case by != "":
		return made, notGiven()
	case d.Assignment.Origin != "":
		return made, access.Fault(access.KindConflict, "assignmentOfApplication",
			"the role assignment belongs to %s: change that", d.Assignment.Origin)
	}
	was := d.Assignment
	if d.Assignment.Start, d.Assignment.End, err = in.window(was.Start, was.End, may.Now); err != nil {
		return made, err
	}
	return ofAssignment(made, d, ""), e.moveAssignment(ctx, tx, may, was, d)
}

// moveAssignment gives an assignment the window that is in d.
func (e *Service) moveAssignment(ctx context.Context, tx engine.Tx, may engine.Rights, was rbac.Assignment,
	d engine.AssignmentDetail,
) error {
	if err := validate(d); err != nil {
		return err
	}
	if err := tx.DeleteRoleAssignment(ctx, was.ID); err != nil {
		return fmt.Errorf("delete role assignment: %w", err)
	}
	if err := tx.SaveRoleAssignment(ctx, d.Assignment); err != nil {
		return fmt.Errorf("save role assignment: %w", err)
	}
	w := e.kernel.NewWork(tx, may.Now)
	event := d.Event(access.RoleAssigned, may)
	event.Details["was"] = "for ever"
	if !was.End.IsZero() {
		event.Details["was"] = "until " + was.End.Format(time.RFC3339)
	}
	w.Event(event)
	if laterEnd(was.End, d.Assignment.End) {
		if err := giveTime(ctx, w, may, string(was.ID)); err != nil {
			return err
		}
	}
	return w.Finish(ctx)
}

// changeEligible makes somebody eligible, gives an eligibility another window, or takes it away. The rule of a new one
// is that of the eligibilities for the same role at the same scope, where there are any, so that nobody is made
// eligible by an easier one than others are.
func (e *Service) changeEligible(ctx context.Context, tx engine.Tx, may engine.Rights, in RoleChangeInput,
	made access.RoleChange,
) (access.RoleChange, error) {
	if in.Kind == access.RoleChangeAssign {
		role, err := FindRole(ctx, tx, made.Tenant, in.Role)
		if err != nil {
			return made, err
		}
		next := EligibilityInput{
			ID: access.EligibilityID(made.ID), Principal: in.Principal, Role: in.Role,
			Scope: in.Scope, Start: in.Start, End: in.End,
		}
		others, err := eligibilitiesAt(ctx, tx,
			engine.EligibilityFilter{Tenant: made.Tenant, Role: role.ID, Scope: in.Scope})
		if err != nil {
			return made, err
		}
		for _, other := range others {
			if other.Origin == "" {
				next = withTerms(next, other)
			}
		}
		d, err := e.writeEligibility(ctx, tx, may, next)
		return ofEligibility(made, d), err
	}
	d, err := in.eligibility(ctx, tx, may)
	if err != nil {
		return made, err
	}
	was := d.Eligibility
	if in.Kind == access.RoleChangeRemove {
		return ofEligibility(made, d), e.EndEligible(ctx, tx, may, was.ID)
	}
	next := withTerms(EligibilityInput{ID: was.ID, Was: was.Revision, Scope: was.Scope}, was)
	if next.Start, next.End, err = in.window(was.Start, was.End, may.Now); err != nil {
		return made, err
	}
	d, err = e.writeEligibility(ctx, tx, may, next)
	return ofEligibility(made, d), err
}

func withTerms(in EligibilityInput, e access.Eligibility) EligibilityInput {
	in.Max, in.Justification, in.Ticket = e.Max, e.Justification, e.Ticket
	in.Approval, in.PendingTimeout, in.Gap = e.Approval, e.PendingTimeout, e.Gap
	return in
}

// window gives the window that a change makes of the one that there is.
func (in RoleChangeInput) window(start, end, now time.Time) (time.Time, time.Time, error) {
	next, over := access.Instant(in.End), !end.IsZero() && !now.Before(end)
	switch in.Kind { //nolint:exhaustive // the others change no window
	case access.RoleChangeUpdate:
		if !in.Start.IsZero() {
			start = access.Instant(in.Start)
		}
	case access.RoleChangeExtend:
		if over {
			return start, end, access.Fault(access.KindInvalid, "roleEnded", "it ended at %s: request its renewal",
				end.Format(time.RFC3339))
		}
	case access.RoleChangeRenew:
		if over {
			start = now
			if in.Start.After(now) {
				start = access.Instant(in.Start)
			}
		}
	default:
		return start, end, access.Fault(access.KindInvalid, "unknownChange",
			"there is no change %q of this assignment or eligibility",
			engine.Clip(string(in.Kind)))
	}
	switch {
	case in.Kind != access.RoleChangeUpdate && !laterEnd(end, next):
		return start, end, access.Fault(access.KindInvalid, "notLater",
			"an extension must end after the current end, %s", describeEnd(end))
	case !next.IsZero() && !next.After(now):
		return start, end, access.Fault(access.KindInvalid, "endBeforeStart",
			"the end %s lies in the past: to end it, remove it", next.Format(time.RFC3339))
	}
	return start, next, nil
}

// laterEnd tells whether next is a later end than was, where zero is never.
func laterEnd(was, next time.Time) bool {
	return !was.IsZero() && (next.IsZero() || next.After(was))
}

func describeEnd(end time.Time) string {
	if end.IsZero() {
		return "never"
	}
	return "at " + end.UTC().Format(time.RFC3339)
}

// notGiven refuses to give an activation another window: that would be past the rule under which it was activated.
func notGiven() error {
	return access.Fault(access.KindInvalid, "roleActivated",
		"the role was activated through an eligibility: its holder can ask for an extension under the eligibility's "+
			"rule, and an administrator can remove it")
}
