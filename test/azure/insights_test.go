package azure_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/api"
)

// logPath is the activity log of the subscription for the last hour, narrowed by more conditions.
func (c *cloud) logPath(more string) string {
	since := time.Now().Add(-time.Hour).UTC().Format("2006-01-02T15:04:05.999999") // as az writes it
	query := url.Values{"api-version": {"2015-04-01"}, "$filter": {"eventTimestamp ge " + since + more}}
	return "/subscriptions/" + c.subscription + "/providers/Microsoft.Insights/eventtypes/management/values?" +
		query.Encode()
}

// TestActivityLogTellsEverything holds what the log says of each thing that scripts and people look for.
func TestActivityLogTellsEverything(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	x.guard()
	// One that ends by itself, and one that is refused.
	x.initiate("10.77.0.1", 3*time.Second)
	x.fails(http.MethodPost, c.policyPath()+"/initiate"+v, c.initiateBody("10.77.0.1", 9*time.Hour),
		http.StatusBadRequest, "AccessRequestNotSubsetOfPolicy")
	x.fails(http.MethodPost, c.policyPath()+"/initiate"+v, c.initiateBody("elsewhere", time.Hour),
		http.StatusBadRequest, "InvalidParameter")
	c.eventually("the expiry", func() error {
		_, answer := x.call(http.MethodGet, c.logPath(" and operationName eq 'Postern.Access/grants/expired/action'"),
			nil)
		if len(at(t, answer, "value").([]any)) == 0 {
			return errors.New("nothing has expired")
		}
		if title := at(t, answer, "value", 0, "operationName", "localizedValue"); title != "Grant expired" {
			t.Fatalf("an expiry is called %q", title)
		}
		return nil
	})
	authorization := "/subscriptions/" + c.subscription + "/providers/Microsoft.Authorization"
	role, assignment := authorization+"/roleDefinitions/"+uuid.NewString()+
		"?api-version=2022-04-01", authorization+"/roleAssignments/"+uuid.NewString()+"?api-version=2022-04-01"
	anna, err := c.admin.CreatePrincipal(t.Context(), api.NewPrincipal{Kind: "user", Name: "anna"})
	c.must(err)
	id, _, _ := strings.Cut(role, "?")
	for _, one := range []struct {
		method, path string
		body         any
		status       int
	}{
		{
			http.MethodPut, role,
			map[string]any{"properties": map[string]any{
				"roleName":    "Looker",
				"permissions": []any{map[string]any{"actions": []string{"*/read"}}},
			}},
			201,
		},
		{
			http.MethodPut, assignment,
			map[string]any{"properties": map[string]any{"principalId": anna.Principal.ID, "roleDefinitionId": id}},
			201,
		},
		{http.MethodDelete, assignment, nil, 200},
		{http.MethodDelete, role, nil, 200},
		{http.MethodDelete, c.policyPath() + v, nil, 200},
	} {
		if status, answer := x.call(one.method, one.path, one.body); status != one.status {
			t.Fatalf("%s %s gave %d %v", one.method, one.path, status, answer)
		}
	}
	for _, want := range []struct {
		operation, status, kind string
		properties              map[string]string // each must hold the text
	}{
		{
			"Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action", "Started", "request.submitted",
			map[string]string{
				"justification": "INC-4812 disk full", "ports": "22/tcp", "sources": "10.77.0.1/32", "start": "T",
				"end": "T", "clientIpAddress": "1", "eventProperties": `"Justification":"INC-4812 disk full"`,
			},
		},
		{
			"Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action", "Failed", "request.refused",
			map[string]string{"clientIpAddress": "1"},
		},
		{
			"Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action", "Succeeded", "grant.created",
			map[string]string{"ports": "22", "sources": "10.77.0.1/32", "start": "T", "end": "T"},
		},
		{
			"Postern.Access/grants/expired/action", "Succeeded", "grant.expired",
			map[string]string{"ports": "22", "sources": "10.77.0.1/32", "principal": "deploy", "end": "T"},
		},
		{
			"Microsoft.Security/locations/jitNetworkAccessPolicies/write", "Succeeded", "",
			map[string]string{"clientIpAddress": "1"},
		},
		{
			"Microsoft.Security/locations/jitNetworkAccessPolicies/delete", "Succeeded", "",
			map[string]string{"clientIpAddress": "1"},
		},
		{"Microsoft.Authorization/roleDefinitions/write", "Succeeded", "", map[string]string{"clientIpAddress": "1"}},
		{"Microsoft.Authorization/roleDefinitions/delete", "Succeeded", "", nil},
		{"Microsoft.Authorization/roleAssignments/write", "Succeeded", "", map[string]string{"clientIpAddress": "1"}},
		{"Microsoft.Authorization/roleAssignments/delete", "Succeeded", "", nil},
	} {
		c.eventually(want.operation+" "+want.status, func() error {
			status, answer := x.call(http.MethodGet,
				c.logPath(" and operationName eq '"+want.operation+"' and status eq '"+want.status+"'"), nil)
			if status != http.StatusOK {
				return fmt.Errorf("the log gave %d %v", status, answer)
			}
			for _, e := range at(t, answer, "value").([]any) {
				properties := at(t, e, "properties").(map[string]any)
				if want.kind != "" && properties["kind"] != want.kind {
					continue
				}
				for name, text := range want.properties {
					if got, _ := properties[name].(string); !strings.Contains(got, text) {
						return fmt.Errorf("%s is %q, want %q in it: %v", name, got, text, properties)
					}
				}
				return nil
			}
			return fmt.Errorf("it is not among %v", answer)
		})
	}
	for _, path := range []string{
		c.logPath(" and caller ne 'deploy'"), c.logPath(" and caller eq 'a' and caller eq 'b'"),
		c.logPath(" and shoeSize eq '42'"),
		c.logPath(" and resourceId eq '/subscriptions/" + uuid.NewString() + "'"),
	} {
		x.fails(http.MethodGet, path, nil, http.StatusBadRequest, "InvalidFilter")
	}
	_, answer := x.call(http.MethodGet, c.logPath("")+"&$select="+url.QueryEscape("eventTimestamp , operationName"),
		nil)
	if first := at(t, answer, "value",
		0).(map[string]any); len(first) != 2 || first["operationName"] == nil || first["eventTimestamp"] == nil {
		t.Errorf("$select gives %v", first)
	}
}

