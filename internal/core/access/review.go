package access

import "time"

// ReviewID names a review debt.
type ReviewID string

// Review is the debt that breaking glass leaves: until somebody who may decide closes it with a comment, its person
// cannot break glass again.
type Review struct {
	ID         ReviewID
	Tenant     TenantID
	Person     PrincipalID
	PersonName string // as it was then
	Request    RequestID
	Offline    bool // opened on the machine itself, with a sealed code
	CreatedAt  time.Time
	ClosedAt   time.Time // zero while open
	ClosedBy   PrincipalID
	Comment    string
	Revision   int64
}

// Close pays the debt. It is refused to the person whose debt it is, and without a comment.
func (v Review) Close(by Actor, comment string, now time.Time) (Review, []Event, error) {
	switch {
	case !v.ClosedAt.IsZero():
		return v, nil, Fault(KindConflict, "reviewClosed", "this review is closed already")
	case by.ID == v.Person:
		return v, nil, Fault(KindForbidden, "ownReview",
			"nobody can review their own break-glass access; ask another approver")
	case comment == "":
		return v, nil, Fault(KindInvalid, "commentMissing", "add a comment that says what you found")
	case len(comment) > MaxText:
		return v, nil, Fault(KindInvalid, "commentTooLong", "the comment has %d bytes; %d are allowed", len(comment),
			MaxText)
	}
	v.ClosedAt = now
	v.ClosedBy = by.ID
	v.Comment = comment
	v.Revision++
	return v, []Event{{
		At: now, Kind: GlassReviewed, Outcome: Succeeded, Actor: by, Tenant: v.Tenant, Request: v.Request,
		Details: map[string]string{"person": v.PersonName, "comment": comment},
	}}, nil
}
