package rbac

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
)

// TestHands compares who can act as whom with a walk over the secrets, step by step.
func TestHands(t *testing.T) {
	t.Parallel()
	everybody := []access.PrincipalID{"ann", "bob", "p", "q", "r", "s"}
	rapid.Check(t, func(t *rapid.T) {
		made := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Maker {
			return Maker{
				Program: rapid.SampledFrom(everybody[2:]).Draw(t, "program"),
				Person:  rapid.SampledFrom(everybody).Draw(t, "maker"),
			}
		}), 0, 8).Draw(t, "secrets")
		dir := Compile(Data{Makers: made})
		// speaks says who can act as program in so many steps at the most.
		var speaks func(person, program access.PrincipalID, steps int) bool
		speaks = func(person, program access.PrincipalID, steps int) bool {
			return steps > 0 && slices.ContainsFunc(made, func(m Maker) bool {
				return m.Program == program && (m.Person == person || speaks(person, m.Person, steps-1))
			})
		}
		can := func(person, program access.PrincipalID) bool {
			return person != program && speaks(person, program, len(everybody))
		}
		for _, one := range everybody {
			hands := dir.Hands(one)
			for _, other := range everybody {
				if person := other; dir.SpeaksFor(person, one) != can(person, one) {
					t.Fatalf("%s speaks for %s: %t", person, one, !can(person, one))
				}
				want := other == one || can(other, one) || can(one, other) ||
					slices.ContainsFunc(everybody, func(who access.PrincipalID) bool {
						return can(who, one) && can(who, other)
					})
				if got := slices.Contains(hands, other); got != want {
					t.Fatalf("behind %s are %v: %s should be among them: %t", one, hands, other, want)
				}
			}
			if len(slices.Compact(slices.Clone(hands))) != len(hands) {
				t.Fatalf("behind %s are %v", one, hands)
			}
		}
	})
}
