package armapi

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// csvHeader is the header of the activity log as CSV: the eleven columns of the portal's own download, and those that it
// leaves out. There is one row for each event.
func csvHeader() []string {
	return []string{
		"Correlation id", "Operation name", "Status", "Event category", "Level", "Time", "Subscription", "Event initiated by", "Resource type", "Resource group",
		"Resource", "Client address", "Justification", "Ports", "Sources", "Start", "End", "Properties",
	}
}

// document is a body that is not JSON.
type document struct {
	kind string
	text []byte
}

func csvOf(events []map[string]any) reply {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{csvHeader()}
	for _, e := range events {
		properties, _ := e["properties"].(map[string]string)
		all, err := json.Marshal(properties)
		if err != nil {
			all = nil
		}
		ports := properties["ports"]
		if ports == "" {
			ports = properties["item.0"]
		}
		rows = append(rows, cells(fmt.Sprint(e["correlationId"]), titleOf(e["operationName"]), valueOf(e["status"]), valueOf(e["category"]), fmt.Sprint(e["level"]),
			fmt.Sprint(e["eventTimestamp"]), fmt.Sprint(e["subscriptionId"]), fmt.Sprint(e["caller"]), valueOf(e["resourceType"]), fmt.Sprint(e["resourceGroupName"]),
			fmt.Sprint(e["resourceId"]), properties["clientIpAddress"], properties["justification"], ports, properties["sources"], properties["start"], properties["end"],
			string(all)))
	}
	if err := w.WriteAll(rows); err != nil {
		return reply{status: http.StatusInternalServerError}
	}
	return reply{status: http.StatusOK, body: document{kind: "text/csv; charset=utf-8", text: b.Bytes()}}
}

// cells makes a row of texts. One that a spreadsheet would take for a formula begins with a quote.
func cells(texts ...string) []string {
	for i, text := range texts {
		if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
			texts[i] = "'" + text
		}
	}
	return texts
}

func titleOf(v any) string {
	if l, is := v.(localized); is {
		return l.Localized
	}
	return ""
}
