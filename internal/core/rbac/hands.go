package rbac

import (
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
)

// hands says who can act as which service principal: whoever made a secret of it, and whoever can act as its maker,
// since a program may make secrets of another.
type hands struct {
	makers   map[access.PrincipalID][]access.PrincipalID // by service principal, at any number of steps
	programs map[access.PrincipalID][]access.PrincipalID // by maker, likewise
}

func handsOf(made []Maker) hands {
	direct := map[access.PrincipalID][]access.PrincipalID{}
	for _, m := range made {
		direct[m.Program] = append(direct[m.Program], m.Person)
	}
	h := hands{
		makers:   make(map[access.PrincipalID][]access.PrincipalID, len(direct)),
		programs: map[access.PrincipalID][]access.PrincipalID{},
	}
	for program := range direct {
		all := []access.PrincipalID{program}
		for i := 0; i < len(all); i++ {
			for _, maker := range direct[all[i]] {
				if !slices.Contains(all, maker) {
					all = append(all, maker)
				}
			}
		}
		h.makers[program] = all[1:]
		for _, maker := range all[1:] {
			h.programs[maker] = append(h.programs[maker], program)
		}
	}
	return h
}

// SpeaksFor reports whether a person can act as a service principal: they made a secret of it, or of what did.
func (d *Directory) SpeaksFor(person, program access.PrincipalID) bool {
	return slices.Contains(d.hands.makers[program], person)
}

// Hands returns every principal behind which the same people may be as behind principal, itself among them: of a
// service principal those who can act as it, and of all of these what they can act as.
func (d *Directory) Hands(principal access.PrincipalID) []access.PrincipalID {
	all := append([]access.PrincipalID{principal}, d.hands.makers[principal]...)
	for _, one := range slices.Clone(all) {
		all = append(all, d.hands.programs[one]...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
