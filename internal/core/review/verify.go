package review

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
)

// Proven is what evidence proves of an access review.
type Proven struct {
	Review     Review // what its records say; the rest is zero
	Items      []Item
	Tally      Tally
	Reminders  int
	StartedAt  time.Time
	ClosedAt   time.Time // zero where it was not closed
	Records    int
	Checkpoint audit.SignedCheckpoint
}

// Complete reports whether nothing can be missing: the last record says what came of all items. Of a review that is
// still going on, later decisions are not in the evidence, and earlier ones may have been left out.
func (p Proven) Complete() bool { return p.Review.State == Closed }

// maxEvidenceLine bounds a line; a record is in base64.
const maxEvidenceLine = audit.MaxRecord/3*4 + 1<<16

// VerifyEvidence reads evidence to its end and derives everything in it again, offline: that the checkpoint is signed
// by the key of the log, that each record is proven to be in the log that it signs, that the items are those that were
// listed at the start, and that each decision and outcome follows from the records, in their order. Whatever it returns
// of the review is read from proven records.
func VerifyEvidence(r io.Reader, verifier string) (Proven, error) {
	v := replay{verifier: verifier, last: -1}
	in := bufio.NewReaderSize(r, 1<<16)
	for line := 1; ; line++ {
		text, err := audit.ReadLine(in, maxEvidenceLine)
		if errors.Is(err, io.EOF) && len(text) == 0 {
			return v.end()
		}
		if err == nil && !bytes.HasSuffix(text, []byte("\n")) {
			err = errors.New("it is cut off")
		}
		if err == nil {
			err = v.take(line, text)
		}
		if err != nil {
			return Proven{}, fmt.Errorf("line %d: %w", line, err)
		}
	}
}

// replay is a verification that is going on.
type replay struct {
	verifier string
	id       ID
	out      Proven
	last     int64 // number of the record before
	at       []int // which of an item's facts count now
	all      [][]Facts
	started  bool
}

func (v *replay) take(line int, text []byte) (err error) {
	switch {
	case line == 1:
		v.id, err = decodeHead(text)
		v.out.Review.ID = v.id
		return err
	case line == 2:
		return v.checkpoint(text)
	case bytes.HasPrefix(text, []byte(`{"item":`)):
		return v.item(text)
	default:
		return v.record(text)
	}
}

func (v *replay) checkpoint(line []byte) error {
	text, err := decodeCheckpoint(line)
	if err != nil {
		return err
	}
	if strings.Count(text, "\n— ") != 1 {
		return errors.New("the checkpoint must have the signature of the log and no other")
	}
	v.out.Checkpoint, err = audit.Open(v.verifier, text)
	return err
}

func (v *replay) item(line []byte) error {
	it, err := decodeItem(line)
	if err != nil {
		return err
	}
	if v.started || it.Number != len(v.out.Items)+1 {
		return fmt.Errorf("item %d is out of place", it.Number)
	}
	v.all = append(v.all, append(it.Former, it.Facts))
	v.at = append(v.at, 0)
	v.out.Items = append(v.out.Items, Item{Review: v.id, Number: it.Number, Facts: v.all[it.Number-1][0]})
	return nil
}

func (v *replay) record(line []byte) error {
	seq, proof, record, err := decodeRecord(line)
	if err != nil {
		return err
	}
	if seq <= v.last {
		return fmt.Errorf("record %d is out of order", seq)
	}
	c := v.out.Checkpoint
	if err := audit.CheckInclusion(proof, c.Size, c.Root, seq, record); err != nil {
		return err
	}
	event, err := audit.Decode(record)
	if err != nil {
		return err
	}
	v.last = seq
	v.out.Records++
	if err := v.event(event); err != nil {
		return fmt.Errorf("record %d: %w", seq, err)
	}
	return nil
}

// event replays one record.
func (v *replay) event(e access.Event) error {
	r := &v.out.Review
	switch {
	case e.Details["review"] != string(v.id) || e.Outcome != access.Succeeded:
		return fmt.Errorf("it is not about this access review")
	case e.Kind == access.AccessReviewStarted:
		return v.start(e)
	case !v.started:
		return errors.New("the record of the start is missing")
	case e.Tenant != r.Tenant || e.Scope != r.Scope || e.Details["name"] != r.Name:
		return fmt.Errorf("it is not about this access review")
	case r.State == Closed || r.State == Canceled:
		return fmt.Errorf("the access review was over before it")
	}
	switch e.Kind { //nolint:exhaustive // the others are refused below
	case access.AccessReviewDecided, access.AccessReviewItemChanged, access.AccessReviewCarriedOut:
		return v.itemEvent(e)
	case access.AccessReviewChanged:
		return v.terms(e)
	case access.AccessReviewReminded:
		v.out.Reminders++
		return nil
	case access.AccessReviewEnded:
		if r.State != Open {
			return errors.New("the access review had ended before")
		}
		r.State, r.EndedAt, r.Reason = Closing, e.At, e.Details["reason"]
		return nil
	case access.AccessReviewCanceled:
		r.State, r.EndedAt, r.Reason = Canceled, e.At, e.Details["reason"]
		return nil
	case access.AccessReviewClosed:
		return v.closed(e)
	}
	return fmt.Errorf("a record of the kind %s is no part of an access review", e.Kind)
}

