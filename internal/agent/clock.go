package agent

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Clock is what the agent tells the time by. All fields are required.
type Clock struct {
	Boot   func() time.Time // the boot-time clock, suspend included, as an instant since 1970: see bootInstant
	Wall   func() time.Time // the host's wall clock
	BootID string           // tells one boot from another; empty counts as a boot of its own
}

// SystemClock gives the clocks of this host.
func SystemClock() (Clock, error) {
	var probe unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &probe); err != nil {
		return Clock{}, fmt.Errorf("read the boot-time clock: %w", err)
	}
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Clock{}, fmt.Errorf("read the boot id: %w", err)
	}
	return Clock{Boot: bootNow, Wall: time.Now, BootID: strings.TrimSpace(string(id))}, nil
}

func bootNow() time.Time {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("read the boot-time clock: " + err.Error()) // SystemClock has read it before; it cannot go away
	}
	return bootInstant(time.Duration(t.Nano()))
}

// bootInstant gives the instant that stands for so much time since boot.
func bootInstant(sinceBoot time.Duration) time.Time { return time.Unix(0, int64(sinceBoot)).UTC() }

// sinceBoot is the inverse of bootInstant.
func sinceBoot(t time.Time) time.Duration { return time.Duration(t.UnixNano()) }

// reading is what all clocks showed at one moment.
type reading struct {
	boot   time.Time
	wall   time.Time
	bootID string
}

func (c Clock) read() reading {
	return reading{boot: c.Boot(), wall: c.Wall(), bootID: c.BootID}
}
