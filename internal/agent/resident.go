package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// settled is how long after the first desired state is in force the agent's start is over: it has connected and
// reported.
const settled = 3 * time.Second

// letGo gives back, once the start is over, the memory that only the start needed: most of what this program keeps
// resident then is pages of its own file, which the kernel reads again where they are used again.
func (a *agent) letGo(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(settled):
	}
	debug.FreeOSMemory()
	if err := unmapProgram(); err != nil {
		a.Log.DebugContext(ctx, "the pages that only the start needed stay resident", "error", err)
	}
}

// unmapProgram drops the pages of this program's file from its memory. They are only ever read, so nothing is lost.
func unmapProgram() (err error) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, maps.Close()) }()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		var from, to uintptr
		var mode string
		_, err := fmt.Sscanf(lines.Text(), "%x-%x %4s", &from, &to, &mode)
		if err != nil || !strings.HasSuffix(lines.Text(), program) || mode != "r-xp" && mode != "r--p" {
			continue
		}
		if _, _, failed := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); failed != 0 {
			return failed
		}
	}
	return lines.Err()
}
