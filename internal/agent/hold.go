package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// heard takes note of a message that the server sent at an instant and that arrived now: the server was there then,
// however long the message lay somewhere, and our wall clock was so far ahead of its.
func (a *agent) heard(ctx context.Context, sent time.Time, now reading, skew time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.skew = skew
	if sent.After(a.holding.contact) {
		a.holding.contact = sent
	}
	a.creds.server.Store(int64(now.wall.Add(-skew).Sub(now.boot)))
	a.loop.Contact(sent)
	if a.problems["codes"] != "" {
		a.keep(ctx) // with each sign of life of the server, until it is done
	}
	skewed := skew.Abs() > a.SkewLimit
	if skewed == a.skewed {
		return
	}
	a.skewed = skewed
	if skewed {
		a.problem(ctx, "clock",
			fmt.Sprintf("the host's clock is off by %s; nothing is opened until it is within %s of the server's: "+
				"set it, by NTP best",
				skew.Round(time.Millisecond), a.SkewLimit))
		return
	}
	a.problem(ctx, "clock", "")
	if a.asked.Agent != "" {
		a.put(ctx)
	}
}

// receive takes in a desired state. One that is the first of its connection (anew), or of another epoch, is what the
// server wants now, whatever its revision: the server may have been restored from a backup. Others never go back.
func (a *agent) receive(ctx context.Context, next access.DesiredState, problems []string, anew bool, by ends) {
	a.mu.Lock()
	defer a.mu.Unlock()
	other := next.Epoch != a.asked.Epoch
	if !anew && !other && next.Revision < a.asked.Revision {
		a.Log.WarnContext(ctx, "an older desired state was passed over", "revision", next.Revision, "held",
			a.asked.Revision)
		return
	}
	a.codes, next.Codes = next.Codes, nil
	a.keep(ctx)
	if other || next.Revision < a.asked.Revision {
		a.out.startOver(next.Epoch) // what it held spoke of grants that the server may know nothing of
	}
	a.asked = settle(next.Upheld(a.holding.DesiredState), a.holding.DesiredState, a.Clock.Boot(),
		func(k access.OpeningKey) bool { return by.same(a.ends, k) })
	a.ends = by
	a.problem(ctx, "state", strings.Join(problems, "; "))
	a.put(ctx)
	if anew || other {
		a.loop.Resync()
	}
	if anew {
		a.untold = true // it may be another server
		a.problem(ctx, "certificate", "")
		a.problem(ctx, "identity", "")
		select {
		case a.online <- struct{}{}:
		default:
		}
	}
}

// keep has the codes on disk that the server last said. Until they are, it says so with each report: nobody could open
// with them. A file that cannot be read is set aside, since nobody could open with that either. The caller holds the
// lock.
func (a *agent) keep(ctx context.Context) {
	of := a.Clock.read()
	of.wall = of.wall.Add(-a.skew) // a code ends by the server's clock: ours may be set right before it is used
	err := keepCodes(a.StateDir, a.codes, of)
	if errors.Is(err, errGlassDamaged) {
		path := filepath.Join(a.StateDir, glassFile)
		if err = os.Rename(path, path+".damaged"); err == nil {
			a.problem(ctx, "saved codes",
				"what was opened with codes for emergencies could not be read and is closed, and what was not "+
					"reported of it is lost: see "+path+".damaged")
			err = keepCodes(a.StateDir, a.codes, of)
		}
	}
	if err != nil {
		a.problem(ctx, "codes",
			"the codes for emergencies cannot be kept on this host, so they open nothing: "+err.Error())
		return
	}
	a.problem(ctx, "codes", "")
}

// measure counts the ends that were asked for from what is known of the server's clock since the last exchange with it.
func (a *agent) measure(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.Clock.Boot()
	low, set, ok := a.clocks.early(a.ends.server, now)
	if !ok || set != a.ends.set {
		return
	}
	if next, ok := measuredAnew(a.asked, a.ends.of, low, now); ok {
		a.asked = next
		a.put(ctx)
	}
}

