package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/core/review"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/notices"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/reviews"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// campaign is a world with somebody who owns access reviews, two reviewers, and access to review: ann by a role, bob
// by the group ops, which also approves for web-1, and cy by an eligibility.
type campaign struct {
	*world
	ann, bob, cy, rita, rob engine.Caller
	ops                     access.PrincipalID
}

func newCampaign(tb testing.TB) *campaign {
	tb.Helper()
	w := newWorld(tb)
	w.host("web-1")
	k := &campaign{
		world: w, ann: w.user("ann", "JIT Access Requester"), bob: w.user("bob", ""), cy: w.user("cy", ""),
		rita: w.user("rita", ""), rob: w.user("rob", ""),
	}
	k.ops = w.group("ops", k.bob)
	must(w.Roles.AssignRole(w.ctx, w.admin,
		roles.AssignInput{Principal: "ops", Role: "Security Admin", Scope: access.Root}))(tb)
	must(w.Roles.WriteEligibility(w.ctx, w.admin, roles.EligibilityInput{Principal: "cy", Role: "Reader"}))(tb)
	p := sshPolicy()
	p.Approval = asks(access.Stage{AllOf: []access.Quorum{
		{Count: 1, Groups: []access.PrincipalID{k.ops}, People: []access.PrincipalID{k.cy.Principal}},
	}})
	p.BreakGlass = &access.BreakGlass{People: []access.PrincipalID{k.bob.Principal}, Max: time.Hour}
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "web-1", p, nil))(tb)
	return k
}

func (k *campaign) input(effect review.Effect, undecided review.Decision) reviews.Input {
	return reviews.Input{
		Name: "q4", Reviewers: []string{"rita", "rob"}, Due: k.clock.now().Add(30 * 24 * time.Hour),
		Effect: effect, Undecided: undecided,
	}
}

func (k *campaign) create(effect review.Effect, undecided review.Decision) reviews.Detail {
	k.tb.Helper()
	return must(k.Reviews.Create(k.ctx, k.admin, k.input(effect, undecided)))(k.tb)
}

func (k *campaign) items() []reviews.ItemDetail {
	k.tb.Helper()
	none := engine.AccessReviewItemFilter{}
	return must(k.Reviews.Items(k.ctx, k.admin, "q4", none, engine.Page{Limit: 1000}))(k.tb).Items
}

// item returns the item of a kind that a principal has.
func (k *campaign) item(kind review.Kind, principal string) review.Item {
	k.tb.Helper()
	for _, d := range k.items() {
		if d.Item.Facts.Kind == kind && d.Item.Facts.PrincipalName == principal {
			return d.Item
		}
	}
	k.tb.Fatalf("there is no %s of %s among %+v", kind, principal, k.items())
	return review.Item{}
}

func choose(it review.Item, d review.Decision) review.Choice {
	return review.Choice{
		Number: it.Number, Digest: it.Facts.Digest(), Revision: it.Revision, Decision: d, Reason: "not needed any more",
	}
}

// decide decides one item, and returns why that was refused.
func (k *campaign) decide(by engine.Caller, it review.Item, d review.Decision) error {
	k.tb.Helper()
	return must(k.Reviews.Decide(k.ctx, by, "q4", []review.Choice{choose(it, d)}))(k.tb)[0].Err
}

// proven verifies the evidence of the review, as an auditor does.
func (k *campaign) proven() review.Proven {
	k.tb.Helper()
	var pack bytes.Buffer
	err := k.Reviews.Evidence(k.ctx, k.admin, "q4", func(line []byte) error { _, err := pack.Write(line); return err })
	if err != nil {
		k.tb.Fatal(err)
	}
	key := must(k.Records.Checkpoint(k.ctx, k.admin))(k.tb).Key
	p := must(review.VerifyEvidence(&pack, key))(k.tb)
	for i, d := range k.items() {
		it := d.Item
		it.Revision, it.Former = 0, nil
		if fmt.Sprintf("%+v", p.Items[i]) != fmt.Sprintf("%+v", it) {
			k.tb.Errorf("proven is %+v, and the item is %+v", p.Items[i], it)
		}
	}
	return p
}

