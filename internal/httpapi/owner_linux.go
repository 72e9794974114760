package httpapi

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// unacknowledged gives how many bytes the peer has not acknowledged.
func unacknowledged(c net.Conn) (n int) {
	withSocket(c, func(fd int) { n, _ = unix.IoctlGetInt(fd, unix.SIOCOUTQ) })
	return n
}

// giveUpAfter makes the connection break once something was not acknowledged for so long, instead of a quarter of an
// hour.
func giveUpAfter(c net.Conn, d time.Duration) {
	withSocket(c, func(fd int) {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}

func withSocket(c net.Conn, f func(fd int)) {
	tcp := bare(c)
	if tcp == nil {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { f(int(fd)) }) // what cannot be asked is taken for there
	}
}
