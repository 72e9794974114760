package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

const mostLocated = 50 // reasons that are given a line

// located adds to reasons the lines of the document that they speak of.
func located(text string, all []access.Reason) []access.Reason {
	for i := range all[:min(len(all), mostLocated)] {
		if n := Line(text, all[i].Field); n > 0 {
			all[i].Message = fmt.Sprintf("line %d: %s", n, all[i].Message)
		}
	}
	return all
}

// Line returns the line of a form on which the value lies that a path of a reason names, such as
// createUiDefinition.parameters.steps[0].label; that of what holds it where there is none, and of the mistake where
// the form is no JSON; 0 where nothing is known.
func Line(text, path string) int {
	text = strings.TrimPrefix(text, ByteOrderMark)
	var whole json.RawMessage
	var wrong *json.SyntaxError
	if err := json.Unmarshal([]byte(text), &whole); errors.As(err, &wrong) {
		return lineAt(text, wrong.Offset)
	}
	_, path, _ = strings.Cut(path, ".")
	l := locator{d: json.NewDecoder(strings.NewReader(text))}
	l.find(path)
	return lineAt(text, l.at)
}

func lineAt(text string, offset int64) int {
	return 1 + strings.Count(text[:max(0, min(int(offset), len(text)))], "\n")
}

// locator follows a path into a document, as far as it goes.
type locator struct {
	d  *json.Decoder
	at int64 // where what was found last begins, or ends where that is a single value
}

// find reads a value, and goes into the part of it that path names.
func (l *locator) find(path string) {
	token, err := l.d.Token()
	if l.at = l.d.InputOffset(); err != nil || path == "" {
		return
	}
	open, ok := token.(json.Delim)
	for i := 0; ok && l.d.More(); i++ {
		name := "[" + strconv.Itoa(i) + "]"
		if open == '{' {
			key, err := l.d.Token()
			if err != nil {
				return
			}
			name, _ = key.(string)
		}
		if path == name || strings.HasPrefix(path, name+".") || strings.HasPrefix(path, name+"[") {
			l.find(strings.TrimPrefix(path[len(name):], "."))
			return
		}
		var skipped json.RawMessage
		if l.d.Decode(&skipped) != nil {
			return
		}
	}
}
