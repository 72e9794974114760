package review

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Kind says what sort of access an item is.
type Kind string

// The kinds of item.
const (
	Assignment  Kind = "assignment"  // a role that somebody has
	Eligibility Kind = "eligibility" // a role that somebody may activate
	Membership  Kind = "membership"  // of a group that has one of the others
	Approver    Kind = "approver"    // named in an approval rule
	BreakGlass  Kind = "breakGlass"  // named as somebody who may open without approval
)

// Kinds returns all kinds, in the order in which items are listed.
func Kinds() []Kind { return []Kind{Assignment, Eligibility, Membership, Approver, BreakGlass} }

// Facts is what reviewers are shown of an item, and what a decision is bound to. Every field is text, so that the form
// that is hashed has no second reading.
type Facts struct {
	Kind          Kind
	Principal     access.PrincipalID // who has the access
	PrincipalName string
	PrincipalKind access.PrincipalKind
	// by which the access is found again: id of the assignment, the eligibility, the machine or the scope policy
	Ref          string
	Holder       Holder             // what an approver or a person for break-glass is named in
	Group        access.PrincipalID // of a membership
	GroupName    string
	Role         access.RoleID
	RoleName     string
	RoleRevision string // what the role permits may change under its name
	Scope        access.ResourceID
	Place        string // the scope in words
	Start        string // RFC 3339; empty: unbounded
	End          string
	Gives        string // what the access allows, in words
}

// Holder says what a rule belongs to.
type Holder string

// The holders of rules.
const (
	OfMachine     Holder = "machine" // the policy of a machine
	OfScopePolicy Holder = "scopePolicy"
	OfEligibility Holder = "eligibility"
)

// Encode returns the canonical form of facts: a JSON object of texts, its keys in order, without those that are empty.
func (f Facts) Encode() []byte {
	fields := map[string]string{}
	v := reflect.ValueOf(f)
	for i := range v.NumField() {
		if text := v.Field(i).String(); text != "" {
			fields[factName(v.Type().Field(i).Name)] = text
		}
	}
	out, err := json.Marshal(fields)
	if err != nil {
		return nil // a map of texts has a form
	}
	return out
}

// factName writes the name of a field as JSON has it.
func factName(field string) string { return string(field[0]+'a'-'A') + field[1:] }

// DecodeFacts reads the canonical form, and refuses any other.
func DecodeFacts(data []byte) (f Facts, err error) {
	var fields map[string]string
	if err := json.Unmarshal(data, &fields); err != nil {
		return f, fmt.Errorf("read facts: %w", err)
	}
	v := reflect.ValueOf(&f).Elem()
	for i := range v.NumField() {
		v.Field(i).SetString(fields[factName(v.Type().Field(i).Name)])
	}
	if string(f.Encode()) != string(data) {
		return f, fmt.Errorf("read facts: they are not in their canonical form")
	}
	return f, nil
}

// Digest returns what a decision is bound to.
func (f Facts) Digest() string {
	h := sha256.Sum256(f.Encode())
	return hex.EncodeToString(h[:])
}

// Instant writes a bound of facts.
func Instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// Outcome says what became of an item beside what was decided of it.
type Outcome string

// The outcomes. An item that is kept has none.
const (
	Removed Outcome = "removed"
	Gone    Outcome = "gone"   // it was not there any more
	Failed  Outcome = "failed" // it could not be removed
)

// Item is one entry of a review.
type Item struct {
	Review   ID
	Number   int // from 1
	Facts    Facts
	Former   []Facts // what it was before, the first as at the start of the review
	Decision Decision
	By       access.PrincipalID // who decided
	ByName   string             // as it was then
	At       time.Time
	Reason   string
	Outcome  Outcome
	Problem  string // why it could not be removed
	Revision int64
}

// First returns the facts as they were at the start.
func (it Item) First() Facts {
	if len(it.Former) > 0 {
		return it.Former[0]
	}
	return it.Facts
}

// Choice is what a reviewer decides of an item, bound to what they were shown.
type Choice struct {
	Number   int
	Digest   string // of the facts that were shown
	Revision int64  // of the item that was shown
	Decision Decision
	Reason   string
}

