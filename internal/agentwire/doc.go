// Package agentwire is what an agent and its server say to each other: the messages, the way of each from the core's
// types to the wire and back, the stream of events, and the client with which an agent calls.
//
// Both sides are of any version: a message gets new fields that may be absent, and none of today's goes or changes.
// Instants never travel. What ends is said by what remains of it, so that no wall clock but the server's matters.
package agentwire

import "time"

// What both sides go by.
const (
	// InstanceHeader says which running program calls, among those that might have one certificate.
	InstanceHeader = "Postern-Agent-Instance"

	// TimeHeader says when the server began to answer; see FormatTime.
	TimeHeader = "Postern-Time"

	// StreamType is the content type of a stream of events.
	StreamType = "text/event-stream"

	// Heartbeat is how often the server says on a stream that it is there.
	Heartbeat = 15 * time.Second

	// Silence is how long an agent that hears nothing believes in its stream.
	Silence = 3 * Heartbeat
)

// Names of the events of a stream.
const (
	EventDesired   = "desired"
	EventHeartbeat = "heartbeat"
)
