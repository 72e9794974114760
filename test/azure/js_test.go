package azure_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postern-dev/postern/api"
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
	return append(os.Environ(), "POSTERN="+c.url, "POSTERN_CA="+c.caFile, "CLIENT_ID="+c.client,
		"CLIENT_SECRET="+c.secret, "SUBSCRIPTION="+c.subscription,
		"MACHINE_ID="+c.machine.Resource, "NODE_EXTRA_CA_CERTS="+c.caFile, "REQUESTS_CA_BUNDLE="+c.caFile,
		"SSL_CERT_FILE="+c.caFile)
}

// node runs a script of the folder js and reads the JSON that it writes.
func (c *cloud) node(script string, said any, more ...string) {
	c.t.Helper()
	folder, err := filepath.Abs("js")
	c.must(err)
	bounded, stop := context.WithTimeout(c.t.Context(), 2*patience)
	defer stop()
	run := exec.CommandContext(bounded, "node", script)
	run.Dir, run.Env = folder, append(c.environment(), more...)
	text, err := run.Output()
	if err != nil || json.Unmarshal(text, said) != nil {
		c.t.Fatalf("node gave %s, %v %s", text, err, stderr(err))
	}
}

// needNode asks for Node and for packages of the Azure SDK for JavaScript: arm-security, and more.
func needNode(tb testing.TB, more ...string) {
	tb.Helper()
	_, err := exec.LookPath("node")
	need(tb, "node", err == nil)
	for _, name := range append(more, "arm-security") {
		_, err = os.Stat(filepath.Join("js", "node_modules", "@azure", name))
		need(tb, name+" of the Azure SDK for JavaScript", err == nil)
	}
}

// TestJavaScriptSDK drives the kernel by the unmodified Azure SDK for JavaScript.
func TestJavaScriptSDK(t *testing.T) {
	t.Parallel()
	needNode(t)
	c := newCloudWithKernel(t)
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
	c.node("jit.mjs", &said)
	if said.State != "Succeeded" || said.Requestor != "deploy" || said.Port.Number != 22 ||
		said.Port.AllowedSourceAddressPrefix != "10.77.0.1" ||
		!slices.Equal(said.Lists,
			[]int{
				1, 1, 1,
				1,
			}) || said.Requests != 1 || said.Assignments != 1 || said.Initiates == 0 || !slices.Equal(said.Readers,
		[]string{"Reader"}) {
		t.Errorf("it said %+v", said)
	}
	c.eventually("the opening", c.knock)
}

// TestJavaScriptSignIn signs in by each credential of the Azure SDK for JavaScript.
func TestJavaScriptSignIn(t *testing.T) {
	t.Parallel()
	needNode(t)
	_, err := exec.LookPath("curl")
	need(t, "curl", err == nil)
	c := newCloud(t)
	_, _, file := c.certificate(true)
	said := map[string]any{}
	c.node("signin.mjs", &said, "TENANT="+c.tenant, "CERTIFICATE="+file, "USER_NAME=admin",
		"USER_PASSWORD="+adminPassword, "BROWSER="+c.browser())
	for _, tenant := range []string{"adfs", c.tenant} {
		for _, kind := range []string{"secret", "certificate", "device", "browser"} {
			if said[kind+" at "+tenant] != 1.0 {
				t.Errorf("%s at %s saw %v subscriptions", kind, tenant, said[kind+" at "+tenant])
			}
		}
	}
	if wrong, _ := said["wrong"].(string); !strings.Contains(wrong, "AADSTS7000215") {
		t.Errorf("a wrong secret says %q", wrong)
	}
}

