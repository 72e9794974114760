// Package access holds what just-in-time access is made of: machines, policies, requests, decisions, grants,
// openings and desired state, and the state machines that move them.
//
// Everything here is pure: no clock, no input or output, no goroutine. A function that needs the time takes it as
// an argument, and one that changes something returns the new value together with the events to record.
// Instants are UTC with microsecond precision; durations are time.Duration; addresses are netip.
package access
