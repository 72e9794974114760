package engine

import (
	"reflect"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/review"
)

// NotificationID names a notification; a UUID of version 7.
type NotificationID string

// NotificationKind says what a notification is about. The value is stable: receivers see it.
type NotificationKind string

// The kinds of notification. NotifyTest is never kept in the outbox.
const (
	NotifyRequested     NotificationKind = "requested"     // somebody asked for access
	NotifyNeedsDecision NotificationKind = "needsDecision" // those who are addressed may decide a request
	NotifyReminder      NotificationKind = "reminder"      // the time for deciding a request ends soon
	NotifyDecided       NotificationKind = "decided"       // a request was approved, denied, canceled, or timed out
	// A request that those who are addressed might have decided is settled: whoever hears the question hears that.
	NotifySettled    NotificationKind = "settled"
	NotifyOpened     NotificationKind = "opened"     // a grant is in force
	NotifyWillEnd    NotificationKind = "willEnd"    // a grant ends soon
	NotifyEnded      NotificationKind = "ended"      // a grant has ended
	NotifyFailed     NotificationKind = "failed"     // a grant could not be put in force
	NotifyBreakGlass NotificationKind = "breakGlass" // somebody opened access without approval
	NotifyAlert      NotificationKind = "alert"      // something that somebody should look at
	// A managed application was deployed, changed or deleted, or its offer was.
	NotifyApplication NotificationKind = "application"
	// Something became of one's own account, such as a new passkey.
	NotifyAccount NotificationKind = "account"
	// An access review began, is due soon, has ended or is over.
	NotifyAccessReview NotificationKind = "accessReview"
	// What happens to a managed application, for its publisher's program.
	NotifyLifecycle NotificationKind = "lifecycle"
	NotifyTest      NotificationKind = "test" // an administrator tries a channel
)

// NotificationKinds gives the kinds that a route may name, in a new slice.
func NotificationKinds() []NotificationKind {
	return []NotificationKind{
		NotifyRequested, NotifyNeedsDecision, NotifyReminder, NotifyDecided, NotifyOpened, NotifyWillEnd, NotifyEnded,
		NotifyFailed, NotifyBreakGlass, NotifyAlert, NotifyApplication, NotifyAccount, NotifyAccessReview,
	}
}

// follows returns the kind by which routes bring this one too, beside itself.
func (k NotificationKind) follows() NotificationKind {
	if k == NotifySettled || k == NotifyReminder {
		return NotifyNeedsDecision
	}
	return k
}

// opensOrResolves reports whether notifications of the kind open an incident or resolve one: a pager carries nothing
// else.
func (k NotificationKind) opensOrResolves() bool {
	switch k {
	case NotifyNeedsDecision, NotifyDecided, NotifySettled, NotifyOpened, NotifyEnded, NotifyFailed, NotifyBreakGlass,
		NotifyAlert, NotifyTest:
		return true
	case NotifyRequested, NotifyReminder, NotifyWillEnd, NotifyApplication, NotifyAccount, NotifyAccessReview,
		NotifyLifecycle:
	}
	return false
}

// Notification is something that people should be told, as data: every channel makes its own text of it.
// Enqueue it in the transaction of the change that it tells of.
type Notification struct {
	ID         NotificationID
	Seq        int64 // its place in the outbox; set by the store, in the order of dependent transactions
	At         time.Time
	Kind       NotificationKind
	Tenant     access.TenantID
	Request    access.RequestID // empty where it is about no request
	Grant      access.GrantID   // empty where it is about no single grant
	Alert      string           // id of the alert; empty where it is about none
	Review     review.ID        // empty where it is about no access review
	Policies   []access.PolicyID
	Recipients []access.PrincipalID // people to tell; a group stands for everybody in it
	Except     []access.PrincipalID // people whom it does not address, though Recipients or their groups do
	// where mail for the one recipient goes; empty: to the address that they have by then
	Address   string
	Subject   Subject
	Lifecycle LifecycleEvent // of NotifyLifecycle; of NotifyApplication which application it is about
}

// LifecycleEvent is what a publisher's program is told. The first fields are Azure's; an activation has the others too.
type LifecycleEvent struct {
	Channel     ChannelID
	Event       string // PUT, PATCH or DELETE of an application; JIT of an activation
	Application access.ResourceID
	Definition  access.ResourceID
	State       string // provisioningState: Succeeded or Deleted
	What        string // of an activation: the kind of the event, such as request.approved
	Principal   access.PrincipalID
}

