package review

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// ID names an access review; a UUID of version 7.
type ID string

// Effect says when a decision to remove takes effect.
type Effect string

// The effects.
const (
	AtOnce Effect = "atOnce" // in the transaction of the decision
	AtEnd  Effect = "atEnd"  // when the review ends; until then it may be changed
)

// Decision is what is decided of an item.
type Decision string

// The decisions. An item that nobody has decided has none.
const (
	Keep   Decision = "keep"
	Remove Decision = "remove"
)

// State is where an access review stands.
type State string

// The states: starting → open → closing → closed, and canceled from each but closed.
const (
	Starting State = "starting" // its items are being written
	Open     State = "open"
	Closing  State = "closing" // no decision is taken any more; what is to be removed is being removed
	Closed   State = "closed"
	Canceled State = "canceled"
)

// Live reports whether something is still to come of a review.
func (s State) Live() bool { return s == Starting || s == Open || s == Closing }

// Limits on an access review.
const (
	MaxItems     = 20_000
	MaxReviewers = 50
	MaxLength    = 366 * 24 * time.Hour
	MinLength    = time.Hour
	MaxText      = 1000 // bytes of a reason
)

// Review is one access review. What is decided of its items is theirs.
type Review struct {
	ID        ID
	Tenant    access.TenantID
	Name      string
	Scope     access.ResourceID
	Kinds     []Kind
	Owner     access.PrincipalID // by whose right access is removed
	OwnerName string
	Reviewers []access.PrincipalID // people, and groups of them
	Effect    Effect
	Undecided Decision // what becomes of items that nobody has decided when the review ends
	Due       time.Time
	State     State
	Items     int
	Digest    string // over the digests of all items as they were at the start
	Reminded  int    // how many of Reminders were sent or have passed
	CreatedAt time.Time
	EndedAt   time.Time // when decisions ceased to be taken; zero before
	Reason    string    // why it was ended early or canceled
	Outcome   string    // over what became of all items; empty before it is closed
	Revision  int64
}

// Tally counts the items of a review.
type Tally struct {
	Undecided int // nobody has decided them
	Keep      int // decided so
	Remove    int // decided so, whether or not it was carried out
	Removed   int // by this review
	Gone      int // were not there any more when they were to be decided or removed
	Failed    int // could not be removed
}

// Validate returns everything that is wrong with a review that is to be made.
func (r Review) Validate() (reasons []access.Reason) {
	wrong := func(code, field, format string, args ...any) {
		reasons = append(reasons, access.Reason{Code: code, Field: field, Message: fmt.Sprintf(format, args...)})
	}
	if len(r.Kinds) == 0 {
		wrong("kindsMissing", "kinds", "name at least one kind of access to review: %s", words(Kinds()))
	}
	for i, k := range r.Kinds {
		if !slices.Contains(Kinds(), k) || slices.Contains(r.Kinds[:i], k) {
			wrong("unknownKind", fmt.Sprintf("kinds[%d]", i), "use %s, each once", words(Kinds()))
		}
	}
	if r.Effect != AtOnce && r.Effect != AtEnd {
		wrong("unknownEffect", "effect", "use %s or %s", AtOnce, AtEnd)
	}
	if r.Undecided != Keep && r.Undecided != Remove {
		wrong("unknownDecision", "undecided", "use %s or %s", Keep, Remove)
	}
	return append(reasons, r.validateTerms(r.CreatedAt)...)
}

// validateTerms returns what is wrong with the parts of a review that may be changed later.
func (r Review) validateTerms(now time.Time) (reasons []access.Reason) {
	if n := len(r.Reviewers); n == 0 || n > MaxReviewers {
		reasons = append(reasons, access.Reason{
			Code: "reviewersMissing", Field: "reviewers",
			Message: fmt.Sprintf("name 1 to %d people or groups who review", MaxReviewers),
		})
	}
	if length := r.Due.Sub(now); length < MinLength || length > MaxLength {
		reasons = append(reasons, access.Reason{
			Code: "dueOutOfRange", Field: "due",
			Message: "the due date must be between one hour and 366 days from now",
		})
	}
	return reasons
}

// refuse makes an error of reasons; nil of none.
func refuse(reasons []access.Reason) error {
	if len(reasons) == 0 {
		return nil
	}
	refusal := access.Fault(access.KindInvalid, reasons[0].Code, "the access review cannot be taken as it is")
	refusal.Reasons = reasons
	return refusal
}

// New returns a review that is being made, and refuses one that makes no sense.
func New(r Review) (Review, error) {
	r.State, r.Revision = Starting, 1
	r.Reminded = r.remindersPast(r.CreatedAt)
	return r, refuse(r.Validate())
}

// Open starts a review whose items have all been written.
func (r Review) Open(by access.Actor, now time.Time) (Review, access.Event, error) {
	if r.State != Starting {
		return r, access.Event{}, r.notNow("start")
	}
	r.State = Open
	r.Revision++
	e := r.event(access.AccessReviewStarted, by, now)
	e.Details["kinds"], e.Details["owner"], e.Details["ownerName"] = words(r.Kinds), string(r.Owner), r.OwnerName
	e.Details["effect"], e.Details["undecided"] = string(r.Effect), string(r.Undecided)
	e.Details["items"], e.Details["digest"] = strconv.Itoa(r.Items), r.Digest
	r.terms(e)
	return r, e, nil
}

// terms records what may be changed later.
func (r Review) terms(e access.Event) {
	e.Details["reviewers"], e.Details["due"] = words(r.Reviewers), r.Due.UTC().Format(time.RFC3339Nano)
}

