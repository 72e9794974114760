package agent

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A suspend longer than this is acted upon.
const leastSuspend = 100 * time.Millisecond

// watchSuspend puts the desired state in force again as soon as the host wakes up from a suspend: the kernel's
// timeouts, and the timers of this program, stood still while the deadlines came nearer.
func (a *agent) watchSuspend(ctx context.Context) {
	ticks, err := bootTicks(ctx, time.Second)
	if err != nil {
		a.setProblem(ctx, "suspend", "a suspend of the host would be seen late: "+err.Error())
		return
	}
	stood := standstill{boot: a.Clock.Boot, monotonic: monotonicNow}
	stood.slept()
	for range ticks {
		if slept := stood.slept(); slept > leastSuspend {
			a.Log.InfoContext(ctx, "the host was asleep; what should hold is put in force again", "slept",
				slept.String())
			a.again(ctx)
		}
	}
}

// again makes the loop apply what it holds.
func (a *agent) again(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.set(ctx, a.holding.DesiredState)
}

// standstill finds out for how long the host slept, from two clocks of which only one runs on meanwhile.
type standstill struct {
	boot      func() time.Time
	monotonic func() time.Duration
	apart     time.Duration
}

// slept gives how long the host slept since the last call.
func (s *standstill) slept() time.Duration {
	// The monotonic clock is read first, so that a pause between the readings looks like a short suspend at worst.
	monotonic := s.monotonic()
	apart := sinceBoot(s.boot()) - monotonic
	slept := apart - s.apart
	s.apart = apart
	return slept
}

func monotonicNow() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic("read the monotonic clock: " + err.Error()) // every Linux has it
	}
	return time.Duration(t.Nano())
}

// bootTicks ticks on the boot-time clock, so that a tick that was due during a suspend comes right after it. The
// channel is closed when ctx ends.
func bootTicks(ctx context.Context, every time.Duration) (<-chan uint64, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make a timer on the boot-time clock: %w", err)
	}
	timer := os.NewFile(uintptr(fd), "timerfd")
	spec := unix.NsecToTimespec(int64(every))
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: spec, Value: spec}, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("set a timer on the boot-time clock: %w", err), timer.Close())
	}
	ticks := make(chan uint64)
	go func() {
		defer close(ticks)
		stop := context.AfterFunc(ctx, func() { _ = timer.Close() }) // which ends the read below
		defer stop()
		buf := make([]byte, 8)
		for {
			if _, err := timer.Read(buf); err != nil {
				return
			}
			select {
			case ticks <- binary.NativeEndian.Uint64(buf):
			case <-ctx.Done():
				return
			}
		}
	}()
	return ticks, nil
}
