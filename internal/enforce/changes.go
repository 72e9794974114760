package enforce

import (
	"cmp"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
)

// CompareKeys orders opening keys as access.Desired does.
func CompareKeys(a, b access.OpeningKey) int {
	if c := cmp.Compare(a.Machine, b.Machine); c != 0 {
		return c
	}
	if c := a.Source.Compare(b.Source); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Ports.First, b.Ports.First),
		cmp.Compare(a.Ports.Last, b.Ports.Last))
}

// Changes gives what has to be done to get from one sorted list of openings to another: keys that are gone, and
// openings that are new or say something else. sorted is to itself, or a sorted copy where it was in no order.
//
// It costs one walk over both lists in which hardly any keys are put in order, so that one change among a hundred
// thousand openings is cheap: what both lists have is in order because from is.
func Changes(from, to []access.Opening) (gone []access.OpeningKey, came, sorted []access.Opening) {
	gone, came, ok := changes(from, to)
	if ok {
		return gone, came, to
	}
	to = slices.SortedFunc(slices.Values(to),
		func(a, b access.Opening) int { return CompareKeys(a.OpeningKey, b.OpeningKey) })
	gone, came, _ = changes(from, to)
	return gone, came, to
}

// changes is false where it found to in no order.
func changes(from, to []access.Opening) (gone []access.OpeningKey, came []access.Opening, ok bool) {
	i, j := 0, 0
	for i < len(from) && j < len(to) {
		a, b := &from[i], &to[j]
		if a.OpeningKey == b.OpeningKey {
			if !sameOpening(a, b) {
				came = append(came, *b)
			}
			i++
			j++
			continue
		}
		if CompareKeys(a.OpeningKey, b.OpeningKey) < 0 {
			gone = append(gone, a.OpeningKey)
			i++
			continue
		}
		if !inOrder(to, j) {
			return nil, nil, false
		}
		came = append(came, *b)
		j++
	}
	for ; i < len(from); i++ {
		gone = append(gone, from[i].OpeningKey)
	}
	for ; j < len(to); j++ {
		if !inOrder(to, j) {
			return nil, nil, false
		}
		came = append(came, to[j])
	}
	return gone, came, true
}

// inOrder tells whether an opening stands between its neighbours.
func inOrder(list []access.Opening, at int) bool {
	return (at == 0 || CompareKeys(list[at-1].OpeningKey, list[at].OpeningKey) < 0) &&
		(at == len(list)-1 || CompareKeys(list[at].OpeningKey, list[at+1].OpeningKey) < 0)
}

func sameOpening(a, b *access.Opening) bool {
	return a.Until.Equal(b.Until) && a.CloseAfter == b.CloseAfter && slices.Equal(a.Grants, b.Grants)
}
