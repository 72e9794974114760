package cli

import (
	"reflect"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

func TestParseItem(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 7, 12, 0, 0, 0, time.UTC)
	evening := time.Date(2030, 1, 7, 18, 0, 0, 0, time.UTC)
	morning := time.Date(2030, 1, 8, 9, 0, 0, 0, time.UTC)
	for text, want := range map[string][]api.NewItem{
		"web-1:22": {{Machine: "web-1", Ports: "22"}},
		"web-1:22,8000-8010/UDP from 203.0.113.0/24,office for 1h30m": {
			{Machine: "web-1", Ports: "22", Sources: []string{"203.0.113.0/24", "office"}, ForSeconds: 5400},
			{
				Machine: "web-1", Ports: "8000-8010", Protocol: "udp", Sources: []string{"203.0.113.0/24", "office"},
				ForSeconds: 5400,
			},
		},
		" web-1:22  for 2d from me ,  2001:db8::1": {
			{Machine: "web-1", Ports: "22", Sources: []string{"me", "2001:db8::1"}, ForSeconds: 172800},
		},
		"web-1:22 until 18:00":          {{Machine: "web-1", Ports: "22", Until: &evening}},
		"web-1:22 until tomorrow 09:00": {{Machine: "web-1", Ports: "22", Until: &morning}},
	} {
		got, err := parseItem(text, now, time.UTC)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                             "is empty; write it like web-1:22,443 from 203.0.113.0/24 for 1h",
		"web-1":                        `"web-1" is not MACHINE:PORT, such as web-1:22 or web-1:22,443`,
		"web-1: 22":                    `"web-1:" is not MACHINE:PORT, such as web-1:22 or web-1:22,443`,
		":22":                          `":22" is not MACHINE:PORT, such as web-1:22 or web-1:22,443`,
		"web-1:22 203.0.113.7":         `"203.0.113.7" stands where from, for or until is expected`,
		"web-1:22 from":                "nothing comes after from",
		"web-1:22 from for 1h":         "nothing comes after from",
		"web-1:22 for 1h for 2h":       "for stands twice",
		"web-1:22 for 1h until 18:00":  "for and until exclude each other",
		"web-1:22 for soon":            `"soon" is not a duration; write it like 45m, 1h30m or 2d`,
		"web-1:22 for 1.5s":            "1.5s has a fraction of a second",
		"web-1:22 from a until always": `"always" is not a time; write it like 15:04, "tomorrow 09:00", "2026-01-31 15:04" or 2026-01-31T15:04:00Z`,
	} {
		if got, err := parseItem(text, now, time.UTC); err == nil || err.Error() != want {
			t.Errorf("%q is %+v, %v; want %s", text, got, err, want)
		}
	}
}
