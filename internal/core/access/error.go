package access

import (
	"errors"
	"fmt"
	"strings"
)

// Kind says what sort of thing went wrong, so that each façade can map it to its own envelope in one table.
type Kind string

// The kinds of error. Whatever is not an *Error is KindInternal, and its text is never shown to a caller.
const (
	KindInvalid         Kind = "invalid"         // the input is wrong; repeating it will not help
	KindUnauthenticated Kind = "unauthenticated" // we do not know who is calling
	KindForbidden       Kind = "forbidden"       // we know who is calling, and they may not
	KindNotFound        Kind = "notFound"        // there is no such thing, or the caller may not know of it
	KindConflict        Kind = "conflict"        // the thing has changed, or is in a state that does not allow this
	KindLimited         Kind = "limited"         // too many attempts; try again later
	KindUnavailable     Kind = "unavailable"     // something that we depend on does not answer; try again
	KindInternal        Kind = "internal"        // a fault of ours
)

// Error is the one error type that crosses package borders.
type Error struct {
	Kind    Kind
	Code    string   // stable, for programs: "portNotInPolicy"
	Message string   // for people: what is wrong and what to do
	Reasons []Reason // every reason for a refusal, in the order of the input; may be empty
	Err     error    // the cause, for the log only; may be nil
}

// Reason is one cause of a refusal: which limit was broken, and what would be allowed.
type Reason struct {
	Code    string // stable, for programs: "durationTooLong"
	Field   string // where in the input, such as "items[0].port"; empty when it is the whole
	Message string // which limit, and what would be allowed
}

// Error gives the code, the message and the cause; it is meant for logs and tests.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for _, r := range e.Reasons {
		b.WriteString("; ")
		b.WriteString(r.Message)
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Fault makes an *Error; format and args are the message for people.
func Fault(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...)}
}

// KindOf gives the kind of err: that of the first *Error in its chain, KindInternal for anything else.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindInternal
}

// CodeOf gives the stable code of err, or "internal".
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return "internal"
}
