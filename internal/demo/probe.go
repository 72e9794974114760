package demo

import (
	"context"
	"net"
	"sync"
	"time"
)

// attempt is one try to connect.
type attempt struct {
	sent, answered time.Time
	accepted       bool
}

// prober connects to one port again and again, each try by itself, so that a try that hears nothing delays none.
type prober struct {
	now      func() time.Time
	target   string
	every    time.Duration
	patience time.Duration // how long a try waits for an answer

	mu       sync.Mutex // guards attempts
	attempts []attempt
	tries    sync.WaitGroup
}

// run tries until ctx ends or until tells it to stop, and waits for the answers to what was sent.
func (p *prober) run(ctx context.Context, until func(attempt) bool) []attempt {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		p.tries.Go(func() {
			a := p.try(context.WithoutCancel(ctx)) // what was sent is answered
			p.mu.Lock()
			p.attempts = append(p.attempts, a)
			p.mu.Unlock()
			if until(a) {
				cancel()
			}
		})
		select {
		case <-ctx.Done():
			p.tries.Wait()
			return p.attempts
		case <-tick.C:
		}
	}
}

func (p *prober) try(ctx context.Context) attempt {
	a := attempt{sent: p.now()}
	c, err := dial(ctx, p.target, p.patience)
	a.answered = p.now()
	if err == nil {
		a.accepted = true
		_ = c.(*net.TCPConn).SetLinger(0) // a reset leaves nothing behind; a plain close would do
		_ = c.Close()                     // nothing was sent
	}
	return a
}

// firstAccepted gives the attempt that was answered first of those that were accepted.
func firstAccepted(attempts []attempt) (first attempt, ok bool) {
	for _, a := range attempts {
		if a.accepted && (!ok || a.answered.Before(first.answered)) {
			first, ok = a, true
		}
	}
	return first, ok
}

// lastAccepted gives the attempt that was sent last of those that were accepted, and the first that was sent after it
// and was not.
func lastAccepted(attempts []attempt) (last, refused attempt, ok bool) {
	for _, a := range attempts {
		if a.accepted && (!ok || a.sent.After(last.sent)) {
			last, ok = a, true
		}
	}
	for _, a := range attempts {
		if !a.accepted && a.sent.After(last.sent) && (refused.sent.IsZero() || a.sent.Before(refused.sent)) {
			refused = a
		}
	}
	return last, refused, ok
}
