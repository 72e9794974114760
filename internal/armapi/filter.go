package armapi

import (
	"strings"
	"unicode"

	"github.com/postern-dev/postern/internal/core/access"
)

// condition is one part of a $filter: a comparison, or a function with its argument.
type condition struct {
	field    string // folded: "principalid", or "assignedto()" for a function
	operator string // eq, ge, le; empty for a function
	value    string
}

// filter is a $filter whose conditions all hold.
type filter []condition

const maxFilter = 4096 // bytes

// parseFilter reads the dialects of Azure's clients: conditions joined by and, texts with or without quotes, keywords
// in either case, functions such as atScope() and assignedTo('…').
func parseFilter(text string) (filter, error) {
	malformed := func(part string) error {
		return access.Fault(access.KindInvalid, "InvalidFilter",
			"the $filter cannot be read at %q: write conditions such as principalId eq 'ID', joined by and", clip(part))
	}
	if len(text) > maxFilter {
		return nil, access.Fault(access.KindInvalid, "InvalidFilter", "the $filter is longer than %d bytes", maxFilter)
	}
	var all filter
	for rest := strings.TrimSpace(text); rest != ""; {
		one, after, valid := cutCondition(rest)
		if !valid {
			return nil, malformed(rest)
		}
		all = append(all, one)
		if rest = strings.TrimSpace(after); rest == "" {
			break
		}
		word, more, _ := strings.Cut(rest, " ")
		if !strings.EqualFold(word, "and") || strings.TrimSpace(more) == "" {
			return nil, malformed(rest)
		}
		rest = strings.TrimSpace(more)
	}
	return all, nil
}

// cutCondition takes one condition from the front of text.
func cutCondition(text string) (c condition, rest string, valid bool) {
	end := strings.IndexAny(text, " (")
	if end <= 0 || strings.ContainsFunc(text[:end], func(r rune) bool { return !unicode.IsLetter(r) && r != '/' }) {
		return c, "", false
	}
	c.field = strings.ToLower(text[:end])
	if text[end] == '(' {
		c.field += "()"
		rest = strings.TrimSpace(text[end+1:])
		if after, empty := strings.CutPrefix(rest, ")"); empty {
			return c, after, true
		}
		if c.value, rest, valid = cutValue(rest, ")"); !valid {
			return c, "", false
		}
		rest, valid = strings.CutPrefix(strings.TrimSpace(rest), ")")
		return c, rest, valid
	}
	operator, rest, _ := strings.Cut(strings.TrimSpace(text[end:]), " ")
	switch c.operator = strings.ToLower(operator); c.operator {
	case "eq", "ge", "le", "gt", "lt", "ne":
	default:
		return c, "", false
	}
	c.value, rest, valid = cutValue(strings.TrimSpace(rest), " ")
	return c, rest, valid
}

// cutValue takes a text in quotes, in which a doubled quote stands for one, or else what there is up to one of the
// stops.
func cutValue(text, stops string) (value, rest string, valid bool) {
	if !strings.HasPrefix(text, "'") {
		end := strings.IndexAny(text, stops)
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:], end > 0
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		if text[i] != '\'' {
			b.WriteByte(text[i])
			continue
		}
		if i+1 < len(text) && text[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		return b.String(), text[i+1:], true
	}
	return "", "", false
}

// take gives the value of the condition with that field, and whether there is one.
func (f filter) take(field string) (string, bool) {
	for _, c := range f {
		if c.field == field {
			return c.value, true
		}
	}
	return "", false
}

// only refuses conditions on other fields than these, two on the same field, and other comparisons than eq but of
// times, so that none is silently left out.
func (f filter) only(fields ...string) error {
	seen := map[string]bool{}
	for _, c := range f {
		switch time := c.field == "eventtimestamp"; {
		case !containsFold(fields, c.field):
			return access.Fault(access.KindInvalid, "InvalidFilter",
				"the $filter names %q, which cannot be filtered by here; use %s", clip(c.field),
				strings.Join(fields, ", "))
		case seen[c.field] && !time:
			return access.Fault(access.KindInvalid, "InvalidFilter",
				"the $filter names %s twice, and both can hardly hold", c.field)
		case c.operator != "" && c.operator != "eq" && !time:
			return access.Fault(access.KindInvalid, "InvalidFilter", "%s takes eq, not %s", c.field, c.operator)
		}
		seen[c.field] = true
	}
	return nil
}
