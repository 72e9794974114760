package review_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/core/review"
)

var begin = time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)

// log is an activity log in memory.
type log struct {
	signer, verifier string
	tree             audit.Tree
	records          [][]byte
	of               map[int64]bool // the numbers of those about the review
}

func newLog(t interface{ Fatal(args ...any) }) *log {
	signer, verifier, err := audit.GenerateKey(rand.Reader, "log")
	if err != nil {
		t.Fatal(err)
	}
	return &log{signer: signer, verifier: verifier, of: map[int64]bool{}}
}

func (l *log) append(t interface{ Fatal(args ...any) }, e access.Event) {
	record, err := audit.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	if e.Details["review"] != "" {
		l.of[int64(len(l.records))] = true
	}
	l.records = append(l.records, record)
	l.tree, _ = l.tree.Append(audit.LeafHash(record))
}

// read gives hashes of the tree, each derived from the leaves.
func (l *log) read(indexes []int64) ([]audit.Hash, error) {
	var out []audit.Hash
	for _, index := range indexes {
		span, err := audit.SpanOf(index)
		if err != nil {
			return nil, err
		}
		first, count := span.First<<span.Level, span.Count<<span.Level
		var leaves []audit.Hash
		for i := first; i < first+count; i++ {
			leaves = append(leaves, audit.LeafHash(l.records[i]))
		}
		h, err := audit.Fold(leaves)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

// evidence writes what proves a review.
func (l *log) evidence(t interface{ Fatal(args ...any) }, id review.ID, items []review.Item) []byte {
	size := int64(len(l.records))
	c, err := audit.Sign(l.signer, size, l.tree.Root(), begin)
	if err != nil {
		t.Fatal(err)
	}
	out, err := review.EvidenceHead(id, c.Text)
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range items {
		out = append(out, review.EvidenceItem(it)...)
	}
	for seq := range size {
		if !l.of[seq] {
			continue
		}
		proof, err := audit.ProveInclusion(size, seq, l.read)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, review.EvidenceRecord(seq, proof, l.records[seq])...)
	}
	return out
}

func facts(n int) review.Facts {
	return review.Facts{
		Kind: review.Kinds()[n%len(review.Kinds())], Principal: access.PrincipalID(fmt.Sprintf("p%d", n)),
		PrincipalName: fmt.Sprintf("person \"%d\" <ä>", n), PrincipalKind: access.User, Ref: fmt.Sprint(n),
		Scope: access.Root, Place: "/", Gives: "request access",
	}
}

func someone(n int) access.Actor {
	return access.Actor{ID: access.PrincipalID(fmt.Sprintf("p%d", n)), Name: fmt.Sprintf("person %d", n)}
}

func made(t interface{ Fatal(args ...any) }, effect review.Effect, undecided review.Decision, items int,
) (review.Review, []review.Item) {
	r, err := review.New(review.Review{
		ID: "r1", Tenant: "t1", Name: "q4", Scope: access.Root, Kinds: review.Kinds(), Owner: "owner", OwnerName: "olga",
		Reviewers: []access.PrincipalID{"p0", "p1", "p2"}, Effect: effect, Undecided: undecided,
		Due: begin.Add(30 * 24 * time.Hour), CreatedAt: begin, Items: items,
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []review.Item
	var what []review.Facts
	for n := range items {
		what = append(what, facts(n))
		all = append(all, review.Item{Review: r.ID, Number: n + 1, Facts: facts(n), Revision: 1})
	}
	r.Digest = review.Snapshot(what)
	return r, all
}

// TestEvidenceProvesWhatHappened lets reviewers, other administrators and the end of a review do anything in any order,
// and holds that the evidence proves exactly what the review says of itself, whatever else is in the log.
func TestEvidenceProvesWhatHappened(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		effect := rapid.SampledFrom([]review.Effect{review.AtOnce, review.AtEnd}).Draw(t, "effect")
		undecided := rapid.SampledFrom([]review.Decision{review.Keep, review.Remove}).Draw(t, "undecided")
		r, items := made(t, effect, undecided, rapid.IntRange(1, 6).Draw(t, "items"))
		l, now := newLog(t), begin
		record := func(e access.Event) {
			for range rapid.IntRange(0, 2).Draw(t, "others") {
				l.append(t, access.Event{At: now, Kind: access.GrantOpened, Outcome: access.Succeeded, Tenant: "t1"})
			}
			l.append(t, e)
		}
		r, e, err := r.Open(someone(9), now)
		if err != nil {
			t.Fatal(err)
		}
		record(e)
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			now = now.Add(time.Hour)
			i := rapid.IntRange(0, len(items)-1).Draw(t, "item")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0: // it changes
				next := items[i].Facts
				next.Gives = rapid.StringN(1, 20, 40).Draw(t, "gives")
				if moved, e, refused := r.Refresh(items[i], next, now); refused != nil {
					items[i] = moved
					record(e)
				}
			case 1: // it goes
				if items[i].Outcome == "" {
					items[i], e = r.Settle(items[i], review.Gone, "", now)
					record(e)
				}
			default:
				who := rapid.IntRange(0, 8).Draw(t, "who")
				c := review.Choice{
					Number: i + 1, Digest: items[i].Facts.Digest(), Revision: items[i].Revision,
					Decision: rapid.SampledFrom([]review.Decision{review.Keep, review.Remove}).Draw(t, "decision"),
					Reason:   rapid.SampledFrom([]string{"left the team", "ä\"<&"}).Draw(t, "reason"),
				}
				next, e, refused := r.Decide(items[i], c, someone(who), items[i].Facts.Principal == someone(who).ID, now)
				if refused != nil {
					continue
				}
				items[i] = next
				record(e)
				if effect == review.AtOnce && c.Decision == review.Remove {
					items[i], e = r.Settle(items[i], review.Removed, "", now)
					record(e)
				}
			}
		}
		if rapid.Bool().Draw(t, "it ends") {
			if r, e, err = r.End(access.System(), "", r.Due); err != nil {
				t.Fatal(err)
			}
			record(e)
			var sum review.Sum
			var tally review.Tally
			for i, it := range items {
				if r.Removes(it) {
					to := rapid.SampledFrom([]review.Outcome{review.Removed, review.Failed}).Draw(t, "outcome")
					items[i], e = r.Settle(it, to, map[review.Outcome]string{review.Failed: "no"}[to], r.Due)
					record(e)
				}
				items[i].AddTo(&sum)
				tally.Add(items[i], 1)
			}
			if r, e, err = r.Close(tally, sum.Text(), r.Due); err != nil {
				t.Fatal(err)
			}
			record(e)
		}
		p, err := review.VerifyEvidence(bytes.NewReader(l.evidence(t, r.ID, items)), l.verifier)
		if err != nil {
			t.Fatal(err)
		}
		if p.Complete() != (r.State == review.Closed) || p.Review.State != r.State || p.Review.Outcome != r.Outcome {
			t.Fatalf("proven is %+v, the review is %+v", p.Review, r)
		}
		for i, it := range items {
			it.Revision, it.Former = 0, nil
			if !reflect.DeepEqual(p.Items[i], it) {
				t.Fatalf("item %d is proven as %+v, and is %+v", i+1, p.Items[i], it)
			}
		}
	})
}

