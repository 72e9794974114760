package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/inbox"
)

// inbox gives what somebody is told, the newest first: "!" before what they have not read, and by whom it was.
func (w *world) inbox(c engine.Caller) string {
	w.tb.Helper()
	var told []string
	for _, t := range must(w.Inbox.List(w.ctx, c, false, engine.Page{}))(w.tb).Items {
		text := string(t.About.Kind)
		if t.Mine {
			text += "?"
		}
		if t.Unread {
			text = "!" + text
		}
		if by := t.About.Subject.By; by != "" {
			text += " by " + by
		}
		told = append(told, text)
	}
	return strings.Join(told, ", ")
}

// hears fails where somebody's inbox is not as wanted, or the number of the unread is another.
func (w *world) hears(c engine.Caller, want string) {
	w.tb.Helper()
	if got := w.inbox(c); got != want {
		w.tb.Errorf("%s is told %q, want %q", c.Name, got, want)
	}
	if n := must2(w.Inbox.Unread(w.ctx, c))(w.tb); n != strings.Count(want, "!") {
		w.tb.Errorf("%s has %d unread, want those of %q", c.Name, n, want)
	}
}

// TestInbox follows one request through the inboxes of whoever asks and of those who decide. What is over gives way to
// what came of it, and whoever did something is not told of it as news.
func TestInbox(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	for _, c := range []engine.Caller{w.ann, w.bob, w.cy, w.dora, w.bystander} { // of their own accounts
		w.hears(c, "")
	}
	d := w.ask()
	w.hears(w.ann, "requested")
	w.hears(w.bob, "!needsDecision?")
	w.hears(w.cy, "!needsDecision?")
	w.hears(w.bystander, "") // who may read requests, and is not asked
	d = must(w.decide(w.bob, must(w.Requests.Request(w.ctx, w.bob, d.Request.ID))(t), true))(t)
	w.hears(w.ann, "!decided by bob")
	w.hears(w.bob, "decided by bob")
	w.hears(w.cy, "!decided by bob") // it is settled
	w.report(w.host.Agent.ID, access.Report{
		Observations: []access.Observation{{Grant: d.Grants[0].ID, Status: access.StatusOpen}},
	})
	w.hears(w.ann, "!opened, !decided by bob")
	_, newest, err := w.Inbox.Unread(w.ctx, w.ann)
	if err == nil {
		err = w.Inbox.Read(w.ctx, w.ann, newest)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.hears(w.ann, "opened, decided by bob")
	w.clock.advance(56 * time.Minute)
	w.reconcile()
	w.hears(w.ann, "!willEnd, decided by bob")
	soon := must(w.Inbox.List(w.ctx, w.ann, true, engine.Page{}))(t).Items
	if len(soon) != 1 || soon[0].Grant.ID != d.Grants[0].ID {
		t.Errorf("what ends soon cannot be extended from where it is told: %+v", soon)
	}
	if err := w.Inbox.Read(w.ctx, w.ann, 1); err != nil { // a tab that was left behind
		t.Fatal(err)
	}
	w.hears(w.ann, "!willEnd, decided by bob")
	w.clock.advance(5 * time.Minute)
	w.reconcile()
	w.hears(w.ann, "!ended, decided by bob")
	w.hears(w.dora, "!decided by bob")
}

// TestInboxOfAnAutomaticRequest: whoever asks sees at once what becomes of it, and is told only what comes later.
func TestInboxOfAnAutomaticRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("web-1")
	w.guard("web-1")
	ann := w.user("ann", "JIT Access Requester")
	d := must(w.Requests.Submit(w.ctx, ann, ssh("web-1", time.Hour)))(t)
	w.hears(ann, "decided by postern")
	if _, err := w.Requests.Revoke(w.ctx, w.admin, d.Grants[0].ID, "enough"); err != nil {
		t.Fatal(err)
	}
	w.hears(ann, "!ended by admin, decided by postern")
}

