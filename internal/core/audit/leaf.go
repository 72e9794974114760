package audit

import "golang.org/x/mod/sumdb/tlog"

// LeafIndex gives the index of the leaf of record seq in tlog's order of stored hashes.
func LeafIndex(seq int64) int64 { return tlog.StoredHashIndex(0, seq) }
