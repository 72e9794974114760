package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/postern-dev/postern/internal/agentwire"
)

// keepReporting sends what the outbox holds, in order, one report at a time, until ctx ends.
func (a *agent) keepReporting(ctx context.Context) {
	var client *agentwire.Client
	var of any // the certificate that client was made with
	select {   // whom the server serves is decided where the desired state is followed
	case <-ctx.Done():
	case <-a.online:
	case <-time.After(a.timing.leastReport):
	}
	a.out.ring()
	for failures := 0; ctx.Err() == nil; {
		if failures == 0 {
			select {
			case <-ctx.Done():
				return
			case <-a.out.wake:
			case <-time.After(jitter(a.timing.leastReport, a.timing.mostReport)):
			}
		}
		if pair := a.creds.pair.Load(); pair != of {
			next, err := a.client()
			if err != nil {
				a.setProblem(ctx, "server", err.Error())
				return
			}
			if client != nil {
				client.Close()
			}
			client, of = next, pair
		}
		err := a.report(ctx, client)
		switch {
		case err == nil:
			failures = 0
			sleep(ctx, a.timing.between)
			continue
		case ctx.Err() != nil:
			return
		}
		pause := a.timing.backOffAfter(failures)
		if agentwire.Unknown(err) || errors.Is(err, errDropped) {
			pause = a.timing.refusedPause()
		}
		failures++
		asked := afterAsked(err, 0)
		pause = max(pause, asked)
		a.Log.WarnContext(ctx, "the report could not be sent", "error", err.Error(), "retry_in", pause.String())
		sleep(ctx, asked)
		retry := time.NewTimer(pause - asked)
		select {
		case <-ctx.Done():
		case <-retry.C:
		case <-a.online: // the server is back
		}
		retry.Stop()
	}
	if client != nil {
		client.Close()
	}
}

// report sends all that is pending, and one report even if nothing is.
func (a *agent) report(ctx context.Context, client *agentwire.Client) error {
	for {
		r, more := a.out.take()
		r.Version = a.Version
		r.Problem, r.Skew = a.trouble()
		r.Foreign = a.foreigners()
		err := client.Report(ctx, agentwire.EncodeReport(r))
		status, code := agentwire.Refusal(err)
		if err == nil || status != 0 { // the server is there: a report that it puts off does not hold up an emergency
			if err := a.reportGlass(ctx, client); err != nil { // it is tried again with the next report
				a.Log.WarnContext(ctx, "the server could not be told of an emergency", "error", err.Error())
				if errors.Is(err, errGlassDamaged) {
					a.setProblem(ctx, "codes", err.Error()) // which has it put right with the next sign of life
				}
			}
		}
		switch {
		case code == agentwire.CodeAnotherEpoch:
			a.Log.InfoContext(ctx, "the server was restored from a backup; it is told anew what is in force")
			r.Observations = nil
			a.loop.Resync()
		case hopeless(status):
			// Sending the same again would fail again, for ever, and hold up all that follows.
			a.Log.ErrorContext(ctx, "the server does not take a report; it is made anew", "error", err.Error(),
				"observations", len(r.Observations))
			a.out.startOver(r.Epoch)
			a.connectAnew() // the whole state comes again, with all grants that the server wants to hear of
			return fmt.Errorf("%w: %w", errDropped, err)
		}
		if err != nil {
			a.out.putBack(r)
			return err
		}
		a.reported(ctx, r.Problem)
		a.tell(ctx, client)
		a.measure(ctx)
		if !more {
			return nil
		}
	}
}

var errDropped = errors.New("the server does not take the report")

// hopeless tells whether an answer says that the report itself is at fault.
func hopeless(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}
