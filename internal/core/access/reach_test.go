package access

import (
	"math"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestReach(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		of        []string
		four, six float64
	}{
		{nil, 0, 0},
		{[]string{"0.0.0.0/0", "::/0"}, 1, 1},
		{[]string{"0.0.0.0/1", "128.0.0.0/1"}, 1, 0},
		{[]string{"0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/3"}, 1, 0},
		{[]string{"2000::/4", "3000::/4"}, 0, 1},
		{[]string{"2000::/3"}, 0, 1},
		{[]string{"fe80::/10", "224.0.0.0/4"}, 0, 0},
		{[]string{"::ffff:0.0.0.0/96"}, 1, 0},
		{[]string{"0.0.0.0/1", "0.0.0.0/1", "10.0.0.0/8"}, 4.0 / 7, 0},
	} {
		if four, six := Reach(prefixes(one.of...)); four != one.four || six != one.six {
			t.Errorf("%q reach %v and %v, want %v and %v", one.of, four, six, one.four, one.six)
		}
	}
}

// Of short prefixes the share is that of the blocks which they hold, counted one by one.
func TestReachCountsEachAddressOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var all []netip.Prefix
		for _, bits := range rapid.SliceOfN(rapid.IntRange(0, 6), 0, 12).Draw(t, "bits") {
			first := rapid.Byte().Draw(t, "first")
			if rapid.Bool().Draw(t, "four") {
				all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{first}), bits).Masked())
			} else {
				all = append(all, netip.PrefixFrom(netip.AddrFrom16([16]byte{first}), bits).Masked())
			}
		}
		holds := func(a netip.Addr) bool {
			for _, p := range all {
				if p.Contains(a) {
					return true
				}
			}
			return false
		}
		var four, six float64
		for first := range 256 {
			if first < 224 && holds(netip.AddrFrom4([4]byte{byte(first)})) {
				four += 1.0 / 224
			}
			if first >= 0x20 && first < 0x40 && holds(netip.AddrFrom16([16]byte{byte(first)})) {
				six += 1.0 / 32
			}
		}
		gotFour, gotSix := Reach(all)
		if math.Abs(gotFour-four) > 1e-9 || math.Abs(gotSix-six) > 1e-9 {
			t.Fatalf("%v reach %v and %v, want %v and %v", all, gotFour, gotSix, four, six)
		}
	})
}
