package engine

import (
	"strings"
	"unicode"
)

// Deceptive says why a name could be taken for another, or for something else than a name; empty where it could not.
func Deceptive(name string) string {
	if name == "." || name == ".." {
		return "it is a step in a path"
	}
	if strings.EqualFold(name, "me") {
		return "it stands for whoever calls"
	}
	if _, tenant, found := strings.Cut(name, "@"); found && !strings.Contains(tenant, ".") {
		return "it reads like somebody of the tenant behind the @"
	}
	if Hidden(name) || strings.ContainsFunc(name, joiner) {
		return "it has a character that nobody sees"
	}
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) }) {
		scripts := 0
		for _, script := range []*unicode.RangeTable{
			unicode.Latin, unicode.Cyrillic, unicode.Greek, unicode.Armenian,
			unicode.Cherokee,
		} {
			if strings.ContainsFunc(word, func(r rune) bool { return unicode.Is(script, r) }) {
				scripts++
			}
		}
		if scripts > 1 {
			return "it has letters of several alphabets in one word"
		}
	}
	return ""
}

// Hidden reports whether a text has a character that nobody sees or that turns the direction of what follows; joiner
// tells of those two that some languages write within words.
func Hidden(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		switch {
		case r == ' ', joiner(r):
			return false
		}
		return !unicode.IsPrint(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point,
			r) || unicode.Is(unicode.Variation_Selector, r)
	})
}

func joiner(r rune) bool { return r == '\u200c' || r == '\u200d' }
