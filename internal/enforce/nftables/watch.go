//go:build linux

package nftables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// watch listens to what the kernel says of changes of its rules, and passes on what others did to our table.
type watch struct {
	socket *netlink.Conn
	done   sync.WaitGroup
}

func startWatch(e *Enforcer) (*watch, error) {
	socket, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: e.namespace})
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket for changes of nftables: %w", err)
	}
	_ = socket.SetReadBuffer(receiveBuffer) // a small one serves small machines
	if err := socket.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		return nil, errors.Join(fmt.Errorf("listen to changes of nftables: %w", err), socket.Close())
	}
	w := &watch{socket: socket}
	w.done.Go(func() { w.run(e) })
	return w, nil
}

func (w *watch) close() error {
	err := w.socket.Close()
	w.done.Wait()
	return err
}

// own makes the kernel keep to itself what the socket with that port does: those are our own changes, and there may
// be a hundred thousand of them at once.
func (w *watch) own(port uint32) {
	const portAt = 12 // of the netlink header
	swapped := binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, port))
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: portAt},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: swapped, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1},
	}
	raw, err := w.socket.SyscallConn()
	if err != nil {
		return
	}
	// Only a closed socket refuses, and then nobody listens.
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}) //nolint:gosec // four instructions
	})
}

// run reads until the socket is closed. What belongs to one transaction ends with its generation message, which names
// the process that made it.
func (w *watch) run(e *Enforcer) {
	var words []string
	for {
		messages, err := w.socket.Receive()
		if err != nil {
			if refusedByKernel(err, unix.ENOBUFS) {
				e.missed.Store(true) // too much at once; the next full look finds what was missed
				continue
			}
			return
		}
		for _, m := range messages {
			if g, ok := parseGeneration(m); ok {
				for _, text := range words {
					e.say(text + " by " + g.who())
				}
				words = nil
				continue
			}
			text, ours := foreign(e.table, m)
			switch {
			case !ours || slices.Contains(words, text):
			case m.Header.Type == kindOf(unix.NFT_MSG_DELTABLE):
				words = []string{text} // which goes without saying for all that was in it
			case len(words) < maxWords:
				words = append(words, text)
			}
		}
	}
}

// maxWords is how many changes of one transaction are told.
const maxWords = 8

// say passes words on; where nobody has listened for long, what was said must do.
func (e *Enforcer) say(words string) {
	e.stale.Store(true)
	select {
	case e.drift <- words:
	default:
	}
}

// generation is the end of a transaction, as the kernel tells it.
type generation struct {
	id      uint32
	process uint32
	name    string
}

func (g generation) who() string {
	if g.name == "" {
		return "somebody"
	}
	return fmt.Sprintf("%q (process %d)", g.name, g.process)
}

func parseGeneration(m netlink.Message) (g generation, ok bool) {
	if m.Header.Type != kindOf(unix.NFT_MSG_NEWGEN) {
		return g, false
	}
	err := each(m.Data, func(kind uint16, value []byte) error {
		switch kind {
		case genIdentity:
			g.id = number(value)
		case genProcessID:
			g.process = number(value)
		case genProcessName:
			g.name = text(value)
		}
		return nil
	})
	return g, err == nil
}

// foreign says what a message tells of our table.
func foreign(table string, m netlink.Message) (words string, ours bool) {
	o, err := parseObject(m)
	if err != nil || o.table != table {
		return "", false
	}
	switch o.kind {
	case unix.NFT_MSG_NEWSETELEM:
		return fmt.Sprintf("elements were added to set %s of table inet %s", o.name, table), true
	case unix.NFT_MSG_DELSETELEM:
		return fmt.Sprintf("elements were deleted from set %s of table inet %s", o.name, table), true
	case unix.NFT_MSG_NEWTABLE, unix.NFT_MSG_NEWCHAIN, unix.NFT_MSG_NEWSET, unix.NFT_MSG_NEWRULE:
		return describe(table, o) + " was added or changed", true
	}
	return describe(table, o) + " was deleted", true
}

// describe names a part of the table.
func describe(table string, o object) string {
	switch o.kind {
	case unix.NFT_MSG_NEWTABLE, unix.NFT_MSG_DELTABLE:
		return "table inet " + table
	case unix.NFT_MSG_NEWCHAIN, unix.NFT_MSG_DELCHAIN:
		return fmt.Sprintf("chain %s of table inet %s", o.name, table)
	case unix.NFT_MSG_NEWSET, unix.NFT_MSG_DELSET:
		return fmt.Sprintf("set %s of table inet %s", o.name, table)
	case unix.NFT_MSG_NEWRULE, unix.NFT_MSG_DELRULE:
		return fmt.Sprintf("a rule in chain %s of table inet %s", o.name, table)
	}
	return "a part of table inet " + table
}
