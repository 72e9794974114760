package reviews

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/review"
	"github.com/postern-dev/postern/internal/engine"
)

// tell writes to the inboxes of the reviewers and the owner of a review, and enqueues a notice to them where the tenant
// has a channel.
func tell(ctx context.Context, w *engine.Work, r review.Review, outcome string, by access.Actor, detail string) error {
	to := append(slices.Clone(r.Reviewers), r.Owner)
	slices.Sort(to)
	to = slices.Compact(to)
	entry := engine.InboxEntry{
		ID: engine.NewID(), At: w.Now, Kind: engine.NotifyAccessReview, Actor: by.ID, By: by.Name,
		Title: r.Name + ": " + outcome, Detail: detail,
	}
	entries := make([]engine.InboxEntry, len(to))
	for i, id := range to {
		entries[i] = entry
		entries[i].Addressee = id
	}
	if err := w.Tx.Tell(ctx, entries...); err != nil {
		return fmt.Errorf("write inboxes: %w", err)
	}
	heard, err := w.Hears(ctx, r.Tenant)
	if err != nil || !heard {
		return err
	}
	err = w.Tx.Enqueue(ctx, engine.Notification{
		ID: engine.NotificationID(engine.NewID()), At: w.Now, Kind: engine.NotifyAccessReview, Tenant: r.Tenant,
		Review: r.ID, Recipients: to,
		Subject: engine.Subject{Title: r.Name, Outcome: outcome, By: by.Name, Detail: detail},
	})
	if err != nil {
		return fmt.Errorf("enqueue notification: %w", err)
	}
	return nil
}

func started(r review.Review) string {
	return fmt.Sprintf("%d items are to be decided before %s. %s", r.Items, dueText(r), consequence(r))
}

func dueText(r review.Review) string { return r.Due.UTC().Format("2006-01-02 15:04 UTC") }

// consequence says what becomes of what nobody decides.
func consequence(r review.Review) string {
	if r.Undecided == review.Remove {
		return "Access that is undecided by then is removed."
	}
	return "Access that is undecided by then is kept."
}

// ended says what becomes of a review whose due date has come.
func ended(r review.Review, t review.Tally) string {
	text := fmt.Sprintf("It was due at %s; %d of %d items are undecided.", dueText(r), t.Undecided, r.Items)
	switch {
	case t.Undecided == 0:
	case r.Undecided == review.Remove:
		text += " They are being removed."
	default:
		text += " They are kept without a decision."
	}
	return text
}

// results says what came of a review.
func results(t review.Tally) string {
	text := fmt.Sprintf("%d kept, %d removed, %d undecided.", t.Keep, t.Removed, t.Undecided)
	if t.Gone > 0 {
		text += fmt.Sprintf(" %d were not there any more.", t.Gone)
	}
	if t.Failed > 0 {
		text += fmt.Sprintf(" %d could not be removed: see the review for the reasons.", t.Failed)
	}
	return text
}

// startedWithin is how long the items of a review may take to be written.
const startedWithin = 10 * time.Minute

// abandoned cancels a review of which the server stopped while its items were being written.
func abandoned(r review.Review, now time.Time) (review.Review, access.Event, error) {
	return r.Cancel(access.System(), "the server stopped while the review was being prepared: create it again", now)
}
