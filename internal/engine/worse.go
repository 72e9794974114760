package engine

import (
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
)

// ByRule gives err where it is a refusal by a rule of ours, and nil where it is a fault, or nothing.
func ByRule(err error) *access.Error {
	var refusal *access.Error
	if AsError(err,
		&refusal) && (refusal.Kind == access.KindForbidden || refusal.Kind == access.KindNotFound ||
		refusal.Kind == access.KindInvalid) {
		return refusal
	}
	return nil
}

// Worse adds the refusal of one item to those so far; what is forbidden outweighs what is not found, and that what is
// malformed.
func Worse(so, next *access.Error, field string) *access.Error {
	reason := access.Reason{Code: next.Code, Field: field, Message: next.Message}
	if len(next.Reasons) > 0 {
		reason.Message += " (" + next.Reasons[0].Message + ")"
	}
	rank := []access.Kind{access.KindInvalid, access.KindNotFound, access.KindForbidden}
	if so == nil || slices.Index(rank, next.Kind) > slices.Index(rank, so.Kind) {
		var earlier []access.Reason
		if so != nil {
			earlier = so.Reasons
		}
		so = access.Fault(next.Kind, next.Code, "%s", next.Message)
		so.Reasons = earlier
	}
	so.Reasons = append(so.Reasons, reason)
	return so
}
