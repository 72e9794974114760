package armapi

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine"
)

// csvHeader is the header of the activity log as CSV: the eleven columns of the portal's own download, and those that
// it leaves out. There is one row for each event.
func csvHeader() []string {
	return []string{
		"Correlation id", "Operation name", "Status", "Event category", "Level", "Time", "Subscription",
		"Event initiated by", "Resource type", "Resource group",
		"Resource", "Client address", "Justification", "Ports", "Sources", "Start", "End", "Properties",
	}
}

// document is a body that is not JSON. write may fail halfway, which cuts the connection, so that nobody takes a part
// for the whole.
type document struct {
	kind  string
	write func(io.Writer) error
}

// csvPage is how many events are read at a time.
const csvPage = 1000

// csvOf answers with all events from a first page on, however many pages there are.
func (c *call) csvOf(f engine.EventFilter, keep func(map[string]any) bool, first engine.Listed[access.Event]) reply {
	return reply{status: http.StatusOK, body: document{kind: "text/csv; charset=utf-8", write: func(w io.Writer) error {
		out := csv.NewWriter(w)
		if err := out.Write(csvHeader()); err != nil {
			return err
		}
		for events := first; ; {
			for _, e := range events.Items {
				if shown := c.event(e); keep(shown) {
					if err := out.Write(csvRow(shown)); err != nil {
						return err
					}
				}
			}
			if out.Flush(); events.Next == "" || out.Error() != nil {
				return out.Error()
			}
			var err error
			if events, err = c.engine().Records.Events(c.Context(), c.caller, f,
				engine.Page{Limit: csvPage, Cursor: events.Next}); err != nil {
				return err
			}
		}
	}}}
}

func csvRow(e map[string]any) []string {
	properties, _ := e["properties"].(map[string]string)
	all, err := json.Marshal(properties)
	if err != nil {
		all = nil
	}
	return cells(fmt.Sprint(e["correlationId"]), textOf(e["operationName"]), valueOf(e["status"]),
		valueOf(e["category"]), fmt.Sprint(e["level"]),
		fmt.Sprint(e["eventTimestamp"]), fmt.Sprint(e["subscriptionId"]), fmt.Sprint(e["caller"]),
		valueOf(e["resourceType"]), fmt.Sprint(e["resourceGroupName"]),
		fmt.Sprint(e["resourceId"]), properties["clientIpAddress"], properties["justification"], properties["ports"],
		properties["sources"], properties["start"], properties["end"],
		string(all))
}

// cells makes a row of texts, none of which a spreadsheet takes for a formula.
func cells(texts ...string) []string {
	for i, text := range texts {
		texts[i] = audit.Cell(text)
	}
	return texts
}

func textOf(v any) string {
	if l, is := v.(localized); is {
		return l.Localized
	}
	return ""
}
