package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/alert"
	"github.com/postern-dev/postern/internal/engine"
)

// TestDeadMan proves that an agent that is silent while something is open raises an alert, that access which ended
// without proof raises another, and that both close when the agent speaks.
func TestDeadMan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.host("web-1")
	w.guard("web-1")
	d := must(w.Requests.Submit(w.ctx, w.admin, ssh("web-1", time.Hour)))(t)
	grant := d.Grants[0].ID
	w.report(agent.Agent.ID,
		access.Report{
			Revision:     w.desired(agent.Agent.ID).Revision,
			Observations: []access.Observation{{Grant: grant, Status: access.StatusOpen}},
		})
	w.clock.advance(4 * time.Minute)
	w.tend()
	if got := w.open(); len(got) != 0 {
		t.Fatalf("alerts after four minutes: %v", got)
	}
	w.clock.advance(time.Minute + time.Second)
	w.tend()
	a, ok := w.open()[alert.Silent]
	if !ok || a.Subject.Name != "web-1" || a.Subject.Scope == "" || len(a.Evidence) == 0 {
		t.Fatalf("silent for five minutes: %+v", w.open())
	}
	w.clock.advance(50 * time.Minute)
	w.tend()
	if a := w.open()[alert.Silent]; a.Severity != alert.Critical {
		t.Errorf("after ten times as long the severity is %s", a.Severity)
	}
	w.clock.advance(time.Hour)
	w.reconcile()
	w.tend()
	got := w.open()
	if _, still := got[alert.Silent]; still || got[alert.Unproven].Subject.Name != "web-1" || !strings.Contains(
		got[alert.Unproven].Detail, "22") {
		t.Errorf("after the end: %+v", got)
	}
	w.report(agent.Agent.ID,
		access.Report{
			Revision:     w.desired(agent.Agent.ID).Revision,
			Observations: []access.Observation{{Grant: grant, Status: access.StatusClosed}},
		})
	w.tend()
	if got := w.open(); len(got) != 0 {
		t.Errorf("after the proof: %v", got)
	}
}

func TestSkewAlerts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.host("web-1")
	w.report(agent.Agent.ID, access.Report{Skew: -2 * time.Minute})
	w.tend()
	if a := w.open()[alert.Skew]; a.Count != 120 || len(a.Evidence) != 1 {
		t.Errorf("open: %+v", w.open())
	}
	w.report(agent.Agent.ID, access.Report{Skew: time.Second})
	w.tend()
	if got := w.open(); len(got) != 0 {
		t.Errorf("the clock is right again: %v", got)
	}
}

// TestUnguardedPathAlert proves that what takes packets past ours is an alert of its own.
func TestUnguardedPathAlert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.host("web-1")
	rule := access.ForeignRule{
		Table: "inet filter", Chain: "forward", Effect: access.ForeignBypasses,
		Protocol: access.TCP, Ports: access.SinglePort(22), Text: "a flowtable",
	}
	w.report(agent.Agent.ID, access.Report{Foreign: []access.ForeignRule{rule}})
	w.tend()
	got := w.open()
	a := got[alert.UnguardedPath]
	if _, other := got[alert.ForeignRules]; other || a.Severity != alert.Error || a.Count != 1 ||
		a.Subject.Name != "web-1" || !strings.Contains(
		a.Detail, "bypasses port 22") || w.notified(a.ID) != 1 {
		t.Errorf("open: %+v", got)
	}
	w.report(agent.Agent.ID, access.Report{})
	w.tend()
	if got := w.open(); len(got) != 0 {
		t.Errorf("without the rule: %v", got)
	}
}

// TestForeignRulesAlert proves that what an agent found is kept, alerted of once, and gone with its cause.
func TestForeignRulesAlert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.host("web-1")
	rule := access.ForeignRule{
		Table: "inet filter", Chain: "input", Effect: access.ForeignAccepts,
		Protocol: access.TCP, Ports: access.SinglePort(22), Text: "tcp dport 22 accept",
	}
	w.report(agent.Agent.ID, access.Report{Foreign: []access.ForeignRule{rule}})
	w.report(agent.Agent.ID, access.Report{Foreign: []access.ForeignRule{rule}})
	w.tend()
	w.tend()
	a := w.open()[alert.ForeignRules]
	if a.Count != 1 || !strings.Contains(a.Detail, "inet filter input accepts port 22") || w.notified(a.ID) != 1 {
		t.Errorf("open: %+v, %d messages", w.open(), w.notified(a.ID))
	}
	if m := must(w.Machines.Machine(w.ctx, w.admin, "web-1"))(
		t); m.Agent == nil || len(m.Agent.Foreign) != 1 || m.Agent.Foreign[0] != rule {
		t.Errorf("the machine has %+v", m.Agent)
	}
	if n := strings.Count(w.kinds(0), string(access.AgentForeign)); n != 1 {
		t.Errorf("%d events of the rules, want one", n)
	}
	w.report(agent.Agent.ID, access.Report{})
	w.tend()
	if got := w.open(); len(got) != 0 {
		t.Errorf("without the rule: %v", got)
	}
}

