package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/http/httptrace"
	"time"

	"github.com/postern-dev/postern/api"
)

// backOffAfter gives how long to wait after so many failures in a row: a random time up to a bound that doubles, so that
// agents that lost the same server do not come back all at once.
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
		switch {
		case errors.Is(err, errAnew):
			failures, pause = 0, a.timing.backOffAfter(0)
			a.Log.InfoContext(ctx, "connecting anew", "reason", err.Error())
		case isTwice(err):
			a.setProblem(ctx, "identity", "another program has this agent's certificate and is served in its place: "+explain(a.id.Server, err).Error())
		case refused(err) || a.creds.expired():
			pause = a.timing.refusedPause()
			a.refuse(ctx, err)
		default:
			a.Log.WarnContext(ctx, "the server cannot be followed; what is in force stays so until it ends",
				"server", a.id.Server, "error", explain(a.id.Server, err).Error(), "retry_in", pause.String())
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
	u, err := serverURL(a.id.Server)
	if err != nil {
		return err
	}
	p := &journey{clocks: &a.clocks, asked: a.Clock.Boot()}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// The server cannot have answered before it was asked. This hook runs before any of the request is sent.
		GotConn: func(httptrace.GotConnInfo) { p.asked = a.Clock.Boot() },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath(apiRoot, "agent/desired").String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Cache-Control", "no-store")
	transport := newTransport(a.creds.tlsConfig(u.Hostname()))
	defer transport.CloseIdleConnections()
	quiet := time.AfterFunc(a.timing.silence, func() { cancel(fmt.Errorf("nothing was heard for %s", a.timing.silence)) })
	defer quiet.Stop()
	res, err := a.signed(transport).RoundTrip(req)
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	defer func() { _ = res.Body.Close() }()
	if err := checkStream(res); err != nil {
		return err
	}
	_, p.server, _ = parseTime(res.Header.Get(timeHeader))
	stop := a.onAnew(func() { cancel(errAnew) })
	defer stop()
	events := newEventReader(res.Body, maxEvent, func() { quiet.Reset(a.timing.silence) })
	for first := true; ; {
		e, err := events.next()
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		if err := a.take(ctx, e, p, &first); err != nil {
			return err
		}
	}
}

func checkStream(res *http.Response) error {
	if res.StatusCode != http.StatusOK {
		data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		if err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		return answered(res, data)
	}
	if media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || media != "text/event-stream" {
		return fmt.Errorf("the answer is %q and not a stream of events", clip(res.Header.Get("Content-Type")))
	}
	return nil
}

// take handles one event of the stream. An error ends the connection.
func (a *agent) take(ctx context.Context, e event, p *journey, first *bool) error {
	now := a.Clock.read()
	switch e.name {
	case "heartbeat":
		var beat api.Heartbeat
		if err := json.Unmarshal(e.data, &beat); err != nil {
			return fmt.Errorf("read a heartbeat: %w", err)
		}
		server, err := serverTime(beat.ServerTime)
		if err != nil {
			return err
		}
		_, skew, stale := p.arrived(server, now)
		a.heard(ctx, now, skew)
		return anewIf(stale)
	case "desired":
		var desired api.Desired
		if err := json.Unmarshal(e.data, &desired); err != nil {
			return fmt.Errorf("read a desired state: %w", err)
		}
		server, err := serverTime(desired.ServerTime)
		if err != nil {
			return err
		}
		sent, skew, stale := p.arrived(server, now)
		next, problems, err := fromWire(desired, a.id, sent)
		if err != nil {
			a.setProblem(ctx, "state", err.Error())
			return err
		}
		a.heard(ctx, now, skew)
		a.receive(ctx, next, problems, *first, ends{of: endsOf(desired, server), server: p.server, set: p.settings()})
		*first = false
		return anewIf(stale)
	default:
		a.Log.DebugContext(ctx, "an event of an unknown kind was passed over", "event", clip(e.name))
		return nil
	}
}

func anewIf(stale bool) error {
	if stale {
		return fmt.Errorf("%w: a message was held up, or the server's clock was set", errAnew)
	}
	return nil
}

// serverTime checks an instant that a server sent.
func serverTime(micros int64) (time.Time, error) {
	t := time.UnixMicro(micros).UTC()
	if y := t.Year(); y < 2000 || y > 2200 {
		return t, fmt.Errorf("the server's clock shows the year %d", y)
	}
	return t, nil
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
