package httpapi

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/postern-dev/postern/internal/core/audit"
	"github.com/postern-dev/postern/internal/engine"
)

const csvType = "text/csv; charset=utf-8"

// tableTime is how a table writes an instant: with as many digits always, so that instants sort as texts do.
const tableTime = "2006-01-02T15:04:05.000000Z"

func tableInstant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(tableTime)
}

// csvColumn is a column of a table of T.
type csvColumn[T any] struct {
	name string
	cell func(T) string
}

// wholeList reads pages of a list that is written as a table.
type wholeList[T any] func(ctx context.Context, p engine.Page) (engine.Listed[T], error)

// csvPage is how many rows are read at once. No transaction stays open between them.
const csvPage = 1000

// csvOf answers with everything that a list has, as a file of CSV. It goes out as it is read, so that a list of any
// length passes through; one that breaks off is cut, and the caller sees that the answer is not whole. What cannot be
// read at all is refused before anything goes out.
func csvOf[T any](ctx context.Context, a *API, file string, columns []csvColumn[T],
	read wholeList[T],
) (*huma.StreamResponse, error) {
	first, err := read(ctx, engine.Page{Limit: csvPage})
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) { //nolint:contextcheck // it has the context of its call
		r, w := humago.Unwrap(hc)
		w.Header().Set("Content-Type", csvType)
		w.Header().Set("Content-Disposition", `attachment; filename="`+file+`"`)
		control := http.NewResponseController(w)
		onward := func() error {
			err := control.SetWriteDeadline(a.now().Add(answerTimeout))
			if errors.Is(err, http.ErrNotSupported) {
				return nil
			}
			return err
		}
		err := writeCSV(r.Context(), w, columns, first, read, onward)
		switch {
		case err == nil:
		case errors.Is(err, errCallerLeft):
			a.log.DebugContext(r.Context(), "the caller left a table", "file", file, "error", err)
		default:
			a.log.WarnContext(r.Context(), "a table broke off", "file", file, "request_id",
				w.Header().Get(requestIDHeader), "error", err)
			panic(http.ErrAbortHandler) // the caller must not take it for whole
		}
	}}, nil
}

var errCallerLeft = errors.New("the caller left")

// writeCSV writes a list from its first page on; onward is called before each further page is read.
func writeCSV[T any](ctx context.Context, w io.Writer, columns []csvColumn[T], list engine.Listed[T],
	read wholeList[T], onward func() error,
) (err error) {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	row := make([]string, len(columns))
	for i, c := range columns {
		row[i] = c.name
	}
	if err := out.Write(row); err != nil {
		return err
	}
	for {
		for _, item := range list.Items {
			for i, c := range columns {
				row[i] = audit.Cell(c.cell(item))
			}
			if err := out.Write(row); err != nil {
				return errors.Join(errCallerLeft, err)
			}
		}
		if out.Flush(); out.Error() != nil {
			return errors.Join(errCallerLeft, out.Error())
		}
		if list.Next == "" {
			return nil
		}
		if err := onward(); err != nil {
			return err
		}
		if list, err = read(ctx, engine.Page{Limit: csvPage, Cursor: list.Next}); err != nil {
			return err
		}
	}
}