func (k *campaign) has(action string, c engine.Caller) bool {
	k.tb.Helper()
	data := rbac.Data{}
	err := k.store.View(k.ctx, func(r engine.Reader) error {
		var err error
		data, err = r.Directory(k.ctx)
		return err
	})
	if err != nil {
		k.tb.Fatal(err)
	}
	return rbac.Compile(data).Check(c.Principal, action, access.Root, k.clock.now()).Allowed
}

// TestAccessReviewListsWhoHasWhat holds what a review asks about, and that each is of the kind and scope.
func TestAccessReviewListsWhoHasWhat(t *testing.T) {
	t.Parallel()
	k := newCampaign(t)
	d := k.create(review.AtOnce, review.Keep)
	var got []string
	for _, one := range k.items() {
		f := one.Item.Facts
		got = append(got, string(f.Kind)+" "+f.PrincipalName+" "+f.RoleName+f.GroupName)
	}
	want := []string{
		"assignment admin Owner", "assignment ann JIT Access Requester", "assignment ops Security Admin",
		"eligibility cy Reader", "membership bob ops", "approver cy ", "approver ops ", "breakGlass bob ",
	}
	if !slices.Equal(got, want) || d.Tally.Undecided != len(want) || d.Review.State != review.Open {
		t.Errorf("the items are %q of %+v, want %q", got, d, want)
	}
	in := k.input(review.AtOnce, review.Keep)
	in.Name, in.Kinds = "some", []review.Kind{review.Approver}
	in.Scope = access.SubscriptionScope(k.subscription())
	if d := must(k.Reviews.Create(k.ctx, k.admin, in))(t); d.Review.Items != 2 {
		t.Errorf("with one kind at a scope there are %d items", d.Review.Items)
	}
	in.Name, in.Kinds = "none", []review.Kind{review.Assignment}
	_, err := k.Reviews.Create(k.ctx, k.admin, in)
	wantCode(t, err, access.KindInvalid, "nothingToReview")
	in = k.input(review.AtOnce, review.Keep)
	in.Name, in.Reviewers = "own", []string{"admin"}
	_, err = k.Reviews.Create(k.ctx, k.admin, in)
	wantCode(t, err, access.KindInvalid, "nobodyMayReview")
	in.Name, in.Reviewers = "Q4", []string{"rita"}
	_, err = k.Reviews.Create(k.ctx, k.admin, in)
	wantCode(t, err, access.KindConflict, "accessReviewExists")
	in.Name = "theirs"
	_, err = k.Reviews.Create(k.ctx, k.bob, in)
	wantCode(t, err, access.KindForbidden, "forbidden")
	_, vera := k.tenant("vendor")
	_, err = k.Reviews.AccessReview(k.ctx, vera, "q4")
	wantCode(t, err, access.KindNotFound, "unknownAccessReview")
	_, err = k.Reviews.AccessReview(k.ctx, k.ann, string(d.Review.ID))
	wantCode(t, err, access.KindNotFound, "unknownAccessReview")
}

func (w *world) subscription() access.SubscriptionID {
	w.tb.Helper()
	return must(w.Directory.Subscriptions(w.ctx, w.admin))(w.tb)[0].ID
}