// TestActivityLogAsCSV proves that a download has every event of however many pages, one a row.
func TestActivityLogAsCSV(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	x := c.deploy()
	x.guard()
	const initiates = 110 // of three events each at the least, more than a page of the log
	for range initiates {
		body := c.initiateBody("10.77.0.1", time.Hour)
		body["justification"] = "=cmd"
		if status, answer := x.call(http.MethodPost, c.policyPath()+"/initiate"+
			v, body); status != http.StatusAccepted {
			t.Fatalf("initiate gave %d %v", status, answer)
		}
	}
	response, err := x.http.Do(x.request(http.MethodGet,
		c.logPath(" and operationName eq 'Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action'")+
			"&$format=csv",
		nil))
	c.must(err)
	text, err := io.ReadAll(response.Body)
	c.must(err)
	c.must(response.Body.Close())
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK ||
		kind != "text/csv; charset=utf-8" {
		t.Errorf("it gave %d %s", response.StatusCode, kind)
	}
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	c.must(err)
	header := strings.Split("Correlation id,Operation name,Status,Event category,Level,Time,Subscription,Event "+
		"initiated by,Resource type,Resource group,Resource,"+
		"Client address,Justification,Ports,Sources,Start,End,Properties", ",")
	if !slices.Equal(rows[0], header) {
		t.Errorf("the header is %q", rows[0])
	}
	begun := map[string][]string{}
	for _, row := range rows[1:] {
		if row[2] == "Started" {
			begun[row[0]] = row
		}
	}
	if len(begun) != initiates || len(rows) < 3*initiates {
		t.Fatalf("%d rows have %d initiates, want %d", len(rows), len(begun), initiates)
	}
	for _, row := range begun {
		if row[1] != "Initiate JIT Network Access Policy" || row[3] != "Administrative" || row[6] != c.subscription ||
			row[7] != "deploy" || !strings.EqualFold(
			row[10], c.machine.Resource) ||
			row[12] != "'=cmd" || row[13] != "22/tcp" || row[14] != "10.77.0.1/32" || row[15] == "" || row[16] == "" {
			t.Fatalf("a row is %q", row)
		}
	}
	pages, found := 0, 0
	for path := c.logPath(" and status eq 'Started'"); path != ""; pages++ {
		status, answer := x.call(http.MethodGet, path, nil)
		if status != http.StatusOK {
			t.Fatalf("page %d gave %d %v", pages, status, answer)
		}
		found += len(at(t, answer, "value").([]any))
		next, _ := answer["nextLink"].(string)
		path = strings.TrimPrefix(next, c.url)
	}
	if pages < 2 || found != initiates {
		t.Errorf("%d pages have %d initiates", pages, found)
	}
}
