package armapi

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// FuzzBodies reads whatever a client may send as each of the bodies, and holds what is known of those that are taken.
func FuzzBodies(f *testing.F) {
	const machine = "/subscriptions/6f0c1a52-4a1e-4b8e-9a57-0d6b3c2f9e10/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/m"
	f.Add(`{"properties":{"virtualMachines":[{"id":"` + machine +
		`","ports":[{"number":"22","protocol":"*","allowedSourceAddressPrefix":"10.0.0.0/8,::1","maxRequestAccessDuration":"PT3H"}]}]}}`)
	f.Add(`{"justification":"x","virtualMachines":[{"id":"` + machine +
		`","ports":[{"number":22,"endTimeUtc":"2030-01-02T03:04:05.1234567Z","allowedSourceAddressPrefix":"*"}]}]}`)
	f.Add(`{"properties":{"requestType":"SelfActivate","scheduleInfo":{"startDateTime":"2030-01-02T03:04:05Z","expiration":{"type":"AfterDuration","duration":"PT1H"}}}}`)
	f.Add(`{"virtualMachines":[{"id":"/0","ports":[{"endTimeUtc":"0000-01-01"}]}]}`)
	now := time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		var put putPolicy
		if json.Unmarshal([]byte(text), &put) == nil && put.Properties != nil {
			for _, m := range put.Properties.VirtualMachines {
				for _, p := range m.Ports {
					sources, _, wrong := p.sources()
					for _, s := range sources {
						if s != s.Masked() || !s.IsValid() {
							t.Errorf("%q has the source %s beside %v", text, s, wrong)
						}
					}
				}
			}
		}
		var ask initiate
		if json.Unmarshal([]byte(text), &ask) == nil {
			in, err := initiateFrom(ask)
			if err != nil && access.KindOf(err) != access.KindInvalid {
				t.Errorf("%q fails with %v", text, err)
			}
			for _, item := range in.Items {
				if err == nil && (item.Port.Ports.First == 0 || len(item.Port.Sources) > 2) {
					t.Errorf("%q asks for %+v", text, item)
				}
			}
		}
		var body scheduleBody
		if json.Unmarshal([]byte(text), &body) == nil {
			var w wanted
			if err := w.window(body, now); err == nil && !w.start.IsZero() && !w.start.After(now) {
				t.Errorf("%q begins at %s", text, w.start)
			}
		}
	})
}