// closedReview returns the evidence of a small review that is over, and the key.
func closedReview(t interface{ Fatal(args ...any) }) ([]byte, string) {
	r, items := made(t, review.AtOnce, review.Keep, 3)
	l := newLog(t)
	r, e, err := r.Open(someone(9), begin)
	if err != nil {
		t.Fatal(err)
	}
	l.append(t, e)
	next := items[0].Facts
	next.Gives = "approve requests"
	items[0], e, _ = r.Refresh(items[0], next, begin)
	l.append(t, e)
	for i, d := range []review.Decision{review.Keep, review.Remove} {
		c := review.Choice{
			Number: i + 1, Digest: items[i].Facts.Digest(), Revision: items[i].Revision, Decision: d, Reason: "why",
		}
		if items[i], e, err = r.Decide(items[i], c, someone(7), false, begin); err != nil {
			t.Fatal(err)
		}
		l.append(t, e)
	}
	items[1], e = r.Settle(items[1], review.Removed, "", begin)
	l.append(t, e)
	if r, e, err = r.End(someone(9), "done early", begin); err != nil {
		t.Fatal(err)
	}
	l.append(t, e)
	var sum review.Sum
	var tally review.Tally
	for _, it := range items {
		it.AddTo(&sum)
		tally.Add(it, 1)
	}
	if r, e, err = r.Close(tally, sum.Text(), begin); err != nil {
		t.Fatal(err)
	}
	l.append(t, e)
	return l.evidence(t, r.ID, items), l.verifier
}