// TestAccessReviewRemovesAtOnce removes each kind of access, and holds that it is gone with the decision, with what was
// open by it, and that the record proves it.
func TestAccessReviewRemovesAtOnce(t *testing.T) {
	t.Parallel()
	k := newCampaign(t)
	open := must(k.Machines.SetMachinePolicy(k.ctx, k.admin, "web-1", sshPolicy(), nil))(t)
	granted := must(k.Requests.Submit(k.ctx, k.ann, ssh("web-1", time.Hour)))(t).Grants[0]
	p := open.Entry
	p.Approval = asks(access.Stage{AllOf: []access.Quorum{
		{Count: 1, Groups: []access.PrincipalID{k.ops}, People: []access.PrincipalID{k.cy.Principal}},
	}})
	p.BreakGlass = &access.BreakGlass{People: []access.PrincipalID{k.bob.Principal}, Max: time.Hour}
	must(k.Machines.SetMachinePolicy(k.ctx, k.admin, "web-1", p, nil))(t)
	k.create(review.AtOnce, review.Keep)
	if err := k.decide(k.rita, k.item(review.Assignment, "ann"), review.Remove); err != nil {
		t.Fatal(err)
	}
	if k.has(rbac.PoliciesInitiate, k.ann) {
		t.Error("the role is still assigned")
	}
	k.reconcile()
	if g := k.grant(granted.ID); g.State != access.GrantRevoked {
		t.Errorf("what was open by the role is %s", g.State)
	}
	for _, of := range []struct {
		kind review.Kind
		who  string
	}{{review.Eligibility, "cy"}, {review.Approver, "cy"}, {review.Membership, "bob"}, {review.BreakGlass, "bob"}} {
		if err := k.decide(k.rob, k.item(of.kind, of.who), review.Remove); err != nil {
			t.Errorf("%s of %s: %v", of.kind, of.who, err)
		}
		if it := k.item(of.kind, of.who); it.Outcome != review.Removed || it.ByName != "rob" {
			t.Errorf("%s of %s is %+v", of.kind, of.who, it)
		}
	}
	entry := must(k.Machines.MachinePolicy(k.ctx, k.admin, "web-1"))(t).Guards[0].Entry
	q := entry.Approval.Cases[0].Stages[0].AllOf[0]
	if len(q.People) != 0 || len(q.Groups) != 1 || entry.BreakGlass != nil {
		t.Errorf("the policy still names who was removed: %+v, %+v", q, entry.BreakGlass)
	}
	if k.has(rbac.RequestsDecide, k.bob) {
		t.Error("the member is still in the group")
	}
	// a rule that names nobody cannot be saved, so the last approver stays
	wantRefused(t, k.decide(k.rob, k.item(review.Approver, "ops"), review.Remove), "malformedPolicy")
	if it := k.item(review.Approver, "ops"); it.Decision != "" {
		t.Errorf("a refused decision left %+v", it)
	}
	var via []string
	for _, e := range k.events() {
		if e.Actor.Via == reviews.Via {
			via = append(via, string(e.Kind)+" "+e.Actor.Name)
		}
	}
	slices.Sort(via)
	if len(via) != 5 || via[4] != "role.unassigned admin" {
		t.Errorf("by the right of the owner were %q", via)
	}
	if p := k.proven(); p.Complete() || p.Tally.Removed != 5 {
		t.Errorf("proven is %+v", p.Tally)
	}
}

func wantRefused(tb testing.TB, err error, code string) {
	tb.Helper()
	if access.CodeOf(err) != code {
		tb.Errorf("got %v (%s), want %s", err, access.CodeOf(err), code)
	}
}

// TestNobodyReviewsTheirOwnAccess holds that for what one has oneself and for what a group has that one is in,
// administrators included, and that it is recorded.
func TestNobodyReviewsTheirOwnAccess(t *testing.T) {
	t.Parallel()
	k := newCampaign(t)
	in := k.input(review.AtOnce, review.Keep)
	in.Reviewers = []string{"admin", "ops", "rita"}
	must(k.Reviews.Create(k.ctx, k.admin, in))(t)
	wantRefused(t, k.decide(k.admin, k.item(review.Assignment, "admin"), review.Keep), "ownAccess")
	for _, kind := range []review.Kind{review.Assignment, review.Approver} {
		wantRefused(t, k.decide(k.bob, k.item(kind, "ops"), review.Keep), "ownAccess")
	}
	wantRefused(t, k.decide(k.bob, k.item(review.Membership, "bob"), review.Remove), "ownAccess")
	if got := k.events(); got[len(got)-1].Kind != access.AccessRefused || got[len(got)-1].Details["code"] != "ownAccess" {
		t.Errorf("the attempt is recorded as %+v", got[len(got)-1])
	}
	for _, d := range must(k.Reviews.Items(k.ctx, k.bob, "q4", engine.AccessReviewItemFilter{}, engine.Page{}))(t).Items {
		f := d.Item.Facts
		if want := f.PrincipalName == "ops" || f.PrincipalName == "bob"; d.Own != want {
			t.Errorf("%s of %s is shown as own: %t", f.Kind, f.PrincipalName, d.Own)
		}
	}
	_, err := k.Reviews.Decide(k.ctx, k.ann, "q4", []review.Choice{choose(k.item(review.Approver, "ops"), review.Keep)})
	wantCode(t, err, access.KindNotFound, "unknownAccessReview")
	reader := k.user("reader", "Reader")
	_, err = k.Reviews.Decide(k.ctx, reader, "q4", []review.Choice{choose(k.item(review.Approver, "ops"), review.Keep)})
	wantCode(t, err, access.KindForbidden, "notAReviewer")
}