// Subject is what a notification tells. Empty fields are left out of messages.
type Subject struct {
	Who      string              // the requester's name
	Items    []access.NoticeItem // what was asked for or opened
	Start    time.Time
	End      time.Time
	Until    time.Time     // with NotifyReminder: when the time for deciding ends
	Duration time.Duration // of what is counted from an approval that has not come; Start and End are zero then
	Windows  int           // of a recurring request; Start and End are the first window's
	Reason   string        // the justification
	Ticket   string
	By       string // who decided, revoked, or failed to do it
	// approved, denied, canceled, timedOut; expired, revoked, superseded; open, acknowledged or closed for an alert;
	// deployed, changed, deleted, newVersion or withdrawn for an application; started, changed, due soon, ended, closed or
	// canceled for an access review
	Outcome  string
	Detail   string // why: the decision's or the revocation's reason, the failure, what the alert saw
	Title    string // of an alert; the name of an application
	Severity string // of an alert: info, warning, error, critical
	Unended  int    // grants of the request that have not ended; 0 with NotifyEnded means that all is over

	// CodeOf is to whom the code was issued by which somebody broke glass on the machine itself. Who typed it is not
	// known: Who and By are empty.
	CodeOf string
}

// stream is what notifications must stay in order about: an application, else a request, else a grant, else an alert,
// else an access review, else nothing else.
func (n Notification) stream() string {
	switch {
	case n.Lifecycle.Application != "":
		return "application/" + n.Lifecycle.Application.Fold()
	case n.Request != "":
		return "request/" + string(n.Request)
	case n.Grant != "":
		return "grant/" + string(n.Grant)
	case n.Alert != "":
		return "alert/" + n.Alert
	case n.Review != "":
		return "accessReview/" + string(n.Review)
	default:
		return "notification/" + string(n.ID)
	}
}

// AboutRequest makes a notification about the whole of r. The caller adds the recipients and, where there was a
// decision, Subject.By.
func AboutRequest(id NotificationID, kind NotificationKind, r access.Request, names access.Names,
	now time.Time,
) Notification {
	n := Notification{
		ID: id, At: now, Kind: kind, Tenant: r.Tenant, Request: r.ID,
		Subject: Subject{Who: r.RequesterName, Reason: r.Justification, Ticket: r.Ticket, Detail: r.Reason},
	}
	if r.State != access.RequestPending {
		n.Subject.Outcome = string(r.State)
	}
	for _, item := range r.Items {
		n = n.tellingOf(item.Target, names)
		if r.State == access.RequestPending && r.Start.IsZero() {
			n.Subject.Duration, n.Subject.End = max(n.Subject.Duration, item.Duration), Later(n.Subject.End, item.Until)
			continue
		}
		start, end := r.Window(item, now)
		if n.Subject.Start.IsZero() || start.Before(n.Subject.Start) {
			n.Subject.Start = start
		}
		n.Subject.End = Later(n.Subject.End, end)
	}
	n.Subject.Windows = len(r.Windows)
	if kind == NotifyReminder {
		n.Subject.Until = r.WaitsUntil()
	}
	return n
}

// Later returns the later of two instants.
func Later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// With returns n, which tells of what other tells too, each port or role once.
func (n Notification) With(other Notification) Notification {
	for _, item := range other.Subject.Items {
		if !slices.ContainsFunc(n.Subject.Items, func(i access.NoticeItem) bool { return reflect.DeepEqual(i, item) }) {
			n.Subject.Items = append(n.Subject.Items, item)
		}
	}
	if other.Subject.Start.Before(n.Subject.Start) {
		n.Subject.Start = other.Subject.Start
	}
	n.Subject.End = Later(n.Subject.End, other.Subject.End)
	for _, id := range other.Policies {
		if !slices.Contains(n.Policies, id) {
			n.Policies = append(n.Policies, id)
		}
	}
	return n
}

// AboutGrant makes a notification about g, of request r. The caller adds the recipients and, with NotifyEnded,
// Subject.Unended.
func AboutGrant(id NotificationID, kind NotificationKind, g access.Grant, r access.Request, names access.Names,
	now time.Time,
) Notification {
	n := Notification{
		ID: id, At: now, Kind: kind, Tenant: g.Tenant, Request: g.Request, Grant: g.ID,
		Subject: Subject{
			Who: g.PrincipalName, Start: g.Start, End: g.End, Reason: r.Justification, Ticket: r.Ticket,
			Detail: g.Reason,
		},
	}
	n = n.tellingOf(g.Target, names)
	if g.State.Ended() {
		n.Subject.Outcome = string(g.State)
		n.Subject.End = g.EndedAt
	}
	return n
}

// tellingOf returns n, which also tells of a target, with the policy that guards it.
func (n Notification) tellingOf(t access.Target, names access.Names) Notification {
	n.Subject.Items = append(n.Subject.Items, t.Notice(names))
	if id := t.Guard().Policy; id != "" && !slices.Contains(n.Policies, id) {
		n.Policies = append(n.Policies, id)
	}
	return n
}
