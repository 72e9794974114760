//go:build linux

package nftables

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// What golang.org/x/sys/unix does not name.
const (
	tableOwned      = 2  // NFT_TABLE_F_OWNER: only the socket that made it may change it
	tablePersists   = 4  // NFT_TABLE_F_PERSIST: it outlives that socket
	setExpression   = 17 // NFTA_SET_EXPR
	tableHandle     = 4  // NFTA_TABLE_HANDLE
	setHandle       = 16 // NFTA_SET_HANDLE
	commentOfMember = 0  // NFTNL_UDATA_SET_ELEM_COMMENT
	genIdentity     = 1  // NFTA_GEN_ID
	genProcessID    = 2  // NFTA_GEN_PROC_PID
	genProcessName  = 3  // NFTA_GEN_PROC_NAME
	policyAccept    = 1  // NF_ACCEPT
)

const chainPurpose = "filter"

// attributes builds netlink attributes in place: hot paths would spend their time on allocations otherwise.
type attributes []byte

func (a attributes) bytes(kind uint16, data []byte) attributes {
	a = binary.NativeEndian.AppendUint16(a, uint16(4+len(data))) //nolint:gosec // short by construction
	a = binary.NativeEndian.AppendUint16(a, kind)
	a = append(a, data...)
	return append(a, make([]byte, (4-len(data)%4)%4)...)
}

func (a attributes) text(kind uint16, s string) attributes {
	return a.bytes(kind, append([]byte(s), 0))
}

func (a attributes) number(kind uint16, n uint32) attributes {
	return a.bytes(kind, binary.BigEndian.AppendUint32(nil, n))
}

func (a attributes) long(kind uint16, n uint64) attributes {
	return a.bytes(kind, binary.BigEndian.AppendUint64(nil, n))
}

// nest puts what fill adds into one attribute. An attribute has at most 65,535 bytes; larger is refused.
func (a attributes) nest(kind uint16, fill func(attributes) attributes) attributes {
	at := len(a)
	a = append(a, 0, 0, 0, 0)
	a = fill(a)
	length := len(a) - at
	if length > 1<<16-1 {
		panic(fmt.Sprintf("netlink attribute of %d bytes", length)) // the kernel would silently take a part of it
	}
	binary.NativeEndian.PutUint16(a[at:], uint16(length)) //nolint:gosec // see above
	binary.NativeEndian.PutUint16(a[at+2:], kind|unix.NLA_F_NESTED)
	return a
}

// header begins a message of netfilter.
func header(family byte, resource uint16) attributes {
	return binary.BigEndian.AppendUint16(attributes{family, 0}, resource)
}

func kindOf(message int) netlink.HeaderType {
	return netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | message) //nolint:gosec // a small constant
}

// numberOf is the inverse of kindOf; -1 for a message of another subsystem.
func numberOf(t netlink.HeaderType) int {
	if t>>8 != unix.NFNL_SUBSYS_NFTABLES {
		return -1
	}
	return int(t & 0xff)
}

func message(kind int, flags netlink.HeaderFlags, body attributes) netlink.Message {
	return netlink.Message{Header: netlink.Header{Type: kindOf(kind), Flags: netlink.Request | flags}, Data: body}
}

func newTable(name string, flags uint32) netlink.Message {
	return message(unix.NFT_MSG_NEWTABLE, netlink.Create,
		header(unix.NFPROTO_INET, 0).text(unix.NFTA_TABLE_NAME, name).number(unix.NFTA_TABLE_FLAGS, flags))
}

func deleteTable(name string) netlink.Message {
	return message(unix.NFT_MSG_DELTABLE, 0, header(unix.NFPROTO_INET, 0).text(unix.NFTA_TABLE_NAME, name))
}

// flushChain deletes the rules of a chain, or of the whole table where chain is empty.
func flushChain(table, chain string) netlink.Message {
	body := header(unix.NFPROTO_INET, 0).text(unix.NFTA_RULE_TABLE, table)
	if chain != "" {
		body = body.text(unix.NFTA_RULE_CHAIN, chain)
	}
	return message(unix.NFT_MSG_DELRULE, 0, body)
}

