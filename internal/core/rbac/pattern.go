package rbac

import (
	"bytes"
	"strings"
)

// pattern is a compiled action pattern: lower case, cut at each '*'. The pieces between the first and the last must
// follow one another in the text, which stands for itself at the first fit: an earlier fit never spoils a later one.
type pattern struct {
	exact  bool // without '*': prefix is all of it
	prefix string
	middle [][]byte
	suffix string
}

func compilePattern(s string) pattern {
	pieces := strings.Split(string(fold(nil, s)), "*")
	if len(pieces) == 1 {
		return pattern{exact: true, prefix: pieces[0]}
	}
	p := pattern{prefix: pieces[0], suffix: pieces[len(pieces)-1]}
	for _, piece := range pieces[1 : len(pieces)-1] {
		if piece != "" {
			p.middle = append(p.middle, []byte(piece))
		}
	}
	return p
}

// matches tells whether the pattern covers all of action, which must be folded.
func (p *pattern) matches(action []byte) bool {
	if p.exact {
		return string(action) == p.prefix
	}
	if len(action) < len(p.prefix)+len(p.suffix) || string(action[:len(p.prefix)]) != p.prefix ||
		string(action[len(action)-len(p.suffix):]) != p.suffix {
		return false
	}
	rest := action[len(p.prefix) : len(action)-len(p.suffix)]
	for _, piece := range p.middle {
		i := bytes.Index(rest, piece)
		if i < 0 {
			return false
		}
		rest = rest[i+len(piece):]
	}
	return true
}

// Match tells whether pattern covers action: '*' stands for any run of characters, even none and across slashes, and
// case does not count.
func Match(pattern, action string) bool {
	p := compilePattern(pattern)
	return p.matches(fold(nil, action))
}

// fold appends s in lower case to buf. Only ASCII is folded: actions and scopes have nothing else.
func fold(buf []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf = append(buf, c)
	}
	return buf
}

// plane tells control-plane actions from data-plane actions, which no control-plane wildcard covers.
type plane int

const (
	control plane = iota
	data
)

// rule is one compiled Permission: what it gives in each plane, less what it takes.
type rule struct{ allow, except [2][]pattern }

func compileRules(permissions []Permission) []rule {
	rules := make([]rule, len(permissions))
	for i, p := range permissions {
		rules[i] = rule{
			allow:  [2][]pattern{control: compilePatterns(p.Actions), data: compilePatterns(p.DataActions)},
			except: [2][]pattern{control: compilePatterns(p.NotActions), data: compilePatterns(p.NotDataActions)},
		}
	}
	return rules
}

func compilePatterns(texts []string) []pattern {
	patterns := make([]pattern, len(texts))
	for i, text := range texts {
		patterns[i] = compilePattern(text)
	}
	return patterns
}

func (r *rule) gives(in plane, action []byte) bool {
	return anyMatches(r.allow[in], action) && !anyMatches(r.except[in], action)
}

func anyMatches(patterns []pattern, action []byte) bool {
	for i := range patterns {
		if patterns[i].matches(action) {
			return true
		}
	}
	return false
}

// Gives tells whether the role gives action: some Permission of it has the action and does not take it away again.
func (d Definition) Gives(action string) bool { return d.gives(control, action) }

// GivesData is Gives for data actions.
func (d Definition) GivesData(action string) bool { return d.gives(data, action) }

func (d Definition) gives(in plane, action string) bool {
	folded := fold(nil, action)
	rules := compileRules(d.Permissions)
	for i := range rules {
		if rules[i].gives(in, folded) {
			return true
		}
	}
	return false
}
