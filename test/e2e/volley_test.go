//go:build linux

package e2e_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// When an opening is shot at, beside its end: all the while at first and about its end, and now and then otherwise.
const (
	shotEvery  = 500 * time.Microsecond
	aboutEnd   = 100 * time.Millisecond // before it
	afterEnd   = 40 * time.Millisecond
	watchedFor = 400 * time.Millisecond // after it
	nearEnd    = time.Second
)

// target is one opening that packets are sent to from its source, until it has been over for a while.
type target struct {
	source netip.Addr
	port   int
	end    atomic.Int64 // by the server's record, in nanoseconds since 1970
	was    int64        // what it was before it was moved; 0 where it never was

	sent []int64 // when the sending of each packet began; of the shooter alone until it has stopped
	next int64   // when the next is due

	passed  atomic.Int64
	last    int          // the last packet that passed; of the catcher alone until it has stopped
	arrived atomic.Int64 // when that one came to the machine, by the machine's kernel
	after   []int64      // when those came that passed after the end as it was then
}

// volley sends UDP packets from many sources to ports of a machine, and notes which of them passed.
type volley struct {
	t       testing.TB
	out     int   // a socket
	in      []int // sockets, one for each port
	ready   int   // tells which of them have something to read
	machine [4]byte
	started []*target // by number; mu protects it, and what is added
	added   []*target
	mu      sync.Mutex
	stop    atomic.Bool
	stopped sync.WaitGroup
	dropped uint32 // packets that passed and were not read
	strayed int
	shots   int
	longest time.Duration // between two looks of the shooter: nothing was sent meanwhile
}

// newVolley listens on so many ports of the machine, from first on, and shoots from the client.
func newVolley(w *world, first, ports int) *volley {
	w.t.Helper()
	v := &volley{t: w.t, machine: w.net.MachineAddrs[0].As4()}
	err := w.net.Client.Do(func() (err error) {
		v.out, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return errors.Join(err, unix.Bind(v.out, &unix.SockaddrInet4{Port: 40000}))
	})
	if err == nil {
		v.ready, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	}
	err = errors.Join(err, w.net.Machine.Do(func() error {
		for i := range ports {
			in, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			v.in = append(v.in, in)
			err = errors.Join(err,
				unix.SetsockoptInt(in, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20),
				unix.SetsockoptInt(in, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
				unix.SetsockoptInt(in, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1),
				unix.Bind(in, &unix.SockaddrInet4{Port: first + i, Addr: v.machine}),
				unix.EpollCtl(v.ready, unix.EPOLL_CTL_ADD, in, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(in)}))
			if err != nil {
				return err
			}
		}
		return nil
	}))
	if err != nil {
		w.t.Fatal(err)
	}
	v.stopped.Go(v.shoot)
	v.stopped.Go(v.catch)
	w.t.Cleanup(func() {
		v.halt()
		for _, socket := range append(v.in, v.out, v.ready) {
			_ = unix.Close(socket)
		}
	})
	return v
}

// halt stops the shooting, and returns when all that passed was read.
func (v *volley) halt() {
	v.stop.Store(true)
	v.stopped.Wait()
}

// aim begins to shoot from a source at a port that is open for it until then.
func (v *volley) aim(source netip.Addr, port int, end time.Time) *target {
	t := &target{source: source, port: port, last: -1}
	t.end.Store(end.UnixNano())
	v.mu.Lock()
	defer v.mu.Unlock()
	v.added = append(v.added, t)
	return t
}

// shoot sends what is due, ahead of all other programs where it may.
func (v *volley) shoot() {
	runtime.LockOSThread() // never unlocked: the thread is thrown away
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	type numbered struct {
		*target

		number uint32
	}
	var live []numbered
	packet, control := make([]byte, 8), sourceControl()
	look := time.Now()
	for !v.stop.Load() {
		v.mu.Lock()
		for _, t := range v.added {
			live = append(live, numbered{t, uint32(len(v.started))}) //nolint:gosec // some ten thousand
			v.started = append(v.started, t)
		}
		v.added = v.added[:0]
		v.mu.Unlock()
		kept := live[:0]
		for _, t := range live {
			now := time.Now().UnixNano()
			if now >= t.next {
				since := time.Duration(now - t.end.Load())
				if since > watchedFor {
					continue
				}
				t.next = now + int64(pace(since))
				binary.BigEndian.PutUint32(packet, t.number)
				binary.BigEndian.PutUint32(packet[4:], uint32(len(t.sent))) //nolint:gosec // some thousands
				setSource(control, t.source)
				t.sent = append(t.sent, now)
				v.shots++
				// what the machine refuses may come back as an error
				_, _ = unix.SendmsgN(v.out, packet, control, &unix.SockaddrInet4{Port: t.port, Addr: v.machine}, 0)
			}
			kept = append(kept, t)
		}
		live = kept
		ended := time.Now()
		v.longest = max(v.longest, ended.Sub(look))
		look = ended
		pause := unix.NsecToTimespec(int64(shotEvery))
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &pause, nil)
	}
}

// pace is how long until the next packet of an opening whose end is so long ago.
func pace(since time.Duration) time.Duration {
	switch {
	case since > -aboutEnd-10*time.Millisecond && since < afterEnd:
		return 0
	case since > -nearEnd:
		return 10 * time.Millisecond
	}
	return 50 * time.Millisecond
}

// catch reads what passed until nothing more comes after the shooter has stopped.
func (v *volley) catch() {
	packet, control := make([]byte, 64), make([]byte, 256)
	events := make([]unix.EpollEvent, 64)
	for {
		over := v.stop.Load()
		n, err := unix.EpollWait(v.ready, events, 200)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			v.t.Errorf("wait for what passed: %v", err)
			return
		case n == 0 && over:
			return
		}
		for _, e := range events[:n] {
			if n, c, _, _, err := unix.Recvmsg(int(e.Fd), packet, control, 0); err == nil {
				v.caught(packet[:n], control[:c])
			}
		}
	}
}

func (v *volley) caught(packet, control []byte) {
	var stamp int64
	messages, _ := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		switch m.Header.Type {
		case unix.SO_TIMESTAMPNS:
			stamp = int64(binary.NativeEndian.Uint64(m.Data))*1e9 +
				int64(binary.NativeEndian.Uint64(m.Data[8:])) //nolint:gosec // a clock
		case unix.SO_RXQ_OVFL:
			v.dropped = max(v.dropped, binary.NativeEndian.Uint32(m.Data))
		}
	}
	number := int(binary.BigEndian.Uint32(packet))
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(packet) != 8 || stamp == 0 || number >= len(v.started) {
		v.strayed++
		return
	}
	t := v.started[number]
	t.passed.Add(1)
	if shot := int(binary.BigEndian.Uint32(packet[4:])); shot > t.last {
		t.last = shot
		t.arrived.Store(stamp)
	}
	if stamp > t.end.Load() {
		t.after = append(t.after, stamp)
	}
}

// sourceControl is a control message that says from which address to send.
func sourceControl() []byte {
	control := make([]byte, unix.CmsgSpace(unix.SizeofInet4Pktinfo))
	binary.NativeEndian.PutUint64(control, uint64(unix.CmsgLen(unix.SizeofInet4Pktinfo))) //nolint:gosec // small
	binary.NativeEndian.PutUint32(control[8:], unix.IPPROTO_IP)
	binary.NativeEndian.PutUint32(control[12:], unix.IP_PKTINFO)
	return control
}

func setSource(control []byte, source netip.Addr) {
	from := source.As4()
	copy(control[unix.CmsgLen(0)+4:], from[:]) // in_pktinfo: interface, source, destination
}
