package agent

import (
	"fmt"
	"log/syslog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// alarmPatience is for how long a terminal or the system's log is waited for: one whose reader stands still may take
// nothing for ever.
const alarmPatience = time.Second

// alarm tells everybody on this host what a code has opened: the system's log, and every terminal. It comes after the
// opening, and without any lock: a terminal whose output was stopped with Ctrl-S, or a journal that hangs, holds
// nothing up. It returns once all were told, or will not be.
func alarm(machine string, u glassUse) {
	text := fmt.Sprintf("EMERGENCY ACCESS: port %d/%s of %s is opened for %s for %s, with a code: %q", u.Port,
		u.Protocol, machine, u.Source, u.For, u.Reason)
	var tasks sync.WaitGroup
	tasks.Go(func() { within(alarmPatience, func() { tellSyslog(text) }) })
	terminals, err := filepath.Glob("/dev/pts/[0-9]*")
	if err == nil {
		for _, path := range terminals {
			tasks.Go(func() { tellTerminal(path, "\r\n"+strconv.QuoteToGraphic(text)+"\r\n") })
		}
	}
	tasks.Wait()
}

// within waits for fn, but no longer than that; fn goes on.
func within(patience time.Duration, fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

func tellSyslog(text string) {
	if w, err := syslog.New(syslog.LOG_ALERT|syslog.LOG_AUTH, "postern"); err == nil {
		_ = w.Alert(text)
		_ = w.Close()
	}
}

// tellTerminal writes to a terminal as far as it takes anything; it never becomes our own.
func tellTerminal(path, text string) {
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0) //nolint:gosec // a terminal of this host
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // it was only told something
	if f.SetWriteDeadline(time.Now().Add(alarmPatience)) == nil {
		_, _ = f.WriteString(text)
	}
}
