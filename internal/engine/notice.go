package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

// Notice is a notification before it is written: what finish makes of it depends on whether anybody listens.
type Notice struct {
	Kind       NotificationKind
	Request    access.Request // of notices about a request
	grant      access.Grant   // of notices about a grant
	By         string         // who did it; empty where nobody did, or nobody knows
	CodeOf     string         // with NotifyBreakGlass: to whom the code was issued that was used offline
	Recipients []access.PrincipalID
	beside     []access.Grant // others that the same act has ended
	abroad     bool           // it is told in another tenant
}

// Notify has finish enqueue a notification.
func (w *Work) Notify(n Notice) { w.notices = append(w.notices, n) }

// notifyGrant has finish tell the holder, and where it was ended early whoever agreed to it, what became of a grant.
func (w *Work) notifyGrant(g access.Grant, event access.Event) {
	n := Notice{grant: g, Recipients: []access.PrincipalID{g.Principal}}
	if event.Actor.ID != "" {
		n.By = event.Actor.Name
	}
	switch event.Kind { //nolint:exhaustive // the others are told to nobody
	case access.GrantOpened:
		n.Kind = NotifyOpened
	case access.GrantDidFail:
		n.Kind = NotifyFailed
	case access.GrantWarned:
		n.Kind = NotifyWillEnd
	case access.GrantDidExpire, access.GrantWasRevoked:
		n.Kind = NotifyEnded
	default:
		return
	}
	w.Notify(n)
}

// enqueue writes the notices to the outbox, unless the tenant has no channel that could carry them.
func (w *Work) enqueue(ctx context.Context) error {
	var out []Notification
	for _, n := range w.together() {
		sides, err := w.sides(ctx, n)
		if err != nil {
			return err
		}
		for _, side := range sides {
			heard, err := w.Hears(ctx, side.tenant)
			if err != nil {
				return err
			}
			if !heard {
				continue
			}
			told := n
			if side.abroad {
				told = n.across()
			}
			told.Recipients = side.recipients
			written, err := w.write(ctx, told)
			if err != nil {
				return err
			}
			written.Tenant = side.tenant
			out = append(out, written)
		}
	}
	if len(out) == 0 {
		return nil
	}
	if err := w.Tx.Enqueue(ctx, out...); err != nil {
		return fmt.Errorf("enqueue notifications: %w", err)
	}
	return nil
}

// together gives the notices with one in the place of all that tell one person, by one request, that the same act has
// ended their grants: a person is told of an act, and not of each window. A grant that was begun and never seen open
// stays alone, since it may have failed, and whoever heard of that waits for its end.
func (w *Work) together() []Notice {
	type act struct {
		request access.RequestID
		state   access.GrantState
		by      string
	}
	var out []Notice
	at := map[act]int{}
	for _, n := range w.notices {
		ahead := n.grant.ID != "" && n.grant.Start.After(w.Now)
		if w.Quiet && ahead {
			continue
		}
		key := act{n.grant.Request, n.grant.State, n.By}
		if n.Kind != NotifyEnded || !ahead && n.grant.OpenedAt.IsZero() {
			out = append(out, n)
		} else if i, ok := at[key]; ok {
			out[i].beside = append(out[i].beside, n.grant)
		} else {
			at[key] = len(out)
			out = append(out, n)
		}
	}
	return out
}

// Hears tells whether a tenant has a channel that could carry a notification.
func (w *Work) Hears(ctx context.Context, tenant access.TenantID) (bool, error) {
	heard, asked := w.listens[tenant]
	if asked {
		return heard, nil
	}
	heard, err := w.Tx.HasChannels(ctx, tenant)
	if err != nil {
		return false, fmt.Errorf("read channels: %w", err)
	}
	w.listens[tenant] = heard
	return heard, nil
}