// Change gives a review other reviewers or another due date. Reminders that lie ahead of that are sent.
func (r Review) Change(reviewers []access.PrincipalID, due time.Time, by access.Actor, now time.Time,
) (Review, access.Event, error) {
	if r.State != Open {
		return r, access.Event{}, r.notNow("be changed")
	}
	r.Reviewers, r.Due = reviewers, due
	r.Reminded = r.remindersPast(now)
	if err := refuse(r.validateTerms(now)); err != nil {
		return r, access.Event{}, err
	}
	r.Revision++
	e := r.event(access.AccessReviewChanged, by, now)
	r.terms(e)
	return r, e, nil
}

// End has a review take no more decisions: at its due date, or earlier by its owner with a reason.
func (r Review) End(by access.Actor, reason string, now time.Time) (Review, access.Event, error) {
	switch {
	case r.State != Open:
		return r, access.Event{}, r.notNow("end")
	case by.ID == "" && now.Before(r.Due):
		return r, access.Event{}, access.Fault(access.KindConflict, "notDue", "the access review %s is due at %s",
			r.Name, r.Due.UTC().Format(time.RFC3339))
	case by.ID != "" && !saysWhy(reason):
		return r, access.Event{}, reasonMissing()
	}
	r.State, r.EndedAt, r.Reason = Closing, now, reason
	r.Revision++
	e := r.event(access.AccessReviewEnded, by, now)
	if reason != "" {
		e.Details["reason"] = reason
	}
	return r, e, nil
}

// Close records what came of a review whose removals were all carried out or have failed.
func (r Review) Close(t Tally, outcome string, now time.Time) (Review, access.Event, error) {
	if r.State != Closing {
		return r, access.Event{}, r.notNow("be closed")
	}
	r.State, r.Outcome = Closed, outcome
	r.Revision++
	e := r.event(access.AccessReviewClosed, access.System(), now)
	e.Details["outcome"] = outcome
	for name, n := range t.counts() {
		e.Details[name] = strconv.Itoa(n)
	}
	return r, e, nil
}

// counts gives a tally as a closing record has it.
func (t *Tally) counts() map[string]int {
	return map[string]int{
		"undecided": t.Undecided, "keep": t.Keep, "remove": t.Remove,
		"removed": t.Removed, "gone": t.Gone, "failed": t.Failed,
	}
}

// Cancel ends a review without anything further being removed. What it has removed stays removed.
func (r Review) Cancel(by access.Actor, reason string, now time.Time) (Review, access.Event, error) {
	switch {
	case r.State != Starting && r.State != Open:
		return r, access.Event{}, r.notNow("be canceled")
	case !saysWhy(reason):
		return r, access.Event{}, reasonMissing()
	}
	r.State, r.EndedAt, r.Reason = Canceled, now, reason
	r.Revision++
	e := r.event(access.AccessReviewCanceled, by, now)
	e.Details["reason"] = reason
	return r, e, nil
}

func (r Review) notNow(what string) error {
	return access.Fault(access.KindConflict, "accessReviewState", "the access review %s is %s and cannot %s", r.Name,
		r.State, what)
}

func saysWhy(reason string) bool { return strings.TrimSpace(reason) != "" && len(reason) <= MaxText }

func reasonMissing() error {
	return access.Fault(access.KindInvalid, "reasonMissing", "give a reason of at most %d bytes", MaxText)
}

// event returns an event of the review, which succeeded.
func (r Review) event(kind access.EventKind, by access.Actor, now time.Time) access.Event {
	return access.Event{
		At: now, Kind: kind, Outcome: access.Succeeded, Actor: by, Tenant: r.Tenant, Scope: r.Scope,
		Details: map[string]string{"review": string(r.ID), "name": r.Name},
	}
}

// Reminders returns how long before its due date reviewers are reminded, the earliest first.
func Reminders() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{7 * day, 3 * day, day}
}

// remindersPast counts the reminders whose time has come.
func (r Review) remindersPast(now time.Time) (n int) {
	for _, before := range Reminders() {
		if !now.Before(r.Due.Add(-before)) {
			n++
		}
	}
	return n
}

// Remind gives a review of which a reminder is due, with that noted, and reports whether there is one. However late it
// is looked at, one reminder stands for all that have become due; those that were past when the review was made are
// not sent.
func (r Review) Remind(now time.Time) (Review, bool) {
	past := r.remindersPast(now)
	if r.State != Open || !now.Before(r.Due) || past <= r.Reminded {
		return r, false
	}
	r.Reminded = past
	r.Revision++
	return r, true
}

// Reminder returns the event of a reminder.
func (r Review) Reminder(undecided int, now time.Time) access.Event {
	e := r.event(access.AccessReviewReminded, access.System(), now)
	e.Details["undecided"] = strconv.Itoa(undecided)
	return e
}

// words joins ids or kinds.
func words[T ~string](all []T) string {
	texts := make([]string, len(all))
	for i, one := range all {
		texts[i] = string(one)
	}
	return strings.Join(texts, ", ")
}

// Sum hashes texts in an order; each is delimited, so that no two lists give the same.
type Sum struct{ state []byte }

// Add continues a sum with one text, which must have no line break.
func (s *Sum) Add(text string) {
	h := sha256.Sum256(append(s.state, text...))
	s.state = h[:]
}

// Text returns the sum of what was added; empty where nothing was.
func (s *Sum) Text() string { return hex.EncodeToString(s.state) }
