package policy

import (
	"cmp"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
)

// People answers who is who, as the directory has it now. Disabled people are in no group.
type People interface {
	InGroup(person, group access.PrincipalID) bool
	// Members gives the people in group, directly or not, in the order of their ids.
	Members(group access.PrincipalID) []access.PrincipalID
	// Enabled tells whether person is a user that can sign in.
	Enabled(person access.PrincipalID) bool
	// SpeaksFor reports whether person can act as program, a service principal, because they made a secret of it.
	SpeaksFor(person, program access.PrincipalID) bool
}

// EligibleFor gives the quorums of s, AllOf first and AnyOf after, that person may decide in; none for the
// requester, nor for whoever can act as the requester.
func EligibleFor(s access.Stage, person, requester access.PrincipalID, who People) []int {
	if person == requester || who.SpeaksFor(person, requester) || !who.Enabled(person) {
		return nil
	}
	var in []int
	for i, q := range append(slices.Clone(s.AllOf), s.AnyOf...) {
		if slices.Contains(q.People,
			person) || slices.ContainsFunc(q.Groups, func(g access.PrincipalID) bool { return who.InGroup(person, g) }) {
			in = append(in, i)
		}
	}
	return in
}

// Deciders gives everybody who may decide in s, without the requester, in the order of their ids. The slice may be
// shared: nobody may change it.
func Deciders(s access.Stage, requester access.PrincipalID, who People) []access.PrincipalID {
	var people []access.PrincipalID
	for _, q := range append(slices.Clone(s.AllOf), s.AnyOf...) {
		people = union(people, candidates(q, requester, who))
	}
	return people
}

// candidates gives everybody who may decide in q, in the order of their ids.
func candidates(q access.Quorum, requester access.PrincipalID, who People) []access.PrincipalID {
	people := slices.DeleteFunc(slices.Clone(q.People), func(p access.PrincipalID) bool { return !who.Enabled(p) })
	slices.Sort(people)
	people = slices.Compact(people)
	for _, g := range q.Groups {
		people = union(people, who.Members(g))
	}
	own := func(p access.PrincipalID) bool { return p == requester || who.SpeaksFor(p, requester) }
	if slices.ContainsFunc(people, own) {
		people = slices.DeleteFunc(slices.Clone(people), own) // what Members gave is shared
	}
	return people
}

// union merges two sorted lists without what stands in both twice. It may give one of them, and changes neither: groups
// have very many people, and hold one another.
func union(a, b []access.PrincipalID) []access.PrincipalID {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	all := make([]access.PrincipalID, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch c := cmp.Compare(a[0], b[0]); {
		case c < 0:
			all, a = append(all, a[0]), a[1:]
		case c > 0:
			all, b = append(all, b[0]), b[1:]
		default:
			all, a, b = append(all, a[0]), a[1:], b[1:]
		}
	}
	return append(append(all, a...), b...)
}

// Reachable tells whether the people there are could meet the case when requester asks; requester may be empty, for
// a rule as such. The number is that of the first stage that never can be met, and is only of use when it cannot.
//
// Everybody counts once over all stages, so stages share the people; a stage that gives way in time is not needed.
func Reachable(c access.Case, requester access.PrincipalID, who People) (stage int, ok bool) {
	var needed []access.Stage
	for i, s := range c.Stages {
		if s.Timeout > 0 && i < len(c.Stages)-1 {
			continue
		}
		needed = append(needed, s)
		if !anyChoice(needed, requester, who, nil) {
			return i, false
		}
	}
	return len(c.Stages), true
}

// anyChoice tries each choice of one quorum out of every stage's AnyOf.
func anyChoice(stages []access.Stage, requester access.PrincipalID, who People, chosen []access.Quorum) bool {
	if len(stages) == 0 {
		return fillable(chosen, requester, who)
	}
	with := append(slices.Clone(chosen), stages[0].AllOf...)
	if len(stages[0].AnyOf) == 0 {
		return anyChoice(stages[1:], requester, who, with)
	}
	return slices.ContainsFunc(stages[0].AnyOf, func(q access.Quorum) bool {
		return anyChoice(stages[1:], requester, who, append(slices.Clone(with), q))
	})
}

// fillable tells whether distinct people can fill every place of the quorums. No quorum needs more candidates than
// there are places in all: the others cannot take more than that away from it.
func fillable(quorums []access.Quorum, requester access.PrincipalID, who People) bool {
	total := 0
	for _, q := range quorums {
		total += q.Count
	}
	eligible := map[access.PrincipalID][]int{}
	for i, q := range quorums {
		people := candidates(q, requester, who)
		for _, p := range people[:min(len(people), total)] {
			eligible[p] = append(eligible[p], i)
		}
	}
	rows := make([][]int, 0, len(eligible))
	for _, in := range eligible {
		rows = append(rows, in)
	}
	return short(quorums, assign(quorums, nil, rows)) == nil
}
