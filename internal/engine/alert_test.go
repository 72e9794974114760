package engine_test

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/services"
)

// open gives the alerts that are not closed, by rule.
func (w *world) open() map[alert.RuleID]alert.Alert {
	w.tb.Helper()
	found := make(map[alert.RuleID]alert.Alert)
	for _, a := range must(w.Alerts.Alerts(w.ctx, w.admin, engine.AlertFilter{}, engine.Page{}))(w.tb).Items {
		if a.State != alert.Closed {
			found[a.Rule] = a
		}
	}
	return found
}

func (w *world) tend() {
	w.tb.Helper()
	if err := w.Alerts.Tend(w.ctx); err != nil {
		w.tb.Fatal(err)
	}
}

// denied appends an event as a report makes it.
func (w *world) denied(machine, source string, port, count int) {
	w.tb.Helper()
	w.append(access.Event{
		Kind: access.AgentDeniedTraffic, Outcome: access.Refused, Actor: access.Actor{Name: "agent:a", Via: "agent"},
		Machine: access.MachineID(machine), Agent: "agent-1",
		Details: map[string]string{
			"source": source, "protocol": "tcp", "port": strconv.Itoa(port),
			"count": strconv.Itoa(count),
		},
	})
}

func (w *world) append(event access.Event) {
	w.tb.Helper()
	event.At, event.Tenant = w.clock.now(), w.admin.Tenant
	if event.Outcome == "" {
		event.Outcome = access.Succeeded
	}
	if err := w.store.Update(w.ctx, func(tx engine.Tx) error { return tx.Append(w.ctx, event) }); err != nil {
		w.tb.Fatal(err)
	}
}

// TestAlertsAreGrouped proves that a flood of attempts makes one alert, one message at each step of severity, and that
// it closes by itself when it is over.
func TestAlertsAreGrouped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.denied("m-1", "198.51.100.7", 22, 99)
	w.tend()
	if got := w.open(); len(got) != 0 {
		t.Fatalf("alerts below the threshold: %v", got)
	}
	w.denied("m-1", "198.51.100.8", 22, 1)
	w.tend()
	a := w.open()[alert.DeniedRate]
	if a.Count != 100 || len(a.Evidence) != 2 || a.Severity != alert.Warning {
		t.Fatalf("the alert is %+v", a)
	}
	for range 50 {
		w.denied("m-1", "198.51.100.8", 22, 20)
	}
	w.tend()
	a = w.open()[alert.DeniedRate]
	if a.Count != 1100 || a.Severity != alert.Error {
		t.Errorf("after a flood: count %d, severity %s", a.Count, a.Severity)
	}
	if n := w.notified(a.ID); n != 2 {
		t.Errorf("%d messages, want one when it opened and one when it got worse", n)
	}
	w.clock.advance(59 * time.Minute)
	w.tend()
	if len(w.open()) == 0 {
		t.Error("closed before it was quiet for an hour")
	}
	w.clock.advance(2 * time.Minute)
	w.tend()
	if got := w.open(); len(got) != 0 {
		t.Errorf("still open after an hour of quiet: %v", got)
	}
	if n := w.notified(a.ID); n != 3 {
		t.Errorf("%d messages, want one more for the end", n)
	}
}