func (w *Work) write(ctx context.Context, n Notice) (Notification, error) {
	id := NotificationID(NewID())
	if n.grant.ID == "" {
		names, err := w.namesOf(ctx, targetsOf(n.Request)...)
		if err != nil {
			return Notification{}, err
		}
		out := AboutRequest(id, n.Kind, n.Request, names, w.Now)
		out.Recipients, out.Subject.By, out.Subject.CodeOf = n.Recipients, n.By, n.CodeOf
		if n.CodeOf != "" {
			out.Subject.Who = ""
		}
		return out, nil
	}
	names, err := w.namesOf(ctx, n.grant.Target)
	if err != nil {
		return Notification{}, err
	}
	request, err := w.Tx.Request(ctx, n.grant.Request)
	if err != nil {
		return Notification{}, fmt.Errorf("read request: %w", err)
	}
	out := AboutGrant(id, n.Kind, n.grant, request, names, w.Now)
	out.Recipients, out.Subject.By = n.Recipients, n.By
	if n.Kind != NotifyEnded {
		return out, nil
	}
	for _, g := range n.beside {
		names, err := w.namesOf(ctx, g.Target)
		if err != nil {
			return Notification{}, err
		}
		out = out.with(AboutGrant(id, n.Kind, g, request, names, w.Now))
	}
	if out.Subject.Unended, err = w.Tx.Unended(ctx, n.grant.Request); err != nil {
		return Notification{}, fmt.Errorf("count grants: %w", err)
	}
	if n.grant.State == access.GrantRevoked && !n.abroad {
		decisions, err := w.Tx.Decisions(ctx, n.grant.Request)
		if err != nil {
			return Notification{}, fmt.Errorf("read decisions: %w", err)
		}
		for _, d := range decisions {
			if d.Approve && !slices.Contains(out.Recipients, d.Person) {
				out.Recipients = append(out.Recipients, d.Person)
			}
		}
	}
	return out, nil
}

// targetsOf returns what a request asks for.
func targetsOf(r access.Request) []access.Target {
	targets := make([]access.Target, len(r.Items))
	for i, item := range r.Items {
		targets[i] = item.Target
	}
	return targets
}

// namesOf names what targets are about: machines, and the scopes at which roles hold.
func (w *Work) namesOf(ctx context.Context, targets ...access.Target) (access.Names, error) {
	names := access.Names{Machines: map[access.MachineID]string{}, Scopes: map[access.ResourceID]string{}}
	for _, t := range targets {
		place := t.Place()
		if place.Scope != "" {
			name, err := w.scopeInWords(ctx, place.Scope)
			if err != nil {
				return access.Names{}, err
			}
			names.Scopes[place.Scope] = name
		}
		if place.Machine != "" {
			m, err := w.Machine(ctx, place.Machine)
			if err != nil {
				return access.Names{}, err
			}
			names.Machines[place.Machine] = NameOf(m, place.Machine)
		}
	}
	return names, nil
}

// scopeInWords returns "subscription production", "resource group web", "application shop" for its managed resource
// group, or the name of a single resource.
func (w *Work) scopeInWords(ctx context.Context, scope access.ResourceID) (string, error) {
	a, err := w.applicationAt(ctx, scope)
	if err != nil {
		return "", err
	}
	group := scope.Segment("resourceGroups")
	switch {
	case a != nil:
		return "application " + a.Name(), nil
	case scope == access.Root:
		return "everything", nil
	case scope.Equal(access.SubscriptionScope(scope.InSubscription())):
		all, err := w.Tx.Subscriptions(ctx)
		if err != nil {
			return "", fmt.Errorf("read subscriptions: %w", err)
		}
		name := string(scope.InSubscription())
		if i := slices.IndexFunc(all,
			func(s access.Subscription) bool { return s.ID == scope.InSubscription() }); i >= 0 {
			name = all[i].Name
		}
		return "subscription " + name, nil
	case strings.EqualFold(scope.Name(), group):
		return "resource group " + group, nil
	default:
		return scope.Name(), nil
	}
}
