package azure_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postern-dev/postern/api"
)

// home makes a folder for az, and gives what tells az of it.
func (c *cloud) home() (folder string, variables []string) {
	c.t.Helper()
	folder = c.t.TempDir()
	c.must(os.Mkdir(filepath.Join(folder, "azure"), 0o700))
	return folder, []string{
		"HOME=" + folder, "AZURE_CONFIG_DIR=" + filepath.Join(folder, "azure"),
		"AZURE_CORE_COLLECT_TELEMETRY=no", "AZURE_CORE_NO_COLOR=true",
	}
}

// TestAzureCLISignIn signs a program in by its certificate and a person by their browser, and reads what scripts read.
func TestAzureCLISignIn(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("az")
	need(t, "az", err == nil)
	_, err = exec.LookPath("curl")
	need(t, "curl", err == nil)
	c := newCloud(t)
	c.deploy().guard()
	_, _, file := c.certificate(true)
	folder, home := c.home()
	home = append(home, "CERTIFICATE="+file, "BROWSER="+c.browser()+" %s &")
	block := blocks(t)
	c.shell(block["az-register"], folder, home...)
	wants(t, "az login", c.shell(block["az-login-certificate"], folder, home...), c.subscription,
		`"type": "servicePrincipal"`)
	assignments, err := api.All(c.admin.RoleAssignments(t.Context(), api.RoleAssignmentQuery{}))
	c.must(err)
	id := ""
	for _, a := range assignments {
		if a.Principal == "deploy" {
			id = "/subscriptions/" + c.subscription + "/providers/Microsoft.Authorization/roleAssignments/" + a.ID
		}
	}
	wants(t, "az", c.shell(`az account list-locations --query "[].name" -o tsv
az group list --query "[].id" -o tsv
az security jit-policy list -l local --query "[].kind" -o tsv
az security jit-policy list -g default -l local --query "[].location" -o tsv
az rest --method get --url "$MACHINE_ID?api-version=2024-07-01" --query name -o tsv
az role assignment delete --ids `+id+`
az ad sp list --filter "servicePrincipalNames/any(c:c eq '$CLIENT_ID')" --query "[].displayName" -o tsv
az ad user list 2>&1 || true
az ad group list 2>&1 || true
az security jit-policy show -g default -l local -n default 2>&1 || true`, folder, home...),
		"local\n", "resourceGroups/default\n", "Basic\n", "web-1\n", "deploy\n", "Postern.Access/principals/read",
		"getByIds can be read here", "(AuthorizationFailed)")

	// az's own port for authorities of this shape is 8400.
	wants(t, "az login in a browser", c.shell(`az logout; timeout 60 az login --tenant adfs`, folder, home...),
		c.subscription, `"name": "admin"`, `"type": "user"`)
	wants(t, "az security", c.shell(`az security jit-policy list --query "[].name" -o tsv`, folder, home...), "default")
}

// TestAzureCLIDeviceCode signs a person in by the unmodified az, on the page that it names.
func TestAzureCLIDeviceCode(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("az")
	need(t, "az", err == nil)
	c := newCloud(t)
	folder, home := c.home()
	c.shell(blocks(t)["az-register"], folder, home...)

	login := exec.CommandContext(t.Context(), "az", "login", "--tenant", "adfs", "--use-device-code")
	login.Dir, login.Env = folder, append(c.environment(), home...)
	answers := &output{}
	login.Stdout = answers
	asks, err := login.StderrPipe()
	c.must(err)
	c.must(login.Start())
	code := ""
	var said strings.Builder
	for lines := bufio.NewScanner(asks); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if m := regexp.MustCompile(`the code ([A-Z]{4}-[A-Z]{4}) `).FindStringSubmatch(
			lines.Text()); m != nil && code == "" {
			code = m[1]
			c.agree("admin", code)
		}
	}
	if err := login.Wait(); err != nil || code == "" {
		t.Fatalf("az login ended with %v after the code %q:\n%s", err, code, said.String())
	}
	wants(t, "az login", answers.String(), c.subscription, `"name": "admin"`, `"type": "user"`)
	wants(t, "az rest", c.shell(`az rest --url "$MACHINE_ID?api-version=2024-07-01"`, folder, home...),
		`"Microsoft.Compute/virtualMachines"`)
}
