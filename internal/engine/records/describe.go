package records

import (
	"context"
	"fmt"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine"
)

// EventDetail is an event with what its ids stand for.
type EventDetail struct {
	Event         access.Event
	Summary       string // see audit.Tell
	Machine       string // name; of a deleted machine as the event has it
	Subscription  string // name, or id of one that is none of the tenant whose log it is
	ResourceGroup string
}

// Log lists the events that the caller may see, as Events does, with names.
func (e *Service) Log(ctx context.Context, c engine.Caller, f engine.EventFilter,
	p engine.Page,
) (list engine.Listed[EventDetail], err error) {
	events, err := e.Events(ctx, c, f, p)
	if err != nil {
		return list, err
	}
	list.Next = events.Next
	list.Items, err = e.describe(ctx, events.Items)
	return list, err
}

// LogEvent is Event with names.
func (e *Service) LogEvent(ctx context.Context, c engine.Caller, seq int64) (EventDetail, error) {
	event, err := e.Event(ctx, c, seq)
	if err != nil {
		return EventDetail{}, err
	}
	all, err := e.describe(ctx, []access.Event{event})
	if err != nil {
		return EventDetail{}, err
	}
	return all[0], nil
}

// describe gives events their names: what the caller may see of the events was decided before.
func (e *Service) describe(ctx context.Context, events []access.Event) (all []EventDetail, err error) {
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		subscriptions, err := r.Subscriptions(ctx)
		if err != nil {
			return fmt.Errorf("read subscriptions: %w", err)
		}
		type key struct{ tenant, id string }
		names := make(map[key]string, len(subscriptions))
		for _, s := range subscriptions {
			names[key{string(s.Tenant), strings.ToLower(string(s.ID))}] = s.Name
		}
		machines := engine.NameCache{R: r}
		all = make([]EventDetail, 0, len(events))
		for _, event := range events {
			d := EventDetail{Event: event, ResourceGroup: event.Scope.Segment("resourceGroups")}
			if id := event.Scope.Segment("subscriptions"); id != "" {
				// An attempt at what is another tenant's is on the log of whoever made it: it names nothing there.
				if d.Subscription = names[key{string(event.Tenant), strings.ToLower(id)}]; d.Subscription == "" {
					d.Subscription = id
				}
			}
			if d.Machine, err = machineName(ctx, &machines, event); err != nil {
				return err
			}
			at := d.Machine
			if at == "" {
				at = placeText(event.Scope, d)
			}
			d.Summary = audit.Tell(event, at)
			all = append(all, d)
		}
		return nil
	})
	return all, err
}

// machineName gives the name of the machine of an event: where it lies says so, also once it is deleted.
func machineName(ctx context.Context, machines *engine.NameCache, e access.Event) (string, error) {
	if name := e.Scope.Segment("virtualMachines"); name != "" {
		return name, nil
	}
	if e.Machine == "" {
		return "", nil
	}
	m, err := machines.Machine(ctx, e.Machine)
	if m.Tenant != e.Tenant {
		return "", err
	}
	return m.Name, err
}

// placeText says where a scope is, as people do.
func placeText(scope access.ResourceID, d EventDetail) string {
	parts := strings.Split(strings.Trim(string(scope), "/"), "/")
	switch {
	case scope == access.Root:
		return audit.Everywhere
	case scope == "":
		return ""
	case len(parts) == 2:
		return "the subscription " + d.Subscription
	case len(parts) == 4:
		return "the resource group " + d.ResourceGroup
	}
	return parts[len(parts)-1]
}
