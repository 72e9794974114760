package armapi

import (
	"maps"
	"net/url"
	"strings"

	"github.com/postern-dev/postern/internal/engine"
)

// list is a page of anything, as Azure wraps it.
type list struct {
	Value    any    `json:"value"`
	NextLink string `json:"nextLink,omitempty"`
}

// page reads where the client wants to go on. A token that was tampered with is refused by the engine.
func (c *call) page(limit int) engine.Page {
	return engine.Page{Limit: limit, Cursor: c.query("$skipToken")}
}

// query gives a query parameter without regard to the case of its name.
func (c *call) query(name string) string {
	for key, values := range c.URL.Query() {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// list wraps value, with an absolute link to the next page where there is one.
func (c *call) list(value any, next string) list {
	out := list{Value: value}
	if next != "" {
		query := c.URL.Query()
		maps.DeleteFunc(query, func(key string, _ []string) bool { return strings.EqualFold(key, "$skipToken") })
		query.Set("$skipToken", next)
		out.NextLink = c.base() + (&url.URL{Path: c.URL.Path, RawQuery: query.Encode()}).String()
	}
	return out
}
