// Package audit encodes the events of the activity log, grows the RFC 6962 Merkle tree over them, signs and checks
// checkpoints, and proves or verifies inclusion and consistency. It is pure.
package audit