// TestInboxShowsWhatOneMaySee: an entry is addressed to a group once, and read by who is in it now, is not whoever
// asked, and may see the request.
func TestInboxShowsWhatOneMaySee(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	if err := w.Directory.AddMember(w.ctx, w.admin, "ops", string(w.ann.Principal)); err != nil {
		t.Fatal(err)
	}
	w.ask()
	stored := func(of ...access.PrincipalID) (n int) {
		if err := w.store.View(w.ctx, func(r engine.Reader) error {
			list, err := r.InboxEntries(w.ctx, of, engine.Page{Limit: 100})
			n = len(list.Items)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := stored(w.ops, w.bob.Principal, w.cy.Principal, w.dora.Principal); n != 1 {
		t.Errorf("%d entries ask the group, want one however many are in it", n)
	}
	w.hears(w.ann, "requested") // and not whether she agrees with herself
	w.hears(w.cy, "!needsDecision?")
	if err := w.Directory.RemoveMember(w.ctx, w.admin, "ops", string(w.cy.Principal)); err != nil {
		t.Fatal(err)
	}
	w.hears(w.cy, "")
	_, vendor := w.tenant("vendor")
	stranger := w.userOf(vendor, "zoe")
	w.hears(stranger, "")
	// even where an entry names them
	if err := w.store.Update(w.ctx, func(tx engine.Tx) error {
		return tx.Tell(w.ctx, engine.InboxEntry{
			Addressee: stranger.Principal, ID: engine.NewID(), At: w.clock.now(), Kind: engine.NotifyNeedsDecision,
			Request: must(w.Requests.Requests(w.ctx, w.ann, engine.RequestFilter{}, engine.Page{}))(t).Items[0].Request.ID,
		})
	}); err != nil {
		t.Fatal(err)
	}
	w.hears(stranger, "")
}

// TestInboxCountsToItsMost: the unread are counted so far and no further.
func TestInboxCountsToItsMost(t *testing.T) {
	t.Parallel()
	w := newApprovable(t, oneOfOps)
	for i := range inbox.MostUnread + 3 {
		w.clock.advance(time.Minute)
		in := ssh("web-1", time.Hour)
		in.Start = w.clock.now().Add(time.Duration(i+1) * 24 * time.Hour)
		must(w.Requests.Submit(w.ctx, w.ann, in))(t)
	}
	n, newest, err := w.Inbox.Unread(w.ctx, w.bob)
	if err != nil || n != inbox.MostUnread {
		t.Fatalf("%d unread, %v", n, err)
	}
	list := must(w.Inbox.List(w.ctx, w.bob, false, engine.Page{Limit: 20}))(t)
	if len(list.Items) != 20 || list.Items[0].Entry.Seq != newest || list.Next == "" {
		t.Fatalf("a page has %d, its first is %d and not %d", len(list.Items), list.Items[0].Entry.Seq, newest)
	}
	rest := must(w.Inbox.List(w.ctx, w.bob, false, engine.Page{Limit: 100, Cursor: list.Next}))(t)
	if got := len(list.Items) + len(rest.Items); got != inbox.MostUnread+3 {
		t.Errorf("the pages have %d together", got)
	}
}

// TestInboxTellsOfOnesAccount: what became of one's account is news though it was done in one's name, and nobody else
// is told.
func TestInboxTellsOfOnesAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.user("ann", "")
	_ = must2(w.Directory.MakeAPIToken(w.ctx, ann, directory.APITokenInput{Name: "backup"}))(t)
	w.hears(ann, "!account")
	w.hears(w.admin, "")
	list := must(w.Inbox.List(w.ctx, ann, false, engine.Page{}))(t).Items
	if s := list[0].About.Subject; s.Title != "An API token was made" || !strings.Contains(s.Detail, "backup") {
		t.Errorf("it says %q: %q", s.Title, s.Detail)
	}
}

// TestInboxIsPruned: what is old goes, and of one inbox no more is kept than anybody reads.
func TestInboxIsPruned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.user("ann", "")
	tell := func(n int) {
		if err := w.store.Update(w.ctx, func(tx engine.Tx) error {
			for i := range n {
				if err := tx.Tell(w.ctx, engine.InboxEntry{
					Addressee: ann.Principal, ID: fmt.Sprintf("%s-%d", w.clock.now(), i), At: w.clock.now(),
					Kind: engine.NotifyAccount, Title: "t",
				}); err != nil {
					return err
				}
			}
			return tx.Append(w.ctx, access.Event{
				At: w.clock.now(), Kind: access.SignedIn, Outcome: access.Succeeded, Tenant: ann.Tenant,
			})
		}); err != nil {
			t.Fatal(err)
		}
	}
	count := func() (n int) {
		if err := w.store.View(w.ctx, func(r engine.Reader) error {
			list, err := r.InboxEntries(w.ctx, []access.PrincipalID{ann.Principal}, engine.Page{Limit: 1000})
			n = len(list.Items)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	purge := func() {
		for range 4 { // which goes on behind the inbox that it looked at last
			if _, err := w.Purge(context.WithoutCancel(w.ctx)); err != nil {
				t.Fatal(err)
			}
		}
	}
	tell(3)
	w.clock.advance(91 * 24 * time.Hour)
	tell(600)
	if purge(); count() != 500 {
		t.Errorf("%d entries are kept, want the newest 500", count())
	}
	w.clock.advance(91 * 24 * time.Hour)
	for range 3 {
		purge() // at most so many at a time
	}
	if n := count(); n != 0 {
		t.Errorf("%d entries are older than 90 days", n)
	}
}
