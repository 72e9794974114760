package server_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postern-dev/postern/api"
)

// table gets a table of CSV, and gives each row by the names of its columns.
func (r *running) table(c *api.Client, path string) (rows []map[string]string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url()+"/api/v1"+path, http.NoBody)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+c.Token())
	response, err := r.plain().Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer closed(r.t, response.Body)
	if got := response.Header.Get("Content-Disposition"); response.StatusCode != http.StatusOK ||
		!strings.HasPrefix(got, `attachment; filename="postern-`) {
		r.t.Fatalf("%s: %s, %q", path, response.Status, got)
	}
	all, err := csv.NewReader(response.Body).ReadAll()
	if err != nil {
		r.t.Fatalf("%s: %v", path, err)
	}
	for _, cells := range all[1:] {
		row := map[string]string{}
		for i, cell := range cells {
			row[all[0][i]] = cell
		}
		rows = append(rows, row)
	}
	return rows
}

// TestMachinesAsCSV proves that the table has every machine that the filter finds, in its order, and nothing that a
// spreadsheet would run.
func TestMachinesAsCSV(t *testing.T) {
	t.Parallel()
	r, admin, _ := guarded(t)
	r.enroll(admin, "idle-1")
	for machine, labels := range map[string]map[string]string{
		"web-1": {"env": "prod", "@cmd": "x"}, "idle-1": {"env": "test"},
	} {
		if _, err := admin.LabelMachine(t.Context(), machine, api.LabelChange{Set: labels}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := admin.Submit(t.Context(), ask(), ""); err != nil {
		t.Fatal(err)
	}
	rows := r.table(admin, "/machines.csv?sort=-name")
	if len(rows) != 2 || rows[0]["machine"] != "web-1" || rows[1]["machine"] != "idle-1" {
		t.Fatalf("the table is %v", rows)
	}
	row := rows[0]
	for column, want := range map[string]string{
		"subscription": "default", "resourceGroup": "default", "standing": "configured", "ports": "22/tcp",
		"labels": "'@cmd=x,env=prod", "openFor": "admin", "approvedIn7Days": "1",
	} {
		if row[column] != want {
			t.Errorf("%s is %q, not %q", column, row[column], want)
		}
	}
	if rows := r.table(admin, "/machines.csv?search=env%3Dtest&standing=notConfigured"); len(rows) != 1 ||
		rows[0]["machine"] != "idle-1" || rows[0]["ports"] != "" {
		t.Errorf("filtered, the table is %v", rows)
	}
	if status, body := r.get("/api/v1/machines.csv"); status != http.StatusUnauthorized || strings.Contains(body, "web-1") {
		t.Errorf("without a session: %d %s", status, body)
	}
}

// TestActivityAsCSV proves that the log as a table has names instead of ids, where each record happened, whom it
// concerns, and a cell for everything else that can be read back; and that what people write is inert in it.
func TestActivityAsCSV(t *testing.T) {
	t.Parallel()
	r, admin, _ := guarded(t)
	evil := `=cmd|' /C calc'!A0 principal=bob`
	in := ask()
	in.Justification = evil
	if _, err := admin.Submit(t.Context(), in, ""); err != nil {
		t.Fatal(err)
	}
	rows := r.table(admin, "/events.csv?kind=request.submitted")
	if len(rows) != 1 {
		t.Fatalf("the table is %v", rows)
	}
	for column, want := range map[string]string{
		"subscription": "default", "resourceGroup": "default", "who": "admin", "forWhom": "admin", "machine": "web-1",
		"ports": "22/tcp", "source": "203.0.113.7/32", "reason": "'" + evil, "outcome": "succeeded",
		"summary": "admin requested 22/tcp on web-1 from 203.0.113.7: " + evil,
	} {
		if rows[0][column] != want {
			t.Errorf("%s is %q, not %q", column, rows[0][column], want)
		}
	}
	details := map[string]string{}
	if err := json.Unmarshal([]byte(rows[0]["details"]), &details); err != nil || details["justification"] != evil {
		t.Errorf("details are %q: %v", rows[0]["details"], err)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000000Z", rows[0]["at"]); err != nil {
		t.Error(err)
	}
	events, err := api.All(admin.Events(t.Context(), api.EventQuery{}))
	if err != nil {
		t.Fatal(err)
	}
	all := r.table(admin, "/events.csv")
	if len(all) < len(events) {
		t.Errorf("the table has %d of %d records", len(all), len(events))
	}
	for i := 1; i < len(all); i++ {
		if all[i-1]["at"] < all[i]["at"] {
			t.Errorf("as texts, %s comes before %s", all[i-1]["at"], all[i]["at"])
		}
	}
	if rows := r.table(admin, "/events.csv?actor=admin&outcome=refused"); len(rows) != 0 {
		t.Errorf("the filter lets through %v", rows)
	}
}
