package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/identity"
)

const (
	quickest     = 250 * time.Millisecond
	lookAgain    = 2 * agentwire.Heartbeat // at the store, without being woken
	writeTimeout = 20 * time.Second        // a peer that takes nothing for so long is given up
	keptBuffer   = 64 << 10                // a larger buffer is not kept for the next message
)

// desired follows the desired state of the agent that calls. There is one such call for each agent, for as long as the
// agent runs, so what it holds on to while nothing happens is kept small.
func (a *API) desired(w http.ResponseWriter, r *http.Request) {
	address, _, err := a.identity.ClientAddress(r.RemoteAddr, r.Header.Values("X-Forwarded-For"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	agent, err := a.identity.AgentFromCertificate(r.Context(), r.TLS, address, identity.CostOfStream)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	s := &stream{api: a, id: newRequestID(), agent: agent.ID, sent: -1, until: r.TLS.PeerCertificates[0].NotAfter}
	if err := s.claim(r, address); err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", agentwire.StreamType)
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must pass each message on
	if r.ProtoMajor == 1 {
		if err := s.takeOver(w); err != nil { //nolint:contextcheck // the request's context ends with the call, and the stream goes on
			a.fail(w, r, fmt.Errorf("take over the connection: %w", err))
		}
		return
	}
	s.to = response{ResponseWriter: w, ResponseController: http.NewResponseController(w)}
	a.streams.Add(1)
	defer a.streams.Add(-1)
	s.end(s.follow(r.Context()))
}

// stream is one agent's. Fields are set before it follows.
type stream struct {
	api        *API
	to         sink
	id         string
	agent      access.AgentID
	epoch      string        // of the last message
	sent       int64         // revision of the last message; -1 before it
	closeAfter time.Duration // the shortest time in which an opening closes once the server is lost; 0 for none

	until time.Time // when the certificate ends, and with it what was proven by it
}

// sink is where the messages of a stream go.
type sink interface {
	Write(p []byte) (int, error)
	Flush() error
	SetWriteDeadline(t time.Time) error
}

// response is a sink through net/http.
type response struct {
	http.ResponseWriter
	*http.ResponseController
}

// connection is a sink that was taken over from net/http.
type connection struct{ net.Conn }

// Flush has nothing to do: a connection does not hold back.
func (connection) Flush() error { return nil }

// takeOver goes on with the bare connection in a goroutine of its own, which Wait waits for. It lets go of the buffers,
// the request, and the two goroutines with grown stacks that net/http keeps for a call: some 30 KiB for each agent.
func (s *stream) takeOver(w http.ResponseWriter) error {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 200 OK\r\nConnection: close\r\n")
	err = w.Header().Write(&head) // to a buffer: it cannot fail
	head.WriteString("\r\n")
	giveUpAfter(conn, s.api.patience)
	s.to = connection{conn}
	s.api.streams.Add(1)
	s.api.following.Go(func() {
		defer s.api.streams.Add(-1)
		if err == nil {
			err = s.api.write(s.to, head.Bytes())
		}
		head = bytes.Buffer{}
		if err == nil {
			err = s.follow(context.Background())
		}
		s.end(errors.Join(err, conn.Close()))
	})
	return nil
}

func (s *stream) end(err error) {
	if err != nil {
		s.api.log.Debug("stream ended", "agent", s.agent, "error", err)
	}
}

func (s *stream) follow(ctx context.Context) error {
	// Watched before the first look, so that no change falls between the two.
	changed, stop := s.api.engine.Machines.WatchDesired(s.agent)
	defer stop()
	if err := s.sendDesired(ctx); err != nil {
		return err
	}
	beat := time.NewTimer(s.beatAfter())
	defer beat.Stop()
	for looked := s.api.now(); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.api.draining:
			return nil // a polite end: the agent comes back, to another server or to this one restarted
		case <-changed:
			if err := s.sendDesired(ctx); err != nil {
				return err
			}
			beat.Reset(s.beatAfter()) // what was sent may need quicker ones
		case <-beat.C:
			if s.api.now().After(s.until) {
				return nil
			}
			if err := apart(s.beat); err != nil {
				return err
			}
			if now := s.api.now(); now.Sub(looked) >= lookAgain {
				looked = now
				if err := s.sendDesired(ctx); err != nil {
					return err
				}
			}
			beat.Reset(s.beatAfter())
		}
	}
}

// apart calls fn in a goroutine of its own and waits for it: fn's deep calls grow that one's stack, and the stack of
// the stream, which waits for hours, stays small.
func apart(fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	return <-done
}

func (s *stream) beat() error {
	return s.api.send(s.to, agentwire.EventHeartbeat, api.Heartbeat{ServerTime: s.api.now().UnixMicro()})
}

// beatAfter spreads the heartbeats of many agents that connected at once. Openings that close soon after the server was
// lost get four of them in that time, so that one which is late closes nothing.
func (s *stream) beatAfter() time.Duration {
	beat := agentwire.Heartbeat
	if s.closeAfter > 0 {
		beat = min(beat, max(s.closeAfter/4, quickest))
	}
	return beat - beat/8 + rand.N(beat/4) //nolint:gosec // it need not be hard to guess
}

// sendDesired sends the whole desired state where its number is not the one that was sent last.
func (s *stream) sendDesired(ctx context.Context) error {
	d, err := s.api.deriver.of(ctx, s.agent)
	if err != nil {
		return err
	}
	if err := s.stays(ctx, d.Stream); err != nil || d.Epoch == s.epoch && d.Revision == s.sent {
		return err
	}
	if d.Epoch == s.epoch && d.Revision < s.sent {
		// The database was restored under the running server. A new epoch wakes this stream again.
		return s.api.engine.Machines.StartEpoch(ctx, s.agent, s.sent)
	}
	s.epoch, s.sent = d.Epoch, d.Revision
	s.closeAfter = 0
	for _, o := range d.Openings {
		if o.CloseAfter > 0 && (s.closeAfter == 0 || o.CloseAfter < s.closeAfter) {
			s.closeAfter = o.CloseAfter
		}
	}
	return apart(func() error {
		return s.api.send(s.to, agentwire.EventDesired,
			agentwire.EncodeDesired(d, s.api.now()))
	})
}

// send writes one message of a stream and sees it off.
func (a *API) send(to sink, event string, data any) error {
	buffer, ok := a.buffers.Get().(*bytes.Buffer)
	if !ok {
		buffer = new(bytes.Buffer)
	}
	defer func() {
		if buffer.Cap() <= keptBuffer {
			buffer.Reset()
			a.buffers.Put(buffer)
		}
	}()
	if err := agentwire.WriteEvent(buffer, event, data); err != nil {
		return err
	}
	return a.write(to, buffer.Bytes())
}

func (a *API) write(to sink, p []byte) error {
	if err := to.SetWriteDeadline(a.now().Add(a.patience)); err != nil {
		return err
	}
	if _, err := to.Write(p); err != nil {
		return err
	}
	return to.Flush()
}
