package agentwire

import (
	"testing"
	"time"
)

func FuzzTimeHeader(f *testing.F) {
	f.Add("1900000000000000 abc")
	f.Add("x")
	f.Add(FormatTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), "0123456789abcdef"))
	f.Fuzz(func(t *testing.T, header string) {
		at, clock, ok := ParseTime(header)
		if !ok {
			return
		}
		if clock == "" || at.Year() < 2000 || at.Year() > 2200 {
			t.Errorf("%q is %s of %q", header, at, clock)
		}
		if again, same, ok := ParseTime(FormatTime(at, clock)); !ok || !again.Equal(at) || same != clock {
			t.Errorf("%s of %q is written as %q", at, clock, FormatTime(at, clock))
		}
	})
}