// put puts in force what the server asked for, as far as it may be, once it is durable: after a crash nothing may
// come back that had ended. The caller holds the lock.
func (a *agent) put(ctx context.Context) {
	next, why := a.asked.Lapsed(a.Clock.Boot()), ""
	var kept []access.GrantID
	if a.skewed {
		next, kept = onlyClose(next, a.holding.DesiredState)
		why = a.problems["clock"]
	}
	if err := save(a.StateDir, held{next, a.holding.contact}, a.Clock.read()); err != nil {
		// What cannot be saved may be closed but not opened; and the old state must not come back.
		next, kept = onlyClose(next, a.holding.DesiredState)
		why = "the state cannot be saved, so nothing is opened: " + err.Error()
		err = errors.Join(err, ignoreMissing(os.Remove(filepath.Join(a.StateDir, stateFile))))
		a.problem(ctx, "disk", why)
		a.Log.ErrorContext(ctx, "the state cannot be saved; openings are only closed until it can", "error", err)
	} else {
		a.problem(ctx, "disk", "")
	}
	a.hold(ctx, next)
	clear(a.short)
	if len(kept) == 0 {
		return
	}
	r := access.Report{Epoch: next.Epoch} // of no revision: it is not in force yet
	for _, id := range kept {
		o := access.Observation{Grant: id, Status: access.StatusFailed, Detail: why}
		if slices.ContainsFunc(next.Openings,
			func(open access.Opening) bool { return slices.Contains(open.Grants, id) }) {
			a.short[id] = "not in force in part: " + why
			o = a.shortened(access.Observation{Grant: id, Status: access.StatusOpen})
		}
		r.Observations = append(r.Observations, o)
	}
	a.out.add(r)
}

// shortened adds to what is said of an open grant that some of its openings are kept closed. The caller holds the lock.
func (a *agent) shortened(o access.Observation) access.Observation {
	if why := a.short[o.Grant]; why != "" && o.Status == access.StatusOpen {
		o.Detail = strings.Trim(o.Detail+"; "+why, "; ")
	}
	return o
}

// problem notes what is wrong with a topic, or with an empty text that nothing is. The caller holds the lock.
func (a *agent) problem(ctx context.Context, topic, text string) {
	if a.problems[topic] == text {
		return
	}
	if text == "" {
		delete(a.problems, topic)
		a.Log.InfoContext(ctx, "a problem is over", "topic", topic)
	} else {
		a.problems[topic] = text
		a.Log.WarnContext(ctx, "there is a problem", "topic", topic, "problem", text)
	}
	a.out.ring()
}

func (a *agent) setProblem(ctx context.Context, topic, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.problem(ctx, topic, text)
}

// trouble gives all that is wrong now.
func (a *agent) trouble() (problem string, skew time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var texts []string
	for _, topic := range slices.Sorted(maps.Keys(a.problems)) {
		texts = append(texts, a.problems[topic])
	}
	return strings.Join(texts, "; "), a.skew
}

// reported takes note that the server knows of problems. That something saved could not be read is over with that, once
// the server has said what should hold.
func (a *agent) reported(ctx context.Context, told string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, topic := range []string{"saved", "saved codes"} {
		if a.asked.Agent != "" && strings.Contains(told, a.problems[topic]) {
			a.problem(ctx, topic, "")
		}
	}
}

// refuse takes note that the server does not accept us: what is in force stays until it ends, and nothing opens.
func (a *agent) refuse(ctx context.Context, err error) {
	text := "the server refuses this agent's certificate, so nothing new is opened; what is open stays until it ends: " +
		"enroll this host again with \"postern agent enroll --replace\", or remove the agent with \"postern agent " +
		"uninstall\""
	a.setProblem(ctx, "certificate", text)
	a.Log.ErrorContext(ctx, "the server refuses this agent's certificate", "server", a.id.Server, "error", err.Error())
}
