package audit

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// HashReader gives the nodes of a tree by their indexes in tlog's order of stored hashes.
type HashReader = tlog.HashReaderFunc

// RootAt gives the root of the tree of the first size records.
func RootAt(size int64, read HashReader) (Hash, error) {
	root, err := tlog.TreeHash(size, read)
	if err != nil {
		return Hash{}, fmt.Errorf("root of %d records: %w", size, err)
	}
	return root, nil
}

// ProveInclusion gives the hashes that lead from record seq to the root of the tree of size records, from the leaf
// upward.
func ProveInclusion(size, seq int64, read HashReader) ([]Hash, error) {
	proof, err := tlog.ProveRecord(size, seq, read)
	if err != nil {
		return nil, fmt.Errorf("prove record %d of %d: %w", seq, size, err)
	}
	return proof, nil
}

// CheckInclusion fails unless proof shows that record is number seq of the tree of size records with that root.
func CheckInclusion(proof []Hash, size int64, root Hash, seq int64, record []byte) error {
	if err := tlog.CheckRecord(proof, size, root, seq, LeafHash(record)); err != nil {
		return fmt.Errorf("record %d is not proven to be in the log of %d records: %w", seq, size, err)
	}
	return nil
}

// ProveConsistency gives the hashes that show the tree of from records to be a beginning of the tree of to records.
func ProveConsistency(from, to int64, read HashReader) ([]Hash, error) {
	if from == 0 && to >= 0 {
		return nil, nil // the empty log is a beginning of every log
	}
	proof, err := tlog.ProveTree(to, from, read)
	if err != nil {
		return nil, fmt.Errorf("prove that %d records begin %d: %w", from, to, err)
	}
	return proof, nil
}

// CheckConsistency fails unless proof shows that the older tree is a beginning of the newer.
func CheckConsistency(proof []Hash, from int64, fromRoot Hash, to int64, toRoot Hash) error {
	if from == 0 && to >= 0 && len(proof) == 0 && fromRoot == (Tree{}).Root() {
		return nil
	}
	if err := tlog.CheckTree(proof, to, toRoot, from, fromRoot); err != nil {
		return fmt.Errorf("the log of %d records is not proven to begin with the one of %d: %w", to, from, err)
	}
	return nil
}
