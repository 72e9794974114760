package azure_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestHistoryOutlastsTheMachineInThePolicy holds that what was asked for through a policy stays in its history when a
// PUT drops the machine.
func TestHistoryOutlastsTheMachineInThePolicy(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	x.guard()
	x.initiate("10.77.0.1", time.Hour)
	list := "/subscriptions/" + c.subscription + "/providers/Microsoft.Security/jitNetworkAccessPolicies" + v
	holds := func(what string, policy any, machine bool) {
		t.Helper()
		requests := at(t, policy, "properties", "requests").([]any)
		if len(requests) != 1 || len(at(t, policy, "properties", "virtualMachines").([]any)) > 0 != machine {
			t.Fatalf("%s: %v", what, policy)
		}
		if asked := at(t, requests[0], "virtualMachines",
			0); at(t, asked, "id") != c.machine.Resource || at(t, asked, "ports", 0, "number") != 22.0 {
			t.Errorf("%s: the request is for %v", what, asked)
		}
	}
	_, before := x.call(http.MethodGet, c.policyPath()+v, nil)
	holds("while it is guarded", before, true)
	status, put := x.call(http.MethodPut, c.policyPath()+v, `{"kind":"Basic","properties":{"virtualMachines":[]}}`)
	if status != http.StatusOK {
		t.Fatalf("put gave %d %v", status, put)
	}
	_, got := x.call(http.MethodGet, c.policyPath()+v, nil)
	_, listed := x.call(http.MethodGet, list, nil)
	for what, policy := range map[string]any{"put": put, "get": got, "list": at(t, listed, "value", 0)} {
		holds(what, policy, false)
	}
	if status := at(t, got, "properties", "requests", 0, "virtualMachines", 0, "ports", 0,
		"status"); status != "Revoked" {
		t.Errorf("what was open through it is %v", status)
	}
	// Another policy that guards the machine now has a history of its own.
	other := strings.Replace(c.policyPath(), "jitNetworkAccessPolicies/default", "jitNetworkAccessPolicies/other", 1)
	if _, answer := x.call(http.MethodPut, other+v,
		c.policyBody()); len(at(t, answer, "properties", "requests").([]any)) != 0 {
		t.Errorf("another policy has the history %v", answer)
	}
	_, got = x.call(http.MethodGet, c.policyPath()+v, nil)
	holds("guarded by another", got, false)
}

// TestEndByAClockAhead holds that a client whose clock is ahead gets the longest opening that it asks for by its end,
// and no more than that; one whose clock is further off learns what is wrong.
func TestEndByAClockAhead(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	x.guardBy(from(c.policyBody(), "*"))
	const longest = 3 * time.Hour
	for i, ahead := range []time.Duration{time.Second, 20 * time.Second, 10 * time.Minute} {
		asked := time.Now().Add(longest + ahead)
		body := c.initiateBody(fmt.Sprintf("192.0.2.%d", i+1), longest+ahead)
		status, answer := x.call(http.MethodPost, c.policyPath()+"/initiate"+v, body)
		if ahead > time.Minute {
			if status != http.StatusBadRequest || !strings.Contains(fmt.Sprint(at(t, answer, "error", "message")), "3h") {
				t.Errorf("%s ahead gave %d %v", ahead, status, answer)
			}
			continue
		}
		if status != http.StatusAccepted {
			t.Errorf("%s ahead gave %d %v", ahead, status, answer)
			continue
		}
		end, err := time.Parse(time.RFC3339, at(t, answer, "virtualMachines", 0, "ports", 0, "endTimeUtc").(string))
		c.must(err)
		if end.After(time.Now().Add(longest)) || end.Before(asked.Add(-ahead-patience)) {
			t.Errorf("%s ahead it ends at %s, now being %s", ahead, end, time.Now().UTC())
		}
	}
}
