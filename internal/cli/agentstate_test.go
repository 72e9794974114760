package cli

import (
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

// TestAgentState proves that what an agent said last, that it has a problem too, counts while it is heard of, and that
// a revision which is yet to come is not in force.
func TestAgentState(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)
	seen := func(ago time.Duration) *time.Time {
		at := now.Add(-ago)
		return &at
	}
	for want, agent := range map[string]*api.Agent{
		"none":       nil,
		"never seen": {Revision: 1},
		"in force":   {Revision: 3, Reported: 3, LastSeenAt: seen(time.Second)},
		"changing":   {Revision: 4, Reported: 3, LastSeenAt: seen(time.Second)},
		"problem":    {Revision: 3, Reported: 3, LastSeenAt: seen(time.Second), Problem: "no nftables"},
		"silent 2h":  {Revision: 3, Reported: 3, LastSeenAt: seen(2 * time.Hour), Problem: "no nftables"},
	} {
		if got := agentState(style{now: now}, api.Machine{Agent: agent}); got != want {
			t.Errorf("%+v is %q, want %q", agent, got, want)
		}
	}
	if got := agentState(style{now: now},
		api.Machine{Agent: &api.Agent{Revision: 3, Reported: 9, LastSeenAt: seen(time.Second)}}); got != "changing" {
		t.Errorf("after a restore it is %q", got)
	}
}
