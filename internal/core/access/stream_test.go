package access_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
)

// TestOneStreamIsServed plays connections of several programs that come, go without a word, answer or not, in any
// order. One is served at most; one that answers in time is displaced by nobody but its own program; and whoever
// insists is served once nobody answers.
func TestOneStreamIsServed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)
		var s access.Stream
		connections := []access.Stream{
			{ID: "1", Instance: "a"}, {ID: "2", Instance: "a"}, {ID: "3", Instance: "b"}, {ID: "4"}, {ID: "5"},
		}
		dead := map[string]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			// Whoever is there answers long before patience ends.
			if s.Asked() && !dead[s.ID] {
				s = s.Answer(s.ID, now)
			}
			c := rapid.SampledFrom(connections).Draw(t, "connection")
			if rapid.IntRange(0, 5).Draw(t, "what") == 0 {
				dead[c.ID] = true
				continue
			}
			next, outcome, _ := s.Claim(c, now)
			if s.ID == c.ID {
				continue // each connection claims until it is served
			}
			if (outcome == access.ClaimServed) != (next.ID == c.ID) {
				t.Fatalf("%v, and %q is served", outcome, next.ID)
			}
			same := c.Instance != "" && c.Instance == s.Instance
			if outcome == access.ClaimServed && s.ID != "" && !same && !dead[s.ID] && s.ID != c.ID {
				t.Fatalf("%q displaced %q, which answers", c.ID, s.ID)
			}
			if outcome == access.ClaimServed {
				delete(dead, c.ID)
			}
			s = next
		}
		if s.ID == "" {
			return
		}
		// A stranger insists.
		stranger, alive := access.Stream{ID: "9", Instance: "c"}, !dead[s.ID]
		outcome := access.ClaimWaits
		for i := 0; outcome == access.ClaimWaits; i++ {
			if i == 40 {
				t.Fatal("nothing is decided")
			}
			s, outcome, _ = s.Claim(stranger, now)
			if alive {
				s = s.Answer(s.ID, now)
			}
			now = now.Add(500 * time.Millisecond)
		}
		if (outcome == access.ClaimRefused) != alive {
			t.Fatalf("the outcome is %v, and the other answers: %v", outcome, alive)
		}
	})
}
