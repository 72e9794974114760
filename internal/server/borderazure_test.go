package server_test

import (
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/armapi"
)

// azure calls every route of the Azure-compatible API.
func (b *border) azure() {
	b.t.Helper()
	a, err := armapi.New(armapi.Config{Engine: b.inside.Engine, Identity: b.inside.Identity, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.t.Fatal(err)
	}
	role := b.variants[0].known
	values := map[string]string{
		"jitNetworkAccessPolicies/{name}": "jitNetworkAccessPolicies/" + path.Base(b.known["jit"]),
		"{scope...}":                      strings.TrimPrefix(b.known["scope"], "/"), "{subscription}": b.known["subscription"], "{group}": "default", "{location}": "local",
		"virtualMachines/{machine}":     "virtualMachines/vault-" + mark,
		"applicationDefinitions/{name}": "applicationDefinitions/kit-" + mark, "applications/{name}": "applications/app-" + mark,
		"jitRequests/{name}":   "jitRequests/" + role["request"],
		"roleAssignments/{id}": "roleAssignments/" + b.known["assignment"], "roleDefinitions/{id}": "roleDefinitions/" + b.known["role"],
		"denyAssignments/{id}":                  "denyAssignments/" + b.known["deny"],
		"roleEligibilitySchedules/{id}":         "roleEligibilitySchedules/" + b.known["eligibility"],
		"roleEligibilityScheduleInstances/{id}": "roleEligibilityScheduleInstances/" + b.known["eligibility"],
		"roleEligibilityScheduleRequests/{id}":  "roleEligibilityScheduleRequests/" + b.known["eligibility"],
		"roleAssignmentSchedules/{id}":          "roleAssignmentSchedules/" + role["grant"],
		"roleAssignmentScheduleInstances/{id}":  "roleAssignmentScheduleInstances/" + role["grant"],
		"roleAssignmentScheduleRequests/{id}":   "roleAssignmentScheduleRequests/" + role["request"],
		"roleAssignmentApprovals/{id}":          "roleAssignmentApprovals/" + role["request"],
	}
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
		var body []byte
		switch {
		case strings.HasSuffix(at, "/initiate"):
			body = []byte(`{"virtualMachines":[{"id":"` + b.known["resource"] + `","ports":[{"number":22,"allowedSourceAddressPrefix":"*","endTimeUtc":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}]}]}`)
		case method == http.MethodPut, method == http.MethodPost, method == http.MethodPatch:
			body = []byte(`{"kind":"Basic","location":"local","properties":{"virtualMachines":[{"id":"` + b.known["resource"] + `","ports":[{"number":22,"protocol":"*","allowedSourceAddressPrefix":"*","maxRequestAccessDuration":"PT1H"}]}]}}`)
		}
		// Each route with each of its api-versions until one is taken.
		for _, version := range []string{"2020-01-01", "2022-04-01", "2024-07-01", "2015-04-01", "2021-07-01", "2020-10-01", "2021-04-01", "2016-09-01", "2019-07-01", "2021-01-01-preview"} {
			if !strings.Contains(b.call(route, method, at+"?api-version="+version, body), "api-version") {
				break
			}
		}
	}
}
