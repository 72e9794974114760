package notify_test

import (
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/engine"
)

func TestLifecycleIsPostedAsAzureDoes(t *testing.T) {
	t.Parallel()
	v := newVault(t, "")
	s, authority, got := listen(t, answer(200, ""))
	p := parcel(channelTo(t, v, engine.Lifecycle, "", authority, s.URL+"/hook?sig=secret"))
	p.Notification = engine.Notification{
		ID: "n1", At: time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC), Kind: engine.NotifyLifecycle, Tenant: tenant,
		Lifecycle: engine.LifecycleEvent{
			Channel: "c1", Event: "PUT", Application: "/s/a", Definition: "/s/d",
			State: "Succeeded",
		},
	}
	if _, err := newCourier(t, v).Send(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	p.Notification.Request = "r1"
	p.Notification.Lifecycle.Event, p.Notification.Lifecycle.What = "JIT", "request.approved"
	p.Notification.Lifecycle.Principal = "vic"
	if _, err := newCourier(t, v).Send(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"eventType":"PUT","applicationId":"/s/a","eventTime":"2030-01-07T09:00:00Z","provisioningState":"Succeeded","applicationDefinitionId":"/s/d"}`,
		`{"eventType":"JIT","applicationId":"/s/a","eventTime":"2030-01-07T09:00:00Z","provisioningState":"Succeeded","applicationDefinitionId":"/s/d","jitRequestId":"r1","jitEvent":"request.approved","principalId":"vic"}`,
	}
	for i, one := range got() {
		if one.Path != "/hook/resource" || string(one.Body) != want[i] {
			t.Errorf("got %s %s", one.Path, one.Body)
		}
	}
	if n := len(got()); n != 2 {
		t.Errorf("%d were posted", n)
	}
}
