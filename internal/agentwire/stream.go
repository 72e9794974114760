package agentwire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/postern-dev/postern/api"
)

// Stream is an agent's stream of desired states. One goroutine reads it.
type Stream struct {
	Asked time.Time // on the client's own clock, when it was about to be asked for: nothing was said before
	Clock string    // the name of the server's clock; empty from a server that gives it none

	client *Client
	body   io.Closer
	events *eventReader
	cause  func() error // why it was ended on this side, if it was
	end    func()
}

// Follow asks for the stream: the whole desired state comes at once, and again with each change. It ends with ctx,
// or when nothing was heard for the time that the client is configured with.
func (c *Client) Follow(ctx context.Context) (*Stream, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	quiet := time.AfterFunc(c.config.Silence,
		func() { cancel(fmt.Errorf("nothing was heard for %s", c.config.Silence)) })
	s := &Stream{
		client: c,
		cause:  func() error { return context.Cause(ctx) },
		end:    func() { quiet.Stop(); cancel(nil) },
	}
	response, asked, err := c.send(ctx, http.MethodGet, "desired", nil) //nolint:bodyclose // Close does
	if err != nil {
		err = c.explain(errors.Join(err, s.cause()))
		s.end()
		return nil, err
	}
	_, s.Clock, _ = ParseTime(response.Header.Get(TimeHeader))
	s.Asked, s.body = asked, response.Body
	s.events = newEventReader(response.Body, maxEvent, func() { quiet.Reset(c.config.Silence) })
	if media, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err != nil || media != StreamType {
		err := fmt.Errorf("the answer is %.80q and not a stream of events", response.Header.Get("Content-Type"))
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Next waits for the next desired state or heartbeat; what a later server says beside them is passed over. It
// fails with io.EOF when the server ended the stream, and otherwise when the connection broke or nothing was heard
// for too long.
func (s *Stream) Next() (Event, error) {
	for {
		e, err := s.events.next()
		switch {
		case err != nil:
			return Event{}, s.client.explain(errors.Join(err, s.cause()))
		case e.name == EventDesired || e.name == EventHeartbeat:
			return e, nil
		}
	}
}

// Read returns what an event says, before the next one is waited for: what the server's clock showed, and the
// desired state, which is nil in a heartbeat. It stands apart from Next so that the time of arrival can be taken
// between the two.
func (e Event) Read() (at time.Time, desired *Desired, err error) {
	var micros int64
	if e.name == EventDesired {
		desired = new(Desired)
		err = json.Unmarshal(e.data, desired)
		micros = desired.ServerTime
	} else {
		var beat api.Heartbeat
		err = json.Unmarshal(e.data, &beat)
		micros = beat.ServerTime
	}
	if err != nil {
		return at, nil, fmt.Errorf("read the event %q: %w", e.name, err)
	}
	at, err = instant(micros)
	return at, desired, err
}

// Close ends the stream.
func (s *Stream) Close() error {
	s.end()
	return s.body.Close()
}