// TestTamperingIsFound changes every byte of evidence, and leaves out, repeats and swaps each line.
func TestTamperingIsFound(t *testing.T) {
	t.Parallel()
	whole, key := closedReview(t)
	if p, err := review.VerifyEvidence(bytes.NewReader(whole), key); err != nil || !p.Complete() {
		t.Fatalf("the evidence gives %+v, %v", p, err)
	}
	refused := func(what string, data []byte) {
		t.Helper()
		if _, err := review.VerifyEvidence(bytes.NewReader(data), key); err == nil {
			t.Errorf("%s is not found", what)
		}
	}
	for i := range whole {
		data := bytes.Clone(whole)
		data[i] ^= 1 << (i % 8)
		refused(fmt.Sprintf("byte %d of %q as %q", i, whole[max(0, i-20):i+1], data[i]), data)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	lines = lines[:len(lines)-1]
	for i := range lines {
		if i < len(lines)-1 { // without the last, it is the evidence of a review that is not over
			refused(fmt.Sprintf("a missing line %d", i+1), bytes.Join(slices.Delete(slices.Clone(lines), i, i+1), nil))
			swapped := slices.Clone(lines)
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			refused(fmt.Sprintf("line %d after the next", i+1), bytes.Join(swapped, nil))
		}
		refused(fmt.Sprintf("line %d twice", i+1), bytes.Join(slices.Insert(slices.Clone(lines), i, lines[i]), nil))
	}
	for cut := range whole {
		p, err := review.VerifyEvidence(bytes.NewReader(whole[:cut]), key)
		if err == nil && p.Complete() {
			t.Errorf("evidence cut at byte %d counts as whole", cut)
		}
	}
	other, _ := closedReview(t)
	refused("the evidence of another log", other)
}

// TestDecisionIsBoundToWhatWasShown holds each reason for which a decision is refused.
func TestDecisionIsBoundToWhatWasShown(t *testing.T) {
	t.Parallel()
	r, items := made(t, review.AtEnd, review.Keep, 1)
	r, _, err := r.Open(someone(9), begin)
	if err != nil {
		t.Fatal(err)
	}
	it := items[0]
	fit := review.Choice{Number: 1, Digest: it.Facts.Digest(), Revision: 1, Decision: review.Keep}
	first, _, err := r.Decide(it, fit, someone(7), false, begin)
	if err != nil {
		t.Fatal(err)
	}
	for code, c := range map[string]struct {
		it    review.Item
		alter func(*review.Choice)
		own   bool
		at    time.Time
	}{
		"ownAccess":         {it, func(*review.Choice) {}, true, begin},
		"itemChanged":       {it, func(c *review.Choice) { c.Digest = "x" }, false, begin},
		"itemDecided":       {first, func(*review.Choice) {}, false, begin},
		"reasonMissing":     {it, func(c *review.Choice) { c.Decision, c.Reason = review.Remove, " " }, false, begin},
		"reasonTooLong":     {it, func(c *review.Choice) { c.Reason = strings.Repeat("x", review.MaxText+1) }, false, begin},
		"unknownDecision":   {it, func(c *review.Choice) { c.Decision = "perhaps" }, false, begin},
		"accessReviewEnded": {it, func(*review.Choice) {}, false, r.Due},
	} {
		choice := fit
		c.alter(&choice)
		if _, _, err := r.Decide(c.it, choice, someone(7), c.own, c.at); access.CodeOf(err) != code {
			t.Errorf("got %v, want %s", err, code)
		}
	}
}

// TestRemindersAreSentOnceEach holds that each reminder is sent at most once, whenever it is looked, and only before
// the due date.
func TestRemindersAreSentOnceEach(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		length := time.Duration(rapid.IntRange(1, 24*20).Draw(t, "hours")) * time.Hour
		r, err := review.New(review.Review{
			Kinds: review.Kinds(), Reviewers: []access.PrincipalID{"p"}, Effect: review.AtEnd, Undecided: review.Keep,
			CreatedAt: begin, Due: begin.Add(length),
		})
		if err != nil {
			t.Fatal(err)
		}
		r.State = review.Open
		sent := 0
		for now := begin; now.Before(begin.Add(length + 48*time.Hour)); now = now.Add(
			time.Duration(rapid.IntRange(1, 60).Draw(t, "hours until the next look")) * time.Hour) {
			next, due := r.Remind(now)
			if !due {
				continue
			}
			if sent++; !now.Before(r.Due) {
				t.Fatal("a reminder came after the due date")
			}
			r = next
			if _, again := r.Remind(now); again {
				t.Fatal("a reminder came twice")
			}
		}
		ahead := 0
		for _, before := range review.Reminders() {
			if before < length {
				ahead++
			}
		}
		if sent > ahead {
			t.Fatalf("%d reminders were sent of %d", sent, ahead)
		}
	})
}

// FuzzVerifyEvidence holds that no bytes make the verification crash, or prove anything that is not in its canonical
// form.
func FuzzVerifyEvidence(f *testing.F) {
	whole, key := closedReview(f)
	f.Add(whole)
	for line := range bytes.SplitAfterSeq(whole, []byte("\n")) {
		f.Add(line)
		f.Add(append(bytes.Clone(whole), line...))
	}
	f.Add([]byte("{\"accessReview\":\"r1\"}\n{\"checkpoint\":\"x\"}\n"))
	f.Add([]byte("{\"item\":9999999999999999999,\"facts\":[]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := review.VerifyEvidence(bytes.NewReader(data), key)
		if err == nil && p.Complete() && !bytes.Equal(data, whole) {
			t.Errorf("other evidence verifies: %q", data)
		}
	})
}
