package azure_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postern-dev/postern/api"
)

// blocks gives the blocks of docs/azure.md by their names.
func blocks(tb testing.TB) map[string]string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "azure.md"))
	if err != nil {
		tb.Fatal(err)
	}
	found := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)<!-- run: ([a-z-]+) -->\n```[a-z]+\n(.*?)```\n").FindAllStringSubmatch(
		string(text), -1) {
		found[m[1]] = m[2]
	}
	if fences := strings.Count(string(text), "\n```") / 2; fences != len(found) {
		tb.Fatalf("docs/azure.md has %d blocks, and %d of them can be run", fences, len(found))
	}
	return found
}

// shell runs a block as a person would.
func (c *cloud) shell(block, folder string, more ...string) string {
	c.t.Helper()
	run := exec.CommandContext(c.t.Context(), "bash", "-euo", "pipefail", "-c", block)
	run.Dir, run.Env = folder, append(c.environment(), more...)
	text, err := run.CombinedOutput()
	if err != nil {
		c.t.Fatalf("%s\nended with %v:\n%s", block, err, text)
	}
	return string(text)
}

func wants(tb testing.TB, what, text string, words ...string) {
	tb.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			tb.Errorf("%s does not say %q:\n%s", what, word, text)
		}
	}
}

// TestDocsAzureCLI runs what docs/azure.md says of the Azure CLI, down to the kernel.
func TestDocsAzureCLI(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("az")
	need(t, "az", err == nil)
	block := blocks(t)
	c := newCloudWithKernel(t)
	folder, home := c.home()
	az := func(name string) string { t.Helper(); return c.shell(block[name], folder, home...) }
	az("az-register")
	wants(t, "az login", az("az-login"), c.subscription, `"name": "default"`, `"environmentName": "Postern"`)
	wants(t, "put", az("az-put"), `"provisioningState": "Succeeded"`, c.machine.Resource)
	c.shut()
	wants(t, "initiate", az("az-initiate"), `"requestor": "deploy"`, `"10.77.0.1"`, `"UserRequested"`)
	c.eventually("the opening", c.knock)
	wants(t, "look", az("az-look"), "jitNetworkAccessPolicies", "INC-4812 disk full", "deploy")
	if said := c.shell("az monitor activity-log list --help 2>&1 || true", folder,
		home...); strings.Contains(said, "Error loading command module 'monitor'") {
		t.Log("the package of this az cannot load its module monitor")
	} else {
		wants(t, "log", az("az-log"), "Initiate JIT Network Access Policy", "deploy")
	}
	wants(t, "roles", az("az-roles"), "JIT Access Role", c.client)
	az("az-delete")
	if _, err := c.admin.MachinePolicy(t.Context(), "web-1"); err == nil {
		t.Error("az rest --method delete left the policy")
	}
}

// TestDocs runs the other blocks of docs/azure.md.
func TestDocs(t *testing.T) { //nolint:tparallel // the blocks share one server, which ends with the test
	t.Parallel()
	block := blocks(t)
	c := newCloud(t)
	c.deploy().guard()
	t.Run("curl", func(t *testing.T) {
		_, err := exec.LookPath("curl")
		need(t, "curl", err == nil)
		wants(t, "curl", c.shell(block["curl"], t.TempDir()), c.subscription)
	})
	t.Run("Go", func(t *testing.T) {
		folder, err := os.MkdirTemp(".", "_docs") //nolint:usetesting // it must lie within the module
		c.must(err)
		t.Cleanup(func() { c.must(os.RemoveAll(folder)) })
		c.must(os.WriteFile(filepath.Join(folder, "main.go"), []byte(block["go"]), 0o600))
		wants(t, "the Go program", c.shell("go run ./"+folder, "."), c.policyPath())
	})
	t.Run("JavaScript", func(t *testing.T) {
		_, err := os.Stat(filepath.Join("js", "node_modules", "@azure", "arm-security"))
		need(t, "the Azure SDK for JavaScript", err == nil)
		c.must(os.WriteFile(filepath.Join("js", "docs.tmp.mjs"), []byte(block["javascript"]), 0o600))
		t.Cleanup(func() { c.must(os.Remove(filepath.Join("js", "docs.tmp.mjs"))) })
		wants(t, "the program", c.shell("node docs.tmp.mjs", "js"), c.policyPath())
	})
	t.Run("postern sp", func(t *testing.T) {
		folder := t.TempDir()
		c.shell("go build -o "+filepath.Join(folder, "postern")+" ./cmd/postern", filepath.Join("..", ".."))
		c.must(os.WriteFile(filepath.Join(folder, "password"), []byte(adminPassword+"\n"), 0o600))
		home := []string{
			"HOME=" + folder, "PATH=" + folder + ":" + os.Getenv("PATH"),
			"POSTERN_CONFIG=" + filepath.Join(folder, "config.json"), "POSTERN_SERVER=" + c.url,
		}
		c.shell("postern login --user admin --password-file password --ca $POSTERN_CA", folder, home...)
		wants(t, "postern sp create", c.shell(block["service-principal"], folder, home...), "pss_",
			"JIT Access Requester")
		secrets, err := api.All(c.admin.Secrets(t.Context(), "pipeline"))
		if err != nil || len(secrets) != 1 {
			t.Errorf("pipeline has the secrets %v, %v", secrets, err)
		}
	})
}