// TestJavaScriptAround reads and writes what lies around just-in-time access.
func TestJavaScriptAround(t *testing.T) {
	t.Parallel()
	needNode(t)
	c := newCloud(t)
	anna, err := c.admin.CreatePrincipal(t.Context(), api.NewPrincipal{Kind: "user", Name: "anna"})
	c.must(err)
	type refusal struct {
		Status        int
		Code, Message string
	}
	type port struct {
		Number                     int
		Protocol                   string
		AllowedSourceAddressPrefix string
		MaxRequestAccessDuration   string
	}
	var said struct {
		Tenants, Locations, Categories []string
		Ports, Again                   []port
		TooMuch, Gone, Twice, RoleGone refusal
		Assigned                       bool
		OfPerson, Permissions, Denied  int
		TenantLog                      int
	}
	c.node("around.mjs", &said, "PERSON_ID="+anna.Principal.ID)
	if !slices.Equal(said.Tenants,
		[]string{c.tenant}) || !slices.Equal(said.Locations,
		[]string{"local"}) || !slices.Contains(said.Categories, "Administrative") {
		t.Errorf("the resources are %v, %v, %v", said.Tenants, said.Locations, said.Categories)
	}
	if want := []port{
		{22, "TCP", "10.77.0.0/16", "PT3H"},
		{5986, "*", "", "P1D"},
	}; !slices.Equal(said.Ports, want) || !slices.Equal(said.Again, want) {
		t.Errorf("the ports are %v, then %v", said.Ports, said.Again)
	}
	for what, one := range map[string]struct {
		got    refusal
		status int
		code   string
	}{
		"too much":              {said.TooMuch, 400, "AccessRequestNotSubsetOfPolicy"},
		"a policy that is gone": {said.Gone, 404, "ResourceNotFound"},
		"an equal assignment":   {said.Twice, 409, "RoleAssignmentExists"},
		"a role that is gone":   {said.RoleGone, 404, "RoleDefinitionDoesNotExist"},
	} {
		if one.got.Status != one.status || one.got.Code != one.code || one.got.Message == "" {
			t.Errorf("%s gave %+v, want %d %s", what, one.got, one.status, one.code)
		}
	}
	if !said.Assigned || said.OfPerson != 1 || said.Permissions == 0 || said.TenantLog == 0 {
		t.Errorf("it said %+v", said)
	}
}

// TestJavaScriptPIM makes somebody eligible, who activates and gives back, by the Azure SDK for JavaScript.
func TestJavaScriptPIM(t *testing.T) {
	t.Parallel()
	needNode(t)
	c := newCloud(t)
	type refusal struct {
		Status        int
		Code, Message string
	}
	var said struct {
		Eligible, Valid, Request, Schedule, Back, Then, Removed string
		Schedules, Instances, Requests, Left                    int
		Children                                                []string
		Policies, Assignments                                   []int
		Active                                                  []any
		Instance                                                bool
		Uncancelled, TooLong                                    refusal
	}
	c.node("pim.mjs", &said)
	for what, pair := range map[string][2]string{
		"the eligibility": {said.Eligible, "Provisioned"}, "what is valid": {said.Valid, "AdminAssign"},
		"its request": {said.Request, "Provisioned"}, "the schedule": {said.Schedule, "Provisioned"},
		"what was given back": {said.Back, "Revoked"}, "the activation then": {said.Then, "Revoked"},
		"what was removed": {said.Removed, "Revoked"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q, want %q", what, pair[0], pair[1])
		}
	}
	if said.Schedules != 1 || said.Instances != 1 || said.Requests != 1 || said.Left != 0 || !said.Instance ||
		!slices.Equal(
			said.Children, []string{"default"}) ||
		!slices.Equal(said.Policies,
			[]int{17}) || !slices.Equal(said.Assignments,
		[]int{17}) || !slices.Equal(said.Active, []any{true, "Provisioned", true}) {
		t.Errorf("it said %+v", said)
	}
	if said.Uncancelled.Status != 400 || said.TooLong.Code != "RoleAssignmentRequestPolicyValidationFailed" ||
		!strings.Contains(
			said.TooLong.Message, "ExpirationRule") {
		t.Errorf("the refusals are %+v and %+v", said.Uncancelled, said.TooLong)
	}
}

func stderr(err error) []byte {
	if e, is := err.(*exec.ExitError); is { //nolint:errorlint // exec gives it as it is
		return e.Stderr
	}
	return nil
}
