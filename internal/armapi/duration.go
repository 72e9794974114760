package armapi

import (
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// parseDuration reads an ISO 8601 duration such as PT3H, PT1H30M or P1D.
func parseDuration(text string) (time.Duration, error) {
	d, err := access.ParseISODuration(text)
	if err != nil {
		return 0, access.Fault(access.KindInvalid, "InvalidParameter",
			"%q is not an ISO 8601 duration such as PT3H, PT30M or P1D", clip(text))
	}
	return d, nil
}

// formatDuration writes d as Azure does: PT3H, PT1H30M, P1D. Parts below a second are dropped.
func formatDuration(d time.Duration) string { return access.FormatISODuration(d) }

// stamp writes an instant as Azure does: UTC, seven digits of a second.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }

// parseStamp reads what clients send: RFC 3339 with 0 to 9 digits of a second, with or without an offset; without
// one it is UTC.
func parseStamp(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, access.Fault(access.KindInvalid, "InvalidParameter",
		"%q is not a time such as 2030-01-02T15:04:05Z", clip(text))
}

func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
