package requests

import (
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
	"github.com/postern-dev/postern/internal/engine"
)

// maxSeriesGrants is how many grants a series may become: its windows times its items. One transaction makes them, and
// others wait for it, so it is as many as any request may become.
const maxSeriesGrants = access.MaxItems

// windows gives the starts of the windows of a recurring request; none where it does not recur.
func (e *Service) windows(in SubmitInput) ([]time.Time, error) {
	if in.Repeat == "" {
		if in.Zone != "" {
			return nil, access.Fault(access.KindInvalid, "zoneWithoutSeries",
				"a time zone goes with a series: leave it out, or say how the request repeats")
		}
		return nil, nil
	}
	if in.BreakGlass {
		return nil, access.Fault(access.KindInvalid, "breakGlassSeries",
			"break-glass access cannot recur: make an ordinary request for the series")
	}
	zone := time.UTC
	if in.Zone != "" {
		var err error
		if zone, err = e.rules.Zone(in.Zone); err != nil {
			return nil, access.Fault(access.KindInvalid, "unknownZone",
				"time zone %q is not known: use an IANA name such as Europe/Berlin", engine.Clip(in.Zone))
		}
	}
	for _, item := range in.Items {
		if !item.Until.IsZero() {
			return nil, access.Fault(access.KindInvalid, "untilInSeries",
				"each window of a series has its own end: say for how long, not until when")
		}
	}
	start := in.Start
	if start.IsZero() {
		start = e.kernel.Now()
	}
	windows, err := policy.Windows(in.Repeat, start, zone)
	if err != nil {
		return nil, err
	}
	if n := len(windows) * len(in.Items); n > maxSeriesGrants {
		return nil, access.Fault(access.KindInvalid, "seriesTooLarge",
			"%d windows of %d ports are %d grants; %d are allowed in one request", len(windows), len(in.Items), n,
			maxSeriesGrants)
	}
	return windows, nil
}
