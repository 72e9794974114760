package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// An export is one line for each record, from number 0, and a last line with a checkpoint over exactly these:
//
//	{"seq":0,"record":"<base64 of the canonical record>"}
//	{"checkpoint":"<signed note>"}
const (
	recordHead     = `{"seq":`
	recordMiddle   = `,"record":"`
	recordTail     = `"}`
	checkpointHead = `{"checkpoint":`
)

// AppendRecordLine appends the line of one record to dst.
func AppendRecordLine(dst []byte, seq int64, record []byte) []byte {
	dst = append(dst, recordHead...)
	dst = strconv.AppendInt(dst, seq, 10)
	dst = append(dst, recordMiddle...)
	dst = base64.StdEncoding.AppendEncode(dst, record)
	return append(dst, recordTail+"\n"...)
}

// AppendCheckpointLine appends the last line to dst; text is the signed note.
func AppendCheckpointLine(dst []byte, text string) ([]byte, error) {
	quoted, err := json.Marshal(text)
	if err != nil {
		return nil, fmt.Errorf("write the checkpoint: %w", err)
	}
	dst = append(dst, checkpointHead...)
	dst = append(dst, quoted...)
	return append(dst, "}\n"...), nil
}

// IsCheckpointLine tells whether a line of an export is its last. It does not say whether the line is sound.
func IsCheckpointLine(line []byte) bool { return bytes.HasPrefix(line, []byte(checkpointHead)) }

// Summary is what a verified export holds.
type Summary struct {
	Records    int64
	First      time.Time // of the first record; zero where there is none
	Last       time.Time // of the last record
	Checkpoint SignedCheckpoint
	Previous   int // how many previous checkpoints it was found to continue
}

// BrokenError says what in an export is wrong.
type BrokenError struct {
	Line  int   // from 1; 0 where it is not one line
	First int64 // the records among which the fault lies, inclusive; both -1 where it is no record
	Last  int64
	What  string
	Err   error // the cause; may be nil
}

// Error says what is wrong, and where.
func (e *BrokenError) Error() string {
	s := e.What
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	switch {
	case e.First >= 0 && e.First < e.Last:
		s = fmt.Sprintf("records %d to %d: %s", e.First, e.Last, s)
	case e.First >= 0:
		s = fmt.Sprintf("record %d: %s", e.First, s)
	}
	if e.Line > 0 {
		s = fmt.Sprintf("line %d: %s", e.Line, s)
	}
	return s
}

// Unwrap gives the cause.
func (e *BrokenError) Unwrap() error { return e.Err }

// VerifyExport reads an export to its end and derives everything in it again: that each line and record is in canonical
// form and numbered without a gap, that the records give the root that the checkpoint signs, and that the log continues
// each of the previous checkpoints (signed notes that were kept from earlier). What is wrong is a *BrokenError, but for
// errors of r and of the key. A root can only tell that some record since the last root that was right is another; more
// previous checkpoints narrow that down.
func VerifyExport(r io.Reader, verifier string, previous ...string) (Summary, error) {
	v := verification{verifier: verifier}
	for i, text := range previous {
		c, err := Open(verifier, text)
		if err != nil {
			return Summary{}, fmt.Errorf("previous checkpoint %d: %w", i+1, err)
		}
		v.previous = append(v.previous, c)
	}
	slices.SortStableFunc(v.previous, func(a, b SignedCheckpoint) int { return cmp.Compare(a.Size, b.Size) })
	if err := v.continued(); err != nil {
		return Summary{}, err
	}
	in := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := readLine(in)
		switch {
		case err == io.EOF: //nolint:errorlint // readLine gives it bare
			return v.finish()
		case err != nil:
			return Summary{}, fmt.Errorf("read line %d: %w", v.line+1, err)
		}
		if err := v.take(line); err != nil {
			return Summary{}, err
		}
	}
}

type verification struct {
	verifier string
	previous []SignedCheckpoint // those that are still to come, by size
	line     int
	tree     Tree
	good     int64 // records whose root was confirmed by a previous checkpoint
	summary  Summary
	ended    bool
	scratch  []byte
}

func (v *verification) take(line []byte) error {
	v.line++
	switch {
	case v.ended:
		return v.broken(-1, "there is something behind the checkpoint", nil)
	case bytes.HasPrefix(line, []byte(checkpointHead)):
		return v.checkpoint(line)
	default:
		return v.record(line)
	}
}

