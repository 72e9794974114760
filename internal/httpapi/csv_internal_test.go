package httpapi

import (
	"context"
	"encoding/csv"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/engine"
)

// TestTablesHaveNoEnd writes a list of many pages: every row is there, in order, more time is asked for before each
// further page, and what breaks off is an error and not an end.
func TestTablesHaveNoEnd(t *testing.T) {
	t.Parallel()
	const pages = 30
	broken := errors.New("broken")
	numbers := func(breaksAt int) wholeList[int] {
		return func(_ context.Context, p engine.Page) (list engine.Listed[int], err error) {
			n, _ := strconv.Atoi(p.Cursor)
			if n == breaksAt {
				return list, broken
			}
			for i := range p.Limit {
				list.Items = append(list.Items, n*p.Limit+i)
			}
			if n+1 < pages {
				list.Next = strconv.Itoa(n + 1)
			}
			return list, nil
		}
	}
	columns := []csvColumn[int]{{"n", strconv.Itoa}, {"text", func(n int) string { return "=" + strconv.Itoa(n) + ",\"\n" }}}
	for _, breaksAt := range []int{-1, 17} {
		read, more := numbers(breaksAt), 0
		first, err := read(t.Context(), engine.Page{Limit: csvPage})
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		err = writeCSV(t.Context(), &out, columns, first, read, func() error { more++; return nil })
		if breaksAt >= 0 {
			if !errors.Is(err, broken) || more != breaksAt {
				t.Errorf("broken off: %v after %d pages", err, more)
			}
			continue
		}
		rows, readErr := csv.NewReader(strings.NewReader(out.String())).ReadAll()
		if err != nil || readErr != nil || len(rows) != pages*csvPage+1 || more != pages-1 {
			t.Fatalf("%d rows in %d pages: %v %v", len(rows), more+1, err, readErr)
		}
		for i, row := range rows[1:] {
			if row[0] != strconv.Itoa(i) || row[1] != "'="+row[0]+",\"\n" {
				t.Fatalf("row %d is %q", i, row)
			}
		}
	}
}
