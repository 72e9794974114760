package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/postern-dev/postern/internal/agentwire"
)

// backOffAfter gives how long to wait after so many failures in a row: a random time up to a bound that doubles, so
// that agents that lost the same server do not come back all at once.
func (t timing) backOffAfter(failures int) time.Duration {
	const first = 250 * time.Millisecond
	bound := t.backOff
	if failures < 16 {
		bound = min(first<<failures, t.backOff)
	}
	return jitter(0, bound)
}

// refusedPause gives how long to wait once the server said that it does not know us.
func (t timing) refusedPause() time.Duration { return jitter(t.refused/2, t.refused) }

func jitter(least, most time.Duration) time.Duration {
	return least + time.Duration(rand.Int64N(int64(most-least)+1)) //nolint:gosec // to spread load, not to keep a secret
}

// afterAsked returns a pause that is no shorter than the server asks for.
func afterAsked(err error, pause time.Duration) time.Duration {
	if asked := agentwire.RetryAfter(err); asked > pause {
		return jitter(asked, asked+asked/4) // not all of those that were told so at once
	}
	return pause
}

// keepFollowing follows the desired state, over as many connections as it takes, until ctx ends.
func (a *agent) keepFollowing(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		began := a.Clock.Boot()
		err := a.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if a.Clock.Boot().Sub(began) > a.timing.silence {
			failures = 0
		}
		pause := a.timing.backOffAfter(failures)
		failures++
		switch _, code := agentwire.Refusal(err); {
		case errors.Is(err, errAnew):
			failures, pause = 0, a.timing.backOffAfter(0)
			a.Log.InfoContext(ctx, "connecting anew", "reason", err.Error())
		case code == agentwire.CodeTwice:
			a.setProblem(ctx, "identity",
				"another program has this agent's certificate and is served in its place: "+err.Error())
		case agentwire.Unknown(err) || a.creds.expired():
			pause = a.timing.refusedPause()
			a.refuse(ctx, err)
		default:
			a.Log.WarnContext(ctx, "the server cannot be followed; what is in force stays so until it ends",
				"server", a.id.Server, "error", err.Error(), "retry_in", pause.String())
		}
		sleep(ctx, afterAsked(err, pause))
	}
}

// errAnew asks for a new connection at once; nothing is wrong.
var errAnew = errors.New("connect anew")

// follow makes one connection and takes in what it brings until it ends. It never returns nil.
func (a *agent) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := a.Clock.Boot()
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	stream, err := client.Follow(ctx)
	if err != nil {
		return err
	}
	defer stream.Close() //nolint:errcheck // it is over
	stop := a.onAnew(func() { cancel(errAnew) })
	defer stop()
	// The server cannot have answered before it was asked.
	p := &journey{clocks: &a.clocks, server: stream.Clock, asked: stream.Asked}
	for first := true; ; {
		e, err := stream.Next()
		if err != nil {
			return err
		}
		if err := a.take(ctx, e, p, &first); err != nil {
			return err
		}
		if !first {
			if err := a.connected(began); err != nil {
				return err
			}
		}
	}
}

// take handles one event of the stream. An error ends the connection.
func (a *agent) take(ctx context.Context, e agentwire.Event, p *journey, first *bool) error {
	now := a.Clock.read()
	server, desired, err := e.Read()
	if err != nil {
		return err
	}
	sent, skew, stale := p.arrived(server, now)
	if desired == nil {
		a.heard(ctx, sent, now, skew)
		return anewIf(stale)
	}
	next, of, problems, err := admit(*desired, a.id, server, sent)
	if err != nil {
		a.setProblem(ctx, "state", err.Error())
		return err
	}
	a.heard(ctx, sent, now, skew)
	a.receive(ctx, next, problems, *first, ends{of: of, server: p.server, set: p.settings()})
	*first = false
	return anewIf(stale)
}

func anewIf(stale bool) error {
	if stale {
		return fmt.Errorf("%w: a message was held up, or the server's clock was set", errAnew)
	}
	return nil
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
