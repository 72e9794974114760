package cli

import (
	"fmt"
	"slices"
	"strings"
)

// mostLines is how many lines people are shown of one fact.
const mostLines = 50

// fact is something about a thing that may take several lines to say.
type fact[T any] struct {
	head  string
	lines func(style, T) []string
}

// one is a fact of one line, or of none where the text is empty.
func one[T any](text func(style, T) string) func(style, T) []string {
	return func(s style, v T) []string {
		if t := text(s, v); t != "" {
			return []string{t}
		}
		return nil
	}
}

// printItem prints one thing, for people a line for each column that has something to say.
func printItem[T any](a *app, item T, columns []column[T]) error {
	switch a.output {
	case "json":
		return a.printJSON(item)
	case "yaml":
		return a.printYAML(item)
	case "csv":
		return printCSV(a, []T{item}, columns, true)
	}
	var facts []fact[T]
	for _, c := range columns {
		facts = append(facts, fact[T]{label(c.head), one(c.value)})
	}
	for _, line := range factLines(a.style(), item, facts, "") {
		a.line("%s", line)
	}
	return nil
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

// bounded keeps so many lines, and says how many more there are and where to see them.
func bounded(lines []string, where string) []string {
	if len(lines) <= mostLines {
		return lines
	}
	return append(slices.Clone(lines[:mostLines]),
		fmt.Sprintf("and %d more; see all with: %s", len(lines)-mostLines, where))
}
