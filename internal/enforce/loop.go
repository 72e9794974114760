package enforce

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Config says what a Loop works on. Enforcer, Now and Log are required.
type Config struct {
	Enforcer Enforcer
	Now      func() time.Time // the clock that desired states count on: one that runs on through a suspend
	Log      *slog.Logger

	CheckEvery time.Duration // how often everything is looked at; 0 means 30 s
	CountEvery time.Duration // how often the counters of open grants are read; 0 means 10 s
}

// Loop drives an Enforcer: it applies each desired state at once, looks what is really held, closes what is over by
// its own clock, heals what somebody else changed, and reports. Make it with New; Run does the work, and all other
// methods may be called from any goroutine and never block.
type Loop struct {
	enforcer Enforcer
	now      func() time.Time
	log      *slog.Logger
	check    time.Duration
	count    time.Duration

	wake    chan struct{} // of one: something is in the inbox
	reports chan access.Report

	mu    sync.Mutex // protects inbox
	inbox inbox

	work work // of Run alone
}

// inbox is what came in since Run last looked.
type inbox struct {
	desired  *access.DesiredState
	contact  time.Time // zero: none
	resync   bool
	returned []access.Report
}

// New makes a loop that does nothing until Run.
func New(c Config) *Loop {
	l := &Loop{
		enforcer: c.Enforcer, now: c.Now, log: c.Log, check: c.CheckEvery, count: c.CountEvery,
		wake: make(chan struct{}, 1), reports: make(chan access.Report),
	}
	if l.check <= 0 {
		l.check = defaultCheck
	}
	if l.count <= 0 {
		l.count = defaultCount
	}
	l.work = newWork()
	return l
}

// Set replaces the whole desired state, whatever its revision. With another epoch everything is told anew. The instants
// in d are of the clock that Now reads. d is not changed, and must not be changed by the caller afterwards. Every grant
// in d.Ended is looked for and reported closed when it is gone, whether or not that was reported before.
func (l *Loop) Set(d access.DesiredState) {
	l.put(func(in *inbox) { in.desired = &d })
}

// Contact tells when the server was last heard of. Openings that close after a time without contact count from it;
// without any call they count from the first Set.
func (l *Loop) Contact(at time.Time) {
	l.put(func(in *inbox) {
		if at.After(in.contact) {
			in.contact = at
		}
	})
}

// Resync makes the next report carry every grant that is known, and the problem if there is one. Call it after each
// reconnect.
func (l *Loop) Resync() {
	l.put(func(in *inbox) { in.resync = true })
}

// Return gives back a report that could not be delivered: what is newer stays, the rest is reported again.
func (l *Loop) Return(r access.Report) {
	l.put(func(in *inbox) {
		if len(in.returned) < maxReturned {
			in.returned = append(in.returned, r)
		}
	})
}

// Reports gives what to tell the server. Whatever happens while nobody receives is merged into one report, in which
// the newest word on each grant counts. Skew and Version are left for the agent to fill in. It is closed when Run
// returns.
func (l *Loop) Reports() <-chan access.Report { return l.reports }

func (l *Loop) put(change func(*inbox)) {
	l.mu.Lock()
	change(&l.inbox)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Loop) take() inbox {
	l.mu.Lock()
	defer l.mu.Unlock()
	in := l.inbox
	l.inbox = inbox{}
	return in
}

// Run works until ctx is done, and returns nil then. It leaves the target enforcing what it holds, and does not close
// the Enforcer. It must be called once only.
func (l *Loop) Run(ctx context.Context) error {
	defer close(l.reports)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		l.step(ctx, l.take())
		var out chan<- access.Report
		var report access.Report
		if l.work.pending.ready(time.Now()) {
			out, report = l.reports, l.work.pending.report()
		}
		timer.Reset(l.rest())
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		case <-timer.C:
		case words := <-l.enforcer.Drift():
			l.drifted(words)
		case denied := <-l.enforcer.Denied():
			l.work.pending.deny(denied, time.Now())
		case out <- report:
			l.work.pending.clear()
		}
	}
}
