package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/agentwire"
	"github.com/postern-dev/postern/internal/core/access"
)

// glassSocket is where the running agent listens, for root and its own user alone.
const glassSocket = "break-glass.sock"

const (
	glassPatience = 10 * time.Second
	maxGlassCall  = 64 << 10
)

// glassAnswer is what the agent says on the socket.
type glassAnswer struct {
	Opened GlassOpened `json:"opened"`
	Error  string      `json:"error,omitempty"`
}

// askAgent asks the running agent; running is false where there is none.
func askAgent(ctx context.Context, dir string, in GlassConfig) (opened GlassOpened, running bool, err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", filepath.Join(dir, glassSocket))
	if err != nil {
		return opened, false, nil
	}
	defer conn.Close() //nolint:errcheck // the answer was read
	if err := conn.SetDeadline(time.Now().Add(glassPatience)); err != nil {
		return opened, true, err
	}
	if err := json.NewEncoder(conn).Encode(in); err != nil {
		return opened, true, fmt.Errorf("ask the agent: %w", err)
	}
	var answer glassAnswer
	if err := json.NewDecoder(io.LimitReader(conn, maxGlassCall)).Decode(&answer); err != nil {
		return opened, true, fmt.Errorf("ask the agent: %w", err)
	}
	if answer.Error != "" {
		return opened, true, errors.New(answer.Error)
	}
	return answer.Opened, true, nil
}

// serveGlass answers on the socket until ctx ends. Where it cannot, it says so, and tries again.
func (a *agent) serveGlass(ctx context.Context) {
	for ctx.Err() == nil {
		if err := a.listenGlass(ctx); err != nil && ctx.Err() == nil {
			a.setProblem(ctx, "breakGlass",
				"nobody can use a code for emergencies here while the agent runs: "+err.Error())
			sleep(ctx, a.timing.backOff)
		}
	}
}

func (a *agent) listenGlass(ctx context.Context) error {
	path := filepath.Join(a.StateDir, glassSocket)
	if err := ignoreMissing(os.Remove(path)); err != nil { // of an agent that ended without a word
		return err
	}
	var listening net.ListenConfig
	l, err := listening.Listen(ctx, "unix", path)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	a.setProblem(ctx, "breakGlass", "")
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return errors.Join(err, l.Close())
		}
		calls.Go(func() { a.answerGlass(ctx, conn) }) // one that says nothing keeps no other waiting
	}
}

func (a *agent) answerGlass(ctx context.Context, conn net.Conn) {
	defer conn.Close() //nolint:errcheck // nobody waits any more
	if conn.SetDeadline(time.Now().Add(glassPatience)) != nil {
		return
	}
	// who has not asked by now is not heard any more
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	defer stop()
	var in GlassConfig
	var answer glassAnswer
	err := json.NewDecoder(io.LimitReader(conn, maxGlassCall)).Decode(&in)
	if err == nil {
		answer.Opened, err = a.breakGlass(ctx, in)
	}
	if err != nil {
		answer.Error = err.Error()
	}
	if err := json.NewEncoder(conn).Encode(answer); err != nil {
		a.Log.WarnContext(ctx, "whoever broke glass did not wait for the answer", "error", err)
	}
}

// reportGlass tells the server of the uses that it does not know of.
func (a *agent) reportGlass(ctx context.Context, client *agentwire.Client) error {
	if _, err := os.Stat(filepath.Join(a.StateDir, glassFile)); err != nil {
		return nil //nolint:nilerr // there was never a code
	}
	var pending []glassUse
	err := glass(a.StateDir, func(s *glassState) (bool, error) {
		for _, u := range s.Uses {
			if !u.Reported {
				pending = append(pending, u)
			}
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	var later error // of a use that is put off, such as of a code that the server does not know: it holds up no other
	for _, use := range pending {
		err := client.ReportGlass(ctx, agentwire.GlassUse{
			Code: use.Code, Ports: access.SinglePort(use.Port).String(), Protocol: string(use.Protocol),
			Source: use.Source.String(), OpenedMicros: use.Opened,
			ForSeconds: max(1, int64(use.For/time.Second)), Reason: use.Reason,
		})
		switch status, _ := agentwire.Refusal(err); {
		case hopeless(status):
			a.Log.ErrorContext(ctx, "the server does not take what was opened in an emergency", "code", use.Code,
				"error", err.Error())
		case status == http.StatusTooManyRequests:
			later = err
			continue
		case err != nil:
			return err
		}
		err = glass(a.StateDir, func(s *glassState) (bool, error) {
			i := slices.IndexFunc(s.Uses, func(other glassUse) bool { return other.Code == use.Code })
			if i >= 0 {
				s.Uses[i].Reported = true
			}
			return i >= 0, nil
		})
		if err != nil {
			return err
		}
	}
	return later
}
