package store

import (
	"context"
	"strconv"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
)

// logRow is an event of the present batch, which is written with the others of the batch at its end.
type logRow struct {
	leaf audit.Hash
	args []any // the columns
}

// Append implements engine.Tx.
func (t *tx) Append(ctx context.Context, events ...access.Event) error {
	if err := t.usable(ctx); err != nil {
		return err
	}
	for i := range events {
		if err := t.append(&events[i]); err != nil {
			t.failed = err
			return err
		}
	}
	return nil
}

func (t *tx) append(e *access.Event) error {
	record, err := audit.Encode(*e)
	if err != nil {
		return err
	}
	b := t.batch
	at := micros(e.At)
	b.head.high = max(b.head.high, at)
	b.head.disorder = max(b.head.disorder, b.head.high-at)
	e.Seq = b.head.tree.Size + int64(len(b.events))
	args := []any{
		e.Seq, at, b.head.high, string(e.Kind), string(e.Actor.ID), string(e.Machine), string(e.Request),
		string(e.Tenant), string(e.Outcome),
	}
	if err := checkText("event", args); err != nil {
		return err
	}
	leaf := audit.LeafHash(record)
	b.events = append(b.events, logRow{leaf: leaf, args: append(args, leaf[:], record)})
	return nil
}

// inserts holds the statements that insert several rows at once, by how many; so few are prepared.
type inserts struct {
	sizes         []int // descending, to 1
	events, nodes []string
	inbox         []string
}

func newInserts() inserts {
	in := inserts{sizes: []int{16, 4, 1}}
	for _, n := range in.sizes {
		in.events = append(in.events, insertEvents+rowsOf(n, strings.Count(insertEvents, ",")+1))
		in.nodes = append(in.nodes, insertNodes+rowsOf(n, strings.Count(insertNodes, ",")+1))
		in.inbox = append(in.inbox, insertInbox+rowsOf(n, len(inboxEntryTable.names)))
	}
	return in
}

const (
	insertEvents = "insert into events (seq, at, high, kind, actor, machine, request, tenant, outcome, hash, body) " +
		"values "
	insertNodes = "insert into audit_nodes (level, idx, hash) values "
)

var insertInbox = "insert into inbox (" + strings.Join(inboxEntryTable.names, ", ") + ") values "

const updateHead = "update audit_head set size = $1, frontier = $2, high = $3, disorder = $4 where id = 1"

// rowsOf gives n tuples of placeholders.
func rowsOf(n, columns int) string {
	var b strings.Builder
	for i := range n * columns {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%columns == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(i+1))
	}
	b.WriteByte(')')
	return b.String()
}

// extendLog writes the events of the batch, and extends the tree over them.
func (b *batch) extendLog(in inserts) error {
	if err := b.insert(b.inbox, in.sizes, in.inbox); err != nil {
		return err
	}
	if len(b.events) == 0 {
		return nil
	}
	leaves := make([]audit.Hash, len(b.events))
	rows := make([][]any, len(b.events))
	for i, e := range b.events {
		leaves[i], rows[i] = e.leaf, e.args
	}
	if err := b.insert(rows, in.sizes, in.events); err != nil {
		return err
	}
	tree, nodes := b.head.tree.Append(leaves...)
	var above [][]any
	for _, n := range nodes {
		above = append(above, []any{int64(n.Level), n.Index, n.Hash[:]})
	}
	if err := b.insert(above, in.sizes, in.nodes); err != nil {
		return err
	}
	b.head.tree = tree
	b.news.events = true
	frontier := make([]byte, 0, len(tree.Frontier)*len(audit.Hash{}))
	for _, hash := range tree.Frontier {
		frontier = append(frontier, hash[:]...)
	}
	return b.w.exec(b.ctx,
		write{what: "activity log", sql: updateHead, args: []any{tree.Size, frontier, b.head.high, b.head.disorder}})
}

// insert writes rows with as few statements as there are sizes for.
func (b *batch) insert(rows [][]any, sizes []int, statements []string) error {
	for i, size := range sizes {
		for len(rows) >= size {
			var args []any
			for _, row := range rows[:size] {
				args = append(args, row...)
			}
			if err := b.w.exec(b.ctx, write{what: "activity log", sql: statements[i], args: args}); err != nil {
				return err
			}
			rows = rows[size:]
		}
	}
	return nil
}
