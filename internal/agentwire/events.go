package agentwire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxEvent bounds one event of the stream: a desired state of 200,000 openings fits.
const maxEvent = 64 << 20

// WriteEvent adds one event to what is to be sent.
func WriteEvent(to *bytes.Buffer, name string, data any) error {
	to.WriteString("event: " + name + "\ndata: ")
	if err := json.NewEncoder(to).Encode(data); err != nil { // ends in one newline, and holds no other
		return err
	}
	to.WriteByte('\n')
	return nil
}

// Event is one server-sent event as it arrived.
type Event struct {
	name string // "message" where the stream names none
	data []byte // the data lines joined by line feeds; valid until the next call
}

// eventReader reads a stream of server-sent events, strictly: fields other than event, data, id and retry, invalid
// UTF-8, a lone carriage return, and an event that exceeds max are errors, after which the stream is of no use.
// alive is called for everything that arrives, comments included.
type eventReader struct {
	in    *bufio.Reader
	max   int
	alive func()
	line  []byte
	data  []byte
}

func newEventReader(r io.Reader, most int, alive func()) *eventReader {
	return &eventReader{in: bufio.NewReaderSize(r, 4096), max: most, alive: alive}
}

var errEventTooLarge = errors.New("an event of the stream is too large")

// next returns the next event that has data. It fails with io.EOF where the stream ends between two events, and with
// io.ErrUnexpectedEOF where it ends inside one, whose part is discarded.
func (r *eventReader) next() (Event, error) {
	const keep = 64 << 10 // a desired state may be large once; do not hold on to its buffer for ever
	if cap(r.data) > keep {
		r.data = nil
	}
	if cap(r.line) > keep {
		r.line = nil
	}
	r.data = r.data[:0]
	name, begun, hasData, size := "message", false, false, 0
	for {
		line, err := r.readLine()
		if err != nil {
			if errors.Is(err, io.EOF) && (begun || len(line) > 0) {
				err = io.ErrUnexpectedEOF
			}
			return Event{}, err
		}
		r.alive()
		if len(line) == 0 {
			if hasData {
				return Event{name: name, data: r.data}, nil
			}
			name, begun, size = "message", false, 0
			continue
		}
		begun = true
		if size += len(line); size > r.max {
			return Event{}, errEventTooLarge
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "": // a comment
		case "event":
			name = string(value)
		case "data":
			if hasData {
				r.data = append(r.data, '\n')
			}
			r.data = append(r.data, value...)
			hasData = true
		case "id", "retry": // we neither resume a stream nor let the server set our pace
		default:
			return Event{}, fmt.Errorf("the stream has the unknown field %.80q", field)
		}
	}
}

// readLine returns the next line without its end; a line that the stream ends in comes with io.EOF.
func (r *eventReader) readLine() ([]byte, error) {
	r.line = r.line[:0]
	for {
		part, err := r.in.ReadSlice('\n')
		if len(r.line)+len(part) > r.max {
			return nil, errEventTooLarge
		}
		r.line = append(r.line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			r.alive()
			continue
		case err != nil:
			return r.line, err
		}
		line := bytes.TrimSuffix(r.line[:len(r.line)-1], []byte("\r"))
		if bytes.IndexByte(line, '\r') >= 0 {
			return nil, errors.New("the stream has a lone carriage return")
		}
		if !utf8.Valid(line) {
			return nil, errors.New("the stream is not valid UTF-8")
		}
		return line, nil
	}
}
