package records

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// Changes is what has moved in a tenant since a caller last looked.
type Changes struct {
	Kinds []string // the first words of the kinds of event that came, such as "grant"; sorted, each once
	Seq   int64    // of the newest event; -1 where there is none
}

// maxChanges is how many events are looked at; of more than that, the newest say what moved.
const maxChanges = 200

// Changes tells what kinds of thing moved in the caller's tenant after the event seq. It says neither which nor whose:
// what the caller may see of them, the lists say. A negative seq asks for the newest number alone.
func (e *Service) Changes(ctx context.Context, c engine.Caller, seq int64) (ch Changes, err error) {
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		if _, err := e.kernel.Rights(ctx, r, c); err != nil {
			return err
		}
		ch = Changes{Seq: seq}
		limit := maxChanges
		if seq < 0 {
			limit = 1
		}
		list, err := r.Events(ctx, engine.EventFilter{Tenant: c.Tenant}, engine.Page{Limit: limit})
		if err != nil {
			return fmt.Errorf("read newest events: %w", err)
		}
		for _, event := range list.Items {
			ch.Seq = max(ch.Seq, event.Seq)
			if seq >= 0 && event.Seq > seq {
				ch.Kinds = append(ch.Kinds, subject(event.Kind))
			}
		}
		slices.Sort(ch.Kinds)
		ch.Kinds = slices.Compact(ch.Kinds)
		return nil
	})
	return ch, err
}

// subject gives what a kind of event is about: grant of grant.opened.
func subject(kind access.EventKind) string {
	what, _, _ := strings.Cut(string(kind), ".")
	return what
}

// WatchChanges gives a channel that receives, coalesced, when Changes may have something to tell.
func (e *Service) WatchChanges() (changed <-chan struct{}, stop func()) {
	return e.kernel.Store.WatchEvents()
}
