package requests

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// ExtendInput asks for a later end of a grant. Exactly one of For and Until is set.
type ExtendInput struct {
	// of the request that this is, a GUID that is free or of the same request; empty makes one
	ID            access.RequestID
	For           time.Duration // beyond the present end
	Until         time.Time
	Justification string // empty: that of the first request
	Ticket        string // empty: that of the first request
}

// Extend asks for a later end of the caller's own grant, under the rule that guards its machine now, and never beyond
// the policy's longest time from the first opening. Where the rule approves by itself the grant ends later at once.
func (e *Service) Extend(ctx context.Context, c engine.Caller, id access.GrantID,
	in ExtendInput,
) (d RequestDetail, err error) {
	action := rbac.PoliciesInitiate
	if !c.Bounds.Allow(action) && c.Bounds.Allow(rbac.RoleActivate) {
		action = rbac.RoleActivate // and then it is not a port
	}
	a := engine.Attempt{Kind: access.RequestRefused, Action: action, Grant: id, All: true, Details: map[string]string{
		"extends": string(id), "for": in.For.String(), "justification": in.Justification, "ticket": in.Ticket,
	}}
	return e.asking(ctx, c, a, func(tx engine.Tx, may engine.Rights, checked *ticketCheck) (RequestDetail, error) {
		return e.extend(ctx, tx, may, id, in, checked)
	})
}

func (e *Service) extend(ctx context.Context, tx engine.Tx, may engine.Rights, id access.GrantID, in ExtendInput,
	checked *ticketCheck,
) (RequestDetail, error) {
	g, m, err := findGrant(ctx, tx, may, id)
	if err != nil {
		return RequestDetail{}, err
	}
	if g.Principal != may.Caller.Principal {
		return RequestDetail{}, access.Fault(access.KindForbidden, "notYourGrant",
			"only %s can ask for more time on this grant: make a request of your own", g.PrincipalName)
	}
	if earlier, err := sameExtension(ctx, tx, may, id, in.ID); err != nil || earlier != nil {
		return orZero(earlier), err
	}
	first, err := tx.Request(ctx, g.Request)
	if err != nil {
		return RequestDetail{}, fmt.Errorf("read request: %w", err)
	}
	until, err := in.until(g, first, may.Now)
	if err != nil {
		return RequestDetail{}, err
	}
	item, err := judgedAnew(ctx, tx, may, g, m, until)
	if err != nil {
		return RequestDetail{}, err
	}
	return e.fileExtension(ctx, tx, may, g, first, in, checked, item, m, until)
}

