package azure_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// python runs a script of the folder py by an interpreter that has what the script needs of the Azure SDK for Python,
// and reads the JSON that it writes. Without one the test is skipped: not every version of the SDK has everything.
func (c *cloud) python(script string, said any, needs string, more ...string) {
	c.t.Helper()
	interpreter := ""
	// the distribution's own may stand behind another
	for _, candidate := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(c.t.Context(), candidate, "-c", needs).Run() == nil { //nolint:gosec // words of this package
			interpreter = candidate
			break
		}
	}
	if interpreter == "" {
		c.t.Skipf("no Azure SDK for Python here answers %q: Debian has it as python3-azure", needs)
	}
	bounded, stop := context.WithTimeout(c.t.Context(), 4*patience)
	defer stop()
	run := exec.CommandContext(bounded, interpreter, filepath.Join("py", script)) //nolint:gosec // a script of this package
	run.Env = append(c.environment(),
		append(more, "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=*", "PATH="+os.Getenv("PATH"))...)
	text, err := run.Output()
	if err != nil || json.Unmarshal(text, said) != nil {
		c.t.Fatalf("python gave %s, %v %s", text, err, stderr(err))
	}
}

// TestPythonSDK drives just-in-time access by the unmodified Azure SDK for Python, down to the kernel.
func TestPythonSDK(t *testing.T) {
	t.Parallel()
	c := newCloudWithKernel(t)
	var said struct {
		State, Requestor string
		Port             struct {
			Number int
			Source string
		}
		Requests, Listed, Assignments int
		Machines                      []string
	}
	c.python("jit.py", &said,
		"import azure.identity, azure.mgmt.authorization, azure.mgmt.compute, azure.mgmt.security")
	if said.State != "Succeeded" || said.Requestor != "deploy" || said.Port.Number != 22 ||
		said.Port.Source != "10.77.0.1" || said.Requests != 1 ||
		said.Listed != 1 || said.Assignments == 0 || !slices.Equal(said.Machines, []string{"web-1"}) {
		t.Errorf("it said %+v", said)
	}
	c.eventually("the opening", c.knock)
}

// TestPythonJITRequests asks for a role by the SDK's models, which never send the type of a schedule.
func TestPythonJITRequests(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	app := c.deploy().application(authorization(c.client, contributor))
	var said struct{ State, Kind, Provisioning string }
	c.python("jitrequest.py", &said, "from azure.mgmt.resource.managedapplications.models import JitRequestDefinition",
		"APPLICATION="+app, "ROLE="+contributor)
	if said.State != "Approved" || said.Kind != "Once" || said.Provisioning != "Succeeded" {
		t.Errorf("it said %+v", said)
	}
}
