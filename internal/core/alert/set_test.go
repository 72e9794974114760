package alert_test

import (
	"reflect"
	"testing"

	"github.com/postern-dev/postern/internal/core/alert"
)

// A setting is laid over the one of its rule, and leaves the others and what it was given alone.
func TestSet(t *testing.T) {
	t.Parallel()
	two, three, off := 2, 3, false
	was := []alert.Setting{{Rule: alert.Skew, Threshold: &two}, {Rule: alert.Drift, Enabled: &off}}
	got := alert.Set(alert.Set(was, alert.Setting{Rule: alert.Drift, Threshold: &three}),
		alert.Setting{Rule: alert.Silent, Enabled: &off})
	want := []alert.Setting{
		was[0], {Rule: alert.Drift, Threshold: &three, Enabled: &off}, {Rule: alert.Silent, Enabled: &off},
	}
	if !reflect.DeepEqual(got, want) || was[1].Threshold != nil {
		t.Errorf("got %+v, and %+v is left", got, was)
	}
}
