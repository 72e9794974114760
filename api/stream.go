package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Enroll shows an enrollment token and gets the agent's certificate.
func (c *Client) Enroll(ctx context.Context, in Enroll) (Enrolled, error) {
	return ask[Enrolled](ctx, c, call{method: http.MethodPost, path: "/agent/enroll", body: in})
}

// Renew gets a fresh certificate for the one that the client calls with.
func (c *Client) Renew(ctx context.Context, in Renew) (Enrolled, error) {
	return ask[Enrolled](ctx, c, call{method: http.MethodPost, path: "/agent/renew", body: in})
}

// Report says what the agent really has.
func (c *Client) Report(ctx context.Context, in Report) error {
	return c.do(ctx, call{method: http.MethodPost, path: "/agent/report", body: in})
}

const (
	streamSilence = 45 * time.Second // three heartbeats: longer silence is a dead connection
	maxStreamLine = 256 << 20        // a gateway with 100,000 openings takes some 30 MiB
)

// Stream is an agent's stream of desired states. One goroutine reads it.
type Stream struct {
	body   io.ReadCloser
	lines  *bufio.Reader
	cancel context.CancelFunc
	silent *time.Timer
}

// StreamEvent is one message: exactly one field is set.
type StreamEvent struct {
	Desired   *Desired
	Heartbeat *Heartbeat
}

// Desired opens the stream: the whole desired state comes at once, and again with each change.
func (c *Client) Desired(ctx context.Context) (*Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	response, err := c.send(ctx, call{method: http.MethodGet, path: "/agent/desired", header: http.Header{"Accept": {"text/event-stream"}}}) //nolint:bodyclose // Stream.Close does
	if err != nil {
		cancel()
		return nil, err
	}
	return &Stream{
		body: response.Body, lines: bufio.NewReader(response.Body), cancel: cancel,
		silent: time.AfterFunc(streamSilence, cancel),
	}, nil
}

// Next waits for a message. It fails with io.EOF when the server ended the stream, and otherwise when the connection
// broke or nothing came for 45 seconds.
func (s *Stream) Next() (StreamEvent, error) {
	for {
		event, data, err := s.message()
		if err != nil {
			return StreamEvent{}, err
		}
		s.silent.Reset(streamSilence)
		var out StreamEvent
		switch event {
		case "desired":
			out.Desired = new(Desired)
			err = json.Unmarshal(data, out.Desired)
		case "heartbeat":
			out.Heartbeat = new(Heartbeat)
			err = json.Unmarshal(data, out.Heartbeat)
		default:
			continue // a later server may say more than this client knows
		}
		if err != nil {
			return StreamEvent{}, fmt.Errorf("understand a %s message: %w", event, err)
		}
		return out, nil
	}
}

// Close ends the stream.
func (s *Stream) Close() error {
	s.silent.Stop()
	s.cancel()
	return s.body.Close()
}

// message reads one message of the stream up to its empty line.
func (s *Stream) message() (event string, data []byte, err error) {
	for {
		line, err := s.line()
		if err != nil {
			return "", nil, err
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(line) == 0 && (event != "" || data != nil):
			return event, data, nil
		case string(name) == "event":
			event = string(value)
		case string(name) == "data":
			data = append(data, value...)
		}
		if len(data) > maxStreamLine {
			return "", nil, errors.New("a message of the stream is too long")
		}
	}
}

func (s *Stream) line() ([]byte, error) {
	var line []byte
	for {
		part, more, err := s.lines.ReadLine()
		if err != nil {
			return nil, err
		}
		line = append(line, part...)
		if !more {
			return line, nil
		}
		if len(line) > maxStreamLine {
			return nil, errors.New("a line of the stream is too long")
		}
	}
}

// Changes is the data of a "changes" event: what kinds of thing changed in the caller's tenant, not which.
type Changes struct {
	Seq   int64    `json:"seq" doc:"Of the newest record of the activity log."`
	Kinds []string `json:"kinds" doc:"The first words of the kinds of record that came, such as grant; empty in the first message."`
}
