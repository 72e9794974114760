package app

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

// validate looks at every answer with what its element demands of it.
func (f *filling) validate() {
	const mostReasons = 50
	defer func() { f.values.Row = 0 }()
	for _, g := range f.given {
		f.values.Row = g.row
		for _, v := range g.element.Validations {
			if len(*f.reasons) > mostReasons {
				return
			}
			if !f.valid(g, v) {
				v.Message = f.words(v.Message)
				f.add("answerNotAllowed", g.at, "%s", v.text(g.element))
				break
			}
		}
		if g.element.Type == checkBox && g.answer == false && f.holds(g.element.Required, false,
			g.at) && len(g.element.Validations) == 0 {
			f.add("answerNotAllowed", g.at, "%s must be checked", g.element.called())
		}
	}
}

// text returns what people are told: the form's own words where it has some.
func (v Validation) text(e Element) string {
	if v.Message != "" {
		return e.called() + ": " + v.Message
	}
	return fmt.Sprintf("%s does not have the form that is asked for", e.called())
}

// valid reports whether an answer meets a condition. What cannot be decided here counts as met: what an expression says
// of controls that only Azure has, and patterns that need more than a search from left to right.
func (f *filling) valid(g given, v Validation) bool {
	switch {
	case v.IsValid != nil:
		holds, ok := f.resolve(v.IsValid, g.at)
		return !ok || holds != false
	case v.Regex == nil: // the message of a box that must be checked
		return g.answer != false || !f.holds(g.element.Required, false, g.at)
	}
	text, ok := g.answer.(string)
	if o, isObject := objectOf(g.answer); isObject {
		text, ok = o.of["password"].(string)
	}
	pattern, isText := v.Regex.(string)
	if isText && IsExpression(pattern) {
		if _, err := ParseExpression(pattern); err == nil {
			resolved, _ := f.resolve(pattern, g.at)
			pattern, isText = resolved.(string)
		}
	}
	if !ok || !isText || f.matching < 0 {
		return true
	}
	conditions, known := script(pattern)
	return !known || f.meets(text, conditions, g.at)
}

// condition is one of the patterns that a pattern of JavaScript is read as, and whether it is to match.
type condition struct {
	*access.Pattern

	holds bool
}

// meets reports whether a text meets the conditions. Those of one form share a budget, since publishers write it and
// customers' changes evaluate it; whoever fills it in is told where that is used up.
func (f *filling) meets(text string, all []condition, at string) bool {
	for _, c := range all {
		if f.matching -= c.Steps(text); f.matching < 0 {
			f.add("patternsTooDear", at, "the patterns of the form would take too long with answers as long as these")
			return true
		}
		if c.Match(text) != c.holds {
			return false
		}
	}
	return true
}

// script reads a pattern of JavaScript. known is false where it needs to look ahead or back in the middle, or is too
// large. What stands at its beginning, as in ^(?=.*[0-9])(?=.*[a-z]).{12,}$, is matched one after the other.
func script(pattern string) (all []condition, known bool) {
	const maxPattern = 2000
	if len(pattern) > maxPattern {
		return nil, false
	}
	pattern = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`).ReplaceAllString(pattern, `\x{$1}`)
	add := func(text string, holds bool) bool {
		x, err := access.CompilePattern(text)
		all = append(all, condition{x, holds})
		return err == nil
	}
	rest, anchored := strings.CutPrefix(pattern, "^")
	for anchored && (strings.HasPrefix(rest, "(?=") || strings.HasPrefix(rest, "(?!")) {
		end := closing(rest)
		if end < 0 || !add("^(?:"+rest[len("(?="):end]+")", rest[2] == '=') {
			return nil, false
		}
		rest = rest[end+1:]
	}
	if len(all) > 0 && alternates(rest) {
		return nil, false // what stands at the beginning is demanded of the first alternative alone
	}
	if anchored {
		rest = "^" + rest
	}
	if !add(rest, true) {
		return nil, false
	}
	return all, true
}

// closing returns where the parenthesis at the beginning of a pattern is closed; -1 where it is not.
func closing(pattern string) int {
	return search(pattern, func(c byte, depth int) bool { return c == ')' && depth == 0 })
}

// alternates reports whether a pattern has alternatives outside of parentheses.
func alternates(pattern string) bool {
	return search(pattern, func(c byte, depth int) bool { return c == '|' && depth == 0 }) >= 0
}

// search returns the first place of a pattern, outside of classes and escapes, for which is holds; -1 where there is
// none. depth counts the parentheses that are open behind the place.
func search(pattern string, is func(c byte, depth int) bool) int {
	depth, class := 0, false
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '\\':
			i++
			continue
		case class:
			class = c != ']'
			continue
		case c == '[':
			class = true
			continue
		case c == '(':
			depth++
		case c == ')':
			depth--
		}
		if is(c, depth) {
			return i
		}
	}
	return -1
}