func (v *replay) start(e access.Event) error {
	if v.started {
		return errors.New("there are two records of the start")
	}
	v.started = true
	var sum Sum
	for _, it := range v.out.Items {
		sum.Add(it.Facts.Digest())
	}
	if e.Details["items"] != strconv.Itoa(len(v.out.Items)) || e.Details["digest"] != sum.Text() {
		return fmt.Errorf("the items are not the %s that were listed at the start", e.Details["items"])
	}
	r := &v.out.Review
	v.out.StartedAt = e.At
	r.State, r.Tenant, r.Scope, r.Name = Open, e.Tenant, e.Scope, e.Details["name"]
	r.Owner, r.OwnerName = access.PrincipalID(e.Details["owner"]), e.Details["ownerName"]
	r.Effect, r.Undecided = Effect(e.Details["effect"]), Decision(e.Details["undecided"])
	r.Items, r.Digest, r.CreatedAt = len(v.out.Items), e.Details["digest"], e.At
	for kind := range strings.SplitSeq(e.Details["kinds"], ", ") {
		r.Kinds = append(r.Kinds, Kind(kind))
	}
	return v.terms(e)
}

func (v *replay) terms(e access.Event) (err error) {
	r := &v.out.Review
	r.Reviewers = nil
	for id := range strings.SplitSeq(e.Details["reviewers"], ", ") {
		r.Reviewers = append(r.Reviewers, access.PrincipalID(id))
	}
	if r.Due, err = time.Parse(time.RFC3339Nano, e.Details["due"]); err != nil {
		return fmt.Errorf("its due date cannot be read: %w", err)
	}
	return nil
}

// itemEvent replays what happened to one item.
func (v *replay) itemEvent(e access.Event) error {
	r := v.out.Review
	number, err := strconv.Atoi(e.Details["item"])
	if err != nil || number < 1 || number > len(v.out.Items) {
		return fmt.Errorf("there is no item %s", clip(e.Details["item"]))
	}
	it := &v.out.Items[number-1]
	was := it.Facts.Digest()
	if it.Outcome != "" {
		return fmt.Errorf("item %d was settled before", number)
	}
	if e.Kind == access.AccessReviewItemChanged {
		if e.Details["was"] != was || v.at[number-1]+1 >= len(v.all[number-1]) {
			return fmt.Errorf("what item %d was before it changed is missing", number)
		}
		v.at[number-1]++
		*it = Item{Review: v.id, Number: number, Facts: v.all[number-1][v.at[number-1]]}
		was = it.Facts.Digest()
	}
	switch {
	case e.Details["digest"] != was:
		return fmt.Errorf("item %d is not what was decided", number)
	case e.Kind == access.AccessReviewDecided:
		it.Decision, it.Reason = Decision(e.Details["decision"]), e.Details["reason"]
		it.By, it.ByName, it.At = e.Actor.ID, e.Actor.Name, e.At
		switch {
		case r.State != Open || it.Decision != Keep && it.Decision != Remove:
			return fmt.Errorf("item %d could not be decided so", number)
		case it.By == "" || it.By == it.Facts.Principal:
			return fmt.Errorf("item %d was decided by nobody, or by who has the access", number)
		}
	case e.Kind == access.AccessReviewCarriedOut:
		it.Outcome, it.Problem = Outcome(e.Details["outcome"]), e.Details["problem"]
		if it.Outcome != Removed && it.Outcome != Gone && it.Outcome != Failed {
			return fmt.Errorf("item %d cannot be %q", number, clip(string(it.Outcome)))
		}
	}
	return nil
}

// closed compares what the records before it give with what the last one says of all items.
func (v *replay) closed(e access.Event) error {
	r := &v.out.Review
	var sum Sum
	var tally Tally
	for _, it := range v.out.Items {
		it.AddTo(&sum)
		tally.Add(it, 1)
	}
	if r.State != Closing || e.Details["outcome"] != sum.Text() {
		return errors.New("the records before it do not give what came of the access review: some are missing")
	}
	for name, n := range tally.counts() {
		if e.Details[name] != strconv.Itoa(n) {
			return fmt.Errorf("it counts %s %s, and there are %d", clip(e.Details[name]), name, n)
		}
	}
	r.State, r.Outcome, v.out.ClosedAt = Closed, e.Details["outcome"], e.At
	return nil
}

func (v *replay) end() (Proven, error) {
	if !v.started {
		return Proven{}, errors.New("the evidence is cut off: the record of the start is missing")
	}
	for i, it := range v.out.Items {
		if v.at[i] != len(v.all[i])-1 {
			return Proven{}, fmt.Errorf("item %d has facts that no record names", i+1)
		}
		v.out.Tally.Add(it, 1)
	}
	return v.out, nil
}
