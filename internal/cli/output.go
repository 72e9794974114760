package cli

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/postern-dev/postern/internal/core/audit"
)

// column is one column of a table, or one line where a single thing is shown.
type column[T any] struct {
	head  string
	value func(style, T) string
}

// style says how values are written: shortened and local for people, whole and in UTC for programs.
type style struct {
	plain bool // for programs
	now   time.Time
	local *time.Location
}

func (a *app) style() style {
	return style{plain: a.output != "table", now: a.now(), local: a.local}
}

// time writes an instant.
func (s style) time(t time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case s.plain:
		return t.UTC().Format("2006-01-02T15:04:05.000000Z07:00") // of one length, so that texts sort as times
	default:
		return t.In(s.local).Format("2006-01-02 15:04:05 MST")
	}
}

// clock writes an instant for a narrow column: today's without the date, others without the seconds.
func (s style) clock(t time.Time) string {
	local, now := t.In(s.local), s.now.In(s.local)
	switch {
	case t.IsZero() || s.plain:
		return s.time(t)
	case local.YearDay() == now.YearDay() && local.Year() == now.Year():
		return local.Format("15:04:05 MST")
	default:
		return local.Format("2006-01-02 15:04 MST")
	}
}

func (s style) timeIf(t *time.Time) string {
	if t == nil {
		return ""
	}
	return s.time(*t)
}

// left writes how far an instant is away: "12m left" or "5m ago".
func (s style) left(t time.Time) string {
	d := t.Sub(s.now)
	if d >= time.Minute {
		d = d.Round(time.Minute) // an hour that was granted a moment ago is an hour
	}
	switch {
	case t.IsZero():
		return ""
	case d > 0:
		return shortDuration(d) + " left"
	default:
		return shortDuration(-d) + " ago"
	}
}

// ago writes how long ago an instant was, where there is one.
func (s style) ago(t *time.Time) string {
	switch {
	case t == nil:
		return "never"
	case s.plain:
		return s.time(*t)
	default:
		return shortDuration(max(0, s.now.Sub(*t))) + " ago"
	}
}

// id writes an id: its last eight characters for people, which every command accepts in its place. The first ones
// are a clock, and alike for everything that was made in the same minute.
func (s style) id(id string) string {
	if s.plain || len(id) != len("00000000-0000-0000-0000-000000000000") {
		return id
	}
	return id[len(id)-shortID:]
}

// list writes a list, cut after a few where people read it.
func (s style) list(items []string) string {
	const few = 2
	if s.plain || len(items) <= few {
		return strings.Join(items, ",")
	}
	return fmt.Sprintf("%s +%d", strings.Join(items[:few], ","), len(items)-few)
}

// printList prints items; for people, empty stands for a list without any.
func printList[T any](a *app, items []T, columns []column[T], empty string) error {
	if items == nil {
		items = []T{}
	}
	switch a.output {
	case "json":
		return a.printJSON(items)
	case "yaml":
		return a.printYAML(items)
	case "csv":
		return printCSV(a, items, columns)
	}
	if len(items) == 0 {
		a.say("%s", empty)
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	heads := make([]string, len(columns))
	for i, c := range columns {
		heads[i] = c.head
	}
	_, _ = fmt.Fprintln(w, strings.Join(heads, "\t"))
	for _, item := range items {
		_, _ = fmt.Fprintln(w, strings.Join(cells(a.style(), item, columns), "\t"))
	}
	return w.Flush()
}

// printItem prints one thing, for people a line for each column that has something to say.
func printItem[T any](a *app, item T, columns []column[T]) error {
	switch a.output {
	case "json":
		return a.printJSON(item)
	case "yaml":
		return a.printYAML(item)
	case "csv":
		return printCSV(a, []T{item}, columns)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for i, cell := range cells(a.style(), item, columns) {
		if cell != "" {
			_, _ = fmt.Fprintf(w, "%s:\t%s\n", label(columns[i].head), cell)
		}
	}
	return w.Flush()
}

// factLines writes what facts say of one thing, each after its head and further lines below the first; where is the
// command that shows what is too much for people.
func factLines[T any](s style, item T, facts []fact[T], where string) []string {
	widest := 0
	for _, f := range facts {
		widest = max(widest, len(f.head))
	}
	var lines []string
	for _, f := range facts {
		head := f.head + ":"
		for _, line := range bounded(f.lines(s, item), where) {
			lines = append(lines, fmt.Sprintf("%-*s  %s", widest+1, head, visible(line)))
			head = ""
		}
	}
	return lines
}

// joined makes a column of each fact, for programs.
func joined[T any](facts []fact[T]) []column[T] {
	columns := make([]column[T], len(facts))
	for i, f := range facts {
		columns[i] = column[T]{f.head, func(s style, item T) string { return strings.Join(f.lines(s, item), "; ") }}
	}
	return columns
}

// label writes a column's head as the beginning of a line: LAST ACCESS as Last access.
func label(head string) string {
	if head != strings.ToUpper(head) || head == "OS" {
		return head
	}
	return head[:1] + strings.ToLower(head[1:])
}

func cells[T any](s style, item T, columns []column[T]) []string {
	texts := make([]string, len(columns))
	for i, c := range columns {
		texts[i] = visible(c.value(s, item))
	}
	return texts
}

// steers tells whether a character moves a terminal's cursor, begins a command to it, or turns the direction of what
// follows.
func steers(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// visible keeps text that came from elsewhere from steering the terminal or breaking the table.
func visible(text string) string { return strings.Map(dotted, text) }

// steady is visible for text of several lines.
func steady(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return dotted(r)
	}, text)
}

func dotted(r rune) rune {
	if steers(r) {
		return '·'
	}
	return r
}

func printCSV[T any](a *app, items []T, columns []column[T]) error {
	w := csv.NewWriter(a.out)
	heads := make([]string, len(columns))
	for i, c := range columns {
		heads[i] = strings.ToLower(strings.ReplaceAll(c.head, " ", "_"))
	}
	if err := w.Write(heads); err != nil {
		return err
	}
	for _, item := range items {
		row := cells(a.style(), item, columns)
		for i, cell := range row {
			row[i] = audit.Cell(cell)
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

func (a *app) printJSON(v any) error {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(a.out, escaped(text.String()))
	return err
}

// escaped escapes what would steer a terminal and stands in quotes, where JSON and YAML take some of it as it is.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || !steers(r) {
			_, _ = b.WriteRune(r)
		} else {
			_, _ = fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}

// printYAML goes through JSON, which is YAML too where nothing steers: so both have the same names in the same order.
func (a *app) printYAML(v any) error {
	var buf strings.Builder
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(escaped(buf.String())), &node); err != nil {
		return err
	}
	unflow(&node)
	var text strings.Builder
	w := yaml.NewEncoder(&text)
	w.SetIndent(2)
	if err := errors.Join(w.Encode(&node), w.Close()); err != nil {
		return err
	}
	_, err := io.WriteString(a.out, escaped(text.String()))
	return err
}

// unflow drops the brackets and quotes that JSON needed, and that nothing has to be escaped in.
func unflow(n *yaml.Node) {
	n.Style = 0
	if steady(n.Value) != n.Value {
		n.Style = yaml.DoubleQuotedStyle
	}
	for _, child := range n.Content {
		unflow(child)
	}
}
