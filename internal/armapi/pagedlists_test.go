package armapi

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/identity"
)

// numbers is a list of n things, whose cursor is where to go on.
func numbers(name string, n int, most *int) source {
	return func(p engine.Page) (views []map[string]any, next string, err error) {
		from := 0
		if p.Cursor != "" {
			if from, err = strconv.Atoi(p.Cursor); err != nil {
				return nil, "", access.Fault(access.KindInvalid, "malformedCursor", "the cursor is no number")
			}
		}
		*most = max(*most, p.Limit)
		to := min(n, from+p.Limit)
		for i := from; i < to; i++ {
			views = append(views, map[string]any{"name": fmt.Sprint(name, i)})
		}
		if to < n {
			next = strconv.Itoa(to)
		}
		return views, next, nil
	}
}

// nameless is an API whose server has no name, for what needs none.
func nameless() *API { return &API{config: Config{Identity: &identity.Identity{}}} }

// TestPagedListsGiveEverythingOnce follows the links through lists that follow each other, also where one ends with a
// page.
func TestPagedListsGiveEverythingOnce(t *testing.T) {
	t.Parallel()
	for _, sizes := range [][]int{
		{0, 0, 0},
		{3, 0, 2},
		{schedulePage, 1, 0},
		{schedulePage - 1, 1, schedulePage},
		{2*schedulePage + 7, 3 * schedulePage, 5},
		{0, schedulePage, 1},
	} {
		want := sizes[0] + sizes[1] + sizes[2]
		seen, most := map[any]bool{}, 0
		for link := "https://h/list?$filter=x"; link != ""; {
			c := &call{api: nameless(), Request: httptest.NewRequestWithContext(t.Context(), "GET", link, nil)}
			answer, err := c.paged(func(map[string]any) bool { return true }, numbers("a", sizes[0], &most),
				numbers("b", sizes[1], &most), numbers("c", sizes[2], &most))
			if err != nil {
				t.Fatal(err)
			}
			page, _ := answer.body.(list)
			value, _ := page.Value.([]any)
			for _, v := range value {
				view, _ := v.(map[string]any)
				if seen[view["name"]] {
					t.Errorf("%v: %v comes twice", sizes, view["name"])
				}
				seen[view["name"]] = true
			}
			if len(value) > schedulePage {
				t.Errorf("%v: a page has %d", sizes, len(value))
			}
			link = page.NextLink
		}
		if len(seen) != want || most > schedulePage {
			t.Errorf("%v: %d of %d were given, %d at a time", sizes, len(seen), want, most)
		}
	}
}

// TestPagedListsRefuseOtherTokens holds that a token which no list gave is refused, and that there is one token in a
// link however the client wrote its name.
func TestPagedListsRefuseOtherTokens(t *testing.T) {
	t.Parallel()
	most := 0
	for _, token := range []string{"x", "-1.", "3.", "9999999999999999999.", ".", "0.x"} {
		c := &call{
			api: nameless(),
			Request: httptest.NewRequestWithContext(t.Context(), "GET",
				"https://h/list?$skiptoken="+url.QueryEscape(token), nil),
		}
		_, err := c.paged(func(map[string]any) bool { return true }, numbers("a", 1, &most), numbers("b", 1, &most),
			numbers("c", 1, &most))
		if access.KindOf(err) != access.KindInvalid {
			t.Errorf("%q gave %v", token, err)
		}
	}
	c := &call{
		api:     nameless(),
		Request: httptest.NewRequestWithContext(t.Context(), "GET", "https://h/list?$SKIPTOKEN=0.5", nil),
	}
	link, err := url.Parse(c.list(nil, "0.6").NextLink)
	if err != nil || len(link.Query()) != 1 || link.Query().Get("$skipToken") != "0.6" {
		t.Errorf("the link is %v, %v", link, err)
	}
}
