package agentwire

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// FormatTime returns the header that says when the server began to answer: microseconds since 1970 by its wall clock,
// and a name for that clock.
func FormatTime(at time.Time, clock string) string {
	return strconv.FormatInt(at.UnixMicro(), 10) + " " + clock
}

// ParseTime reads what FormatTime wrote; ok is false where it is missing or makes no sense.
func ParseTime(header string) (at time.Time, clock string, ok bool) {
	micros, clock, ok := strings.Cut(header, " ")
	n, err := strconv.ParseInt(micros, 10, 64)
	if !ok || err != nil || clock == "" || len(clock) > maxEpoch {
		return at, "", false
	}
	at, err = instant(n)
	return at, clock, err == nil
}

// instant checks what a server says its clock shows.
func instant(micros int64) (time.Time, error) {
	t := time.UnixMicro(micros).UTC()
	if y := t.Year(); y < 2000 || y > 2200 {
		return t, fmt.Errorf("the server's clock shows the year %d", y)
	}
	return t, nil
}

// millis reads a duration of either sign without overflow.
func millis(n int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Millisecond)
	return time.Duration(min(max(n, -most), most)) * time.Millisecond
}