// notified counts the notifications of an alert.
func (w *world) notified(id alert.ID) (n int) {
	w.tb.Helper()
	err := w.store.View(w.ctx, func(r engine.Reader) error {
		list, err := r.Unrouted(w.ctx, 1000)
		for _, m := range list {
			if m.Alert == string(id) {
				n++
			}
		}
		return err
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	return n
}

func TestScansAreSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 5 {
		w.denied(fmt.Sprintf("m-%d", i), "198.51.100.7", 22, 1)
		w.denied(fmt.Sprintf("m-%d", i), "198.51.100.7", 22, 1) // the same again counts once
		w.denied("m-0", "2001:db8::7", 1000+min(i, 3), 1)
	}
	w.tend()
	got := w.open()
	if a := got[alert.DeniedMachines]; a.Count != 5 || a.Subject.Source != "198.51.100.7" {
		t.Errorf("many machines: %+v", a)
	}
	if a := got[alert.DeniedPorts]; a.Count != 4 || a.Subject.Source != "2001:db8::7" {
		t.Errorf("many ports: %+v", a)
	}
}

// TestEventsCountOnce proves that several replicas that look at the same time count each event once.
func TestEventsCountOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.denied("m-1", "198.51.100.7", 22, 100)
	w.tend()
	const replicas, events = 4, 120
	var all sync.WaitGroup
	stop := make(chan struct{})
	for range replicas {
		e := w.another()
		all.Go(func() {
			for {
				if err := e.Alerts.Tend(context.WithoutCancel(w.ctx)); err != nil {
					t.Error(err)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for range events {
		w.denied("m-1", "198.51.100.7", 22, 1)
	}
	w.tend()
	close(stop)
	all.Wait()
	if a := w.open()[alert.DeniedRate]; a.Count != 100+events {
		t.Errorf("counted %d, want %d", a.Count, 100+events)
	}
}

func TestHabits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		before int
		hour   int
		from   string
		want   []alert.RuleID
	}{
		{"as always", 20, 9, "203.0.113.9", nil},
		{"an hour off is usual", 20, 10, "203.0.113.200", nil},
		{"at night", 20, 3, "203.0.113.9", []alert.RuleID{alert.UnusualHour}},
		{"from elsewhere", 20, 9, "198.51.100.9", []alert.RuleID{alert.NewNetwork}},
		{"too little is known", 19, 3, "198.51.100.9", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var past []access.Request
			day := time.Date(2030, 1, 1, 9, 0, 0, 0, time.UTC)
			for i := range tc.before {
				past = append(past, access.Request{CreatedAt: day.AddDate(0, 0, i), Address: office})
			}
			event := access.Event{
				Kind: access.RequestSubmitted,
				At:   day.AddDate(0, 0, 25).Add(time.Duration(tc.hour-9) * time.Hour), Tenant: "t",
				Actor: access.Actor{ID: "p", Address: netip.MustParseAddr(tc.from)},
			}
			found := alert.Unusual(alert.NewBook(nil), event, alert.Learn(past))
			if len(found) != len(tc.want) {
				t.Errorf("found %v, want %v", found, tc.want)
			}
			for _, rule := range tc.want {
				if _, ok := found[alert.Key{Tenant: "t", Rule: rule, Key: "p"}]; !ok {
					t.Errorf("found %v, want %v", found, tc.want)
				}
			}
		})
	}
}

// TestSelfApprovalAlerts proves that one attempt is enough, and that it stays until somebody closes it.
func TestSelfApprovalAlerts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(access.Event{
		Kind: access.DecisionRefused, Outcome: access.Refused,
		Actor: access.Actor{ID: "p", Name: "anna"}, Details: map[string]string{"code": "ownRequest"},
	})
	w.append(access.Event{
		Kind: access.DecisionRefused, Outcome: access.Refused,
		Actor: access.Actor{ID: "q", Name: "ben"}, Details: map[string]string{"code": "requestChanged"},
	})
	w.tend()
	a := w.open()[alert.SelfApproval]
	if a.Subject.Name != "anna" || a.Count != 1 || len(w.open()) != 1 {
		t.Fatalf("open: %+v", w.open())
	}
	w.clock.advance(100 * 24 * time.Hour)
	w.tend()
	a = must(w.Alerts.AcknowledgeAlert(w.ctx, w.admin, a.ID, "asking anna"))(t)
	if _, err := w.Alerts.AcknowledgeAlert(w.ctx, w.admin, a.ID, ""); access.KindOf(err) != access.KindConflict {
		t.Errorf("acknowledged twice: %v", err)
	}
	a = must(w.Alerts.CloseAlert(w.ctx, w.admin, a.ID, "a mistake"))(t)
	if a.State != alert.Closed || a.ChangedBy != directory.AdminName || a.Comment != "a mistake" {
		t.Errorf("closed: %+v", a)
	}
	w.tend()
	if got := w.open(); len(got) != 0 {
		t.Errorf("open again: %v", got)
	}
}

func TestRulesCanBeChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	three, off := 3, false
	must(w.Alerts.SetAlertRule(w.ctx, w.admin, alert.Setting{Rule: alert.DeniedRate, Threshold: &three}))(t)
	must(w.Alerts.SetAlertRule(w.ctx, w.admin, alert.Setting{Rule: alert.Drift, Enabled: &off}))(t)
	w.denied("m-1", "198.51.100.7", 22, 3)
	w.append(access.Event{
		Kind: access.AgentDrift, Outcome: access.Failed, Agent: "agent-1", Machine: "m-1",
		Details: map[string]string{"count": "1"},
	})
	w.tend()
	if got := w.open(); got[alert.DeniedRate].Count != 3 || len(got) != 1 {
		t.Errorf("open: %v", got)
	}
	must(w.Alerts.SetAlertRule(w.ctx, w.admin, alert.Setting{Rule: alert.DeniedRate, Enabled: &off}))(t)
	w.tend()
	if got := w.open(); len(got) != 0 {
		t.Errorf("alerts of a rule that is off: %v", got)
	}
	zero := 0
	for _, s := range []alert.Setting{{Rule: "no such"}, {Rule: alert.Drift, Threshold: &zero}} {
		if _, err := w.Alerts.SetAlertRule(w.ctx, w.admin, s); err == nil {
			t.Errorf("%+v was taken", s)
		}
	}
}

// TestTamperedLogAlerts proves that a record which is changed behind the server's back is found.
func TestTamperedLogAlerts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Records.Seal(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.tend()
	if got := w.open(); len(got) != 0 {
		t.Fatalf("alerts without a cause: %v", got)
	}
	other := w.another(func(c *services.Config) { c.Store = lyingStore{w.store} })
	if err := other.Alerts.Tend(w.ctx); err != nil {
		t.Fatal(err)
	}
	if a := w.open()[alert.Tampered]; a.Severity != alert.Critical {
		t.Errorf("open: %v", w.open())
	}
}

// lyingStore reads the first record as another.
type lyingStore struct{ engine.Store }

func (s lyingStore) View(ctx context.Context, fn func(engine.Reader) error) error {
	return s.Store.View(ctx, func(r engine.Reader) error { return fn(lyingReader{r}) })
}

type lyingReader struct{ engine.Reader }

func (r lyingReader) Records(ctx context.Context, from int64, limit int) ([][]byte, error) {
	records, err := r.Reader.Records(ctx, from, limit)
	if err == nil && from == 0 && len(records) > 0 {
		event, decodeErr := audit.Decode(records[0])
		if decodeErr != nil {
			return nil, decodeErr
		}
		event.Actor.Name = "nobody"
		records[0], err = audit.Encode(event)
	}
	return records, err
}
