package roles

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/requests"
)

// giveBack ends the caller's activations of a role. The record is of the one that would have lasted longest.
func (e *Service) giveBack(ctx context.Context, tx engine.Tx, may engine.Rights, in RoleChangeInput,
	made access.RoleChange,
) (access.RoleChange, error) {
	held, err := heldRoles(ctx, tx, may, in)
	if err != nil {
		return made, err
	}
	w := e.kernel.NewWork(tx, may.Now)
	for _, g := range held {
		if _, err := w.EndGrant(ctx, g, may.Actor(g.Tenant), in.Justification); err != nil {
			return made, err
		}
	}
	longest := held[0]
	role, _ := roleOf(longest)
	made.Target, made.Eligibility, made.Start, made.End = string(
		longest.ID), role.Eligibility, longest.Start, longest.End
	made.Principal, made.PrincipalName, made.PrincipalKind = longest.Principal, longest.PrincipalName, access.User
	made.Role, made.RoleName = role.ID, role.Name
	return made, w.Finish(ctx)
}

// giveBackSome ends activations of the caller's where there are more than one transaction ends, those first that would
// end first: until it has ended enough, the change is to be made again.
func (e *Service) giveBackSome(ctx context.Context, tx engine.Tx, may engine.Rights,
	in RoleChangeInput,
) (more bool, err error) {
	if engine.IsTrial(ctx) || in.Kind != access.RoleChangeGiveBack || in.Of != access.OfAssignment {
		return false, nil
	}
	held, err := heldRoles(ctx, tx, may, in)
	if err != nil || len(held) <= engine.ActChunk {
		return false, err
	}
	w := e.kernel.NewWork(tx, may.Now)
	for _, g := range held[len(held)-engine.ActChunk:] {
		if _, err := w.EndGrant(ctx, g, may.Actor(g.Tenant), in.Justification); err != nil {
			return false, err
		}
	}
	return true, w.Finish(ctx)
}

// ExtendRole is Extend for the activation of the caller's that a change names; of several, the one that lasts longest.
// Where there is none it fails with the code nothingToChange.
func (e *Service) ExtendRole(ctx context.Context, c engine.Caller, of RoleChangeInput,
	in requests.ExtendInput,
) (requests.RequestDetail, error) {
	var held []access.Grant
	err := e.kernel.Look(ctx, c, engine.Attempt{}, func(r engine.Reader, may engine.Rights) error {
		var err error
		held, err = heldRoles(ctx, r, may, of)
		return err
	})
	if err != nil {
		return requests.RequestDetail{}, err
	}
	return e.requests.Extend(ctx, c, held[0].ID, in)
}

// heldRoles gives the caller's activations that a change names, the one that lasts longest first; at least one.
func heldRoles(ctx context.Context, r engine.Reader, may engine.Rights, in RoleChangeInput) ([]access.Grant, error) {
	var held []access.Grant
	f := engine.GrantFilter{
		Principal: may.Caller.Principal, Roles: true, RoleScope: in.Scope,
		States: access.NotEnded(),
	}
	for p := (engine.Page{Limit: engine.MaxLimit}); ; {
		list, err := r.Grants(ctx, f, p)
		if err != nil {
			return nil, fmt.Errorf("read grants: %w", err)
		}
		for _, g := range list.Items {
			role, is := roleOf(g)
			named := strings.EqualFold(string(role.ID), in.Role) || strings.EqualFold(role.Name, in.Role)
			if is && g.Tenant == may.TenantOf(in.Scope) && (in.Target == string(g.ID) || in.Target == "" && named) {
				held = append(held, g)
			}
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			break
		}
	}
	if len(held) == 0 {
		return nil, access.Fault(access.KindNotFound, "nothingToChange", "you have not activated this role at %s",
			in.Scope)
	}
	slices.SortStableFunc(held, func(a, b access.Grant) int { return b.End.Compare(a.End) })
	return held, nil
}