// Decide records a choice on an item of an open review. own says that the item is access of the reviewer's own, which
// nobody decides on.
func (r Review) Decide(it Item, c Choice, by access.Actor, own bool, now time.Time) (Item, access.Event, error) {
	none := access.Event{}
	switch {
	case r.State != Open || !now.Before(r.Due):
		return it, none, access.Fault(access.KindConflict, "accessReviewEnded",
			"the access review %s takes no more decisions: it has ended", r.Name)
	case c.Decision != Keep && c.Decision != Remove:
		return it, none, access.Fault(access.KindInvalid, "unknownDecision", "the decision is %q; use keep or remove",
			clip(string(c.Decision)))
	case len(c.Reason) > MaxText:
		return it, none, access.Fault(access.KindInvalid, "reasonTooLong", "the reason has %d bytes; %d are allowed",
			len(c.Reason), MaxText)
	case c.Decision == Remove && !saysWhy(c.Reason):
		return it, none, access.Fault(access.KindInvalid, "reasonMissing", "say why the access is to be removed")
	case own:
		return it, none, access.Fault(access.KindForbidden, "ownAccess",
			"nobody reviews their own access: another reviewer must decide item %d", it.Number)
	case it.Outcome != "":
		return it, none, access.Fault(access.KindConflict, "itemSettled", "item %d is settled: it is %s", it.Number,
			it.Outcome)
	case c.Digest != it.Facts.Digest():
		return it, none, it.changed()
	case c.Revision != it.Revision:
		return it, none, access.Fault(access.KindConflict, "itemDecided",
			"item %d was decided meanwhile by %s: look at it again", it.Number, it.ByName)
	}
	it.Decision, it.Reason, it.By, it.ByName, it.At = c.Decision, c.Reason, by.ID, by.Name, now
	it.Revision++
	e := r.about(access.AccessReviewDecided, it, by, now)
	e.Details["decision"] = string(it.Decision)
	if it.Reason != "" {
		e.Details["reason"] = it.Reason
	}
	return it, e, nil
}

// changed refuses a decision on what has changed since it was shown.
func (it Item) changed() *access.Error {
	return access.Fault(access.KindConflict, "itemChanged",
		"item %d has changed since it was shown: look at it and decide again", it.Number)
}

// Refresh gives an item the facts as they are now, if they differ, and takes what was decided back: it was decided on
// something else. The error says that a decision has to be made again.
func (r Review) Refresh(it Item, now Facts, at time.Time) (Item, access.Event, error) {
	if it.Outcome != "" || now == it.Facts {
		return it, access.Event{}, nil
	}
	was := it.Facts.Digest()
	it.Former = append(slices.Clip(it.Former), it.Facts)
	it.Facts = now
	it.Decision, it.Reason, it.By, it.ByName, it.At = "", "", "", "", time.Time{}
	it.Revision++
	e := r.about(access.AccessReviewItemChanged, it, access.System(), at)
	e.Details["was"] = was
	return it, e, it.changed()
}

// Removes reports whether a review that has ended is still to remove an item.
func (r Review) Removes(it Item) bool {
	return r.State == Closing && it.Outcome == "" &&
		(it.Decision == Remove || it.Decision == "" && r.Undecided == Remove)
}

// Settle records what became of an item, with the problem where it could not be removed.
func (r Review) Settle(it Item, to Outcome, problem string, at time.Time) (Item, access.Event) {
	it.Outcome, it.Problem = to, problem
	it.Revision++
	e := r.about(access.AccessReviewCarriedOut, it, access.System(), at)
	e.Details["outcome"] = string(to)
	if problem != "" {
		e.Details["problem"] = problem
	}
	return it, e
}

// about returns an event of one item.
func (r Review) about(kind access.EventKind, it Item, by access.Actor, now time.Time) access.Event {
	e := r.event(kind, by, now)
	e.Details["item"], e.Details["digest"] = strconv.Itoa(it.Number), it.Facts.Digest()
	e.Details["access"] = string(it.Facts.Kind)
	e.Details["principal"], e.Details["principalId"] = it.Facts.PrincipalName, string(it.Facts.Principal)
	return e
}

// line is what the outcome of a review has of an item.
func (it Item) line() string {
	at := int64(0)
	if !it.At.IsZero() {
		at = it.At.UnixMicro()
	}
	return fmt.Sprintf("%d %s %q %q %d %q", it.Number, it.Facts.Digest(), it.Decision, it.By, at, it.Outcome)
}

// AddTo continues the sum over what became of a review.
func (it Item) AddTo(s *Sum) { s.Add(it.line()) }

// Add counts n items of which the same was decided, and became.
func (t *Tally) Add(it Item, n int) {
	switch it.Decision {
	case Keep:
		t.Keep += n
	case Remove:
		t.Remove += n
	default:
		t.Undecided += n
	}
	switch it.Outcome {
	case Removed:
		t.Removed += n
	case Gone:
		t.Gone += n
	case Failed:
		t.Failed += n
	}
}

func clip(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// Same reports whether facts are of the same access: of the same principal, to the same thing. What it is called, how
// long it lasts and what it allows by now does not matter to one that is to be removed.
func (f Facts) Same(now Facts) bool {
	identity := func(f Facts) Facts {
		return Facts{
			Kind: f.Kind, Principal: f.Principal, Ref: f.Ref, Holder: f.Holder, Group: f.Group, Role: f.Role, Scope: f.Scope,
		}
	}
	return identity(f) == identity(now)
}

// Snapshot returns the sum over the facts of all items, in order, which the record of a review's start has.
func Snapshot(all []Facts) string {
	var s Sum
	for _, f := range all {
		s.Add(f.Digest())
	}
	return s.Text()
}
