package audit

import (
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a node of the tree: 32 bytes of SHA-256.
type Hash = tlog.Hash

// SignedCheckpoint is a signed statement of the log's size and root at a time.
type SignedCheckpoint struct {
	Size int64
	Root Hash
	At   time.Time
	Text string // the signed note, as golang.org/x/mod/sumdb/note writes it
}