// TestNoAlertClosesBecauseOfOthers holds that what agents of other tenants found hides nothing of ours: what is not
// found closes its alert.
func TestNoAlertClosesBecauseOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agent := w.host("web-1")
	rule := access.ForeignRule{
		Table: "inet filter", Chain: "forward", Effect: access.ForeignBypasses,
		Protocol: access.TCP, Ports: access.SinglePort(22),
	}
	w.report(agent.Agent.ID, access.Report{Foreign: []access.ForeignRule{rule}})
	w.tend()
	d, _ := w.tenant("vendor")
	w.save(func(tx engine.Tx) error {
		for i := range 1000 {
			a := access.Agent{
				ID: access.AgentID(fmt.Sprintf("a%03d", i)), Tenant: d.Tenant.ID, Name: fmt.Sprintf("0%03d", i),
				Mode:    access.ModeHost,
				Foreign: []access.ForeignRule{rule},
			}
			if err := tx.SaveAgent(w.ctx, a); err != nil {
				return err
			}
		}
		return nil
	})
	w.clock.advance(5 * time.Second)
	w.tend()
	if _, ok := w.open()[alert.UnguardedPath]; !ok || strings.Contains(w.kinds(0), string(access.AlertClosed)) {
		t.Errorf("closed by what another tenant's agents found: %+v", w.open())
	}
	if list := must(w.Records.Foreign(w.ctx, w.admin))(t); len(list) != 1 {
		t.Errorf("%d of our agents found something", len(list))
	}
}

// TestNoStateHidesBehindAThousand has a host that nobody will hear of again with a thousand grants that were not seen
// gone, and a thousand agents that found foreign rules: neither hides what is of one more, nor closes the alert of it.
func TestNoStateHidesBehindAThousand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.host("dead")
	must(w.Machines.SetMachinePolicy(w.ctx, w.admin, "dead", portsPolicy(1, 1000), nil))(t)
	agent := w.host("web-1")
	w.guard("web-1")
	rule := access.ForeignRule{
		Table: "inet filter", Chain: "forward", Effect: access.ForeignBypasses,
		Protocol: access.TCP, Ports: access.SinglePort(22),
	}
	w.report(agent.Agent.ID, access.Report{Foreign: []access.ForeignRule{rule}})
	w.openPorts(w.admin, "dead", 1, 1000, time.Hour)
	w.clock.advance(time.Minute)
	must(w.Requests.Submit(w.ctx, w.user("ben", "Contributor"), ssh("web-1", time.Hour)))(t)
	w.tend()
	w.save(func(tx engine.Tx) error {
		for i := range 1000 { // before the other by id and by name
			a := access.Agent{
				ID: access.AgentID(fmt.Sprintf("00000000-%04d", i)), Tenant: w.admin.Tenant,
				Name: fmt.Sprintf("0%03d", i), Mode: access.ModeHost,
				Foreign: []access.ForeignRule{rule}, LastSeenAt: w.clock.now(), EnrolledAt: w.clock.now(),
			}
			if err := tx.SaveAgent(w.ctx, a); err != nil {
				return err
			}
		}
		return nil
	})
	w.clock.advance(2 * time.Hour)
	w.reconcile()
	w.tend()
	open := map[alert.RuleID]map[string]bool{alert.Unproven: {}, alert.UnguardedPath: {}}
	for p := (engine.Page{Limit: 1000}); ; {
		list := must(w.Alerts.Alerts(w.ctx, w.admin, engine.AlertFilter{State: alert.Open}, p))(t)
		for _, a := range list.Items {
			if open[a.Rule] != nil {
				open[a.Rule][a.Subject.Name] = true
			}
		}
		if p.Cursor = list.Next; p.Cursor == "" {
			break
		}
	}
	if got := open[alert.Unproven]; len(got) != 2 || !got["dead"] || !got["web-1"] {
		t.Errorf("not seen gone: %v", got)
	}
	if got := open[alert.UnguardedPath]; len(got) != 1001 || !got["web-1"] {
		t.Errorf("%d agents have an unguarded path, and web-1 is among them: %v", len(got), got["web-1"])
	}
	if list := must(w.Records.Foreign(w.ctx, w.admin))(t); len(list) != 1 {
		t.Errorf("%d agents with machines found something", len(list))
	}
}
