package azure_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// need skips a test whose program is missing, unless everything must be there.
func need(tb testing.TB, what string, there bool) {
	tb.Helper()
	switch {
	case there:
	case os.Getenv("POSTERN_TESTS_REQUIRED") != "":
		tb.Fatalf("%s is missing: run hack/prepare-tests", what)
	default:
		tb.Skipf("%s is missing: run hack/prepare-tests", what)
	}
}

// environment is what the commands of docs/azure.md stand on.
func (c *cloud) environment() []string {
	return append(os.Environ(), "POSTERN="+c.url, "POSTERN_CA="+c.caFile, "CLIENT_ID="+c.client, "CLIENT_SECRET="+c.secret, "SUBSCRIPTION="+c.subscription,
		"MACHINE_ID="+c.machine.Resource, "NODE_EXTRA_CA_CERTS="+c.caFile, "REQUESTS_CA_BUNDLE="+c.caFile, "SSL_CERT_FILE="+c.caFile)
}

// TestJavaScriptSDK drives the kernel by the unmodified Azure SDK for JavaScript.
func TestJavaScriptSDK(t *testing.T) {
	t.Parallel()
	folder, err := filepath.Abs("js")
	if err != nil {
		t.Fatal(err)
	}
	node, err := exec.LookPath("node")
	need(t, "node", err == nil)
	_, err = os.Stat(filepath.Join(folder, "node_modules", "@azure", "arm-security"))
	need(t, "the Azure SDK for JavaScript", err == nil)
	c := newCloudWithKernel(t)
	run := exec.CommandContext(t.Context(), node, "jit.mjs")
	run.Dir, run.Env = folder, c.environment()
	var said struct {
		State, Requestor string
		Port             struct {
			Number                     int
			AllowedSourceAddressPrefix string
			Status                     string
		}
		Lists                            []int
		Requests, Assignments, Initiates int
		Readers                          []string
	}
	text, err := run.Output()
	if err != nil || json.Unmarshal(text, &said) != nil {
		t.Fatalf("node gave %s, %v %s", text, err, stderr(err))
	}
	if said.State != "Succeeded" || said.Requestor != "deploy" || said.Port.Number != 22 || said.Port.AllowedSourceAddressPrefix != "10.77.0.1" ||
		!slices.Equal(said.Lists, []int{1, 1, 1, 1}) || said.Requests != 1 || said.Assignments != 1 || said.Initiates == 0 || !slices.Equal(said.Readers, []string{"Reader"}) {
		t.Errorf("it said %s", text)
	}
	c.eventually("the opening", c.knock)
}

func stderr(err error) []byte {
	if e, is := err.(*exec.ExitError); is { //nolint:errorlint // exec gives it as it is
		return e.Stderr
	}
	return nil
}
