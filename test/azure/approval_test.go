package azure_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

// TestApproval proves that a request of Azure's waits for the people that the policy names, says so, and opens nothing
// before.
func TestApproval(t *testing.T) {
	t.Parallel()
	c := newCloudWithKernel(t)
	x := c.deploy()
	x.guard()
	// who made a secret of a service principal, the administrator here, does not decide for it
	chief := c.person("chief")
	seen, err := c.admin.MachinePolicy(t.Context(), "web-1")
	c.must(err)
	next := seen.MachinePolicy
	next.Approval = []api.ApprovalCase{{
		Stages: []api.ApprovalStage{{AllOf: []api.Quorum{{Count: 1, People: []string{"chief"}}}}},
	}}
	_, err = c.admin.SetMachinePolicy(t.Context(), "web-1", next, seen.Revision)
	c.must(err)
	c.shut()
	x.guard() // as a script that knows nothing of approvals would

	status, answer := x.call(http.MethodPost, c.policyPath()+"/initiate"+v, c.initiateBody("10.77.0.1", time.Hour))
	if status != http.StatusAccepted || at(t, answer, "virtualMachines", 0, "ports", 0, "status") != "Initiating" {
		t.Fatalf("initiate gave %d %v", status, answer)
	}
	pending, err := api.All(c.admin.Requests(t.Context(), api.RequestQuery{State: "pending"}))
	if err != nil || len(pending) != 1 || pending[0].Requester != "deploy" {
		t.Fatalf("pending are %+v, %v", pending, err)
	}
	if c.knock() == nil {
		t.Error("port 22 is open before anybody agreed")
	}
	_, err = chief.Decide(t.Context(), pending[0].ID, api.NewDecision{Approve: true, Digest: pending[0].Digest})
	c.must(err)
	c.eventually("the opening", c.knock)
	c.eventually("the status", func() error {
		_, policy := x.call(http.MethodGet, c.policyPath()+v, nil)
		if at(t, policy, "properties", "requests", 0, "virtualMachines", 0, "ports", 0, "status") != "Initiated" {
			return errors.New("the port is not Initiated")
		}
		return nil
	})
}
