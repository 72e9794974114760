package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/postern-dev/postern/api"
)

// byteOrderMark stands before a text that some editors and shells write, and is no part of it.
const byteOrderMark = "\uFEFF"

// readText reads a file that the user names, without its byte order mark.
func readText(path string) ([]byte, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the user names the file
	return bytes.TrimPrefix(data, []byte(byteOrderMark)), err
}

// document is a file of YAML or JSON that says what a call is to send, and knows where in it everything stands.
type document struct {
	name string
	root yaml.Node
}

// readFileFlag reads the document that --file of a command names.
func readFileFlag(c *cobra.Command, file string, out any) (document, error) {
	data, err := readText(file)
	if err != nil {
		return document{}, usage(c, "--file: %s", err)
	}
	where, err := readDocument(file, data, out)
	if err != nil {
		return where, usage(c, "--file: %s", err)
	}
	return where, nil
}

// readDocument decodes a file into what out points at, by the names that its type has in JSON. What there is no name
// for, or stands twice, is refused with its line and column.
func readDocument(name string, data []byte, out any) (document, error) {
	d := document{name: name}
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	documents := yaml.NewDecoder(bytes.NewReader(data))
	if err := documents.Decode(&d.root); err != nil && !errors.Is(err, io.EOF) {
		return d, fmt.Errorf("%s: %w", name, err)
	}
	if err := documents.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return d, fmt.Errorf("%s holds more than one document: put each into a file of its own", name)
	}
	if len(d.root.Content) == 0 {
		return d, fmt.Errorf("%s is empty", name)
	}
	if at, why := wrongKey(d.root.Content[0], reflect.TypeOf(out)); at != nil {
		return d, fmt.Errorf("%s:%d:%d: %s", name, at.Line, at.Column, why)
	}
	data, err := jsonOf(d.root.Content[0])
	if err == nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		return d, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

// jsonOf writes a document as JSON, whose members keep their order: a form's answers may ask for the first of them.
func jsonOf(n *yaml.Node) ([]byte, error) {
	merges := slices.ContainsFunc(n.Content, func(key *yaml.Node) bool { return key.Tag == "!!merge" })
	switch {
	case n.Kind == yaml.SequenceNode:
		items := make([]json.RawMessage, len(n.Content))
		for i, item := range n.Content {
			data, err := jsonOf(item)
			if err != nil {
				return nil, err
			}
			items[i] = data
		}
		return json.Marshal(items)
	case n.Kind != yaml.MappingNode || merges:
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, err
		}
		return json.Marshal(v)
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for i := 0; i+1 < len(n.Content); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		var name string
		if err := n.Content[i].Decode(&name); err != nil {
			return nil, err
		}
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		value, err := jsonOf(n.Content[i+1])
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// wrongKey gives the first key below n that a value of type t has no field for, or that stands there twice, and what is
// wrong with it; nil where there is none. Of a field the case does not matter, as in jsonFields.
func wrongKey(n *yaml.Node, t reflect.Type) (at *yaml.Node, why string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Kind == yaml.AliasNode && (t.Kind() == reflect.Slice || t.Kind() == reflect.Struct) {
		// anything else was looked at where its anchor is
		n = n.Alias
	}
	var fields map[string]reflect.Type
	below := reflect.TypeFor[any]()
	switch t.Kind() { //nolint:exhaustive // the others have nothing below
	case reflect.Slice, reflect.Map:
		below = t.Elem()
	case reflect.Struct:
		fields = jsonFields(t)
	}
	if n.Kind == yaml.SequenceNode {
		for _, item := range n.Content {
			if at, why = wrongKey(item, below); at != nil {
				return at, why
			}
		}
	}
	if n.Kind != yaml.MappingNode {
		return nil, ""
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, name, of := n.Content[i], n.Content[i].Value, below
		switch merged := key.Tag == "!!merge"; {
		case merged:
			of = t // what is merged in
		case fields != nil:
			name = strings.ToLower(name)
			var known bool
			if of, known = fields[name]; !known {
				return key, fmt.Sprintf("unknown field %q: check its spelling, or remove it", key.Value)
			}
		}
		if line := seen[name]; line > 0 {
			return key, fmt.Sprintf("%q stands in line %d already: keep one of them", key.Value, line)
		}
		seen[name] = key.Line
		if at, why = wrongKey(n.Content[i+1], of); at != nil {
			return at, why
		}
	}
	return nil, ""
}

// jsonFields gives the types of the fields of t, and of those embedded in it, by their names in JSON in lower case:
// JSON is decoded without regard to it, and Azure's tools write it in both.
func jsonFields(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields[strings.ToLower(name)] = f.Type
		}
	}
	return fields
}

// at gives line and column of a field, such as approval[1].stages[0].timeoutSeconds, or of the innermost thing around
// it that the file has.
func (d document) at(field string) (line, column int) {
	n := d.root.Content[0]
	line, column = n.Line, n.Column
	for step := range strings.SplitSeq(strings.NewReplacer("[", ".", "]", "").Replace(field), ".") {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		next := child(n, step)
		if next == nil {
			break
		}
		n = next
		line, column = n.Line, n.Column
	}
	return line, column
}

func child(n *yaml.Node, step string) *yaml.Node {
	switch n.Kind {
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i]
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if strings.EqualFold(n.Content[i].Value, step) {
				return n.Content[i+1]
			}
		}
	case yaml.DocumentNode, yaml.ScalarNode, yaml.AliasNode:
	}
	return nil
}

// locate puts the file, line and column before the fields of the reasons of a refusal.
func (d document) locate(err error) error {
	problem, ok := err.(*api.Problem) //nolint:errorlint // as the client gives it
	if !ok || d.root.Content == nil {
		return err
	}
	located := *problem
	located.Reasons = nil
	for _, r := range problem.Reasons {
		if r.Field != "" {
			line, column := d.at(r.Field)
			r.Field = fmt.Sprintf("%s:%d:%d: %s", d.name, line, column, r.Field)
		}
		located.Reasons = append(located.Reasons, r)
	}
	return &located
}
