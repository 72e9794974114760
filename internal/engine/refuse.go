package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/postern-dev/postern/internal/core/access"
)

// Attempt says what a caller tried, for the event that is recorded where it is refused.
type Attempt struct {
	Kind    access.EventKind // empty: access.AccessRefused
	Action  string
	Scope   access.ResourceID
	Request access.RequestID
	Grant   access.GrantID
	Agent   access.AgentID
	All     bool              // an attempt at access: whatever the reason of the refusal, it is recorded
	Details map[string]string // what was asked for, as it was given
}

// Bounds on what an event keeps of what came from outside.
const (
	MaxDetail  = 256 // bytes of one text
	MaxReasons = 50  // of one refusal
)

// Change runs a use case in one transaction with what the caller may do, and where it is refused records that in
// another. use may run more than once.
func (e *Kernel) Change(ctx context.Context, c Caller, a Attempt, use func(Tx, Rights) error) error {
	fn := func(tx Tx) error {
		may, err := e.Rights(ctx, tx, c)
		if err != nil {
			return err
		}
		return use(tx, may)
	}
	err := c.Bounds.admit(a)
	if err == nil {
		err = e.Store.View(ctx, func(r Reader) error { return e.Refresh(ctx, r) })
	}
	trial := IsTrial(ctx)
	if err == nil && trial {
		err = e.Update(ctx, func(tx Tx) error { return cmp.Or(fn(tx), errTrial) })
	} else if err == nil {
		err = e.Update(ctx, fn)
	}
	switch {
	case errors.Is(err, errTrial):
		return nil
	case err != nil && trial && !IsKind(err, access.KindForbidden):
		return err // nobody asked for anything
	case err != nil:
		return e.Refused(ctx, c, a, err)
	}
	e.Poke()
	return nil
}

// errTrial ends the transaction of a trial that would have gone well.
var errTrial = errors.New("this was a trial")

type trialKey struct{}

// Trial makes the use cases that are called with ctx say what they would answer, and change nothing. What they answer
// of ids is good for nothing, and a refusal is recorded only where the caller may not do such a thing at all.
func Trial(ctx context.Context) context.Context { return context.WithValue(ctx, trialKey{}, true) }

// IsTrial reports whether ctx is of Trial.
func IsTrial(ctx context.Context) bool { return ctx.Value(trialKey{}) != nil }

const maxConflicts = 5 // how often a transaction that lost a race is run

// Update runs fn in a transaction, and again where another one was faster: fn then reads what that one wrote, and
// either finds its own work done or says in its own words why it cannot be.
func (e *Kernel) Update(ctx context.Context, fn func(Tx) error) error {
	var err error
	for range maxConflicts {
		err = e.Store.Update(ctx, func(tx Tx) error {
			guarded := &ownerGuard{Tx: tx, engine: e}
			if err := fn(guarded); err != nil {
				return err
			}
			return guarded.finish(ctx)
		})
		if code := access.CodeOf(err); err == nil || !IsKind(err,
			access.KindConflict) || code != "changed" && code != "exists" {
			return err
		}
	}
	return err
}

// Look runs a use case that only reads, with what the caller may do, and where it is refused records that.
func (e *Kernel) Look(ctx context.Context, c Caller, a Attempt, use func(Reader, Rights) error) error {
	err := c.Bounds.admit(a)
	if err == nil {
		err = e.Store.View(ctx, func(r Reader) error {
			if err := e.Refresh(ctx, r); err != nil {
				return err
			}
			may, err := e.Rights(ctx, r, c)
			if err != nil {
				return err
			}
			return use(r, may)
		})
	}
	if err != nil {
		return e.Refused(ctx, c, a, err)
	}
	return nil
}

// Refused records a refusal by a rule of ours, and gives err back. What is merely malformed, missing or outdated is
// recorded only where it was an attempt at access.
func (e *Kernel) Refused(ctx context.Context, c Caller, a Attempt, err error) error {
	switch access.KindOf(err) {
	case access.KindForbidden:
	case access.KindInvalid, access.KindNotFound, access.KindConflict:
		if !a.All {
			return err
		}
	case access.KindUnauthenticated, access.KindLimited, access.KindUnavailable, access.KindInternal:
		return err
	}
	event := a.Event(c, err)
	event.At = e.Now()
	events := []access.Event{event}
	if dir := e.directory.Load(); dir != nil {
		host := dir.Owner(a.Scope) // of a guest, it is the host's business too
		if host != c.Tenant && slices.Contains(dir.Tenants(c.Principal), host) {
			event.Tenant, event.Actor = host, Rights{Dir: dir, Caller: c}.Actor(host)
			events = append(events, event)
		}
	}
	if recordErr := e.RecordAttempt(ctx, c, events...); recordErr != nil {
		e.Log.ErrorContext(ctx, "record refused attempt", "error", recordErr, "refusal", err)
	}
	return err
}

// Record appends events on their own. Those of nobody's tenant, such as of a caller whom we do not know, belong to the
// tenant that runs the server.
func (e *Kernel) Record(ctx context.Context, events ...access.Event) error {
	ctx = context.WithoutCancel(ctx)
	return e.Store.Update(ctx, func(tx Tx) error {
		tenant, err := HomeTenant(ctx, tx)
		if err != nil {
			return err
		}
		for i := range events {
			if events[i].Tenant == "" {
				events[i].Tenant = tenant
			}
		}
		return tx.Append(ctx, events...)
	})
}

// Event returns the event of the attempt's refusal.
func (a Attempt) Event(c Caller, err error) access.Event {
	event := access.Event{
		Kind: a.Kind, Outcome: access.Refused, Actor: c.Actor(), Tenant: c.Tenant, Scope: a.Scope, Action: a.Action,
		Request: a.Request, Grant: a.Grant, Agent: a.Agent, Details: map[string]string{"code": access.CodeOf(err)},
	}
	if event.Kind == "" {
		event.Kind = access.AccessRefused
	}
	for name, text := range a.Details {
		if text != "" {
			event.Details[name] = Clip(text)
		}
	}
	var refusal *access.Error
	if AsError(err, &refusal) {
		event.Details["message"] = Clip(refusal.Message)
		for i, r := range refusal.Reasons {
			if i == MaxReasons {
				event.Details["reasons.more"] = strconv.Itoa(len(refusal.Reasons) - MaxReasons)
				break
			}
			event.Details[fmt.Sprintf("reason.%d",
				i)] = Clip(strings.TrimSpace(r.Field + " " + r.Code + ": " + r.Message))
		}
	}
	return event
}

// Clip shortens text that came from outside, and makes it fit for a record.
func Clip(s string) string {
	if len(s) > MaxDetail {
		s = s[:MaxDetail-len("…")] + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// HomeTenant gives the tenant that the first start made.
func HomeTenant(ctx context.Context, r Reader) (access.TenantID, error) {
	tenants, err := r.Tenants(ctx)
	if err != nil || len(tenants) == 0 {
		return "", err
	}
	oldest := slices.MinFunc(tenants, func(a, b access.Tenant) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return oldest.ID, nil
}
