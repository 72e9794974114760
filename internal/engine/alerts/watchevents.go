package alerts

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine"
)

const (
	eventChunk = 250            // events that one transaction looks at
	alertsOf   = 24 * time.Hour // what is older is no news: the server was away
)

// watchEvents lets the rules look at the events that none has looked at. The cursor moves in the transaction that keeps
// what the rules made of them, by compare-and-swap: of several replicas one alone counts each event.
func (e *Service) watchEvents(ctx context.Context, t *tending) error {
	for ctx.Err() == nil {
		var cursor int64
		var events []access.Event
		habits := map[int64]alert.Habit{}
		err := e.kernel.Store.View(ctx, func(r engine.Reader) error {
			var err error
			if cursor, err = r.AlertCursor(ctx); err != nil {
				return fmt.Errorf("read cursor of alerts: %w", err)
			}
			t.looked = max(t.looked, cursor)
			if events, err = eventsFrom(ctx, r, t.looked); err != nil {
				return err
			}
			// read once, however many of the events are of one principal
			asked := map[access.PrincipalID][]access.Request{}
			for _, event := range events {
				if event.Kind == access.RequestSubmitted {
					if habits[event.Seq], err = habitOf(ctx, r, event, asked); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil || len(events) == 0 {
			return err
		}
		next := events[len(events)-1].Seq + 1
		matter := slices.ContainsFunc(events, func(event access.Event) bool { return alert.Relevant(event.Kind) })
		if matter || next-cursor >= 4*eventChunk {
			err := e.kernel.Store.Update(ctx,
				func(tx engine.Tx) error { return e.takeEvents(ctx, tx, cursor, next, events, habits) })
			if engine.IsKind(err, access.KindConflict) {
				t.looked = 0 // another replica was faster: begin at its cursor
				continue
			}
			if err != nil {
				return err
			}
		}
		t.looked = next
		if len(events) < eventChunk {
			return nil
		}
	}
	return nil
}

// eventsFrom gives the events from a number on, in order; at most a chunk of them.
func eventsFrom(ctx context.Context, r engine.Reader, from int64) ([]access.Event, error) {
	records, err := r.Records(ctx, from, eventChunk)
	if err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	events := make([]access.Event, len(records))
	for i, record := range records {
		if events[i], err = audit.Decode(record); err != nil {
			// One that cannot be read is the business of the check of the log; the rules go on behind it.
			events[i] = access.Event{}
		}
		events[i].Seq = from + int64(i)
	}
	return events, nil
}

// habitOf gives what was usual for who asked, before they did. asked keeps what was read.
func habitOf(ctx context.Context, r engine.Reader, event access.Event,
	asked map[access.PrincipalID][]access.Request,
) (alert.Habit, error) {
	all, known := asked[event.Actor.ID]
	if !known {
		list, err := r.Requests(ctx, engine.RequestFilter{Requester: event.Actor.ID},
			engine.Page{Limit: engine.MaxLimit})
		if err != nil {
			return alert.Habit{}, fmt.Errorf("read requests: %w", err)
		}
		all = list.Items
		asked[event.Actor.ID] = all
	}
	before := slices.DeleteFunc(slices.Clone(all), func(q access.Request) bool {
		return q.ID == event.Request || !q.CreatedAt.Before(event.At) || event.At.Sub(q.CreatedAt) > alert.HabitSpan
	})
	return alert.Learn(before), nil
}

func (e *Service) takeEvents(ctx context.Context, tx engine.Tx, cursor, next int64, events []access.Event,
	habits map[int64]alert.Habit,
) error {
	if err := tx.AdvanceAlertCursor(ctx, cursor, next); err != nil {
		return err
	}
	a := e.newAlerting(tx)
	for _, event := range events {
		if !alert.Relevant(event.Kind) || a.Now.Sub(event.At) > alertsOf {
			continue
		}
		book, err := a.book(ctx, event.Tenant)
		if err != nil {
			return err
		}
		for _, k := range alert.Keys(event) {
			if err := a.load(ctx, k); err != nil {
				return err
			}
		}
		watches, findings := alert.Look(book, event, func(k alert.Key) alert.Watch { return a.watches[k] },
			func(k alert.Key) bool { return a.alerts[k].ID != "" })
		for _, w := range watches {
			k := alert.Key{Tenant: w.Tenant, Rule: w.Rule, Key: w.Key}
			a.watches[k], a.dirty[k] = w, true
		}
		maps.Copy(findings, alert.Unusual(book, event, habits[event.Seq]))
		for k, f := range findings {
			if err := a.found(ctx, k, f); err != nil {
				return err
			}
		}
	}
	return a.finish(ctx)
}
