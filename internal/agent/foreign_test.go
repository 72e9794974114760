package agent

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
)

// TestALookThatFailsIsReported has looks at the firewall tables of others fail, once and for longer.
func TestALookThatFailsIsReported(t *testing.T) {
	t.Parallel()
	a := &agent{Config: Config{Log: slog.New(slog.DiscardHandler)}, out: newOutbox(), problems: map[string]string{}}
	rule := access.ForeignRule{
		Table: "inet filter", Chain: "input", Effect: access.ForeignDrops, Protocol: access.TCP,
		Ports: access.SinglePort(22),
	}
	for _, c := range []struct {
		name    string
		fails   int
		problem bool
	}{
		{"a chain goes while it is read", 1, false},
		{"nothing can be read", lookTries, true},
		{"it can be read again", 0, false},
	} {
		tries := 0
		a.looked(t.Context(), func() ([]access.ForeignRule, error) {
			if tries++; tries <= c.fails {
				return nil, errors.New("no such chain")
			}
			return []access.ForeignRule{rule}, nil
		})
		problem, _ := a.trouble()
		if strings.Contains(problem, "it is not known") != c.problem {
			t.Errorf("%s: the problem is %q", c.name, problem)
		}
		if found := a.foreigners(); len(found) != 1 || found[0] != rule {
			t.Errorf("%s: found %+v", c.name, found)
		}
	}
}
