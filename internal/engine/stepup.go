package engine

import (
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// freshStepUp is how long a sign-in with a passkey counts as fresh.
const freshStepUp = 5 * time.Minute

// SteppedUp tells whether the caller has signed in with a passkey just now.
func (c Caller) SteppedUp(now time.Time) bool {
	return !c.SteppedUpAt.IsZero() && now.Sub(c.SteppedUpAt) <= freshStepUp
}

// Proved reports whether whoever holds the caller's session has just proved who they are, in whichever way.
func (c Caller) Proved(now time.Time) bool {
	return !c.ProvedAt.IsZero() && now.Sub(c.ProvedAt) <= freshStepUp
}

// StepUpRequired returns the refusal of what needs a passkey that was used just now.
func StepUpRequired(what string) *access.Error {
	return access.Fault(access.KindForbidden, "stepUpRequired",
		"%s needs a fresh sign-in with a passkey: confirm it with your passkey, then repeat this within %s", what,
		freshStepUp)
}
