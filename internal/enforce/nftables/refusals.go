//go:build linux

package nftables

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/core/access"
)

// What golang.org/x/sys/unix does not name of nfnetlink_log.
const (
	logPacket      = unix.NFNL_SUBSYS_ULOG << 8   // NFULNL_MSG_PACKET
	logConfig      = unix.NFNL_SUBSYS_ULOG<<8 | 1 // NFULNL_MSG_CONFIG
	logPayload     = 9                            // NFULA_PAYLOAD
	logCommand     = 1                            // NFULA_CFG_CMD
	logMode        = 2                            // NFULA_CFG_MODE
	logBind        = 1                            // NFULNL_CFG_CMD_BIND
	logCopyPackets = 2                            // NFULNL_COPY_PACKET
	logSnap        = 128                          // bytes of each packet
)

// refusals reads refused packets from the kernel's log group.
type refusals struct {
	socket *netlink.Conn
	over   chan struct{} // closed when it reads no more
}

// Hear has what Denied tells of come from the kernel, and returns why it does not: another program may read our log
// group. Called again, it tries again, and does nothing where refused attempts are heard of.
func (e *Enforcer) Hear() error {
	e.hearing.Lock()
	defer e.hearing.Unlock()
	if r := e.refusals; r != nil {
		select {
		default:
			return nil
		case <-r.over:
			e.refusals = nil
			_ = r.close() // it broke, and is made anew
		}
	}
	r, err := startRefusals(e)
	if err != nil {
		return err
	}
	e.refusals = r
	return nil
}

func startRefusals(e *Enforcer) (*refusals, error) {
	socket, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: e.namespace})
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket for refused packets: %w", err)
	}
	mode := append(binary.BigEndian.AppendUint32(nil, logSnap), logCopyPackets, 0)
	for _, body := range []attributes{
		header(unix.AF_UNSPEC, e.group).bytes(logCommand, []byte{logBind}),
		header(unix.AF_UNSPEC, e.group).bytes(logMode, mode),
	} {
		m := netlink.Message{
			Header: netlink.Header{Type: logConfig, Flags: netlink.Request | netlink.Acknowledge},
			Data:   body,
		}
		if err := socket.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil {
			return nil, errors.Join(err, socket.Close())
		}
		if _, err := socket.Execute(m); err != nil {
			return nil, errors.Join(fmt.Errorf("bind log group %d (is another program reading it?): %w", e.group, err),
				socket.Close())
		}
	}
	if err := socket.SetReadDeadline(time.Time{}); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	r := &refusals{socket: socket, over: make(chan struct{})}
	go r.run(e)
	return r, nil
}

func (r *refusals) close() error {
	err := r.socket.Close()
	<-r.over
	return err
}

func (r *refusals) run(e *Enforcer) {
	defer close(r.over)
	for {
		messages, err := r.socket.Receive()
		if err != nil {
			if refusedByKernel(err, unix.ENOBUFS) {
				continue // more than we can read, and more than anybody needs to know
			}
			return
		}
		for _, m := range messages {
			if m.Header.Type != logPacket {
				continue
			}
			err := each(m.Data, func(kind uint16, value []byte) error {
				if kind == logPayload {
					e.refused(value)
				}
				return nil
			})
			if err != nil {
				e.log.Debug("read a refused packet", "error", err)
			}
		}
	}
}

func (e *Enforcer) refused(packet []byte) {
	p, ok := parsePacket(packet)
	t := e.targets.Load()
	if !ok || t == nil {
		return
	}
	d := access.Denied{
		Machine: t.machineOf(p.destination, p.protocol, p.port), Source: p.source, Protocol: p.protocol,
		Port: p.port, Count: 1,
	}
	select {
	case e.denied <- d:
	default: // nobody listens
	}
}