func deleteChain(table, chain string) netlink.Message {
	return message(unix.NFT_MSG_DELCHAIN, 0,
		header(unix.NFPROTO_INET, 0).text(unix.NFTA_CHAIN_TABLE, table).text(unix.NFTA_CHAIN_NAME, chain))
}

func newChain(table string, c Chain) netlink.Message {
	body := header(unix.NFPROTO_INET, 0).text(unix.NFTA_CHAIN_TABLE, table).text(unix.NFTA_CHAIN_NAME, c.Name)
	if c.Hook != "" {
		body = body.nest(unix.NFTA_CHAIN_HOOK, func(a attributes) attributes {
			return a.number(unix.NFTA_HOOK_HOOKNUM, c.hookNumber()).number(unix.NFTA_HOOK_PRIORITY, uint32(c.priority())) //nolint:gosec // two's complement is meant
		})
		body = body.number(unix.NFTA_CHAIN_POLICY, policyAccept).text(unix.NFTA_CHAIN_TYPE, chainPurpose)
	}
	return message(unix.NFT_MSG_NEWCHAIN, netlink.Create, body)
}

func (c Chain) hookNumber() uint32 {
	return map[string]uint32{
		"prerouting": unix.NF_INET_PRE_ROUTING, "input": unix.NF_INET_LOCAL_IN,
		"forward": unix.NF_INET_FORWARD, "output": unix.NF_INET_LOCAL_OUT,
	}[c.Hook]
}

func newRule(table, chain string, r Rule) (netlink.Message, error) {
	body := header(unix.NFPROTO_INET, 0).text(unix.NFTA_RULE_TABLE, table).text(unix.NFTA_RULE_CHAIN, chain)
	var failed error
	body = body.nest(unix.NFTA_RULE_EXPRESSIONS, func(a attributes) attributes {
		for _, e := range r.expressions {
			data, err := expr.Marshal(unix.NFPROTO_INET, e)
			if err != nil {
				failed = fmt.Errorf("encode rule %q: %w", r.Text, err)
			}
			a = a.bytes(unix.NFTA_LIST_ELEM|unix.NLA_F_NESTED, data)
		}
		return a
	})
	return message(unix.NFT_MSG_NEWRULE, netlink.Create|netlink.Append, body), failed
}

// flags are those of the kernel.
func (s Set) flags() uint32 {
	var flags uint32
	if s.Timed || s.Ending {
		flags |= unix.NFT_SET_TIMEOUT
	}
	if s.Learned {
		flags |= unix.NFT_SET_EVAL
	}
	return flags
}

func newSet(table string, s Set, id uint32) netlink.Message {
	body := header(unix.NFPROTO_INET, 0).text(unix.NFTA_SET_TABLE, table).text(unix.NFTA_SET_NAME, s.Name).
		number(unix.NFTA_SET_FLAGS, s.flags()).number(unix.NFTA_SET_KEY_TYPE, s.keyType()).
		number(unix.NFTA_SET_KEY_LEN, uint32(s.keyLength())).number(unix.NFTA_SET_ID, id) //nolint:gosec // at most 40
	if s.Timed {
		body = body.nest(setExpression, func(a attributes) attributes { return counter(a, 0, 0) })
	}
	return message(unix.NFT_MSG_NEWSET, netlink.Create, body)
}

func deleteSet(table, set string) netlink.Message {
	return message(unix.NFT_MSG_DELSET, 0,
		header(unix.NFPROTO_INET, 0).text(unix.NFTA_SET_TABLE, table).text(unix.NFTA_SET_NAME, set))
}

// flushSet deletes all elements of a set.
func flushSet(table, set string) netlink.Message {
	return message(unix.NFT_MSG_DELSETELEM, 0, header(unix.NFPROTO_INET, 0).
		text(unix.NFTA_SET_ELEM_LIST_TABLE, table).text(unix.NFTA_SET_ELEM_LIST_SET, set))
}

// counter adds a counter that begins with such values.
func counter(a attributes, packets, bytes uint64) attributes {
	return a.text(unix.NFTA_EXPR_NAME, "counter").nest(unix.NFTA_EXPR_DATA, func(a attributes) attributes {
		return a.long(unix.NFTA_COUNTER_BYTES, bytes).long(unix.NFTA_COUNTER_PACKETS, packets)
	})
}

