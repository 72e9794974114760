package enforce

import (
	"cmp"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
)

// CompareKeys orders opening keys as access.Desired does.
func CompareKeys(a, b access.OpeningKey) int {
	return cmp.Or(cmp.Compare(a.Machine, b.Machine), a.Source.Compare(b.Source), cmp.Compare(a.Protocol, b.Protocol),
		cmp.Compare(a.Ports.First, b.Ports.First), cmp.Compare(a.Ports.Last, b.Ports.Last))
}

// Sorted gives openings in the order of their keys: the slice itself where it is in order, else a sorted copy.
func Sorted(openings []access.Opening) []access.Opening {
	order := func(a, b access.Opening) int { return CompareKeys(a.OpeningKey, b.OpeningKey) }
	if slices.IsSortedFunc(openings, order) {
		return openings
	}
	return slices.SortedFunc(slices.Values(openings), order)
}

// Changes gives what has to be done to get from one sorted list of openings to another: keys that are gone, and
// openings that are new or say something else. It costs one walk over both, so that one change among a hundred
// thousand openings is cheap.
func Changes(from, to []access.Opening) (gone []access.OpeningKey, came []access.Opening) {
	i, j := 0, 0
	for i < len(from) || j < len(to) {
		switch {
		case i == len(from):
			came = append(came, to[j])
			j++
		case j == len(to):
			gone = append(gone, from[i].OpeningKey)
			i++
		case from[i].OpeningKey == to[j].OpeningKey:
			if !sameOpening(&from[i], &to[j]) {
				came = append(came, to[j])
			}
			i++
			j++
		case CompareKeys(from[i].OpeningKey, to[j].OpeningKey) < 0:
			gone = append(gone, from[i].OpeningKey)
			i++
		default:
			came = append(came, to[j])
			j++
		}
	}
	return gone, came
}

func sameOpening(a, b *access.Opening) bool {
	return a.Until.Equal(b.Until) && a.CloseAfter == b.CloseAfter && slices.Equal(a.Grants, b.Grants)
}
