package access

import (
	"regexp"
	"regexp/syntax"
)

// MaxPatternSize bounds the program of a regular expression that people write into rules and forms: a counted
// repetition such as (.{0,999}x) is a dozen bytes of text and two thousand instructions.
const MaxPatternSize = 2000

// Pattern is a regular expression (RE2) of a rule or a form. RE2 takes time linear in the text; by how much, its size
// says.
type Pattern struct {
	expression *regexp.Regexp
	size       int
}

// CompilePattern returns the pattern that text is. The error is of regexp/syntax, or says that the pattern is too
// large.
func CompilePattern(text string) (*Pattern, error) {
	size, err := PatternSize(text)
	if err != nil {
		return nil, err
	}
	expression, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	return &Pattern{expression: expression, size: size}, nil
}

// PatternSize returns how many instructions a pattern is made of at the most, without making them.
func PatternSize(text string) (int, error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return 0, err
	}
	size := sizeOf(parsed)
	if size > MaxPatternSize {
		return size, Fault(KindInvalid, "patternTooLarge",
			"its repetitions come to %d steps for each character; %d are allowed", size, MaxPatternSize)
	}
	return size, nil
}

// sizeOf counts a little more than the compiler of regexp makes. Parse refuses what would overflow.
func sizeOf(x *syntax.Regexp) int {
	size := 2
	for _, sub := range x.Sub {
		size += sizeOf(sub)
	}
	switch x.Op { //nolint:exhaustive // the others add nothing
	case syntax.OpLiteral:
		size += len(x.Rune)
	case syntax.OpRepeat:
		size *= max(x.Min, x.Max, 1)
	default:
	}
	return size
}

// Match reports whether the pattern matches somewhere in text.
func (p *Pattern) Match(text string) bool { return p.expression.MatchString(text) }

// Steps returns what compiling the pattern and holding it against text may take, in steps of the slowest of regexp's
// machines.
func (p *Pattern) Steps(text string) int {
	const compiling = 16 // steps for each instruction
	return p.size * (len(text) + compiling)
}
