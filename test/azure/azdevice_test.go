package azure_test

import (
	"bufio"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestAzureCLIDeviceCode signs a person in by the unmodified az, on the page that it names.
func TestAzureCLIDeviceCode(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("az")
	need(t, "az", err == nil)
	c := newCloud(t)
	folder := t.TempDir()
	home := []string{"HOME=" + folder, "AZURE_CONFIG_DIR=" + filepath.Join(folder, "azure"), "AZURE_CORE_COLLECT_TELEMETRY=no", "AZURE_CORE_NO_COLOR=true"}
	c.must(os.Mkdir(filepath.Join(folder, "azure"), 0o700))
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
		if m := regexp.MustCompile(`the code ([A-Z]{4}-[A-Z]{4}) `).FindStringSubmatch(lines.Text()); m != nil && code == "" {
			code = m[1]
			x := &caller{cloud: c, http: c.http()}
			if status, _, text := x.page(http.MethodPost, "/device", url.Values{"code": {code}, "name": {"admin"}, "password": {adminPassword}, "answer": {"allow"}}); status != http.StatusOK {
				t.Errorf("the page gave %d %s", status, text)
			}
		}
	}
	if err := login.Wait(); err != nil || code == "" {
		t.Fatalf("az login ended with %v after the code %q:\n%s", err, code, said.String())
	}
	wants(t, "az login", answers.String(), c.subscription, `"name": "admin"`, `"type": "user"`)
	wants(t, "az rest", c.shell(`az rest --url "$MACHINE_ID?api-version=2024-07-01"`, folder, home...), `"Microsoft.Compute/virtualMachines"`)
}
