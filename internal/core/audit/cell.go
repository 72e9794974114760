package audit

import (
	"strings"
	"unicode"
)

// Cell returns text as a cell of a table that spreadsheets open: one that they could take for a formula has a quote
// before it. Spreadsheets pass over spaces, line breaks and signs without a width, and know the full-width forms of
// what begins a formula. A text that begins with a quote gets another, so that the text can be read back: a quote at
// the beginning of a cell is none of its own.
func Cell(text string) string {
	if strings.HasPrefix(text, "'") {
		return "'" + text
	}
	rest := strings.TrimLeftFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(
			r) || unicode.In(r, unicode.Cf, unicode.Zs) || r == unicode.ReplacementChar
	})
	if rest != text || strings.ContainsFunc(firstOf(rest), begins) && !isNumber(rest) {
		return "'" + text
	}
	return text
}

func firstOf(text string) string {
	for i := range text {
		if i > 0 {
			return text[:i]
		}
	}
	return text
}

// begins tells whether r begins a formula: as it is, in its full-width or small form, or as a minus of another kind.
func begins(r rune) bool { return strings.ContainsRune("=+-@＝＋－＠﹦﹢﹣﹫−", r) }

// isNumber tells whether text is a plain decimal number, which is what it looks like.
func isNumber(text string) bool {
	text = strings.TrimPrefix(strings.TrimPrefix(text, "-"), "+")
	return text != "" && strings.Trim(text, "0123456789.") == "" && strings.Count(text, ".") <= 1
}
