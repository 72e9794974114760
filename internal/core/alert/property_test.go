package alert_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
)

// TestLookAgainstOracle compares what the rules find in random floods with a count over all that happened.
func TestLookAgainstOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		threshold := rapid.IntRange(1, 8).Draw(t, "threshold")
		var settings []alert.Setting
		for _, id := range []alert.RuleID{alert.DeniedRate, alert.DeniedMachines, alert.DeniedPorts} {
			settings = append(settings, alert.Setting{Rule: id, Threshold: &threshold})
		}
		book := alert.NewBook(settings)
		start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		watches := map[alert.Key]alert.Watch{}
		alerts := map[alert.Key]alert.Alert{}
		ids := 0
		type seen struct {
			at    time.Time
			value string
			count int64
		}
		past := map[alert.Key][]seen{}
		now := start
		for seq := range rapid.IntRange(1, 60).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.IntRange(0, 900).Draw(t, "seconds")) * time.Second)
			machine, source := fmt.Sprintf("m%d",
				rapid.IntRange(0, 3).Draw(t,
					"machine")), fmt.Sprintf("192.0.2.%d", rapid.IntRange(1, 2).Draw(t, "source"))
			port, count := strconv.Itoa(
				rapid.IntRange(20, 26).Draw(t, "port")), int64(rapid.IntRange(1, 3).Draw(t, "count"))
			event := access.Event{
				Seq: int64(seq), At: now, Kind: access.AgentDeniedTraffic, Tenant: "t",
				Machine: access.MachineID(machine),
				Details: map[string]string{
					"source": source, "port": port, "protocol": "tcp",
					"count": strconv.FormatInt(count, 10),
				},
			}
			next, found := alert.Look(book, event, func(k alert.Key) alert.Watch { return watches[k] },
				func(k alert.Key) bool { return alerts[k].ID != "" })
			for _, w := range next {
				watches[alert.Key{Tenant: w.Tenant, Rule: w.Rule, Key: w.Key}] = w
			}
			for k, f := range found {
				alerts[k], _ = book[k.Rule].Raise(alerts[k], "t", f,
					func() alert.ID { ids++; return alert.ID(strconv.Itoa(ids)) })
			}
			for _, s := range []struct {
				key   alert.Key
				value string
				count int64
			}{
				{alert.Key{Tenant: "t", Rule: alert.DeniedRate, Key: machine}, "", count},
				{alert.Key{Tenant: "t", Rule: alert.DeniedMachines, Key: source}, machine, 1},
				{alert.Key{Tenant: "t", Rule: alert.DeniedPorts, Key: source}, port, 1},
			} {
				past[s.key] = append(past[s.key], seen{now, s.value, s.count})
				var total int64
				different := map[string]bool{}
				for _, p := range past[s.key] {
					if now.Sub(p.at) >= book[s.key.Rule].Window {
						continue
					}
					if s.value == "" {
						total += p.count
					} else {
						different[p.value] = true
					}
				}
				if s.value != "" {
					total = int64(len(different))
				}
				raised := alerts[s.key].ID != ""
				if total >= int64(threshold) && !raised {
					t.Fatalf("%v: %d seen within the window, threshold %d, and no alert", s.key, total, threshold)
				}
				if raised && alerts[s.key].Count < int64(threshold) {
					t.Fatalf("%v: raised with %d, threshold %d", s.key, alerts[s.key].Count, threshold)
				}
				if total < int64(threshold) && raised && alerts[s.key].FirstSeen.Equal(now) {
					t.Fatalf("%v: raised with %d seen within the window, threshold %d", s.key, total, threshold)
				}
			}
		}
	})
}

// TestSeverityNeverFalls proves that an alert only gets worse while it is not closed, and says so exactly when it does.
func TestSeverityNeverFalls(t *testing.T) {
	t.Parallel()
	rank := make(map[alert.Severity]int)
	for i, s := range alert.Severities() {
		rank[s] = i
	}
	rapid.Check(t, func(t *rapid.T) {
		rules := alert.Rules()
		r := rules[rapid.IntRange(0, len(rules)-1).Draw(t, "rule")]
		var a alert.Alert
		for range rapid.IntRange(1, 30).Draw(t, "findings") {
			was := a
			var change alert.Change
			a, change = r.Raise(a, "t",
				alert.Finding{
					Key: "k", Count: int64(rapid.IntRange(0, 3000).Draw(t, "count")),
					At: time.Unix(int64(rapid.IntRange(0, 100).Draw(t, "at")), 0),
				},
				func() alert.ID { return "a" })
			switch {
			case was.ID == "" && change != alert.Raised:
				t.Fatalf("the first finding is %q", change)
			case was.ID != "" && rank[a.Severity] < rank[was.Severity]:
				t.Fatalf("severity fell from %s to %s", was.Severity, a.Severity)
			case was.ID != "" && (change == alert.Escalated) != (a.Severity != was.Severity):
				t.Fatalf("severity went from %s to %s, and the change is %q", was.Severity, a.Severity, change)
			}
		}
	})
}