// sameExtension gives the request of that id by which the caller asked for more time on the grant before; nil where
// there is none.
func sameExtension(ctx context.Context, r engine.Reader, may engine.Rights, grant access.GrantID,
	id access.RequestID,
) (*RequestDetail, error) {
	if id == "" {
		return nil, nil //nolint:nilnil // none was named, and that is no error
	}
	request, err := r.Request(ctx, access.RequestID(strings.ToLower(string(id))))
	if engine.IsKind(err,
		access.KindNotFound) || err == nil && (request.Requester != may.Caller.Principal || request.Extends != grant) {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	names := engine.NameCache{R: r}
	d, err := describeRequest(ctx, r, may, &names, request)
	return &d, err
}

// fileExtension judges and files the request for a later end of a grant, whose one item is given without its times.
func (e *Service) fileExtension(ctx context.Context, tx engine.Tx, may engine.Rights, g access.Grant,
	first access.Request, in ExtendInput, checked *ticketCheck, judged policy.Item, site access.Machine, until time.Time,
) (RequestDetail, error) {
	item := judged.Item
	item.Until = until
	if in.Until.IsZero() {
		judged.Duration = until.Sub(g.From())
	} else {
		judged.Until = until
	}
	asked := askedAgain(first)
	asked.Items = []policy.Item{judged}
	asked.Justification = cmp.Or(in.Justification, asked.Justification)
	asked.Ticket = cmp.Or(in.Ticket, asked.Ticket)
	verdict, err := e.judge(asked, checked, may)
	if err != nil {
		return RequestDetail{}, err
	}
	if cut := access.Instant(verdict.Items[0].Until); !cut.IsZero() {
		item.Until = cut
	}
	if !item.Until.After(g.End) {
		return RequestDetail{}, notLater(g)
	}
	id, err := ChosenID(ctx, tx, in.ID)
	if err != nil {
		return RequestDetail{}, err
	}
	request := newRequest(may, g.Tenant, asked, verdict)
	request.ID, request.Extends, request.Items = id, g.ID, []access.Item{item}
	verdict.Wait = min(verdict.Wait, g.End.Sub(may.Now)) // there is nothing to decide once it has ended
	return e.file(ctx, tx, may, request, asked, []access.Machine{site}, verdict)
}

// until gives the end that is asked for.
func (in ExtendInput) until(g access.Grant, first access.Request, now time.Time) (time.Time, error) {
	until := in.Until.UTC().Truncate(time.Microsecond)
	switch {
	case in.For == 0 && in.Until.IsZero():
		return until, access.Fault(access.KindInvalid, "durationMissing", "say how much longer, or until when")
	case in.For != 0 && !in.Until.IsZero():
		return until, access.Fault(access.KindInvalid, "untilAndDuration",
			"give how much longer or until when, not both")
	case in.For < 0 || in.For > access.MaxDuration:
		return until, access.Fault(access.KindInvalid, "tooLong", "an extension is 1s to %s long", access.MaxDuration)
	case in.For != 0:
		until = g.End.Add(in.For.Truncate(time.Microsecond))
	}
	switch {
	case g.State.Ended() || !now.Before(g.End):
		return until, access.Fault(access.KindConflict, "grantEnded", "grant %s has ended: make a new request", g.ID)
	case !until.After(g.End):
		return until, notLater(g)
	case first.BreakGlass:
		return until, access.Fault(access.KindForbidden, "breakGlassNotExtended",
			"break-glass access cannot be extended: make an ordinary request")
	}
	return until, nil
}

func notLater(g access.Grant) error {
	return access.Fault(access.KindInvalid, "notLater", "grant %s ends at %s already; an extension must end later",
		g.ID, g.End.UTC().Format(time.RFC3339))
}

// extendGrant gives the grant of an approved request for more time its later end.
func (d *deciding) extendGrant(ctx context.Context, by access.Actor) error {
	g, err := d.Tx.Grant(ctx, d.request.Extends)
	if err != nil {
		return fmt.Errorf("read grant: %w", err)
	}
	if err := d.notRecalled(ctx, g); err != nil {
		return err
	}
	until := d.request.Items[0].Until
	ends, err := d.rightsEnd(ctx)
	if err != nil {
		return err
	}
	if len(ends) > 0 && !ends[0].IsZero() && ends[0].Before(until) {
		until = ends[0]
	}
	if !until.After(g.End) && !g.State.Ended() {
		return nil // another extension went further meanwhile
	}
	next, events, err := g.Extend(by, until, d.Now)
	if err != nil {
		return err
	}
	next.Decided = g.Decided || len(d.request.Approvals) > 0
	return d.SaveGrant(ctx, next, g.Revision, events, false)
}

// notRecalled refuses more time on a grant that is just being ended: what enforces it was taken away already, and
// saving it anew would bring that back.
func (d *deciding) notRecalled(ctx context.Context, g access.Grant) error {
	recalls, err := d.Tx.Recalls(ctx)
	if err != nil || len(recalls) == 0 {
		return err
	}
	j, err := d.engine.machines.NewJudge(ctx, d.Tx, d.Now)
	if err != nil {
		return err
	}
	order, _, err := j.Recalled(ctx, recalls, g)
	if err == nil && order != nil {
		err = access.Fault(access.KindConflict, "grantEnded", "grant %s is being ended: make a new request", g.ID)
	}
	return err
}
