package armapi

import (
	"strconv"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// schedulePage is how many requests one page of a list has: large, since many scripts never ask for the second.
const schedulePage = 1000

// source gives one page of a list.
type source func(engine.Page) (views []map[string]any, next string, err error)

// paged answers with one page of lists that follow each other, each of which is read once at the most. The token of the
// next page says in which of them to go on, and where.
func (c *call) paged(keep func(map[string]any) bool, sources ...source) (reply, error) {
	token := c.query("$skipToken")
	in, cursor, _ := strings.Cut(token, ".")
	at, err := strconv.Atoi(in)
	if token != "" && (err != nil || at < 0 || at >= len(sources)) {
		return reply{}, access.Fault(access.KindInvalid, "InvalidParameter",
			"the $skipToken is not one that this list gave: begin again without one")
	}
	value := []any{}
	for left := schedulePage; ; {
		views, next, err := sources[at](engine.Page{Limit: left, Cursor: cursor})
		if err != nil {
			return reply{}, err
		}
		for _, view := range views {
			if keep(view) {
				value = append(value, view)
			}
		}
		left -= len(views)
		switch cursor = next; {
		case next != "":
			return ok(c.list(value, strconv.Itoa(at)+"."+next))
		case at == len(sources)-1:
			return ok(c.list(value, ""))
		}
		if at++; left <= 0 {
			return ok(c.list(value, strconv.Itoa(at)+"."))
		}
	}
}