// TestSomebodyWhoCanActAsOwnerRemains holds that a review does not remove the last Owner, at once or at its end.
func TestSomebodyWhoCanActAsOwnerRemains(t *testing.T) {
	t.Parallel()
	k := newCampaign(t)
	k.create(review.AtOnce, review.Remove)
	wantRefused(t, k.decide(k.rita, k.item(review.Assignment, "admin"), review.Remove), "lastOwner")
	if !k.has(rbac.PrincipalsWrite, k.admin) {
		t.Fatal("nobody is Owner any more")
	}
	k.clock.advance(30 * 24 * time.Hour)
	if err := k.Reviews.Tend(k.ctx); err != nil {
		t.Fatal(err)
	}
	it := k.item(review.Assignment, "admin")
	if it.Outcome != review.Failed || it.Problem == "" || !k.has(rbac.PrincipalsWrite, k.admin) {
		t.Errorf("the last Owner is %+v", it)
	}
	// all else was removed by the owner's right, which went last
	p := k.proven()
	if !p.Complete() || p.Tally.Removed != 6 || p.Tally.Failed != 2 || p.Tally.Undecided != 8 {
		t.Errorf("proven is %+v", p.Tally)
	}
}

// TestAccessReviewTakesEffectAtItsEnd holds that nothing is removed before, that a decision may be changed until then,
// that what nobody decided is kept, and that ending it twice, or in two replicas, does it once.
func TestAccessReviewTakesEffectAtItsEnd(t *testing.T) {
	t.Parallel()
	k := newCampaign(t)
	k.create(review.AtEnd, review.Keep)
	for _, d := range []review.Decision{review.Remove, review.Keep, review.Remove} {
		if err := k.decide(k.rita, k.item(review.Assignment, "ann"), d); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.decide(k.rita, k.item(review.Membership, "bob"), review.Keep); err != nil {
		t.Fatal(err)
	}
	if !k.has(rbac.PoliciesInitiate, k.ann) {
		t.Fatal("it was removed before the end")
	}
	k.clock.advance(30 * 24 * time.Hour)
	wantRefused(t, k.decide(k.rita, k.item(review.Eligibility, "cy"), review.Keep), "accessReviewEnded")
	var both sync.WaitGroup
	for _, replica := range []*reviews.Service{k.Reviews, k.another().Reviews} {
		both.Go(func() {
			if err := replica.Tend(k.ctx); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if k.has(rbac.PoliciesInitiate, k.ann) || !k.has(rbac.RequestsDecide, k.bob) {
		t.Error("what was decided has not taken effect")
	}
	p := k.proven()
	if want := (review.Tally{Undecided: 6, Keep: 1, Remove: 1, Removed: 1}); !p.Complete() || p.Tally != want {
		t.Errorf("proven is %+v, want %+v", p.Tally, want)
	}
	count := map[access.EventKind]int{}
	for _, e := range k.events() {
		count[e.Kind]++
	}
	if count[access.AccessReviewEnded] != 1 || count[access.AccessReviewClosed] != 1 ||
		count[access.AccessReviewCarriedOut] != 1 || count[access.RoleUnassigned] != 1 {
		t.Errorf("it was done more than once: %v", count)
	}
}

// TestItemThatChangedIsDecidedAgain holds that for a changed assignment, what a group gives, and what is gone.
func TestItemThatChangedIsDecidedAgain(t *testing.T) {
	t.Parallel()
	k := newCampaign(t)
	k.create(review.AtEnd, review.Keep)
	member, ann := k.item(review.Membership, "bob"), k.item(review.Assignment, "ann")
	must(k.Roles.AssignRole(k.ctx, k.admin, roles.AssignInput{Principal: "ops", Role: "Owner", Scope: access.Root}))(t)
	wantRefused(t, k.decide(k.rita, member, review.Keep), "itemChanged")
	wantRefused(t, k.decide(k.rita, member, review.Keep), "itemChanged") // it is still what was shown before
	again := k.item(review.Membership, "bob")
	if again.Facts == member.Facts || len(again.Former) != 1 {
		t.Fatalf("it is shown as %+v", again)
	}
	if err := k.decide(k.rita, again, review.Remove); err != nil {
		t.Error(err)
	}
	wantRefused(t, k.decide(k.rob, again, review.Keep), "itemDecided")
	if err := k.Roles.UnassignRole(k.ctx, k.admin, rbac.AssignmentID(ann.Facts.Ref)); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, k.decide(k.rita, ann, review.Remove), "itemGone")
	if it := k.item(review.Assignment, "ann"); it.Outcome != review.Gone {
		t.Errorf("it is %+v", it)
	}
	if err := k.Directory.RemoveMember(k.ctx, k.admin, "ops", "bob"); err != nil {
		t.Fatal(err)
	}
	d := must(k.Reviews.CloseAccessReview(k.ctx, k.admin, "q4", "everybody has decided"))(t)
	if d.Review.State != review.Closed || d.Tally.Gone != 2 {
		t.Errorf("it was closed as %+v", d)
	}
	k.proven()
}

// TestTwoReviewersDecideAtOnce holds that of concurrent decisions on one item one counts, and that the evidence has it.
func TestTwoReviewersDecideAtOnce(t *testing.T) {
	t.Parallel()
	k := newCampaign(t)
	k.create(review.AtOnce, review.Keep)
	it := k.item(review.Assignment, "ann")
	codes := make([]string, 8)
	var all sync.WaitGroup
	for i := range codes {
		all.Go(func() {
			who, what := k.rita, review.Keep
			if i%2 == 1 {
				who, what = k.rob, review.Remove
			}
			list, err := k.Reviews.Decide(k.ctx, who, "q4", []review.Choice{choose(it, what)})
			if err != nil {
				t.Error(err)
				return
			}
			codes[i] = access.CodeOf(list[0].Err)
		})
	}
	all.Wait()
	slices.Sort(codes)
	won := 0
	for _, code := range codes {
		switch code {
		case "internal": // of no error
			won++
		case "itemDecided", "itemSettled":
		default:
			t.Errorf("one got %s", code)
		}
	}
	if won != 1 {
		t.Errorf("%d decisions count: %q", won, codes)
	}
	k.proven()
}

// TestReviewRemovesByTheOwnersRight holds that the right of the owner is looked at when access is removed.
func TestReviewRemovesByTheOwnersRight(t *testing.T) {
	t.Parallel()
	k := newCampaign(t)
	olga := k.user("olga", "Owner")
	must(k.Reviews.Create(k.ctx, olga, k.input(review.AtOnce, review.Remove)))(t)
	disabled := true
	must(k.Directory.ChangePrincipal(k.ctx, k.admin, "olga", directory.PrincipalChange{Disabled: &disabled}))(t)
	wantRefused(t, k.decide(k.rita, k.item(review.Assignment, "ann"), review.Remove), "ownerMayNot")
	if !k.has(rbac.PoliciesInitiate, k.ann) || k.item(review.Assignment, "ann").Decision != "" {
		t.Error("a refused removal left something")
	}
	if err := k.decide(k.rita, k.item(review.Assignment, "ann"), review.Keep); err != nil {
		t.Error(err)
	}
	d := must(k.Reviews.CloseAccessReview(k.ctx, k.admin, "q4", "its owner has left"))(t)
	if d.Review.State != review.Closed || d.Tally.Removed != 0 || d.Tally.Failed == 0 {
		t.Errorf("without its owner's right it came to %+v", d.Tally)
	}
	k.proven()
}

// TestReviewersAreReminded holds that each reminder and the end are told once, in whichever replica, to the reviewers
// and the owner.
func TestReviewersAreReminded(t *testing.T) {
	t.Parallel()
	k := newCampaign(t)
	name, url, file := "hooks", "https://hooks.example.com/1", "key"
	must(k.Notices.CreateChannel(k.ctx, k.admin, notices.ChannelInput{
		Name: &name, Kind: engine.Webhook, URL: &url, SecretFile: &file,
	}))(t)
	k.create(review.AtEnd, review.Keep)
	replicas := []*reviews.Service{k.Reviews, k.another().Reviews}
	for range 32 * 4 {
		var both sync.WaitGroup
		for _, replica := range replicas {
			both.Go(func() {
				if err := replica.Tend(k.ctx); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		k.clock.advance(6 * time.Hour)
	}
	var told []string
	err := k.store.View(k.ctx, func(r engine.Reader) error {
		list, err := r.Unrouted(k.ctx, 100)
		for _, n := range list {
			if n.Kind == engine.NotifyAccessReview {
				told = append(told, n.Subject.Outcome)
				if len(n.Recipients) != 3 || n.Review == "" {
					t.Errorf("told are %v", n.Recipients)
				}
			}
		}
		return err
	})
	want := []string{"started", "due soon", "due soon", "due soon", "ended", "closed"}
	if err != nil || !slices.Equal(told, want) {
		t.Errorf("it was told %q, %v; want %q", told, err, want)
	}
	box := must(k.Inbox.List(k.ctx, k.rita, true, engine.Page{}))(t).Items
	if len(box) != len(told) || box[len(box)-1].Entry.Title != "q4: started" || box[0].About.Subject.Detail == "" {
		t.Errorf("in the inbox of a reviewer are %+v", box)
	}
	if p := k.proven(); p.Reminders != 3 || !p.Complete() {
		t.Errorf("proven are %d reminders", p.Reminders)
	}
}

// TestAccessReviewIsChangedAndCanceled holds who may do so, and that nothing is removed after it.
func TestAccessReviewIsChangedAndCanceled(t *testing.T) {
	t.Parallel()
	k := newCampaign(t)
	k.create(review.AtEnd, review.Remove)
	if err := k.decide(k.rita, k.item(review.Assignment, "ann"), review.Remove); err != nil {
		t.Fatal(err)
	}
	_, err := k.Reviews.ChangeAccessReview(k.ctx, k.rita, "q4", reviews.Change{Reviewers: []string{"rita"}})
	wantCode(t, err, access.KindForbidden, "forbidden")
	due := k.clock.now().Add(48 * time.Hour)
	change := reviews.Change{Reviewers: []string{"rita", "ops"}, Due: due}
	d := must(k.Reviews.ChangeAccessReview(k.ctx, k.admin, "q4", change))(t)
	if !d.Review.Due.Equal(due) || len(d.Reviewers) != 2 {
		t.Errorf("it was changed to %+v", d)
	}
	some := []review.Choice{choose(k.item(review.Approver, "cy"), review.Keep)}
	wantCode(t, errOf(k.Reviews.Decide(k.ctx, k.rob, "q4", some)),
		access.KindNotFound, "unknownAccessReview")
	old := int64(1)
	_, err = k.Reviews.ChangeAccessReview(k.ctx, k.admin, "q4", reviews.Change{Due: due, IfRevision: &old})
	wantCode(t, err, access.KindConflict, "accessReviewChanged")
	_, err = k.Reviews.CancelAccessReview(k.ctx, k.rita, "q4", "no")
	wantCode(t, err, access.KindForbidden, "forbidden")
	_, err = k.Reviews.CancelAccessReview(k.ctx, k.admin, "q4", " ")
	wantCode(t, err, access.KindInvalid, "reasonMissing")
	must(k.Reviews.CancelAccessReview(k.ctx, k.admin, "q4", "another one will do"))(t)
	k.clock.advance(72 * time.Hour)
	if err := k.Reviews.Tend(k.ctx); err != nil {
		t.Fatal(err)
	}
	if !k.has(rbac.PoliciesInitiate, k.ann) {
		t.Error("a canceled review has removed something")
	}
	if p := k.proven(); p.Review.State != review.Canceled || p.Complete() {
		t.Errorf("proven is %+v", p.Review)
	}
	_, err = k.Reviews.CloseAccessReview(k.ctx, k.admin, "q4", "again")
	wantCode(t, err, access.KindConflict, "accessReviewState")
}

func errOf[T any](_ T, err error) error { return err }

// TestActivatedRoleIsNoItem holds that what ends by itself is not asked about.
func TestActivatedRoleIsNoItem(t *testing.T) {
	t.Parallel()
	k := newCampaign(t)
	must(k.Requests.Activate(k.ctx, k.cy, requests.ActivateInput{
		Roles: []requests.EligibleRole{{Role: "Reader"}}, Duration: time.Hour, Justification: "upgrade",
	}))(t)
	in := k.input(review.AtOnce, review.Keep)
	in.Kinds = []review.Kind{review.Assignment}
	if d := must(k.Reviews.Create(k.ctx, k.admin, in))(t); d.Review.Items != 3 {
		t.Errorf("there are %d items: %+v", d.Review.Items, k.items())
	}
}

// TestTenThousandItems holds that a large review is written, paged, decided and closed in bounded transactions, and
// that one beyond the bound is refused.
func TestTenThousandItems(t *testing.T) {
	t.Parallel()
	k := newCampaign(t)
	const many = 10_000
	for first := 0; first < many; first += 1000 {
		err := k.store.Update(k.ctx, func(tx engine.Tx) error {
			for i := first; i < first+1000; i++ {
				id := access.PrincipalID(engine.NewID())
				p := access.Principal{
					ID: id, Tenant: k.admin.Tenant, Kind: access.User, Name: fmt.Sprintf("person-%05d", i),
					CreatedAt: k.clock.now(), Revision: 1,
				}
				if err := tx.SavePrincipal(k.ctx, p, 0); err != nil {
					return err
				}
				if err := tx.AddMember(k.ctx, k.ops, id, "", k.clock.now()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	d := k.create(review.AtOnce, review.Keep)
	if d.Review.Items != many+8 {
		t.Fatalf("there are %d items", d.Review.Items)
	}
	seen, page := 0, engine.Page{Limit: 1000}
	for {
		list := must(k.Reviews.Items(k.ctx, k.rita, "q4", engine.AccessReviewItemFilter{Undecided: true}, page))(t)
		for i, it := range list.Items {
			if it.Item.Number != seen+i+1 {
				t.Fatalf("item %d comes as number %d", it.Item.Number, seen+i+1)
			}
		}
		seen += len(list.Items)
		var some []review.Choice
		for _, it := range list.Items[:min(len(list.Items), 10)] {
			some = append(some, choose(it.Item, review.Keep))
		}
		for _, done := range must(k.Reviews.Decide(k.ctx, k.rita, "q4", some))(t) {
			if done.Err != nil && access.CodeOf(done.Err) != "ownAccess" {
				t.Fatal(done.Err)
			}
		}
		if page.Cursor = list.Next; page.Cursor == "" {
			break
		}
	}
	if seen != many+8 {
		t.Errorf("%d items were listed", seen)
	}
	if d := must(k.Reviews.CloseAccessReview(k.ctx, k.admin, "q4", "enough"))(t); d.Review.State != review.Closed {
		t.Errorf("it is %+v", d.Review)
	}
	if p := k.proven(); !p.Complete() {
		t.Error("it is not proven")
	}
	_, err := k.Reviews.Decide(k.ctx, k.rita, "q4", make([]review.Choice, reviews.MaxChoices+1))
	wantCode(t, err, access.KindInvalid, "itemsOutOfRange")
}

// TestAbandonedReviewIsCanceled holds that a review of which the server stopped while it was prepared does not stay.
func TestAbandonedReviewIsCanceled(t *testing.T) {
	t.Parallel()
	k := newCampaign(t)
	err := k.store.Update(k.ctx, func(tx engine.Tx) error {
		return tx.SaveAccessReview(k.ctx, review.Review{
			ID: "0197c0de-0000-7000-8000-0000000000cc", Tenant: k.admin.Tenant, Name: "q4", Scope: access.Root,
			State: review.Starting, CreatedAt: k.clock.now(), Due: k.clock.now().Add(24 * time.Hour), Revision: 1,
		}, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	for after, want := range []review.State{review.Starting, review.Canceled} {
		k.clock.advance(time.Duration(after) * time.Hour)
		if err := k.Reviews.Tend(context.Background()); err != nil { //nolint:usetesting // as newWorld says
			t.Fatal(err)
		}
		if d := must(k.Reviews.AccessReview(k.ctx, k.admin, "q4"))(t); d.Review.State != want {
			t.Errorf("after %d hours it is %s", after, d.Review.State)
		}
	}
	err = k.Reviews.Evidence(k.ctx, k.admin, "q4", func([]byte) error { return nil })
	wantCode(t, err, access.KindConflict, "accessReviewState")
}
