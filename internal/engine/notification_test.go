package engine_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// TestPlanAgainstTheRuleOfRoutes compares Plan with the sentences of Route, asked of each channel and person in turn.
func TestPlanAgainstTheRuleOfRoutes(t *testing.T) {
	t.Parallel()
	people := []access.PrincipalID{"ana", "bo", "cy"}
	paged := map[engine.NotificationKind]bool{ // what opens an incident or resolves one, by the manual
		engine.NotifyNeedsDecision: true, engine.NotifyFailed: true, engine.NotifyBreakGlass: true,
		engine.NotifyAlert:   true,
		engine.NotifySettled: true, engine.NotifyDecided: true, engine.NotifyOpened: true, engine.NotifyEnded: true,
	}
	rapid.Check(t, func(t *rapid.T) {
		n := engine.Notification{
			ID: "n1", Seq: 7, Tenant: "t1", Request: "r1",
			Kind:   rapid.SampledFrom(append(engine.NotificationKinds(), engine.NotifySettled)).Draw(t, "kind"),
			Except: rapid.SliceOfNDistinct(rapid.SampledFrom(people), 0, 1, rapid.ID).Draw(t, "except"),
			Policies: rapid.SliceOfNDistinct(rapid.SampledFrom([]access.PolicyID{"p1", "p2"}), 0, 2, rapid.ID).Draw(t,
				"policies"),
		}
		addressed := rapid.SliceOfNDistinct(rapid.SampledFrom(people), 0, 3, rapid.ID).Draw(t, "addressed")
		var channels []engine.Channel
		for _, id := range []engine.ChannelID{"c1", "c2"} {
			channels = append(channels, engine.Channel{
				ID: id, Enabled: rapid.Bool().Draw(t, "enabled"),
				Tenant: rapid.SampledFrom([]access.TenantID{"t1", "t1", "t2"}).Draw(t, "tenant"),
				Kind: rapid.SampledFrom([]engine.ChannelKind{engine.SMTP, engine.Slack, engine.PagerDuty}).Draw(t,
					"channel"),
			})
		}
		routes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) engine.Route {
			return engine.Route{
				Tenant: "t1", Channel: rapid.SampledFrom([]engine.ChannelID{"c1", "c2"}).Draw(t, "to"),
				Principal: rapid.SampledFrom(append([]access.PrincipalID{""}, people...)).Draw(t, "for"),
				Policy:    rapid.SampledFrom([]access.PolicyID{"", "p1", "p2"}).Draw(t, "policy"),
				Kinds:     rapid.SliceOfN(rapid.SampledFrom(engine.NotificationKinds()), 0, 2).Draw(t, "kinds"),
				Mute:      rapid.IntRange(0, 4).Draw(t, "mute") == 0,
			}
		}), 0, 6).Draw(t, "routes")

		want := map[string]bool{}
		named := n.Kind // by the routes that bring it
		if n.Kind == engine.NotifySettled || n.Kind == engine.NotifyReminder {
			named = engine.NotifyNeedsDecision
		}
		brings := func(r engine.Route, kind engine.NotificationKind) bool {
			return (len(r.Kinds) == 0 || slices.Contains(r.Kinds, kind) ||
				n.Kind == engine.NotifyReminder && slices.Contains(r.Kinds, n.Kind)) &&
				(r.Policy == "" || slices.Contains(n.Policies, r.Policy))
		}
		// what a channel says of the decision: to everybody who looks there, or to somebody who watches the policy
		decided := func(c engine.Channel, p access.PrincipalID) bool {
			return n.Kind == engine.NotifySettled && slices.ContainsFunc(routes, func(r engine.Route) bool {
				return r.Channel == c.ID && !r.Mute && brings(r, engine.NotifyDecided) &&
					(r.Principal == "" && p == "" || r.Policy != "" && r.Principal != "" && (p == "" || r.Principal == p) &&
						!muted(r.Principal, c.ID, n, engine.NotifyDecided, routes))
			})
		}
		for _, c := range channels {
			if !c.Enabled || c.Tenant != n.Tenant || c.Kind == engine.PagerDuty && !paged[n.Kind] ||
				n.Kind == engine.NotifyAccount && c.Kind != engine.SMTP { // that is for its owner alone
				continue
			}
			for _, r := range routes {
				if r.Channel != c.ID || r.Mute || !brings(r, named) || c.Kind != engine.SMTP && decided(c, "") {
					continue
				}
				if r.Principal == "" && c.Kind != engine.SMTP {
					want[string(c.ID)+"/"] = true
				}
				for _, p := range people {
					hears := slices.Contains(addressed, p) && !slices.Contains(n.Except, p) &&
						(r.Principal == "" || r.Principal == p) || r.Principal == p && r.Policy != ""
					if hears && !muted(p, c.ID, n, named, routes) && (c.Kind != engine.SMTP || !decided(c, p)) {
						if c.Kind == engine.SMTP {
							want[string(c.ID)+"/"+string(p)] = true
						} else {
							want[string(c.ID)+"/"] = true
						}
					}
				}
			}
		}
		shuffle := func() []engine.Delivery {
			rand.Shuffle(len(routes), func(i, j int) { routes[i], routes[j] = routes[j], routes[i] })
			rand.Shuffle(len(channels), func(i, j int) { channels[i], channels[j] = channels[j], channels[i] })
			return engine.Plan(n, channels, routes, addressed, time.Unix(0, 0))
		}
		plan := shuffle()
		got, ids := map[string]bool{}, map[engine.DeliveryID]bool{}
		for _, d := range plan {
			got[string(d.Channel)+"/"+string(d.Recipient)] = true
			ids[d.ID] = true
			if d.Seq != 7 || d.State != engine.DeliveryPending || d.Revision != 1 || len(d.ID) != 32 {
				t.Errorf("delivery %+v", d)
			}
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(want)),
			slices.Sorted(maps.Keys(got))); diff != "" || len(ids) != len(plan) {
			t.Errorf("plan (-want +got), with %d ids for %d deliveries:\n%s", len(ids), len(plan), diff)
		}
		if diff := cmp.Diff(plan, shuffle()); diff != "" {
			t.Errorf("the plan depends on the order of its arguments:\n%s", diff)
		}
	})
}

