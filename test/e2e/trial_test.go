//go:build linux

package e2e_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

// try guards port 22 of web-1 until somebody confirms it within a minute, and waits until the agent has it in force.
func (w *world) try() {
	w.t.Helper()
	p := api.MachinePolicy{Ports: []api.PortRule{{Ports: "22", Protocol: "tcp", MaxSeconds: 3600}}}
	w.eventually("the agent can end a trial", func() error {
		_, err := w.admin.TryMachinePolicy(w.t.Context(), "web-1", p, 0, time.Minute)
		return err
	})
	w.eventually("the agent has the trial in force", func() error {
		view, err := w.admin.MachinePolicy(w.t.Context(), "web-1")
		if err == nil && (view.Trial == nil || view.Trial.InForceAt == nil) {
			err = fmt.Errorf("the trial is %+v", view.Trial)
		}
		return err
	})
}

// policyEvents gives the kinds of event about policies, oldest first.
func (w *world) policyEvents() (kinds []string) {
	w.t.Helper()
	events, err := api.All(w.admin.Events(w.t.Context(), api.EventQuery{Machine: "web-1"}))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range slices.Backward(events) {
		if e.Kind == "policy.confirmed" || e.Kind == "policy.undone" {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

// TestAGuardIsConfirmedOverANewConnection guards a port on trial: a call over the connection that was there before is
// refused and ends that connection, and the next one confirms it.
func TestAGuardIsConfirmedOverANewConnection(t *testing.T) {
	t.Parallel()
	w := pair(t)
	four, _ := w.listen(22)
	w.enrol(w.guarded, "web-1", "host", "state")
	w.startAgent()
	w.open(w.net.ClientAddrs[0], four)
	w.try()
	w.shut(w.net.ClientAddrs[0], four)
	if err := w.admin.ConfirmMachinePolicy(t.Context(), "web-1"); err != nil {
		t.Fatal(err)
	}
	view, err := w.admin.MachinePolicy(t.Context(), "web-1")
	if err != nil || view.Trial != nil {
		t.Errorf("the trial is %+v, %v", view.Trial, err)
	}
	w.inForce("web-1")
	w.shut(w.net.ClientAddrs[0], four)
	if got := w.policyEvents(); !slices.Equal(got, []string{"policy.confirmed"}) {
		t.Errorf("on record is %v", got)
	}
}

// TestAGuardThatNobodyConfirmsGoesByItself kills the agent and the server while a port is guarded on trial: the kernel
// lets go of the port in time, and no sooner. The agent that starts again leaves it so, and so does the server, on
// record.
func TestAGuardThatNobodyConfirmsGoesByItself(t *testing.T) {
	t.Parallel()
	w := pair(t)
	four, _ := w.listen(22)
	w.enrol(w.guarded, "web-1", "host", "state")
	w.startAgent()
	w.try()
	view, err := w.admin.MachinePolicy(t.Context(), "web-1")
	if err != nil {
		t.Fatal(err)
	}
	w.agent.kill()
	w.server.kill()
	for time.Until(view.Trial.Until) > 2*time.Second {
		w.shut(w.net.ClientAddrs[0], four)
	}
	w.open(w.net.ClientAddrs[0], four)
	w.startAgent() // without a server
	w.startServer()
	w.eventually("the server has it on record", func() error {
		if got := w.policyEvents(); !slices.Equal(got, []string{"policy.undone"}) {
			return fmt.Errorf("on record is %v", got)
		}
		return nil
	})
	w.inForce("web-1")
	w.open(w.net.ClientAddrs[0], four)
	m, err := w.admin.Machine(t.Context(), "web-1")
	if err != nil || m.Standing != "notConfigured" {
		t.Errorf("the machine is %s, %v", m.Standing, err)
	}
}
