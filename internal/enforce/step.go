package enforce

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

const (
	defaultCheck = 30 * time.Second
	defaultCount = 10 * time.Second
	tick         = time.Second            // the longest sleep while something is open: a suspend stops timers
	jump         = 500 * time.Millisecond // how far the clock may move against the timers before we look again
	lastLook     = 100 * time.Millisecond // before an end, to read the counters
	notHeld      = Soonest + lastLook     // before an end, nobody wonders that it is not held
	fewKeys      = 64                     // up to so many, a look at all of them costs nothing
	backOffLeast = 100 * time.Millisecond
	backOffMost  = 5 * time.Second
	fewCounters  = 1000 // counters that are read in one turn
	fullShare    = 50   // a full look takes at most this part of the time
	// Between two repairs, so that a fight over the table does not eat the machine.
	driftAgain = 200 * time.Millisecond

	// What a target seems to hold may be read so much later than it is.
	sooner = 10 * time.Millisecond
	// An end that comes so little later stays as it is, so that one change does not move everything else. One that
	// comes earlier never does.
	later = 2 * time.Millisecond
)

// work is what Run keeps between its turns.
type work struct {
	desired *access.DesiredState
	contact time.Time // when the server was last heard of
	counted time.Time // the contact that the applied ends were derived from
	applied []access.Opening
	ends    map[access.OpeningKey]time.Time // of applied
	held    map[access.OpeningKey]Held      // as last seen
	refused map[access.OpeningKey]string    // what the target cannot hold, and why
	grants  map[access.GrantID]*standing
	// of every key that is desired, or was until its grants were seen closed
	owners   map[access.OpeningKey][]access.GrantID
	touched  map[access.GrantID]struct{} // whose standing must be judged again
	pending  pending
	epoch    string // of what is in force
	revision int64  // in force
	problem  string

	apply    bool      // whatever the difference is
	all      bool      // look at everything
	unseen   bool      // something was written, and nobody has looked yet what came of it
	recheck  bool      // look at everything after the next Apply too
	nextEnd  time.Time // of applied; zero if there is none
	readNext time.Time
	readFrom int // where in applied the next reading of counters begins
	nextFull time.Time
	retryAt  time.Time
	backOff  time.Duration
	mended   time.Time // when drift was last repaired

	clock  time.Time // as of the last turn
	ticked time.Time // the timers' clock then
}

func newWork() work {
	return work{
		ends: make(map[access.OpeningKey]time.Time), held: make(map[access.OpeningKey]Held),
		grants: make(map[access.GrantID]*standing), owners: make(map[access.OpeningKey][]access.GrantID),
		touched: make(map[access.GrantID]struct{}), pending: newPending(),
	}
}

// step does what is due now.
func (l *Loop) step(ctx context.Context, in inbox) {
	w := &l.work
	now := l.now()
	w.noticeJump(now)
	w.accept(in, now)
	if w.desired == nil || now.Before(w.retryAt) {
		return
	}
	err := l.turn(ctx, now)
	if err == nil {
		w.retryAt, w.backOff = time.Time{}, 0
		w.problem = w.cannot()
	} else {
		w.backOff = min(max(2*w.backOff, backOffLeast), backOffMost)
		w.retryAt = now.Add(w.backOff)
		w.apply, w.all = true, true
		w.problem = err.Error()
		l.log.WarnContext(ctx, "enforcement failed; it will be tried again", "error", err, "retry_in", w.backOff)
		w.fail(err.Error())
	}
	w.pending.state(w.epoch, w.revision, w.problem)
}

// noticeJump looks whether the clock went on while timers stood still, as in a suspend. Kernel timeouts stood still
// too.
func (w *work) noticeJump(now time.Time) {
	timers := time.Now()
	if !w.ticked.IsZero() {
		if d := now.Sub(w.clock) - timers.Sub(w.ticked); d > jump || d < -jump {
			w.all, w.retryAt = true, time.Time{}
		}
	}
	w.clock, w.ticked = now, timers
}

// accept takes in what arrived.
func (w *work) accept(in inbox, now time.Time) {
	if in.contact.After(w.contact) {
		w.contact = in.contact
	}
	for _, r := range in.returned {
		w.pending.merge(r, time.Now())
	}
	if in.desired != nil {
		if w.contact.IsZero() {
			w.contact = now
		}
		next := *in.desired
		if w.desired != nil && next.Epoch != w.desired.Epoch {
			clear(w.pending.observations) // of grants that the server may know nothing of; what stands is told anew
			in.resync = true
		}
		w.note(&next)
		w.apply, w.retryAt = true, time.Time{}
	}
	if in.resync {
		for id, g := range w.grants {
			if g.status != "" {
				w.pending.observe(g.observation(id))
			}
		}
		w.pending.news = true
	}
}

// effective gives what should be held at now, sorted: openings that have not ended, each until its end or until the
// server has been silent for too long.
func (w *work) effective(now time.Time) []access.Opening {
	wanted := make([]access.Opening, 0, len(w.desired.Openings))
	i := 0
	for _, o := range w.desired.Openings {
		if o.CloseAfter > 0 {
			if lost := w.contact.Add(o.CloseAfter); lost.Before(o.Until) {
				o.Until = lost
			}
		}
		for i < len(w.applied) && w.applied[i].OpeningKey != o.OpeningKey && CompareKeys(w.applied[i].OpeningKey,
			o.OpeningKey) < 0 {
			i++
		}
		if i < len(w.applied) && w.applied[i].OpeningKey == o.OpeningKey {
			was := w.applied[i].Until
			if moved := o.Until.Sub(was); moved >= 0 && moved <= later {
				o.Until = was
			}
		}
		if o.Until.After(now) {
			wanted = append(wanted, o)
		}
	}
	return wanted
}

