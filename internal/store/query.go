package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// querier runs statements that read. Its errors are the driver's own.
type querier interface {
	query(ctx context.Context, text string, args ...any) (answer, error)
	// broken is told of an error that came while rows were read.
	broken(err error)
}

// reader implements engine.Reader on whatever transaction q is in.
type reader struct {
	q    querier
	memo memo // of the batch; nil where only one reads

	scopes *scopeCache
}

// answer is the rows that a statement gave.
type answer interface {
	scanner
	Next() bool
	Err() error
	Close() error
}

// scanner is a row.
type scanner interface{ Scan(into ...any) error }

// all gives every row of a statement that has its own limit.
func all[T any](ctx context.Context, q querier, scan func(scanner) (T, error), text string,
	args ...any,
) (items []T, err error) {
	rows, err := q.query(ctx, text, args...)
	if err != nil {
		return nil, classify("", err)
	}
	defer func() {
		if closing := rows.Close(); err == nil && closing != nil {
			q.broken(closing)
			err = classify("", closing)
		}
	}()
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read a row: %w", err)
		}
		items = append(items, item)
	}
	if err := rows.Err(); err != nil {
		q.broken(err)
		return nil, classify("", err)
	}
	return items, nil
}

// everyRow ends a statement of which every row is needed, with a reason in TestNoStatementGrowsUnseen; it goes to
// whole.
const everyRow = " limit 2000001"

// whole is all for such a statement. What has more rows than that is refused rather than cut, since a part would be
// taken for the whole.
func whole[T any](ctx context.Context, q querier, scan func(scanner) (T, error), text string,
	args ...any,
) ([]T, error) {
	items, err := all(ctx, q, scan, text, args...)
	if err == nil && len(items) > 2_000_000 {
		return nil, access.Fault(access.KindInternal, "tooManyRows",
			"a statement has more than two million rows, of which every one is needed: %.60s", text)
	}
	return items, err
}

// one gives the row of a statement that has one at most; what is the noun for the error where it has none.
func one[T any](ctx context.Context, q querier, what string, scan func(scanner) (T, error), text string,
	args ...any,
) (T, error) {
	items, err := all(ctx, q, scan, text, args...)
	if err != nil {
		var zero T
		return zero, err
	}
	if len(items) == 0 {
		var zero T
		return zero, missing(what)
	}
	return items[0], nil
}

// list builds a statement that is filtered and paged.
type list struct {
	text strings.Builder
	args []any
	glue string
	err  error
}

// from begins a list with "select … from …", perhaps with a where clause of its own.
func from(text string) *list {
	l := &list{glue: " where "}
	l.text.WriteString(text)
	if strings.Contains(text, " where ") {
		l.glue = " and "
	}
	return l
}

// where adds a condition in which each ? stands for the next argument.
func (l *list) where(condition string, args ...any) {
	l.text.WriteString(l.glue)
	l.glue = " and "
	for _, arg := range args {
		before, after, _ := strings.Cut(condition, "?")
		l.args = append(l.args, arg)
		l.text.WriteString(before + "$" + strconv.Itoa(len(l.args)))
		condition = after
	}
	l.text.WriteString(condition)
}

// within adds the condition that column, a folded resource id, is scope or lies below it.
func (l *list) within(column string, scope access.ResourceID) {
	if scope != "" && scope != access.Root {
		key := scope.Fold()
		// What lies below begins with key and a slash; '0' is the byte behind the slash.
		l.where("("+column+" = ? or "+column+" >= ? and "+column+" < ?)", key, key+"/", key+"0")
	}
}

// equal adds a condition unless the value is empty.
func equal[T ~string](l *list, column string, value T) {
	if value != "" {
		l.where(column+" = ?", string(value))
	}
}

// tenants adds the condition that column is tenant, or one of those beside it; an empty tenant bounds nothing.
func (l *list) tenants(column string, tenant access.TenantID, beside []access.TenantID) {
	if tenant == "" || len(beside) == 0 {
		equal(l, column, tenant)
		return
	}
	args := []any{string(tenant)}
	for _, t := range beside {
		args = append(args, string(t))
	}
	l.where(column+" in ("+strings.TrimSuffix(strings.Repeat("?, ", len(args)), ", ")+")", args...)
}

// after continues behind the row that the cursor names, in the order of the columns, which order gives with their
// direction.
func (l *list) after(cursor string, descending bool, columns string, kinds ...cursorKind) {
	if cursor == "" {
		return
	}
	values, err := parseCursor(cursor, kinds)
	if err != nil {
		l.err = err
		return
	}
	sign := " > "
	if descending {
		sign = " < "
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(values)), ", ")
	l.where("("+columns+")"+sign+"("+marks+")", values...)
}

// page runs the list with an order and gives one page of it. cursor gives the values that name an item's row.
func page[T any](ctx context.Context, q querier, l *list, p engine.Page, order string, scan func(scanner) (T, error),
	cursor func(T) []any,
) (engine.Listed[T], error) {
	if err := l.limit(order, p.Limit); err != nil {
		return engine.Listed[T]{}, err
	}
	items, err := all(ctx, q, scan, l.text.String(), l.args...)
	if err != nil {
		return engine.Listed[T]{}, err
	}
	listed := engine.Listed[T]{Items: items}
	if len(items) > p.Limit {
		listed.Items = items[:p.Limit]
		listed.Next = makeCursor(cursor(items[p.Limit-1]))
	}
	return listed, nil
}

const maxPage = 1000

// limit ends the statement; it asks for one row more than the page has, to know whether there is a next one.
func (l *list) limit(order string, limit int) error {
	if l.err != nil {
		return l.err
	}
	if err := checkLimit(limit); err != nil {
		return err
	}
	l.args = append(l.args, int64(limit)+1)
	l.text.WriteString(" order by " + order + " limit $" + strconv.Itoa(len(l.args)))
	return nil
}

func checkLimit(limit int) error {
	if limit < 1 || limit > maxPage {
		return access.Fault(access.KindInvalid, "malformedLimit", "the limit is %d; ask for 1 to %d", limit, maxPage)
	}
	return nil
}

type cursorKind int

const (
	cursorText cursorKind = iota
	cursorNumber
)

// A cursor holds the values of the columns that the list is ordered by, each with its length.
func makeCursor(values []any) string {
	var b strings.Builder
	for _, value := range values {
		text := fmt.Sprint(value)
		fmt.Fprintf(&b, "%d:%s", len(text), text)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(b.String()))
}

func parseCursor(cursor string, kinds []cursorKind) ([]any, error) {
	bad := access.Fault(access.KindInvalid, "malformedCursor",
		"the cursor is not one of this list; start again without one")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return nil, bad
	}
	rest := string(raw)
	values := make([]any, 0, len(kinds))
	for _, kind := range kinds {
		digits, after, ok := strings.Cut(rest, ":")
		length, err := strconv.Atoi(digits)
		if !ok || err != nil || length < 0 || length > len(after) {
			return nil, bad
		}
		text := after[:length]
		rest = after[length:]
		if kind == cursorText {
			values = append(values, strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), ""))
			continue
		}
		number, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, bad
		}
		values = append(values, number)
	}
	if rest != "" {
		return nil, bad
	}
	return values, nil
}
