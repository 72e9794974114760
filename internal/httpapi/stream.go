package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/postern-dev/postern/api"
	"github.com/postern-dev/postern/internal/core/access"
)

const (
	streamType   = "text/event-stream"
	heartbeat    = 15 * time.Second
	pollBeats    = 2                // a look at the store without being woken, each so many heartbeats
	writeTimeout = 20 * time.Second // a peer that takes nothing for so long is given up
	maxDeriving  = 16               // desired states derived at once, for all agents together
	keptBuffer   = 64 << 10         // a larger buffer is not kept for the next message
)

// desired follows the desired state of the agent that calls. There is one such call for each agent, for as long as the
// agent runs, so what it holds on to while nothing happens is kept small: no buffer, and nothing of its last message
// but the number.
func (a *API) desired(w http.ResponseWriter, r *http.Request) {
	address, _, err := a.identity.ClientAddress(r.RemoteAddr, r.Header.Values("X-Forwarded-For"))
	if err != nil {
		a.fail(w, r, err)
		return
	}
	agent, err := a.identity.AgentFromCertificate(r.Context(), r.TLS, address)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	s := stream{api: a, w: w, control: http.NewResponseController(w), agent: agent.ID, sent: -1, until: r.TLS.PeerCertificates[0].NotAfter}
	clear(r.Header)
	a.streams.Add(1)
	defer a.streams.Add(-1)
	w.Header().Set("Content-Type", streamType)
	w.Header().Set("X-Accel-Buffering", "no")
	if err := s.follow(r.Context()); err != nil {
		a.log.Debug("stream ended", "agent", agent.Name, "error", err)
	}
}

type stream struct {
	api     *API
	w       http.ResponseWriter
	control *http.ResponseController
	agent   access.AgentID
	sent    int64     // revision of the last message
	until   time.Time // when the certificate ends, and with it what was proven by it
}

func (s *stream) follow(ctx context.Context) error {
	// Watched before the first look, so that no change falls between the two.
	changed, stop := s.api.engine.WatchDesired(s.agent)
	defer stop()
	if err := s.sendDesired(ctx); err != nil {
		return err
	}
	beat := time.NewTimer(beatAfter())
	defer beat.Stop()
	for beats := 1; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.api.draining:
			return nil // a polite end: the agent comes back, to another server or to this one restarted
		case <-changed:
			if err := s.sendDesired(ctx); err != nil {
				return err
			}
		case <-beat.C:
			now := s.api.now()
			if now.After(s.until) {
				return nil
			}
			if err := s.send("heartbeat", api.Heartbeat{ServerTime: now.UnixMicro()}); err != nil {
				return err
			}
			if beats++; beats%pollBeats == 0 {
				if err := s.sendDesired(ctx); err != nil {
					return err
				}
			}
			beat.Reset(beatAfter())
		}
	}
}

// beatAfter spreads the heartbeats of many agents that connected at once.
func beatAfter() time.Duration {
	return heartbeat - heartbeat/8 + rand.N(heartbeat/4) //nolint:gosec // it need not be hard to guess
}

// sendDesired sends the whole desired state where its number is not the one that was sent last.
func (s *stream) sendDesired(ctx context.Context) error {
	select {
	case s.api.deriving <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.api.deriving }()
	d, err := s.api.engine.Desired(ctx, s.agent)
	if err != nil {
		return err
	}
	if d.Revision == s.sent {
		return nil
	}
	if err := s.send("desired", desiredOut(d, s.api.now())); err != nil {
		return err
	}
	s.sent = d.Revision
	return nil
}

// send writes one message and sees it off.
func (s *stream) send(event string, data any) error {
	buffer, ok := s.api.buffers.Get().(*bytes.Buffer)
	if !ok {
		buffer = new(bytes.Buffer)
	}
	defer func() {
		if buffer.Cap() <= keptBuffer {
			buffer.Reset()
			s.api.buffers.Put(buffer)
		}
	}()
	buffer.WriteString("event: ")
	buffer.WriteString(event)
	buffer.WriteString("\ndata: ")
	if err := json.NewEncoder(buffer).Encode(data); err != nil { // ends in one newline
		return err
	}
	buffer.WriteByte('\n')
	if err := s.control.SetWriteDeadline(s.api.now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := s.w.Write(buffer.Bytes()); err != nil {
		return err
	}
	return s.control.Flush()
}

// desiredOut says what remains of each opening at now.
func desiredOut(d access.DesiredState, now time.Time) api.Desired {
	out := api.Desired{Agent: string(d.Agent), Revision: d.Revision, Mode: string(d.Mode), ServerTime: now.UnixMicro(),
		Machines: make([]api.Guarded, 0, len(d.Machines)), Protected: make([]api.Protected, 0, len(d.Protected)),
		Openings: make([]api.Opening, 0, len(d.Openings))}
	for _, m := range d.Machines {
		out.Machines = append(out.Machines, api.Guarded{Machine: string(m.Machine), Name: m.Name, Addresses: texts(m.Addresses)})
	}
	for _, p := range d.Protected {
		out.Protected = append(out.Protected, api.Protected{Machine: string(p.Machine), Protocol: string(p.Protocol), Ports: p.Ports.String(),
			Sessions: string(p.Sessions)})
	}
	for _, o := range d.Openings {
		remaining := o.Until.Sub(now).Milliseconds() // rounded down: never longer than it should be
		if remaining <= 0 {
			continue
		}
		grants := make([]string, 0, len(o.Grants))
		for _, g := range o.Grants {
			grants = append(grants, string(g))
		}
		out.Openings = append(out.Openings, api.Opening{Machine: string(o.Machine), Source: o.Source.String(), Protocol: string(o.Protocol),
			Ports: o.Ports.String(), RemainingMillis: remaining, CloseAfterMillis: o.CloseAfter.Milliseconds(), Grants: grants})
	}
	for _, g := range d.Ended {
		out.Ended = append(out.Ended, string(g))
	}
	return out
}