func muted(p access.PrincipalID, c engine.ChannelID, n engine.Notification, kind engine.NotificationKind,
	routes []engine.Route,
) bool {
	return slices.ContainsFunc(routes, func(r engine.Route) bool {
		return r.Mute && n.Kind != engine.NotifyAccount && r.Channel == c && r.Principal == p &&
			(r.Policy == "" || slices.Contains(
				n.Policies, r.Policy)) && (len(r.Kinds) == 0 || slices.Contains(r.Kinds, kind) || slices.Contains(r.Kinds, n.Kind))
	})
}

func TestDeliveriesEndAfterBoundedAttempts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		retry := engine.Retry{
			Base: 5 * time.Second, Most: time.Hour, MaxAttempts: rapid.IntRange(1, 50).Draw(t, "attempts"),
			MaxAge: time.Duration(rapid.IntRange(1, 48).Draw(t, "hours")) * time.Hour,
		}
		now := time.Unix(1_800_000_000, 0)
		d := engine.Delivery{State: engine.DeliveryPending, QueuedAt: now, NextAttempt: now, Revision: 1}
		for range retry.MaxAttempts {
			if _, err := d.Claim(d.NextAttempt.Add(-time.Nanosecond),
				time.Minute); access.KindOf(err) != access.KindConflict {
				t.Fatalf("claimed before it was due: %v", err)
			}
			now = d.NextAttempt
			c, err := d.Claim(now, 2*time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			f := engine.Failure{Text: "no", Permanent: rapid.IntRange(0, 30).Draw(t, "permanent") == 0}
			last := d.NextAttempt
			d = c.Fail(f, retry, rapid.Float64Range(0, 1).Draw(t, "jitter"), now)
			if d.Revision != c.Revision+1 {
				t.Errorf("revision %d after %d", d.Revision, c.Revision)
			}
			if d.State == engine.DeliveryDead {
				if !f.Permanent && d.Attempts < retry.MaxAttempts && now.Sub(d.QueuedAt) < retry.MaxAge {
					t.Errorf("given up without a reason: %+v", d)
				}
				break
			}
			if pause := d.NextAttempt.Sub(last); pause < retry.Base/2 || pause > retry.Most {
				t.Errorf("pause of %s", pause)
			}
		}
		if d.State != engine.DeliveryDead || d.EndedAt.IsZero() {
			t.Fatalf("not dead in the end: %+v", d)
		}
		again, err := d.Requeue(now.Add(time.Hour))
		if err != nil || again.State != engine.DeliveryPending || again.Attempts != 0 || !again.EndedAt.IsZero() {
			t.Errorf("queued again: %+v, %v", again, err)
		}
		if _, err := again.Requeue(now); access.KindOf(err) != access.KindConflict {
			t.Errorf("a pending one was queued again: %v", err)
		}
		if done := again.Succeed(now); done.State != engine.DeliveryDelivered || done.LastError != "" {
			t.Errorf("delivered: %+v", done)
		}
	})
}