// member is an element on its way to the kernel, or from it.
type member struct {
	key     Key
	left    time.Duration // until it ends; zero in a set that is not timed
	comment string
	packets uint64
	bytes   uint64
}

const (
	maxMembers = 300 // elements in one message; more than fit into its 65,535 bytes vanish without an error
	maxComment = 128 // bytes of a comment; a kernel takes at most 256 of user data
)

// membersOf builds the messages of one kind on elements of a set.
func membersOf(kind int, flags netlink.HeaderFlags, table, set string, members []member,
	with func(attributes, member) attributes,
) []netlink.Message {
	messages := make([]netlink.Message, 0, 1+len(members)/maxMembers)
	for len(members) > 0 {
		n := min(len(members), maxMembers)
		body := header(unix.NFPROTO_INET, 0).text(unix.NFTA_SET_ELEM_LIST_TABLE, table).text(
			unix.NFTA_SET_ELEM_LIST_SET, set)
		body = body.nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func(a attributes) attributes {
			for _, m := range members[:n] {
				a = a.nest(unix.NFTA_LIST_ELEM, func(a attributes) attributes {
					a = a.nest(unix.NFTA_SET_ELEM_KEY,
						func(a attributes) attributes { return a.bytes(unix.NFTA_DATA_VALUE, []byte(m.key)) })
					return with(a, m)
				})
			}
			return a
		})
		messages = append(messages, message(kind, flags, body))
		members = members[n:]
	}
	return messages
}

func keyAlone(a attributes, _ member) attributes { return a }

// addTimed adds elements that end. It refuses one without time left, which the kernel would keep for ever.
func addTimed(table, set string, members []member) ([]netlink.Message, error) {
	for _, m := range members {
		if m.left < leastLeft {
			return nil, fmt.Errorf("element of set %s with %s left: refused, as the kernel might keep it for ever", set,
				m.left)
		}
	}
	return membersOf(unix.NFT_MSG_NEWSETELEM, netlink.Create, table, set, members,
		func(a attributes, m member) attributes {
			millis := uint64(m.left.Milliseconds()) //nolint:gosec // positive, see above
			a = a.long(unix.NFTA_SET_ELEM_TIMEOUT, millis).long(unix.NFTA_SET_ELEM_EXPIRATION, millis)
			if m.comment != "" {
				text := append([]byte(m.comment[:min(len(m.comment), maxComment)]), 0)
				a = a.bytes(unix.NFTA_SET_ELEM_USERDATA, append([]byte{commentOfMember, byte(len(text))}, text...)) //nolint:gosec // short, see above
			}
			return a.nest(unix.NFTA_SET_ELEM_EXPR,
				func(a attributes) attributes { return counter(a, m.packets, m.bytes) })
		}), nil
}

// addEnding adds elements that end and count nothing; like addTimed it refuses one without time left.
func addEnding(table, set string, members []member) ([]netlink.Message, error) {
	for _, m := range members {
		if m.left < leastLeft {
			return nil, fmt.Errorf("element of set %s with %s left: refused, as the kernel might keep it for ever", set,
				m.left)
		}
	}
	return membersOf(unix.NFT_MSG_NEWSETELEM, netlink.Create, table, set, members,
		func(a attributes, m member) attributes {
			millis := uint64(m.left.Milliseconds()) //nolint:gosec // positive, see above
			return a.long(unix.NFTA_SET_ELEM_TIMEOUT, millis).long(unix.NFTA_SET_ELEM_EXPIRATION, millis)
		}), nil
}

func addPlain(table, set string, keys []Key) []netlink.Message {
	return membersOf(unix.NFT_MSG_NEWSETELEM, netlink.Create, table, set, bare(keys), keyAlone)
}

func deleteMembers(table, set string, keys []Key) []netlink.Message {
	return membersOf(unix.NFT_MSG_DELSETELEM, 0, table, set, bare(keys), keyAlone)
}

func bare(keys []Key) []member {
	members := make([]member, len(keys))
	for i, k := range keys {
		members[i].key = k
	}
	return members
}
