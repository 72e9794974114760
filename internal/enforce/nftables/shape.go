//go:build linux

package nftables

import (
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
)

// shape is what decides on the sets and rules, apart from the elements.
type shape struct {
	table   string
	mode    access.Mode
	group   uint16
	lengths map[family][]int // prefix lengths in use, the longest first
	trying  bool             // some ports are protected for a time
}

// openSet is the set that holds the openings of one prefix length.
func openSet(f family, bits int) string { return fmt.Sprintf("n%d_%d", f, bits) }

// always are the prefix lengths whose sets are always there, since almost every opening is for one address.
func always() map[family][]int { return map[family][]int{four: {32}, six: {128}} }

// with gives the shape with such prefix lengths in use.
func (s shape) with(more map[family]map[int]bool) shape {
	s.lengths = always()
	for f, bits := range more {
		for n := range bits {
			if !slices.Contains(s.lengths[f], n) {
				s.lengths[f] = append(s.lengths[f], n)
			}
		}
		slices.SortFunc(s.lengths[f], func(a, b int) int { return b - a })
	}
	return s
}

// same tells whether two shapes of one mode have the same sets and rules.
func (s shape) same(other shape) bool {
	return s.trying == other.trying && slices.Equal(s.lengths[four], other.lengths[four]) &&
		slices.Equal(s.lengths[six], other.lengths[six])
}

// sets gives the sets without elements.
func (s shape) sets() []Set {
	var sets []Set
	if s.mode == access.ModeGateway {
		for _, f := range []family{four, six} {
			fields := []Field{f.field(), FieldProtocol, FieldPort}
			sets = append(sets, Set{Name: protectedSet(s.mode, access.SessionsCut, f), Fields: fields},
				Set{Name: protectedSet(s.mode, access.SessionsKeep, f), Fields: fields})
		}
	} else {
		fields := []Field{FieldProtocol, FieldPort}
		sets = append(sets, Set{Name: "cut", Fields: fields}, Set{Name: "keep", Fields: fields},
			Set{Name: ownSet(four), Fields: []Field{four.field()}, Learned: true},
			Set{Name: ownSet(six), Fields: []Field{six.field()}, Learned: true})
	}
	if s.trying {
		for _, set := range sets {
			if !set.Learned {
				sets = append(sets, Set{Name: endingSet(set.Name), Fields: set.Fields, Ending: true})
			}
		}
	}
	for _, f := range []family{four, six} {
		fields := []Field{f.field(), FieldProtocol, FieldPort}
		if s.mode == access.ModeGateway {
			fields = []Field{f.field(), f.field(), FieldProtocol, FieldPort}
		}
		for _, bits := range s.lengths[f] {
			sets = append(sets, Set{Name: openSet(f, bits), Fields: fields, Timed: true})
		}
	}
	return sets
}

// ownSet is the set of this host's own addresses at which a guarded port was tried.
func ownSet(f family) string { return fmt.Sprintf("own%d", f) }

// endingSet names the set of what is protected like that of the given set, but for a time alone.
func endingSet(set string) string { return set + "_trial" }

// protectedSet names the set of protected ports whose sessions end in that way: in host mode for both families.
func protectedSet(m access.Mode, sessions access.SessionMode, f family) string {
	if m == access.ModeGateway {
		return fmt.Sprintf("%s%d", sessions, f)
	}
	return string(sessions)
}
