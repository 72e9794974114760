// Package api holds the wire types of Postern's native API, version 1, and a client for it.
//
// Instants are RFC 3339 in UTC. Durations are in seconds where the name ends in Seconds. Errors are problem details
// (RFC 9457) with a stable code. Lists are pages: pass Next back as cursor until it is empty.
package api
