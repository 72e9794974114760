//go:build linux

package nftables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

var errShort = errors.New("netlink message too short")

// each calls fn for every attribute behind the netfilter header of a message.
func each(data []byte, fn func(kind uint16, value []byte) error) error {
	if len(data) < 4 {
		return errShort
	}
	return eachIn(data[4:], fn)
}

func eachIn(data []byte, fn func(kind uint16, value []byte) error) error {
	for len(data) >= unix.NLA_HDRLEN {
		length := int(binary.NativeEndian.Uint16(data))
		kind := binary.NativeEndian.Uint16(data[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		if length < unix.NLA_HDRLEN || length > len(data) {
			return errShort
		}
		if err := fn(kind, data[unix.NLA_HDRLEN:length]); err != nil {
			return err
		}
		data = data[min((length+3)&^3, len(data)):]
	}
	return nil
}

// text reads a string that may end in a zero byte.
func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

func number(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func long(b []byte) uint64 {
	if len(b) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// parseMembers reads a message on elements of a set.
func parseMembers(data []byte) (members []member, err error) {
	err = each(data, func(kind uint16, value []byte) error {
		if kind != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			return nil
		}
		return eachIn(value, func(_ uint16, value []byte) error {
			m, err := parseMember(value)
			members = append(members, m)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read elements: %w", err)
	}
	return members, nil
}

func parseMember(data []byte) (m member, err error) {
	err = eachIn(data, func(kind uint16, value []byte) error {
		switch kind {
		case unix.NFTA_SET_ELEM_KEY:
			return eachIn(value, func(_ uint16, value []byte) error {
				m.key = Key(value)
				return nil
			})
		case unix.NFTA_SET_ELEM_EXPIRATION:
			m.left = time.Duration(min(long(value), 1<<43)) * time.Millisecond
		case unix.NFTA_SET_ELEM_USERDATA:
			if len(value) > 2 && value[0] == commentOfMember {
				m.comment = text(value[2:])
			}
		case unix.NFTA_SET_ELEM_EXPR:
			return eachIn(value, func(kind uint16, value []byte) error {
				if kind != unix.NFTA_EXPR_DATA {
					return nil
				}
				return eachIn(value, func(kind uint16, value []byte) error {
					switch kind {
					case unix.NFTA_COUNTER_BYTES:
						m.bytes = long(value)
					case unix.NFTA_COUNTER_PACKETS:
						m.packets = long(value)
					}
					return nil
				})
			})
		}
		return nil
	})
	return m, err
}

// object is what a table, chain, set or rule says of itself, as far as we compare it.
type object struct {
	kind    int // NFT_MSG_NEWTABLE and so on; -1 for what is not of nftables
	table   string
	name    string // of the table, chain or set; of the chain of a rule
	handle  uint64
	flags   uint32 // of a table or set
	length  uint32 // of a set's key
	policy  uint32 // of a chain with a hook
	purpose string // of a chain with a hook: "filter"
	hook    string // of a chain: where it stands, as the kernel says it; empty for one without
}

func parseObject(m netlink.Message) (o object, err error) {
	o.kind = numberOf(m.Header.Type)
	err = each(m.Data, func(kind uint16, value []byte) error {
		switch o.kind {
		case unix.NFT_MSG_NEWTABLE, unix.NFT_MSG_DELTABLE:
			switch kind {
			case unix.NFTA_TABLE_NAME:
				o.table, o.name = text(value), text(value)
			case unix.NFTA_TABLE_FLAGS:
				o.flags = number(value)
			case tableHandle:
				o.handle = long(value)
			}
		case unix.NFT_MSG_NEWCHAIN, unix.NFT_MSG_DELCHAIN:
			switch kind {
			case unix.NFTA_CHAIN_TABLE:
				o.table = text(value)
			case unix.NFTA_CHAIN_NAME:
				o.name = text(value)
			case unix.NFTA_CHAIN_HANDLE:
				o.handle = long(value)
			case unix.NFTA_CHAIN_POLICY:
				o.policy = number(value)
			case unix.NFTA_CHAIN_HOOK:
				o.hook = parseHook(value)
			case unix.NFTA_CHAIN_TYPE:
				o.purpose = text(value)
			}
		case unix.NFT_MSG_NEWRULE, unix.NFT_MSG_DELRULE:
			switch kind {
			case unix.NFTA_RULE_TABLE:
				o.table = text(value)
			case unix.NFTA_RULE_CHAIN:
				o.name = text(value)
			case unix.NFTA_RULE_HANDLE:
				o.handle = long(value)
			}
		case unix.NFT_MSG_NEWSET, unix.NFT_MSG_DELSET:
			switch kind {
			case unix.NFTA_SET_TABLE:
				o.table = text(value)
			case unix.NFTA_SET_NAME:
				o.name = text(value)
			case unix.NFTA_SET_FLAGS:
				o.flags = number(value)
			case unix.NFTA_SET_KEY_LEN:
				o.length = number(value)
			case setHandle:
				o.handle = long(value)
			}
		case unix.NFT_MSG_NEWSETELEM, unix.NFT_MSG_DELSETELEM:
			switch kind {
			case unix.NFTA_SET_ELEM_LIST_TABLE:
				o.table = text(value)
			case unix.NFTA_SET_ELEM_LIST_SET:
				o.name = text(value)
			}
		}
		return nil
	})
	if err != nil {
		return object{}, fmt.Errorf("read a message of nftables: %w", err)
	}
	return o, nil
}

// parseHook gives where a chain stands: the number of the hook and its priority.
func parseHook(data []byte) string {
	var at, before uint32
	err := eachIn(data, func(kind uint16, value []byte) error {
		switch kind {
		case unix.NFTA_HOOK_HOOKNUM:
			at = number(value)
		case unix.NFTA_HOOK_PRIORITY:
			before = number(value)
		}
		return nil
	})
	if err != nil {
		return "unknown"
	}
	return hookText(at, int32(before))
}

func hookText(at uint32, before int32) string { return fmt.Sprintf("%d at %d", at, before) }
