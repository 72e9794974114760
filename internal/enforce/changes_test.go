package enforce_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
)

func TestChangesLeadFromOneListToTheOther(t *testing.T) {
	t.Parallel()
	ports := func(openings []access.Opening) map[uint16]time.Time {
		m := make(map[uint16]time.Time)
		for _, o := range openings {
			m[o.Ports.First] = o.Until
		}
		return m
	}
	rapid.Check(t, func(r *rapid.T) {
		draw := func(name string) []access.Opening {
			var list []access.Opening
			for _, port := range rapid.SliceOfNDistinct(rapid.Uint16Range(1, 20), 0, 20, rapid.ID).Draw(r, name) {
				list = append(list,
					opening(key("192.0.2.1/32", port), time.Unix(int64(rapid.IntRange(0, 2).Draw(r, "until")), 0)))
			}
			return list
		}
		_, _, from := enforce.Changes(nil, draw("from"))
		to := draw("to")
		gone, came, sorted := enforce.Changes(from, to)

		if !slices.IsSortedFunc(sorted,
			func(a, b access.Opening) int { return enforce.CompareKeys(a.OpeningKey, b.OpeningKey) }) {
			r.Errorf("not sorted: %v", sorted)
		}
		got := ports(from)
		for _, k := range gone {
			if _, was := got[k.Ports.First]; !was {
				r.Errorf("port %d is said to be gone and was not there", k.Ports.First)
			}
			delete(got, k.Ports.First)
		}
		for _, o := range came {
			if was, ok := got[o.Ports.First]; ok && was.Equal(o.Until) {
				r.Errorf("port %d is said to have come and was the same before", o.Ports.First)
			}
			got[o.Ports.First] = o.Until
		}
		if diff := cmp.Diff(ports(to), got); diff != "" {
			r.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(ports(to), ports(sorted)); diff != "" {
			r.Errorf("sorted (-want +got):\n%s", diff)
		}
	})
}
