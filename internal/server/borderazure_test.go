package server_test

import (
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/armapi"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// azure calls every route of the Azure-compatible API.
func (b *border) azure() {
	b.t.Helper()
	a, err := armapi.New(armapi.Config{
		Engine: b.inside.Engine, Identity: b.inside.Identity, Now: time.Now,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	role := b.variants[0].known
	values := map[string]string{
		"jitNetworkAccessPolicies/{name}": "jitNetworkAccessPolicies/" + path.Base(b.known["jit"]),
		"{scope...}":                      strings.TrimPrefix(b.known["scope"], "/"),
		"{subscription}":                  b.known["subscription"], "{group}": "default", "{location}": "local",
		"virtualMachines/{machine}":             "virtualMachines/vault-" + mark,
		"applicationDefinitions/{name}":         "applicationDefinitions/kit-" + mark,
		"applications/{name}":                   "applications/app-" + mark,
		"jitRequests/{name}":                    "jitRequests/" + role["request"],
		"roleAssignments/{id}":                  "roleAssignments/" + b.known["assignment"],
		"roleDefinitions/{id}":                  "roleDefinitions/" + b.known["role"],
		"denyAssignments/{id}":                  "denyAssignments/" + b.known["deny"],
		"roleEligibilitySchedules/{id}":         "roleEligibilitySchedules/" + b.known["eligibility"],
		"roleEligibilityScheduleInstances/{id}": "roleEligibilityScheduleInstances/" + b.known["eligibility"],
		"roleEligibilityScheduleRequests/{id}":  "roleEligibilityScheduleRequests/" + b.known["eligibility"],
		"roleAssignmentSchedules/{id}":          "roleAssignmentSchedules/" + role["grant"],
		"roleAssignmentScheduleInstances/{id}":  "roleAssignmentScheduleInstances/" + role["grant"],
		"roleAssignmentScheduleRequests/{id}":   "roleAssignmentScheduleRequests/" + role["request"],
		"roleAssignmentApprovals/{id}":          "roleAssignmentApprovals/" + role["request"],
	}
	bodies := b.azureBodies()
	for _, route := range a.Routes() {
		method, at, _ := strings.Cut(route, " ")
		for name, value := range values {
			at = strings.ReplaceAll(at, name, value)
		}
		for strings.Contains(at, "{") { // names of things
			from, to := strings.IndexByte(at, '{'), strings.IndexByte(at, '}')
			at = at[:from] + "default" + at[to+1:]
		}
		if !strings.HasPrefix(at, "/") {
			at = "/" + at
		}
		body, has := bodies[route]
		if !has && method != http.MethodGet && method != http.MethodHead && method != http.MethodDelete {
			b.t.Errorf("%s has no well-formed body here: add one, so that the border itself answers", route)
		}
		b.versions(route, method, at, body)
		if strings.HasSuffix(route, "/jitNetworkAccessPolicies/{name}") && method == http.MethodPut {
			b.versions(route+" with a machine", method, at,
				`{"kind":"Basic","properties":{"virtualMachines":[{"id":"`+b.known["resource"]+
					`","ports":[{"number":22,"protocol":"*","allowedSourceAddressPrefix":"*","maxRequestAccessDuration":"PT1H"}]}]}}`)
		}
		if strings.Contains(at, "roleAssignmentScheduleRequests/"+role["request"]) {
			b.versions(route+" of a change", method, strings.ReplaceAll(at, role["request"], b.known["roleChange"]),
				body)
		}
		if strings.Contains(body, `"requestType"`) && method == http.MethodPut {
			for _, kind := range []string{"AdminUpdate", "AdminExtend", "AdminRenew", "AdminRemove"} {
				b.versions(route+" "+kind, method, at, strings.ReplaceAll(body, "AdminAssign", kind))
			}
		}
	}
}

// versions calls a route with each of its api-versions until one is taken.
func (b *border) versions(route, method, at, body string) {
	b.t.Helper()
	for _, version := range []string{
		"2020-01-01", "2022-04-01", "2024-07-01", "2015-04-01", "2021-07-01", "2020-10-01",
		"2021-04-01", "2016-09-01", "2019-07-01", "2021-01-01-preview",
	} {
		if !strings.Contains(b.call(route, method, at+"?api-version="+version, []byte(body)), "api-version") {
			return
		}
	}
}

// azureBodies gives a well-formed body for each route that takes one, about what is the victim's; empty where it takes
// none.
func (b *border) azureBodies() map[string]string {
	const (
		group     = "/subscriptions/{subscription}/resourceGroups/{group}/providers/"
		solutions = group + "Microsoft.Solutions/"
		jit       = group + "Microsoft.Security/locations/{location}/jitNetworkAccessPolicies/{name}"
		roles     = "{scope...}/providers/Microsoft.Authorization/"
		stage     = roles + "roleAssignmentApprovals/{id}/stages/{stage}"
		switched  = `{"properties":{"recommendations":{"jitNetworkAccess":"On"}}}`
		decision  = `{"reviewResult":"Approve","justification":"border"}`
	)
	role := b.variants[0].known
	schedule := func(kind string) string {
		return `{"properties":{"requestType":"` + kind + `","principalId":"` + b.known["principal"] +
			`","roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/` + string(
			rbac.Reader) +
			`","justification":"border","scheduleInfo":{"expiration":{"type":"AfterDuration","duration":"PT1H"}}}}`
	}
	return map[string]string{
		"PUT " + jit: `{"kind":"Basic","properties":{"virtualMachines":[]}}`,
		"POST " + jit + "/initiate": `{"virtualMachines":[{"id":"` + b.known["resource"] +
			`","ports":[{"number":22,"allowedSourceAddressPrefix":"*","endTimeUtc":"` +
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}]}]}`,
		"PUT " + group + "Microsoft.Security/policies/{policy}":                             switched,
		"PUT /subscriptions/{subscription}/providers/Microsoft.Security/policies/{policy}":  switched,
		"PUT /subscriptions/{subscription}/providers/Microsoft.Security/pricings/{pricing}": `{"properties":{"pricingTier":"Standard"}}`,
		"POST /subscriptions/{subscription}/providers/{namespace}/register":                 "",

		"PUT " + roles + "roleDefinitions/{id}": `{"properties":{"roleName":"border","permissions":[{"actions":["*/read"]}],"assignableScopes":["` + b.known["scope"] + `"]}}`,
		"PUT " + roles + "roleAssignments/{id}": `{"properties":{"principalId":"` + b.known["principal"] +
			`","roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/` + string(
			rbac.Reader) + `"}}`,
		"PUT " + roles + "roleAssignmentScheduleRequests/{id}":            schedule("AdminAssign"),
		"POST " + roles + "roleAssignmentScheduleRequests/{id}/validate":  schedule("AdminAssign"),
		"POST " + roles + "roleAssignmentScheduleRequests/{id}/cancel":    "",
		"PUT " + roles + "roleEligibilityScheduleRequests/{id}":           schedule("AdminAssign"),
		"POST " + roles + "roleEligibilityScheduleRequests/{id}/validate": schedule("AdminAssign"),
		"POST " + roles + "roleEligibilityScheduleRequests/{id}/cancel":   "",
		"PUT " + stage:   decision,
		"PATCH " + stage: decision,

		"POST /v1.0/directoryObjects/getByIds": `{"ids":["` + b.known["principal"] + `"],"types":["user"]}`,
		"POST /beta/directoryObjects/getByIds": `{"ids":["` + b.known["principal"] + `"],"types":["user"]}`,

		"PUT " + solutions + "applicationDefinitions/{name}": `{"location":"local","properties":{"lockLevel":"None","authorizations":[{"principalId":"` + b.known["principal"] +
			`","roleDefinitionId":"` + string(rbac.Reader) + `"}]}}`,
		"PATCH " + solutions + "applicationDefinitions/{name}":              `{"tags":{"border":"border"}}`,
		"PUT " + solutions + "applications/{name}":                          `{"kind":"ServiceCatalog","location":"local","properties":{"applicationDefinitionId":"` + b.known["definition"] + `"}}`,
		"PATCH " + solutions + "applications/{name}":                        `{"tags":{"border":"border"}}`,
		"POST " + solutions + "applications/{name}/updateAccess":            `{"approver":"border","status":"Elevate","subStatus":"Approved","metadata":{"originRequestId":"` + role["request"] + `"}}`,
		"POST " + solutions + "applications/{name}/refreshPermissions":      "",
		"POST " + solutions + "applications/{name}/listAllowedUpgradePlans": "",
		"PUT " + solutions + "jitRequests/{name}": `{"location":"local","properties":{"applicationResourceId":"` +
			b.known["application"] + `","jitAuthorizationPolicies":[{"principalId":"` +
			b.known["principal"] + `","roleDefinitionId":"` + string(
			rbac.Reader) + `"}],"jitSchedulingPolicy":{"type":"Once","duration":"PT1H","startTime":"` +
			time.Now().UTC().Format(
				time.RFC3339) + `"}}}`,
		"PATCH " + solutions + "jitRequests/{name}": `{"tags":{"border":"border"}}`,
	}
}
