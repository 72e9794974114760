package agent

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// Where another program reads the log group, nobody learns who is refused: each report says so, until it is over.
func TestWhatIsNotHeardIsReported(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := newHost(t, s)
	deaf := func(err error) {
		h.target.mu.Lock()
		defer h.target.mu.Unlock()
		h.target.deaf = err
	}
	deaf(errors.New("bind log group 7: operation not permitted"))
	h.start()
	problem := func() string { r, _ := s.lastReport(); return r.Problem }
	eventually(t, "it is reported", func() bool {
		return strings.Contains(problem(), "refused attempts are not counted: bind log group 7")
	})
	s.grant("g1", "192.0.2.1/32", time.Hour)
	eventually(t, "the rest goes on", func() bool { return slices.Contains(s.said("g1"), "open") })
	deaf(nil)
	eventually(t, "it is over", func() bool { return problem() == "" })
	h.halt()
}