// refreshDue is when a contact that has moved on must be told to the target; zero if there is nothing to tell.
func (w *work) refreshDue() time.Time {
	if !w.contact.After(w.counted) {
		return time.Time{}
	}
	var due time.Time
	for _, o := range w.desired.Openings {
		if o.CloseAfter > 0 {
			if at := w.counted.Add(o.CloseAfter / 10); due.IsZero() || at.Before(due) {
				due = at
			}
		}
	}
	return due
}

// turn looks, applies what has changed, and looks again.
func (l *Loop) turn(ctx context.Context, now time.Time) error {
	w := &l.work
	if w.nextFull.IsZero() || !now.Before(w.nextFull) {
		w.all = true
	}
	if w.all && w.applied != nil {
		if err := l.lookAll(ctx, now); err != nil {
			l.log.DebugContext(ctx, "look at everything", "error", err)
			w.apply, w.recheck = true, true // an enforcer that cannot look writes everything again
		}
	}
	refresh := w.refreshDue()
	if !w.apply && !w.somethingEnded(now) && (refresh.IsZero() || now.Before(refresh)) {
		return l.readCounters(ctx, now)
	}
	wanted := w.effective(now)
	gone, came, _ := Changes(w.applied, wanted)
	if w.apply || len(came) > 0 {
		// What is about to go has counted something.
		if err := l.look(ctx, gone, now); err != nil {
			l.log.DebugContext(ctx, "read the counters of what is about to close", "error", err)
		}
		return l.write(ctx, wanted, gone, came, now)
	}
	if err := l.look(ctx, gone, now); err != nil {
		return err
	}
	if slices.ContainsFunc(gone, w.isHeld) {
		// The target should have ended it by itself: the second closer.
		return l.write(ctx, wanted, gone, came, now)
	}
	w.settle(wanted, gone, came)
	w.counted = w.contact
	w.judge(now)
	return nil
}

// write applies wanted and sees to it that it is so.
func (l *Loop) write(ctx context.Context, wanted []access.Opening, gone []access.OpeningKey, came []access.Opening,
	now time.Time,
) error {
	w := &l.work
	state := *w.desired
	state.Openings = wanted
	first := w.applied == nil
	err := l.enforcer.Apply(ctx, &state, l.now())
	partial, isPartial := errors.AsType[*PartialError](err)
	if err != nil && !isPartial {
		return err
	}
	w.refuse(partial)
	w.settle(wanted, gone, came)
	w.counted = w.contact
	w.apply, w.unseen = false, true
	everything := first || w.recheck || len(wanted) <= fewKeys
	if everything {
		err = l.lookAtEverything(ctx, l.now())
	} else {
		keys := slices.Clone(gone)
		for _, o := range came {
			keys = append(keys, o.OpeningKey)
		}
		err = l.look(ctx, keys, l.now())
	}
	if err != nil {
		return err
	}
	w.unseen = false
	if err := w.check(gone, came, everything, l.now()); err != nil {
		return err
	}
	w.recheck = false
	w.epoch, w.revision = w.desired.Epoch, w.desired.Revision
	w.judge(now)
	return nil
}

// refuse notes what the target cannot hold; partial may be nil.
func (w *work) refuse(partial *PartialError) {
	for key := range w.refused {
		w.touch(key)
	}
	w.refused = nil
	if partial != nil {
		w.refused = partial.Keys
	}
	for key := range w.refused {
		w.touch(key)
	}
}

// settle notes what the target should hold now.
func (w *work) settle(wanted []access.Opening, gone []access.OpeningKey, came []access.Opening) {
	w.applied = wanted
	for _, key := range gone {
		delete(w.ends, key)
		w.touch(key)
	}
	for _, o := range came {
		w.ends[o.OpeningKey] = o.Until
		w.touch(o.OpeningKey)
	}
	w.nextEnd = time.Time{}
	for i := range wanted {
		if end := wanted[i].Until; w.nextEnd.IsZero() || end.Before(w.nextEnd) {
			w.nextEnd = end
		}
	}
}

func (w *work) somethingEnded(now time.Time) bool {
	return !w.nextEnd.IsZero() && !w.nextEnd.After(now)
}

// cannot says in words what the target cannot hold.
func (w *work) cannot() string {
	if len(w.refused) == 0 {
		return ""
	}
	return (&PartialError{Keys: w.refused}).Error()
}

// drifted takes in that somebody else changed the target: look, report, mend.
func (l *Loop) drifted(words string) {
	w := &l.work
	l.log.Warn("somebody else changed what we enforce", "change", words)
	w.pending.drifted(words)
	w.apply, w.all = true, true
	now := l.now()
	if again := w.mended.Add(driftAgain); now.Before(again) && w.retryAt.Before(again) {
		w.retryAt = again
	}
	w.mended = now
}

// rest is how long nothing is due.
func (l *Loop) rest() time.Duration {
	w := &l.work
	now := l.now()
	if w.desired == nil {
		return l.check
	}
	wait := l.check
	until := func(at time.Time) {
		if !at.IsZero() {
			wait = min(wait, at.Sub(now))
		}
	}
	if !w.retryAt.IsZero() {
		until(w.retryAt)
		return max(wait, 0)
	}
	if w.apply || w.all {
		return 0
	}
	until(w.nextFull)
	if len(w.applied) > 0 {
		until(w.readNext)
		wait = min(wait, tick)
	}
	until(w.refreshDue())
	if until(w.nextEnd); !w.nextEnd.IsZero() && w.nextEnd.Sub(now) > lastLook {
		until(w.nextEnd.Add(-lastLook))
	}
	if len(w.pending.denied) > 0 {
		wait = min(wait, denyDelay)
	}
	return max(wait, 0)
}