// askTime asks for a later end of what the caller has, themselves or through a group, and only an administrator gives.
// Nothing changes until one does.
func (e *Service) askTime(ctx context.Context, tx engine.Tx, may engine.Rights, in RoleChangeInput,
	made access.RoleChange,
) (access.RoleChange, error) {
	made, err := in.asked(ctx, tx, may, made)
	if err != nil {
		return made, err
	}
	if made.Principal != may.Caller.Principal && !may.Dir.InGroup(may.Caller.Principal, made.Principal) {
		return made, in.nothing()
	}
	kind := in
	kind.Kind = access.RoleChangeExtend
	if in.Kind == access.RoleChangeAskRenew {
		kind.Kind = access.RoleChangeRenew
	}
	if made.Start, made.End, err = kind.window(made.Start, made.End, may.Now); err != nil {
		return made, err
	}
	waiting, err := tx.RoleChanges(ctx, engine.RoleChangeFilter{Target: made.Target, Requester: made.Requester},
		engine.Page{Limit: 1})
	if err != nil {
		return made, fmt.Errorf("read changes: %w", err)
	}
	if len(waiting.Items) > 0 {
		return made, access.Fault(access.KindConflict, "alreadyAsked",
			"you asked for an extension already, with request %s: cancel that one first", waiting.Items[0].ID)
	}
	made.State = access.RoleChangeWaiting
	w := e.kernel.NewWork(tx, may.Now)
	w.Event(timeEvent(access.RoleTimeAsked, made, may))
	return made, w.Finish(ctx)
}

// asked completes the record of an ask by what it is about.
func (in RoleChangeInput) asked(ctx context.Context, r engine.Reader, may engine.Rights,
	made access.RoleChange,
) (access.RoleChange, error) {
	if in.Of == access.OfEligibility {
		d, err := in.eligibility(ctx, r, may)
		return ofEligibility(made, d), err
	}
	d, by, err := in.assignment(ctx, r, may)
	if err == nil && by != "" {
		err = notGiven()
	}
	return ofAssignment(made, d, by), err
}

// giveTime settles what others than the caller asked for and have now: more time on an assignment or an eligibility.
func giveTime(ctx context.Context, w *engine.Work, may engine.Rights, target string) error {
	for p := (engine.Page{Limit: engine.MaxLimit}); ; {
		list, err := w.Tx.RoleChanges(ctx, engine.RoleChangeFilter{Target: target}, p)
		if err != nil {
			return fmt.Errorf("read changes: %w", err)
		}
		for _, ask := range list.Items {
			if ask.Requester == may.Caller.Principal {
				continue // another person answers
			}
			if err := settleChange(ctx, w, ask, access.RoleChangeDone, access.RoleTimeGiven, may); err != nil {
				return err
			}
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			return nil
		}
	}
}

func settleChange(ctx context.Context, w *engine.Work, c access.RoleChange, to access.RoleChangeState,
	kind access.EventKind, may engine.Rights,
) error {
	next, err := c.Settle(to, may.Caller.Principal)
	if err != nil {
		return err
	}
	if err := w.Tx.SaveRoleChange(ctx, next, c.Revision); err != nil {
		return fmt.Errorf("save change: %w", err)
	}
	w.Event(timeEvent(kind, next, may))
	return nil
}

// CancelRoleChange takes back what the caller asked for and nobody gave.
func (e *Service) CancelRoleChange(ctx context.Context, c engine.Caller, id access.RoleChangeID) error {
	return e.kernel.Change(ctx, c,
		engine.Attempt{Action: rbac.RoleActivate, Details: map[string]string{"change": string(id)}},
		func(tx engine.Tx, may engine.Rights) error {
			made, err := findChange(ctx, tx, may, id)
			if err != nil {
				return err
			}
			if !c.Bounds.Cover(rbac.RoleActivate, made.Scope) {
				return engine.OutOfBounds(rbac.RoleActivate, made.Scope)
			}
			w := e.kernel.NewWork(tx, may.Now)
			if err := settleChange(ctx, w, made, access.RoleChangeCanceled, access.RoleTimeCanceled, may); err != nil {
				return err
			}
			return w.Finish(ctx)
		})
}

func timeEvent(kind access.EventKind, c access.RoleChange, may engine.Rights) access.Event {
	return access.Event{
		Kind: kind, Actor: may.Actor(c.Tenant), Tenant: c.Tenant, Scope: c.Scope,
		Action: rbac.RoleActivate, Details: map[string]string{
			"change": string(c.ID), string(c.Of): c.Target, "principal": c.PrincipalName,
			"principalId": string(c.Principal), "role": c.RoleName, "roleId": string(c.Role),
			"until": describeEnd(c.End), "justification": c.Justification, "ticket": c.Ticket,
		},
	}
}
