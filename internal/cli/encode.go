package cli

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/postern-dev/postern/internal/core/audit"
)

// printCSV prints a line for each item, after one with the names of the columns where headed says so.
func printCSV[T any](a *app, items []T, columns []column[T], headed bool) error {
	w := csv.NewWriter(a.out)
	heads := make([]string, len(columns))
	for i, c := range columns {
		heads[i] = strings.ToLower(strings.ReplaceAll(c.head, " ", "_"))
	}
	if headed {
		if err := w.Write(heads); err != nil {
			return err
		}
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
