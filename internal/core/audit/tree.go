package audit

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// TileHeight is how many levels of the tree are derived again from what lies below them, instead of being kept: of the
// nodes, only those at levels 0, 8, 16, … are kept.
const TileHeight = 8

// Node is the root of a complete subtree of 1<<Level leaves, the Index'th of that level.
type Node struct {
	Level int
	Index int64
	Hash  Hash
}

// LeafHash gives the leaf of a record, as RFC 6962 defines it.
func LeafHash(record []byte) Hash { return tlog.RecordHash(record) }

// Tree is an RFC 6962 Merkle tree that can grow and knows its root, and nothing else. The zero value is the empty tree.
type Tree struct {
	Size int64
	// roots of the complete subtrees that the tree is made of, the largest first: one for each bit of Size
	Frontier []Hash
}

// Valid tells whether the frontier fits the size.
func (t Tree) Valid() bool {
	return t.Size >= 0 && len(t.Frontier) == bits.OnesCount64(uint64(t.Size))
}

// Append gives the tree with more leaves, and the nodes above the leaves that are to be kept, in the order in which
// they became complete. The leaves are to be kept too. t stays as it is.
func (t Tree) Append(leaves ...Hash) (Tree, []Node) {
	next := Tree{Size: t.Size, Frontier: make([]Hash, len(t.Frontier), len(t.Frontier)+bits.Len(uint(len(leaves)))+1)}
	copy(next.Frontier, t.Frontier)
	var kept []Node
	for _, hash := range leaves {
		level, index := 0, next.Size
		for ; index&1 == 1; level, index = level+1, index>>1 {
			last := len(next.Frontier) - 1
			if level > 0 && level%TileHeight == 0 {
				kept = append(kept, Node{Level: level, Index: index, Hash: hash})
			}
			hash = tlog.NodeHash(next.Frontier[last], hash)
			next.Frontier = next.Frontier[:last]
		}
		if level > 0 && level%TileHeight == 0 {
			kept = append(kept, Node{Level: level, Index: index, Hash: hash})
		}
		next.Frontier = append(next.Frontier, hash)
		next.Size++
	}
	return next, kept
}

// Root gives the hash of the whole tree.
func (t Tree) Root() Hash {
	if len(t.Frontier) == 0 {
		root, err := tlog.TreeHash(0, nil)
		if err != nil {
			return Hash{}
		}
		return root
	}
	root := t.Frontier[len(t.Frontier)-1]
	for i := len(t.Frontier) - 2; i >= 0; i-- {
		root = tlog.NodeHash(t.Frontier[i], root)
	}
	return root
}

// Span is a run of kept nodes: Count of them at Level, beginning with the First'th.
type Span struct {
	Level int
	First int64
	Count int64
}

// SpanOf gives the kept nodes below the node that has index in tlog's order of stored hashes. Fold makes that node of
// them.
func SpanOf(index int64) (Span, error) {
	if index < 0 {
		return Span{}, fmt.Errorf("node %d is not in any tree", index)
	}
	level, n := tlog.SplitStoredHashIndex(index)
	above := level % TileHeight
	return Span{Level: level - above, First: n << above, Count: 1 << above}, nil
}

// Fold gives the root over nodes, whose number must be a power of two.
func Fold(nodes []Hash) (Hash, error) {
	if bits.OnesCount(uint(len(nodes))) != 1 {
		return Hash{}, fmt.Errorf("cannot fold %d nodes", len(nodes))
	}
	level := append([]Hash(nil), nodes...)
	for len(level) > 1 {
		for i := range len(level) / 2 {
			level[i] = tlog.NodeHash(level[2*i], level[2*i+1])
		}
		level = level[:len(level)/2]
	}
	return level[0], nil
}
