package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/machines"
)

// One connection is served for each agent, over all replicas: see access.Stream. Which one is decided in the store;
// whoever is served answers there, when it is asked, whether its peer is still there.

const (
	maxInstance  = 64
	claimAgain   = 500 * time.Millisecond
	peerPatience = time.Second // in which a peer that is there acknowledges what was sent
)

var (
	errDisplaced = errors.New("the agent follows by another connection")
	errPeerGone  = errors.New("the peer does not acknowledge what is sent")
)

func instanceOf(r *http.Request) string {
	instance := r.Header.Get(agentwire.InstanceHeader)
	return instance[:min(len(instance), maxInstance)]
}

// isServed refuses calls of another program than the one that is served.
func isServed(s access.Stream, r *http.Request) error {
	if s.ID != "" && s.Instance != instanceOf(r) {
		return machines.Twice(s)
	}
	return nil
}

// claim returns once the stream is the one that is served, and fails where another is.
func (s *stream) claim(r *http.Request, from netip.Addr) error {
	ctx, cancel := context.WithTimeout(r.Context(), 3*access.StreamPatience)
	defer cancel()
	changed, stop := s.api.engine.Machines.WatchDesired(s.agent)
	defer stop()
	by := access.Stream{ID: s.id, Instance: instanceOf(r), From: from.String()}
	again := time.NewTicker(claimAgain)
	defer again.Stop()
	for {
		outcome, err := s.api.engine.Machines.ClaimStream(ctx, s.agent, by)
		switch {
		case err != nil || outcome == access.ClaimServed:
			return err
		case outcome == access.ClaimRefused:
			agent, err := s.api.engine.Machines.Desired(ctx, s.agent)
			if err != nil {
				return err
			}
			return machines.Twice(agent.Stream)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-again.C:
		}
	}
}

// stays fails where another connection is served now, or where somebody asks whether the peer is there, and it is not.
func (s *stream) stays(ctx context.Context, served access.Stream) error {
	switch {
	case served.ID != s.id:
		return errDisplaced
	case !served.Asked():
		return nil
	}
	err := apart(s.beat)
	if err == nil {
		err = s.acknowledged()
	}
	if keepErr := s.api.engine.Machines.KeepStream(ctx, s.agent, s.id, err != nil); keepErr != nil {
		return keepErr
	}
	return err
}

// acknowledged fails where the peer has closed the connection, or does not take what was sent. Nothing comes from an
// agent on its stream, so a read ends by its deadline.
func (s *stream) acknowledged() error {
	c, ok := s.to.(connection)
	if !ok {
		return nil // HTTP/2 tells by itself: it ends the call
	}
	if err := c.SetReadDeadline(time.Now().Add(peerPatience)); err != nil { //nolint:forbidigo // the kernel's clock decides
		return err
	}
	var one [1]byte
	if _, err := c.Read(one[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.Join(errPeerGone, err)
	}
	if waiting := unacknowledged(c.Conn); waiting > 0 {
		return errPeerGone
	}
	return nil
}

// bare gives the TCP connection below.
func bare(c net.Conn) *net.TCPConn {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	tcp, _ := c.(*net.TCPConn)
	return tcp
}