func (v *verification) record(line []byte) error {
	seq := v.tree.Size
	head := strconv.AppendInt([]byte(recordHead), seq, 10)
	head = append(head, recordMiddle...)
	body, ok := bytes.CutPrefix(line, head)
	if !ok {
		return v.broken(seq, fmt.Sprintf("the line does not begin with %s", head), nil)
	}
	body, ok = bytes.CutSuffix(body, []byte(recordTail+"\n"))
	if !ok || bytes.ContainsAny(body, "\r\n") {
		return v.broken(seq, "the line does not end as it should; the export may have been cut off", nil)
	}
	var err error
	v.scratch, err = base64.StdEncoding.Strict().AppendDecode(v.scratch[:0], body)
	if err != nil {
		return v.broken(seq, "the record is not base64", err)
	}
	event, err := Decode(v.scratch)
	if err != nil {
		return v.broken(seq, "not a record", err)
	}
	if seq == 0 {
		v.summary.First = event.At
	}
	v.summary.Last = event.At
	v.tree, _ = v.tree.Append(LeafHash(v.scratch))
	return v.continued()
}

// continued compares the tree with the previous checkpoints of its size.
func (v *verification) continued() error {
	for ; len(v.previous) > 0 && v.previous[0].Size == v.tree.Size; v.previous = v.previous[1:] {
		c := v.previous[0]
		if root := v.tree.Root(); root != c.Root {
			return v.wrongRoot(root, c, "the previous checkpoint")
		}
		v.good = c.Size
		v.summary.Previous++
	}
	return nil
}

func (v *verification) checkpoint(line []byte) error {
	v.ended = true
	var text string
	quoted, ok := bytes.CutSuffix(line[len(checkpointHead):], []byte("}\n"))
	if !ok {
		return v.broken(-1, "the checkpoint's line is cut off", nil)
	}
	if err := json.Unmarshal(quoted, &text); err != nil {
		return v.broken(-1, "the checkpoint's line is malformed", err)
	}
	if again, err := AppendCheckpointLine(nil, text); err != nil || !bytes.Equal(again, line) {
		return v.broken(-1, "the checkpoint's line is not in its canonical form", err)
	}
	c, err := Open(v.verifier, text)
	if err != nil {
		return v.broken(-1, "the checkpoint does not count", err)
	}
	if c.Size != v.tree.Size {
		return v.broken(-1,
			fmt.Sprintf("the checkpoint is over %d records, and the export has %d", c.Size, v.tree.Size), nil)
	}
	if root := v.tree.Root(); root != c.Root {
		return v.wrongRoot(root, c, "the checkpoint")
	}
	v.summary.Checkpoint = c
	return nil
}

func (v *verification) finish() (Summary, error) {
	if !v.ended {
		return Summary{}, v.broken(-1, "the export ends without a checkpoint; it may have been cut off", nil)
	}
	if len(v.previous) > 0 {
		return Summary{}, &BrokenError{
			First: -1, Last: -1,
			What: fmt.Sprintf("a previous checkpoint is over %d records, and the log has %d now: it was cut, or the "+
				"export is older",
				v.previous[len(v.previous)-1].Size, v.tree.Size),
		}
	}
	v.summary.Records = v.tree.Size
	return v.summary, nil
}

func (v *verification) broken(seq int64, what string, err error) error {
	return &BrokenError{Line: v.line, First: seq, Last: seq, What: what, Err: err}
}

func (v *verification) wrongRoot(root Hash, c SignedCheckpoint, name string) error {
	return &BrokenError{
		First: v.good, Last: v.tree.Size - 1,
		What: fmt.Sprintf("one of them is not what was signed: they give the root %s, and %s of %s over %d records has %s",
			root, name, c.At.Format(time.RFC3339), c.Size, c.Root),
	}
}

// readLine is ReadLine for a line of an export.
func readLine(in *bufio.Reader) ([]byte, error) { return ReadLine(in, MaxRecord/3*4+1024) }

// ReadLine gives the next line with its newline, or without one at the very end. One of more than most bytes is
// refused.
func ReadLine(in *bufio.Reader, most int) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if err == nil {
		return line, nil
	}
	whole := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(whole) > most {
			return nil, fmt.Errorf("the line has more than %d bytes", most)
		}
		line, err = in.ReadSlice('\n')
		whole = append(whole, line...)
	}
	if errors.Is(err, io.EOF) && len(whole) > 0 {
		return whole, nil
	}
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	return whole, err
}
