//go:build linux

package nftables

import (
	"fmt"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// knownExpressions are those that the library reads; it leaves out all others without a word, though it can write some.
func knownExpressions() []string {
	return []string{
		"bitwise", "cmp", "connlimit", "counter", "ct", "dynset", "exthdr", "fib", "flow_offload", "hash", "immediate",
		"limit", "log", "lookup", "masq",
		"match", "meta", "nat", "notrack", "numgen", "objref", "payload", "queue", "quota", "range", "redir", "reject",
		"secmark", "synproxy", "target",
	}
}

// ruleID names a rule.
type ruleID struct {
	family byte
	table  string
	handle uint64
}

// leftOut is what the library leaves out of a rule.
type leftOut struct {
	strange []string     // what is not understood
	orders  []byteorders // in the order of the rule
}

// byteorders turns bytes round, before the expression of that number among those that the library reads.
type byteorders struct {
	before int
	expr   *expr.Byteorder
}

// into returns the expressions of a rule with those that belong between them.
func (l leftOut) into(read []expr.Any) []expr.Any {
	for i, o := range l.orders {
		read = slices.Insert(slices.Clip(read), min(o.before+i, len(read)), expr.Any(o.expr))
	}
	return read
}

// unread gives what the library leaves out of the rules that have any of that.
func (c *conn) unread() (map[ruleID]leftOut, error) {
	answers, err := c.ask(message(unix.NFT_MSG_GETRULE, netlink.Dump, header(unix.NFPROTO_UNSPEC, 0)))
	if err != nil {
		return nil, fmt.Errorf("list rules: %w", err)
	}
	unread := make(map[ruleID]leftOut)
	for _, a := range answers {
		id, left, err := leftOutOf(a.Data)
		if err != nil {
			return nil, fmt.Errorf("list rules: %w", err)
		}
		if left.strange != nil || left.orders != nil {
			unread[id] = left
		}
	}
	return unread, nil
}

// leftOutOf reads one rule as the kernel writes it.
func leftOutOf(rule []byte) (id ruleID, left leftOut, err error) {
	known, read := knownExpressions(), 0
	expression := func(_ uint16, value []byte) error {
		name, hasData := "", false
		var order *expr.Byteorder
		err := eachIn(value, func(kind uint16, value []byte) (err error) {
			switch kind {
			case unix.NFTA_EXPR_NAME:
				name = text(value)
			case unix.NFTA_EXPR_DATA:
				hasData = true
				if name == "byteorder" {
					order, err = readByteorder(value)
				}
			}
			return err
		})
		switch {
		case order != nil:
			left.orders = append(left.orders, byteorders{read, order})
		case !slices.Contains(known, name):
			left.strange = append(left.strange, name)
		case hasData || name == "notrack": // as the library counts
			read++
		}
		return err
	}
	if len(rule) > 0 {
		id.family = rule[0]
	}
	err = each(rule, func(kind uint16, value []byte) error {
		switch kind {
		case unix.NFTA_RULE_TABLE:
			id.table = text(value)
		case unix.NFTA_RULE_HANDLE:
			id.handle = long(value)
		case unix.NFTA_RULE_EXPRESSIONS:
			return eachIn(value, expression)
		}
		return nil
	})
	return id, left, err
}

// readByteorder reads the one expression that rules have often and the library cannot read.
func readByteorder(data []byte) (*expr.Byteorder, error) {
	e := &expr.Byteorder{}
	return e, eachIn(data, func(kind uint16, value []byte) error {
		switch kind {
		case unix.NFTA_BYTEORDER_SREG:
			e.SourceRegister = number(value)
		case unix.NFTA_BYTEORDER_DREG:
			e.DestRegister = number(value)
		case unix.NFTA_BYTEORDER_OP:
			e.Op = expr.ByteorderOp(number(value))
		case unix.NFTA_BYTEORDER_LEN:
			e.Len = number(value)
		case unix.NFTA_BYTEORDER_SIZE:
			e.Size = number(value)
		}
		return nil
	})
}