func TestChannelsThatCannotBeKept(t *testing.T) {
	t.Parallel()
	secret := engine.ChannelSecret{Sealed: []byte{1}}
	mail := engine.Mail{Host: "mail.example.com", From: "postern@example.com"}
	cases := map[string]struct {
		c    engine.Channel
		code string // of the one reason; empty: it can
	}{
		"webhook": {
			engine.Channel{Name: "w", Kind: engine.Webhook, URL: "https://example.com/x", Secret: secret},
			"",
		},
		"webhook, plain": {
			engine.Channel{Name: "w", Kind: engine.Webhook, URL: "http://example.com/x", Secret: secret},
			"urlInvalid",
		},
		"webhook, plain, own": {
			engine.Channel{
				Name: "w", Kind: engine.Webhook, URL: "http://10.0.0.1/x",
				Secret: secret, AllowPrivate: true,
			},
			"",
		},
		"webhook, file URL": {
			engine.Channel{
				Name: "w", Kind: engine.Webhook, URL: "file:///etc/passwd",
				Secret: secret,
			},
			"urlInvalid",
		},
		"webhook, password": {
			engine.Channel{
				Name: "w", Kind: engine.Webhook, URL: "https://a:b@example.com",
				Secret: secret,
			},
			"urlInvalid",
		},
		"webhook, no URL": {engine.Channel{Name: "w", Kind: engine.Webhook, Secret: secret}, "urlMissing"},
		"webhook, no secret": {
			engine.Channel{Name: "w", Kind: engine.Webhook, URL: "https://example.com/x"},
			"secretMissing",
		},
		"slack": {engine.Channel{Name: "s", Kind: engine.Slack, Secret: secret}, ""},
		"slack, open URL": {
			engine.Channel{
				Name: "s", Kind: engine.Slack, URL: "https://hooks.slack.com/services/x",
				Secret: secret,
			},
			"urlIsSecret",
		},
		"secret file": {
			engine.Channel{Name: "s", Kind: engine.Teams, Secret: engine.ChannelSecret{File: "teams-url"}},
			"",
		},
		"secret file away": {
			engine.Channel{
				Name: "s", Kind: engine.Teams,
				Secret: engine.ChannelSecret{File: "../teams-url"},
			},
			"secretFileInvalid",
		},
		"pagerduty": {engine.Channel{Name: "p", Kind: engine.PagerDuty, Secret: secret}, ""},
		"mail":      {engine.Channel{Name: "m", Kind: engine.SMTP, Mail: mail}, ""},
		"mail, split": {
			engine.Channel{
				Name: "m", Kind: engine.SMTP,
				Mail: engine.Mail{Host: "h", From: "a@b\r\nBcc: c@d"},
			},
			"fromInvalid",
		},
		"mail, open": {
			engine.Channel{
				Name: "m", Kind: engine.SMTP,
				Mail: engine.Mail{Host: "h", From: "a@b", TLS: engine.MailPlain},
			},
			"privateNeeded",
		},
		"mail, user alone": {
			engine.Channel{
				Name: "m", Kind: engine.SMTP,
				Mail: engine.Mail{Host: "h", From: "a@b", Username: "u"},
			},
			"secretMissing",
		},
		"no name": {engine.Channel{Kind: engine.Slack, Secret: secret}, "nameInvalid"},
		"pigeon":  {engine.Channel{Name: "x", Kind: "pigeon", Secret: secret}, "kindUnknown"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tc.c.Validate()
			code := ""
			if e, ok := err.(*access.Error); ok && len(e.Reasons) == 1 { //nolint:errorlint // the contract is this type
				code = e.Reasons[0].Code
			} else if err != nil {
				t.Fatalf("%v", err)
			}
			if code != tc.code {
				t.Errorf("refused for %q, want %q", code, tc.code)
			}
		})
	}
	if err := (engine.Route{
		Mute:  true,
		Kinds: []engine.NotificationKind{"pigeon"},
	}).Validate(); access.KindOf(err) != access.KindInvalid {
		t.Errorf("a route that mutes all and names an unknown kind: %v", err)
	}
}

