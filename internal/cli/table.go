package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// column is one column of a table, or one line where a single thing is shown.
type column[T any] struct {
	head  string
	value func(style, T) string
}

// view is what the flags of a list say about how it is shown.
type view struct {
	columns []string // --columns
	sort    string   // --sort
	watch   bool     // --watch

	seen   map[string]bool // rows that a watched list had the last time
	headed bool            // it has printed their heads
	widths []int           // of the columns that it printed
}

// columnName is how a column is called on the command line: LAST ACCESS as last-access.
func columnName(text string) string {
	return strings.NewReplacer(" ", "-", "_", "-").Replace(strings.ToLower(strings.TrimSpace(text)))
}

// printList prints items; for people, empty stands for a list without any. The wide columns are those that -o wide and
// CSV show as well.
func printList[T any](a *app, items []T, usual []column[T], empty string, wide ...column[T]) error {
	columns, err := choose(a, usual, wide)
	if err != nil {
		return err
	}
	if items, err = sorted(a, items, slices.Concat(usual, wide)); err != nil {
		return err
	}
	if a.view.watch && a.columnsOfTerminal() == 0 {
		return printChanged(a, items, columns)
	}
	if items == nil {
		items = []T{}
	}
	switch a.output {
	case "json":
		return a.printJSON(items)
	case "yaml":
		return a.printYAML(items)
	case "csv":
		return printCSV(a, items, columns, true)
	}
	if len(items) == 0 {
		a.say("%s", empty)
		return nil
	}
	return printTable(a, items, columns, true)
}

// choose gives the columns that are shown: those that are asked for, else the usual ones, with the wide ones where
// there is room for them.
func choose[T any](a *app, usual, wide []column[T]) ([]column[T], error) {
	all := slices.Concat(usual, wide)
	switch {
	case len(a.view.columns) == 0 && (a.output == "wide" || a.output == "csv"):
		return all, nil
	case len(a.view.columns) == 0:
		return usual, nil
	case !a.forPeople() && a.output != "csv":
		return nil, fail(exitUsage, "Use -o table, wide or csv with it.",
			"--columns selects columns, which %s output does not have", a.output)
	}
	var chosen []column[T]
	for _, name := range a.view.columns {
		c, err := find(all, name)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, c)
	}
	return chosen, nil
}

// find gives the column of a name.
func find[T any](all []column[T], name string) (column[T], error) {
	names := make([]string, len(all))
	for i, c := range all {
		if names[i] = columnName(c.head); names[i] == columnName(name) {
			return c, nil
		}
	}
	return column[T]{}, fail(exitUsage, "Use some of: "+strings.Join(names, ", "), "there is no column %q", name)
}

// sorted gives the items in the order of the column that --sort names, or in the list's own.
func sorted[T any](a *app, items []T, all []column[T]) ([]T, error) {
	if a.view.sort == "" {
		return items, nil
	}
	name, falling := strings.CutPrefix(a.view.sort, "-")
	by, err := find(all, name)
	if err != nil {
		return nil, err
	}
	type keyed struct {
		item T
		key  string
		d    time.Duration
	}
	plain := style{plain: true, whole: true, now: a.now(), local: a.local}
	rows := make([]keyed, len(items))
	lengths := true
	for i, item := range items {
		key := by.value(plain, item)
		d, err := parseDuration(key)
		lengths = lengths && err == nil
		rows[i] = keyed{item, key, d}
	}
	slices.SortStableFunc(rows, func(x, y keyed) int {
		order := naturally(x.key, y.key)
		if lengths {
			order = cmp.Compare(x.d, y.d)
		}
		if falling {
			return -order
		}
		return order
	})
	inOrder := make([]T, len(rows))
	for i, row := range rows {
		inOrder[i] = row.item
	}
	return inOrder, nil
}

// naturally compares texts as people do, without regard to case and by the value of the numbers in them.
func naturally(x, y string) int {
	x, y = strings.ToLower(x), strings.ToLower(y)
	for x != "" && y != "" {
		nx, restX := digits(x)
		ny, restY := digits(y)
		switch {
		case nx == "" || ny == "":
			if x[0] != y[0] {
				return int(x[0]) - int(y[0])
			}
			x, y = x[1:], y[1:]
		case nx != ny:
			return cmp.Or(len(nx)-len(ny), strings.Compare(nx, ny))
		default:
			x, y = restX, restY
		}
	}
	return len(x) - len(y)
}

// digits cuts the digits that a text begins with, without leading zeros.
func digits(text string) (number, rest string) {
	rest = strings.TrimLeft(text, "0123456789")
	number = strings.TrimLeft(text[:len(text)-len(rest)], "0")
	if number == "" && rest != text {
		number = "0"
	}
	return number, rest
}

// printTable prints a row for each item, below the heads of the columns where headed says so. On a terminal the widest
// cells are cut so that a row fits a line; wide output and what goes elsewhere is whole.
func printTable[T any](a *app, items []T, columns []column[T], headed bool) error {
	heads := make([]string, len(columns))
	for i, c := range columns {
		heads[i] = c.head
	}
	var rows [][]string
	if headed {
		rows = append(rows, heads)
	}
	for _, item := range items {
		rows = append(rows, cells(a.style(), item, columns))
	}
	widths := make([]int, len(columns))
	copy(widths, a.view.widths) // what comes later stands below what came first
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	if most := a.columnsOfTerminal(); most > 0 && a.output == "table" {
		fit(widths, heads, most)
	} else if a.view.watch {
		a.view.widths = widths
	}
	var text strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			_, _ = fmt.Fprintf(&line, "%-*s  ", widths[i], clip(cell, widths[i]))
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(a.out, text.String())
	return err
}

// fit makes the widest columns narrower until a row has at most so many characters, but none narrower than its head.
func fit(widths []int, heads []string, most int) {
	const between, least = 2, 10
	total := between * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for ; total > most; total-- {
		widest := -1
		for i, w := range widths {
			if w > max(least, utf8.RuneCountInString(heads[i])) && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

// clip cuts a text that is longer than so many characters.
func clip(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}

func cells[T any](s style, item T, columns []column[T]) []string {
	texts := make([]string, len(columns))
	for i, c := range columns {
		texts[i] = visible(c.value(s, item))
	}
	return texts
}
