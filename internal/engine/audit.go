package engine

import "github.com/postern-dev/postern/internal/core/audit"

// CheckpointDetail is the newest signed checkpoint and the key to verify it with.
type CheckpointDetail struct {
	Checkpoint audit.SignedCheckpoint
	Key        string // the verifier key, as golang.org/x/mod/sumdb/note writes it
}

// Proof is an RFC 6962 proof.
type Proof struct {
	Hashes []audit.Hash // from the leaf upward
	Record []byte       // the canonical record, in a proof of inclusion
}
