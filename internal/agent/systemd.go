package agent

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// mostIdle is how long the enforcement loop, which looks at the kernel every 30 seconds, may do nothing, and how long
// nothing that the server says may be taken in.
const mostIdle = 2 * time.Minute

// signal tells systemd that the agent is ready, and then that it is alive, where systemd wants to know.
func (a *agent) signal(ctx context.Context) {
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		a.Log.WarnContext(ctx, "systemd could not be told that the agent is ready", "error", err)
	}
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		a.Log.WarnContext(ctx, "the watchdog's setting cannot be read", "error", err)
	}
	if every == 0 {
		<-ctx.Done()
		return
	}
	ticks := time.NewTicker(every / 3)
	defer ticks.Stop()
	free := monotonicNow()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			if idle := max(a.target.idle(), a.stuck(&free)); idle > mostIdle {
				a.Log.ErrorContext(ctx, "the agent stands still; systemd will restart the agent", "idle", idle.String())
				continue
			}
			if _, err := daemon.SdNotify(false, daemon.SdNotifyWatchdog); err != nil {
				a.Log.WarnContext(ctx, "systemd could not be told that the agent is alive", "error", err)
			}
		}
	}
}

// stuck tells for how long nothing that the server says could be taken in; free is when it last could.
func (a *agent) stuck(free *time.Duration) time.Duration {
	if a.mu.TryLock() {
		a.mu.Unlock()
		*free = monotonicNow()
	}
	return monotonicNow() - *free
}
