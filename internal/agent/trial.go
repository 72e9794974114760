package agent

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
)

// probation is a trial that the agent holds.
type probation struct {
	inForce time.Time // since when, on the boot-time clock; zero: not yet
	proven  bool      // the agent has connected to the server since: the guard has not cut that way
}

// hold puts a state in force. The caller holds the lock.
func (a *agent) hold(ctx context.Context, d access.DesiredState) {
	a.holding.DesiredState = d
	trials := make(map[string]*probation, len(d.Trials))
	for _, u := range d.Trials {
		if trials[u.Trial] = a.trials[u.Trial]; trials[u.Trial] == nil {
			trials[u.Trial] = &probation{}
			a.Log.InfoContext(ctx, "ports are guarded for a time, unless that is confirmed", "trial", u.Trial, "for",
				u.Until.Sub(a.Clock.Boot()).Round(time.Millisecond).String())
		}
	}
	a.trials = trials
	a.set(ctx, d)
}

// watchTrials ends trials that nobody confirmed in time, until ctx ends: what was protected before is protected then,
// whether or not the server can be reached. The kernel has let go of the ports by itself at that time; this is the
// second closer, and gives back what else there was.
func (a *agent) watchTrials(ctx context.Context) {
	ticks, err := bootTicks(ctx, time.Second)
	if err != nil {
		a.setProblem(ctx, "trials", "the end of a trial would be seen late: "+err.Error())
		return
	}
	for range ticks {
		a.lapse(ctx)
	}
}

func (a *agent) lapse(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := a.holding.Lapsed(a.Clock.Boot())
	if slices.Equal(next.Protected, a.holding.Protected) {
		return
	}
	a.Log.WarnContext(ctx, "nobody confirmed what is guarded here; what was guarded before is guarded again")
	a.tellSoon()
	if a.asked.Agent != "" {
		a.put(ctx)
		return
	}
	// The server has said nothing since the start. What is saved ends by itself, too.
	if err := save(a.StateDir, held{next, a.holding.contact}, a.Clock.read()); err != nil {
		a.Log.ErrorContext(ctx, "the state could not be saved", "error", err)
	}
	a.hold(ctx, next)
}

// isInForce takes note of trials that are in force by what the loop reports, and has the agent connect anew under them:
// only what gets through the guard can confirm it.
func (a *agent) isInForce(r access.Report) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Problem != "" || r.Epoch != a.holding.Epoch || r.Revision < a.holding.Revision {
		return
	}
	news := false
	for _, p := range a.trials {
		if p.inForce.IsZero() {
			p.inForce, news = a.Clock.Boot(), true
		}
	}
	if news && a.anew != nil {
		a.anew()
	}
}

// connected takes note of a connection that began at an instant and has brought a state.
func (a *agent) connected(began time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.trials {
		switch {
		case p.proven || p.inForce.IsZero():
		case began.Before(p.inForce):
			return fmt.Errorf("%w: under a guard that is to be confirmed", errAnew)
		default:
			p.proven = true
			a.tellSoon()
		}
	}
	return nil
}

// tellSoon has the server told what was found here. The caller holds the lock.
func (a *agent) tellSoon() {
	a.untold = true
	a.out.ring()
}

// tell says to the server what was found here, where that is new. One of an older version does not know how to take it,
// and a later connection may lead to a newer one.
func (a *agent) tell(ctx context.Context, client *agentwire.Client) {
	found, untold := a.found()
	if !untold {
		return
	}
	err := client.Found(ctx, agentwire.EncodeFindings(found))
	switch status, _ := agentwire.Refusal(err); {
	case err == nil, status == http.StatusNotFound:
	case hopeless(status):
		a.Log.ErrorContext(ctx, "the server does not take what was found here", "error", err.Error())
	default:
		a.Log.WarnContext(ctx, "the server could not be told what was found here", "error", err.Error())
		a.mu.Lock()
		a.untold = true // with the next report
		a.mu.Unlock()
	}
}

// found gives what to tell, and takes it as told.
func (a *agent) found() (f access.Findings, untold bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	untold, a.untold = a.untold, false
	f.Version = a.Version
	now := a.Clock.Boot()
	for _, u := range a.holding.Trials {
		switch p := a.trials[u.Trial]; {
		case !now.Before(u.Until):
			f.Trials = append(f.Trials, access.TrialSeen{Trial: u.Trial, Undone: true})
		case p != nil && p.proven:
			f.Trials = append(f.Trials, access.TrialSeen{Trial: u.Trial})
		}
	}
	return f, untold
}