func TestNotificationsTellOfRequestsAndGrants(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	r := access.Request{
		ID: "r1", Tenant: "t1", RequesterName: "ana", Justification: "disk full", State: access.RequestPending,
		Items: []access.Item{
			{
				Target:   access.PortTarget{Machine: "m1", Policy: "p1", Ports: access.SinglePort(22), Protocol: access.TCP},
				Duration: time.Hour,
			},
			{
				Target:   access.PortTarget{Machine: "m2", Policy: "p1", Ports: access.SinglePort(22), Protocol: access.TCP},
				Duration: 2 * time.Hour,
			},
		},
	}
	n := engine.AboutRequest("n1", engine.NotifyNeedsDecision, r,
		access.Names{Machines: map[access.MachineID]string{"m1": "web-1"}}, now)
	want := engine.Notification{
		ID: "n1", At: now, Kind: engine.NotifyNeedsDecision, Tenant: "t1", Request: "r1",
		Policies: []access.PolicyID{"p1"},
		Subject: engine.Subject{Who: "ana", Reason: "disk full", Duration: 2 * time.Hour, Items: []access.NoticeItem{
			{Machine: "web-1", Ports: access.SinglePort(22), Protocol: access.TCP},
			{Machine: "m2", Ports: access.SinglePort(22), Protocol: access.TCP},
		}},
	}
	if diff := cmp.Diff(want, n); diff != "" {
		t.Errorf("about a request (-want +got):\n%s", diff)
	}
	g := access.Grant{
		Target:        access.PortTarget{Policy: "p1", Ports: access.SinglePort(22), Protocol: access.TCP},
		ID:            "g1",
		Request:       "r1",
		Tenant:        "t1",
		PrincipalName: "ana",
		Start:         now,
		End:           now.Add(time.Hour),
		State:         access.GrantRevoked,
		EndedAt:       now.Add(time.Minute),
		Reason:        "done",
	}
	n = engine.AboutGrant("n2", engine.NotifyEnded, g, r,
		access.Names{Machines: map[access.MachineID]string{"m1": "web-1"}}, now)
	if n.Subject.Outcome != "revoked" || n.Subject.Detail != "done" || !n.Subject.End.Equal(
		now.Add(time.Minute)) || n.Grant != "g1" || n.Request != "r1" {
		t.Errorf("about a grant: %+v", n)
	}
}
