package notify_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/notify"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sample is a notification whose texts try to break out of every format.
func sample(kind engine.NotificationKind) engine.Notification {
	at := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	n := engine.Notification{
		ID: "0197c0de-0000-7000-8000-000000000001", At: at, Kind: kind, Tenant: tenant,
		Request: "0197c0de-0000-7000-8000-0000000000aa", Policies: []access.PolicyID{"p1"},
		Recipients: []access.PrincipalID{"u1", "u2"},
		Subject: engine.Subject{
			Who: "ana <ana@example.com>", Start: at, End: at.Add(90 * time.Minute),
			Reason: "disk full & *urgent* <!channel> <https://evil.example|click> [here](https://evil.example) " +
				"<script>alert(1)</script>\r\nBcc: all@example.com {{.By}}",
			Ticket: "OPS-17", By: "bo", Detail: "go_ahead `now`\u202e",
			Items: []access.NoticeItem{
				{
					Machine: "web_1", Ports: access.SinglePort(22), Protocol: access.TCP,
					Sources: []netip.Prefix{
						netip.MustParsePrefix("203.0.113.7/32"),
						netip.MustParsePrefix("2001:db8::/32"),
					},
				},
				{
					Machine: "db-1", Ports: access.PortRange{First: 5432, Last: 5433}, Protocol: access.TCP,
					Sources: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},
				},
			},
		},
	}
	switch kind {
	case engine.NotifyDecided, engine.NotifySettled:
		n.Subject.Outcome = "denied"
	case engine.NotifyEnded:
		n.Subject.Outcome, n.Grant = "revoked", "0197c0de-0000-7000-8000-0000000000bb"
	case engine.NotifyOpened, engine.NotifyWillEnd, engine.NotifyFailed:
		n.Grant = "0197c0de-0000-7000-8000-0000000000bb"
	case engine.NotifyAlert:
		n.Request, n.Alert = "", "a1"
		n.Subject = engine.Subject{
			Title:  "Agent silent while web_1 is open",
			Detail: "no report for 5m0s; closure is <not> proven", Severity: "critical", Outcome: "open",
			Items: n.Subject.Items[:1],
		}
	case engine.NotifyApplication:
		n.Request, n.Lifecycle.Application = "", "/subscriptions/s/resourceGroups/default/providers/Microsoft.Solutions/applications/shop"
		n.Subject = engine.Subject{
			Title: "shop", Who: "the *customer*", By: "ana", Outcome: "newVersion",
			Detail: "Version 2.0.0 of <shop> is offered.",
		}
	case engine.NotifyAccount:
		n.Request, n.Policies = "", nil
		n.Subject = engine.Subject{
			Title: "A passkey was added", Who: "ana_1", By: "the *admin*",
			Detail: "The passkey <laptop> was added from 203.0.113.7.",
		}
	case engine.NotifyAccessReview:
		n.Request, n.Policies, n.Review = "", nil, "0197c0de-0000-7000-8000-0000000000cc"
		n.Subject = engine.Subject{
			Title: "q4_2026", By: "the *admin*", Outcome: "due soon",
			Detail: "12 of 40 items are undecided; the review ends at 2026-12-31 17:00 UTC. <Undecided> items are kept.",
		}
	case engine.NotifyTest:
		n.Request, n.Subject = "", engine.Subject{By: "ana"}
	case engine.NotifyReminder:
		n.Subject.By, n.Subject.Detail, n.Subject.Until = "", "", at.Add(time.Hour)
	case engine.NotifyRequested, engine.NotifyNeedsDecision:
		n.Subject.By, n.Subject.Detail = "", ""
	case engine.NotifyBreakGlass:
		n.Subject.By, n.Subject.Detail = "", ""
	}
	return n
}

// samples is one notification of each kind, by name, and those whose words differ within a kind.
func samples() map[string]engine.Notification {
	all := map[string]engine.Notification{}
	for _, kind := range append(engine.NotificationKinds(), engine.NotifySettled, engine.NotifyTest) {
		all[string(kind)] = sample(kind)
	}
	pending := sample(engine.NotifyNeedsDecision) // its clock starts at the approval
	pending.Subject.Start, pending.Subject.End, pending.Subject.Duration = time.Time{}, time.Time{}, 90*time.Minute
	all["needsDecisionPending"] = pending
	for _, kind := range []engine.NotificationKind{engine.NotifyNeedsDecision, engine.NotifyOpened, engine.NotifyEnded} {
		role := sample(kind)
		role.Policies, role.Subject.Items = nil, []access.NoticeItem{{Role: "Contributor on application shop"}}
		all[string(kind)+"Role"] = role
	}
	series := sample(engine.NotifyDecided)
	series.Subject.Outcome, series.Subject.Windows = "approved", 12
	all["decidedSeries"] = series
	offline := sample(engine.NotifyBreakGlass)
	offline.Subject.Who, offline.Subject.CodeOf = "", "ana"
	all["breakGlassOffline"] = offline
	return all
}

// TestPagerCarriesWhatOpensOrResolves ties the rule of who is sent what to what a pager is really sent.
func TestPagerCarriesWhatOpensOrResolves(t *testing.T) {
	t.Parallel()
	kinds := append(engine.NotificationKinds(), engine.NotifySettled, engine.NotifyTest, engine.NotifyLifecycle)
	for _, kind := range kinds {
		sent := 0
		for _, part := range notify.Rendered(t, sample(kind), public) {
			if part.Name == "pagerduty.json" {
				sent++
			}
		}
		if carries := engine.PagerDuty.Carries(kind); carries != (sent > 0) {
			t.Errorf("%s: carried is %t, and %d events are sent", kind, carries, sent)
		}
	}
}

// TestWording compares what every channel says of every kind of notification with its golden file.
func TestWording(t *testing.T) {
	t.Parallel()
	for name, n := range samples() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got txtar.Archive
			for _, part := range notify.Rendered(t, n, public) {
				data := part.Data
				if filepath.Ext(part.Name) == ".json" {
					var indented bytes.Buffer
					if err := json.Indent(&indented, data, "", "  "); err != nil {
						t.Fatalf("%s: %v", part.Name, err)
					}
					data = append(bytes.ReplaceAll(indented.Bytes(), []byte("\u200b"), []byte(`\u200b`)), '\n')
				}
				got.Files = append(got.Files, txtar.File{Name: part.Name, Data: data})
			}
			name := filepath.Join("testdata", "wording", name+".txtar")
			if *update {
				if err := os.WriteFile(name, txtar.Format(&got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(txtar.Format(&got))); diff != "" {
				t.Errorf("the wording has changed; look at it, then run with -update (-want +got):\n%s", diff)
			}
		})
	}
}
