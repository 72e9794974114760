package agentwire

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func readEvents(r io.Reader, most int) ([]string, error) {
	events := newEventReader(r, most, func() {})
	var all []string
	for {
		e, err := events.next()
		if err != nil {
			return all, err
		}
		all = append(all, e.name+"="+string(e.data))
	}
}

func TestEventStream(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in string
		want     []string
		err      string // io.EOF where empty
	}{
		{"one", "event: desired\ndata: {}\n\n", []string{"desired={}"}, ""},
		{"no space after the colon", "event:a\ndata:b\n\n", []string{"a=b"}, ""},
		{"only one space goes", "data:  b\n\n", []string{"message= b"}, ""},
		{"no name", "data: 1\n\ndata: 2\n\n", []string{"message=1", "message=2"}, ""},
		{"lines are joined", "data: 1\ndata: 2\n\n", []string{"message=1\n2"}, ""},
		{"carriage returns at the ends", "event: a\r\ndata: b\r\n\r\n", []string{"a=b"}, ""},
		{"comments, ids and retries", ": hello\n\nid: 5\nretry: 100\ndata: x\n\n", []string{"message=x"}, ""},
		{"a name alone is no event, and does not last", "event: a\n\ndata: x\n\n", []string{"message=x"}, ""},
		{"empty data", "data\n\n", []string{"message="}, ""},
		{"empty lines", "\n\n\n", nil, ""},
		{"nothing", "", nil, ""},
		{"cut off in a line", "data: x\n\ndata: y", []string{"message=x"}, "unexpected EOF"},
		{"cut off before the end of the event", "event: desired\ndata: y\n", nil, "unexpected EOF"},
		{"unknown field", "datum: x\n\n", nil, "unknown field"},
		{"lone carriage return", "data: a\rdata: b\n\n", nil, "carriage return"},
		{"not UTF-8", "data: \xff\n\n", nil, "UTF-8"},
		{"a page of a proxy", "<html>\n", nil, "unknown field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, in := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
				got, err := readEvents(in, 1000)
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				if c.err == "" && !errors.Is(err, io.EOF) || !strings.Contains(fmt.Sprint(err), c.err) {
					t.Errorf("error is %v, want %q", err, c.err)
				}
			}
		})
	}
}

func TestEventStreamIsBounded(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"one long line":   "data: " + strings.Repeat("x", 20_000) + "\n\n",
		"no end of line":  strings.Repeat("x", 20_000),
		"many lines":      strings.Repeat("data: 0123456789\n", 1000) + "\n",
		"a long comment":  ":" + strings.Repeat("x", 20_000) + "\n\n",
		"a comment and a": ":" + strings.Repeat("x", 9_000) + "\ndata: " + strings.Repeat("x", 9_000) + "\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := readEvents(strings.NewReader(in), 10_000); !errors.Is(err, errEventTooLarge) {
				t.Errorf("read %d events and %v, want %v", len(got), err, errEventTooLarge)
			}
		})
	}
	if got, err := readEvents(strings.NewReader("data: "+strings.Repeat("x", 9_000)+"\n\n"),
		10_000); len(got) != 1 || !errors.Is(err, io.EOF) {
		t.Errorf("an event within the bound: read %d events and %v", len(got), err)
	}
}

// However a stream is cut into pieces, it is read alike, and no event is larger than the bound.
func FuzzEventStream(f *testing.F) {
	f.Add("event: desired\ndata: {}\n\n: beat\n\nevent: heartbeat\r\ndata: {\"serverTime\":1}\r\n\r\n")
	f.Add("data: a\rb\n\n")
	f.Add("data\ndata\n\nretry: 5\n\n")
	f.Fuzz(func(t *testing.T, in string) {
		const most = 512
		whole, err := readEvents(strings.NewReader(in), most)
		pieces, errPieces := readEvents(iotest.OneByteReader(strings.NewReader(in)), most)
		if diff := cmp.Diff(whole, pieces); diff != "" || fmt.Sprint(err) != fmt.Sprint(errPieces) {
			t.Errorf("read byte by byte it is another stream: %v, %v\n%s", err, errPieces, diff)
		}
		for _, e := range whole {
			if len(e) > most+len("message=") {
				t.Errorf("an event has %d bytes", len(e))
			}
		}
	})
}
