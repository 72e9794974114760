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

// attempt says what a caller tried, for the event that is recorded where it is refused.
type attempt struct {
	kind    access.EventKind // empty: access.AccessRefused
	action  string
	scope   access.ResourceID
	request access.RequestID
	grant   access.GrantID
	agent   access.AgentID
	all     bool              // an attempt at access: whatever the reason of the refusal, it is recorded
	details map[string]string // what was asked for, as it was given
}

// Bounds on what an event keeps of what came from outside.
const (
	maxDetail  = 256 // bytes of one text
	maxReasons = 50  // of one refusal
)

// change runs a use case in one transaction, and where it is refused records that in another. fn may run more than once.
func (e *Engine) change(ctx context.Context, c Caller, a attempt, fn func(Tx) error) error {
	err := c.Bounds.admit(a)
	if err == nil {
		err = e.store.View(ctx, func(r Reader) error { return e.refresh(ctx, r) })
	}
	trial := isTrial(ctx)
	if err == nil && trial {
		err = e.update(ctx, func(tx Tx) error { return cmp.Or(fn(tx), errTrial) })
	} else if err == nil {
		err = e.update(ctx, fn)
	}
	switch {
	case errors.Is(err, errTrial):
		return nil
	case err != nil && trial && !isKind(err, access.KindForbidden):
		return err // nobody asked for anything
	case err != nil:
		return e.refused(ctx, c, a, err)
	}
	e.poke()
	return nil
}

// errTrial ends the transaction of a trial that would have gone well.
var errTrial = errors.New("this was a trial")

type trialKey struct{}

// Trial makes the use cases that are called with ctx say what they would answer, and change nothing. What they answer of ids is
// good for nothing, and a refusal is recorded only where the caller may not do such a thing at all.
func Trial(ctx context.Context) context.Context { return context.WithValue(ctx, trialKey{}, true) }

func isTrial(ctx context.Context) bool { return ctx.Value(trialKey{}) != nil }

const maxConflicts = 5 // how often a transaction that lost a race is run

// update runs fn in a transaction, and again where another one was faster: fn then reads what that one wrote, and either
// finds its own work done or says in its own words why it cannot be.
func (e *Engine) update(ctx context.Context, fn func(Tx) error) error {
	var err error
	for range maxConflicts {
		err = e.store.Update(ctx, func(tx Tx) error {
			guarded := &ownerGuard{Tx: tx, engine: e}
			if err := fn(guarded); err != nil {
				return err
			}
			return guarded.finish(ctx)
		})
		if code := access.CodeOf(err); err == nil || !isKind(err, access.KindConflict) || code != "changed" && code != "exists" {
			return err
		}
	}
	return err
}

// look runs a use case that only reads, and where it is refused records that.
func (e *Engine) look(ctx context.Context, c Caller, a attempt, fn func(Reader) error) error {
	err := c.Bounds.admit(a)
	if err == nil {
		err = e.store.View(ctx, func(r Reader) error {
			if err := e.refresh(ctx, r); err != nil {
				return err
			}
			return fn(r)
		})
	}
	if err != nil {
		return e.refused(ctx, c, a, err)
	}
	return nil
}

// refused records a refusal by a rule of ours, and gives err back. What is merely malformed, missing or outdated is
// recorded only where it was an attempt at access.
func (e *Engine) refused(ctx context.Context, c Caller, a attempt, err error) error {
	switch access.KindOf(err) {
	case access.KindForbidden:
	case access.KindInvalid, access.KindNotFound, access.KindConflict:
		if !a.all {
			return err
		}
	case access.KindUnauthenticated, access.KindLimited, access.KindUnavailable, access.KindInternal:
		return err
	}
	event := a.event(c, err)
	event.At = e.now()
	events := []access.Event{event}
	if dir := e.directory.Load(); dir != nil {
		host := dir.Owner(a.scope) // of a guest, it is the host's business too
		if host != c.Tenant && slices.Contains(dir.Tenants(c.Principal), host) {
			event.Tenant, event.Actor = host, rights{dir: dir, caller: c}.actor(host)
			events = append(events, event)
		}
	}
	if recordErr := e.recordAttempt(ctx, c, events...); recordErr != nil {
		e.log.ErrorContext(ctx, "record refused attempt", "error", recordErr, "refusal", err)
	}
	return err
}

// record appends events on their own. Those of nobody's tenant, such as of a caller whom we do not know, belong to the
// tenant that runs the server.
func (e *Engine) record(ctx context.Context, events ...access.Event) error {
	ctx = context.WithoutCancel(ctx)
	return e.store.Update(ctx, func(tx Tx) error {
		tenant, err := homeTenant(ctx, tx)
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

func (a attempt) event(c Caller, err error) access.Event {
	event := access.Event{
		Kind: a.kind, Outcome: access.Refused, Actor: c.Actor(), Tenant: c.Tenant, Scope: a.scope, Action: a.action,
		Request: a.request, Grant: a.grant, Agent: a.agent, Details: map[string]string{"code": access.CodeOf(err)},
	}
	if event.Kind == "" {
		event.Kind = access.AccessRefused
	}
	for name, text := range a.details {
		if text != "" {
			event.Details[name] = clip(text)
		}
	}
	var refusal *access.Error
	if asError(err, &refusal) {
		event.Details["message"] = clip(refusal.Message)
		for i, r := range refusal.Reasons {
			if i == maxReasons {
				event.Details["reasons.more"] = strconv.Itoa(len(refusal.Reasons) - maxReasons)
				break
			}
			event.Details[fmt.Sprintf("reason.%d", i)] = clip(strings.TrimSpace(r.Field + " " + r.Code + ": " + r.Message))
		}
	}
	return event
}

// clip shortens text that came from outside, and makes it fit for a record.
func clip(s string) string {
	if len(s) > maxDetail {
		s = s[:maxDetail-len("…")] + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// homeTenant gives the tenant that the first start made.
func homeTenant(ctx context.Context, r Reader) (access.TenantID, error) {
	tenants, err := r.Tenants(ctx)
	if err != nil || len(tenants) == 0 {
		return "", err
	}
	oldest := slices.MinFunc(tenants, func(a, b access.Tenant) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return oldest.ID, nil
}
