//go:build linux

package nftables

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Buffers of the netlink socket: one transaction is one datagram, and with small ones a large transaction does not
// leave, or its error is lost.
const (
	sendBuffer    = 64 << 20
	receiveBuffer = 8 << 20
	answerSize    = 16 << 10 // what one answer takes of the buffer, generously
	leastAsks     = 8
	answerTimeout = 30 * time.Second // the kernel answers at once; this only keeps a lost answer from blocking for ever
)

// conn is a netlink socket to nftables. It has no state worth keeping: after any error it must be closed, since
// answers may be left in it.
type conn struct {
	socket *netlink.Conn
	table  string
	asks   int // elements that one question may be about: the kernel answers each with a page
}

func dial(namespace int, table string) (*conn, error) {
	socket, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: namespace})
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket to nftables: %w", err)
	}
	// An error is no harm: where we may not have large buffers, small ones serve small machines.
	_ = socket.SetWriteBuffer(sendBuffer)
	_ = socket.SetReadBuffer(receiveBuffer)
	c := &conn{socket: socket, table: table, asks: leastAsks}
	if size, err := socket.ReadBuffer(); err == nil {
		c.asks = max(leastAsks, min(maxMembers, size/answerSize))
	}
	return c, nil
}

func (c *conn) close() error { return c.socket.Close() }

func (c *conn) port() uint32 { return c.socket.PID() }

// commit sends messages as one transaction: all of them take effect at one instant, or none does.
func (c *conn) commit(messages []netlink.Message) error {
	if len(messages) == 0 {
		return nil
	}
	frame := header(unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	batch := make([]netlink.Message, 0, len(messages)+2)
	batch = append(batch,
		netlink.Message{Header: netlink.Header{Type: unix.NFNL_MSG_BATCH_BEGIN, Flags: netlink.Request}, Data: frame})
	batch = append(batch, messages...)
	// One acknowledgement is enough: errors come without being asked for, before it.
	batch[len(batch)-1].Header.Flags |= netlink.Acknowledge
	batch = append(batch,
		netlink.Message{Header: netlink.Header{Type: unix.NFNL_MSG_BATCH_END, Flags: netlink.Request}, Data: frame})
	if err := c.socket.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil {
		return fmt.Errorf("set a deadline: %w", err)
	}
	sent, err := c.socket.SendMessages(batch)
	if err != nil {
		return fmt.Errorf("send %d messages to nftables: %w", len(messages), err)
	}
	last := sent[len(sent)-2].Header.Sequence
	for {
		answers, err := c.socket.Receive()
		if err != nil {
			return c.explain(err, sent)
		}
		for _, a := range answers {
			if a.Header.Type == netlink.Error && a.Header.Sequence == last {
				return nil
			}
		}
	}
}

// explain says which message of a transaction the kernel refused.
func (c *conn) explain(err error, sent []netlink.Message) error {
	if op, ok := errors.AsType[*netlink.OpError](err); ok && op.Sequence != 0 {
		for i, m := range sent {
			if m.Header.Sequence == op.Sequence {
				return fmt.Errorf("nftables refused %s (message %d of %d): %w", messageName(m.Header.Type), i,
					len(sent)-2, err)
			}
		}
	}
	return fmt.Errorf("commit to nftables: %w", err)
}

// ask sends one request and gives the answers up to the acknowledgement, together with the error that ended them.
func (c *conn) ask(m netlink.Message) ([]netlink.Message, error) {
	m.Header.Flags |= netlink.Acknowledge
	if err := c.socket.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, fmt.Errorf("set a deadline: %w", err)
	}
	sent, err := c.socket.Send(m)
	if err != nil {
		return nil, fmt.Errorf("ask nftables: %w", err)
	}
	var all []netlink.Message
	for {
		answers, err := c.socket.Receive()
		if err != nil {
			return all, fmt.Errorf("ask nftables: %w", err)
		}
		for _, a := range answers {
			if a.Header.Sequence != sent.Header.Sequence {
				continue
			}
			if a.Header.Type == netlink.Error {
				return all, nil
			}
			all = append(all, a)
		}
		if m.Header.Flags&netlink.Dump == netlink.Dump {
			return all, nil // a dump ends by itself, without an acknowledgement
		}
	}
}

func messageName(t netlink.HeaderType) string {
	names := map[int]string{
		unix.NFT_MSG_NEWTABLE: "a table", unix.NFT_MSG_DELTABLE: "deleting the table",
		unix.NFT_MSG_NEWCHAIN: "a chain", unix.NFT_MSG_DELCHAIN: "deleting a chain",
		unix.NFT_MSG_NEWRULE: "a rule", unix.NFT_MSG_DELRULE: "deleting rules",
		unix.NFT_MSG_NEWSET: "a set", unix.NFT_MSG_DELSET: "deleting a set",
		unix.NFT_MSG_NEWSETELEM: "elements", unix.NFT_MSG_DELSETELEM: "deleting elements",
	}
	if name, ok := names[numberOf(t)]; ok {
		return name
	}
	return "the transaction"
}

// members reads elements of a set: those with the keys, or all where keys is nil. Those that are not there, or have
// ended, are left out; so is everything where the set does not exist.
func (c *conn) members(set string, keys []Key) ([]member, error) {
	if keys == nil {
		body := header(unix.NFPROTO_INET, 0).text(unix.NFTA_SET_ELEM_LIST_TABLE, c.table).text(
			unix.NFTA_SET_ELEM_LIST_SET, set)
		answers, err := c.ask(message(unix.NFT_MSG_GETSETELEM, netlink.Dump, body))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("list set %s: %w", set, err)
		}
		return parseAll(answers)
	}
	var all []member
	for len(keys) > 0 {
		n := min(len(keys), c.asks)
		request := membersOf(unix.NFT_MSG_GETSETELEM, 0, c.table, set, bare(keys[:n]), keyAlone)[0]
		answers, err := c.ask(request)
		found, parseErr := parseAll(answers)
		if parseErr != nil {
			return nil, parseErr
		}
		all = append(all, found...)
		switch {
		case err == nil:
			keys = keys[n:]
		case errors.Is(err, os.ErrNotExist):
			// The kernel answers in order and stops at the first that is not there.
			keys = keys[min(len(found)+1, len(keys)):]
		default:
			return nil, fmt.Errorf("look into set %s: %w", set, err)
		}
	}
	return all, nil
}

func parseAll(messages []netlink.Message) ([]member, error) {
	var all []member
	for _, m := range messages {
		if m.Header.Type != kindOf(unix.NFT_MSG_NEWSETELEM) {
			continue
		}
		found, err := parseMembers(m.Data)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}
