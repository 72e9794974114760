package app

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
)

// Bounds on an expression. They are far above what packages hold, and far below what could hold up a server.
const (
	maxExpression = 16 << 10 // bytes
	maxNesting    = 64
)

// Expression is a parsed expression of a form, such as steps('jit').control.jitEnabled. It is immutable.
type Expression struct{ root node }

// node is a part of an expression; exactly one group of fields counts, by kind.
type node struct {
	kind  nodeKind
	value any    // literal
	name  string // call: the function in lower case; property: its name; variable, lambda: the variable
	// call: its arguments; property: what it is of; index: what it is of, and the index; lambda: its body
	args  []node
	names []string // object: the names of args
}

// rowIndex is the variable that stands for the row of a grid that is looked at.
const rowIndex = "$rowIndex"

type nodeKind int

const (
	literal nodeKind = iota
	call
	property
	index
	variable
	lambda
	array
	object
)

// IsExpression tells whether a string of a form is an expression: it begins with '[' and ends with ']'. "[[" begins a
// text.
func IsExpression(s string) bool {
	return len(s) >= 2 && s[0] == '[' && s[len(s)-1] == ']' && !strings.HasPrefix(s, "[[")
}

// ParseExpression reads an expression with its brackets. Every function must be known and have as many arguments as it
// takes.
func ParseExpression(s string) (Expression, error) {
	switch {
	case !IsExpression(s):
		return Expression{}, malformed(s, 0, "is not in brackets")
	case len(s) > maxExpression:
		return Expression{}, malformed(s, 0, "is longer than "+strconv.Itoa(maxExpression)+" bytes")
	}
	p := parser{text: s, at: 1, end: len(s) - 1}
	root, err := p.expression(0)
	if err != nil {
		return Expression{}, err
	}
	if p.blanks(); p.at != p.end {
		return Expression{}, p.fail("has something behind its end")
	}
	if root.kind == lambda {
		return Expression{}, p.fail("is a function without a value")
	}
	return Expression{root: root}, nil
}

func malformed(s string, at int, why string) error {
	return access.Fault(access.KindInvalid, "malformedExpression", "expression %q %s, at character %d", clip(s), why,
		at+1)
}

// parser reads text from at up to end.
type parser struct {
	text    string
	at, end int
	scope   []string // variables of the lambdas around
}

func (p *parser) fail(why string) error { return malformed(p.text, p.at, why) }

func (p *parser) blanks() {
	for p.at < p.end && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// take skips blanks and then c, and tells whether it was there.
func (p *parser) take(c byte) bool {
	if p.blanks(); p.at < p.end && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

// expression reads a value and the properties and indexes behind it.
func (p *parser) expression(depth int) (node, error) {
	if depth > maxNesting {
		return node{}, p.fail("is nested too deeply")
	}
	n, err := p.primary(depth)
	if err != nil || n.kind == lambda {
		return n, err
	}
	for links := 0; ; links++ {
		if links > maxNesting {
			return node{}, p.fail("is nested too deeply")
		}
		switch {
		case p.take('.'):
			p.blanks()
			name := p.word()
			if name == "" {
				return node{}, p.fail("lacks the name of a property")
			}
			n = node{kind: property, name: name, args: []node{n}}
		case p.take('['):
			i, err := p.expression(depth + 1)
			if err != nil {
				return node{}, err
			}
			if i.kind == lambda || !p.take(']') {
				return node{}, p.fail("lacks ']' behind an index")
			}
			n = node{kind: index, args: []node{n, i}}
		default:
			return n, nil
		}
	}
}

func (p *parser) primary(depth int) (node, error) {
	p.blanks()
	if p.at == p.end {
		return node{}, p.fail("ends too early")
	}
	switch c := p.text[p.at]; {
	case c == '\'':
		return p.quoted()
	case c == '[':
		return p.array(depth)
	case c == '{':
		return p.object(depth)
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case c == '(':
		return p.lambda(depth)
	}
	name := p.word()
	switch {
	case name == "":
		return node{}, p.fail("has a character that begins nothing")
	case !p.take('('):
		return p.bare(name)
	}
	n := node{kind: call, name: strings.ToLower(name)}
	for !p.take(')') {
		if len(n.args) > 0 && !p.take(',') {
			return node{}, p.fail("lacks ',' or ')' in the arguments of " + clip(name))
		}
		arg, err := p.expression(depth + 1)
		if err != nil {
			return node{}, err
		}
		n.args = append(n.args, arg)
	}
	return n, p.check(n)
}

// array reads a literal such as ['a', 1].
func (p *parser) array(depth int) (node, error) {
	n := node{kind: array}
	for p.at++; !p.take(']'); {
		if len(n.args) > 0 && !p.take(',') {
			return node{}, p.fail("lacks ',' or ']' in an array")
		}
		v, err := p.element(depth)
		if err != nil {
			return node{}, err
		}
		n.args = append(n.args, v)
	}
	return n, nil
}

// object reads a literal such as {"type": 'webapp'}, whose names are in quotes of either kind.
func (p *parser) object(depth int) (node, error) {
	n := node{kind: object}
	for p.at++; !p.take('}'); {
		if len(n.args) > 0 && !p.take(',') {
			return node{}, p.fail("lacks ',' or '}' in an object")
		}
		p.blanks()
		if p.at == p.end || p.text[p.at] != '"' && p.text[p.at] != '\'' {
			return node{}, p.fail("lacks the quoted name of a member")
		}
		name, err := p.quoted()
		if err != nil {
			return node{}, err
		}
		text, _ := name.value.(string)
		switch {
		case slices.Contains(n.names, text):
			return node{}, p.fail("has the name " + strconv.Quote(clip(text)) + " twice in an object")
		case !p.take(':'):
			return node{}, p.fail("lacks ':' behind the name of a member")
		}
		v, err := p.element(depth)
		if err != nil {
			return node{}, err
		}
		n.names, n.args = append(n.names, text), append(n.args, v)
	}
	return n, nil
}

// element reads a value of an array or an object, in which texts may have double quotes as in JSON.
func (p *parser) element(depth int) (node, error) {
	p.blanks()
	if p.at < p.end && p.text[p.at] == '"' {
		return p.quoted()
	}
	v, err := p.expression(depth + 1)
	if err == nil && v.kind == lambda {
		err = p.fail("has a function where a value is needed")
	}
	return v, err
}

// bare gives what a word without parentheses stands for.
func (p *parser) bare(name string) (node, error) {
	if name == rowIndex || slices.Contains(p.scope, name) {
		return node{kind: variable, name: name}, nil
	}
	switch strings.ToLower(name) {
	case "true":
		return node{value: true}, nil
	case "false":
		return node{value: false}, nil
	case "null":
		return node{}, nil
	default:
		return node{}, p.fail("has the word " + strconv.Quote(clip(name)) + ", which is no function call and no value")
	}
}

// check refuses a call of what is no function, or with the wrong arguments.
func (p *parser) check(n node) error {
	f, ok := lookUp(n.name)
	switch {
	case !ok:
		return p.fail("calls " + strconv.Quote(clip(n.name)) + ", which is not a function of forms")
	case len(n.args) < f.least || f.most >= 0 && len(n.args) > f.most:
		return p.fail("gives " + n.name + " " + strconv.Itoa(len(n.args)) + " arguments")
	}
	for i, a := range n.args {
		if (a.kind == lambda) != (f.lambda && i == 1) {
			return p.fail("gives " + n.name + " a function where it takes a value, or the other way round")
		}
	}
	return nil
}

// word reads a name; empty where there is none.
func (p *parser) word() string {
	from := p.at
	for p.at < p.end {
		c := p.text[p.at]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$'
		if !letter && (p.at == from || (c < '0' || c > '9') && c != '-') {
			break
		}
		p.at++
	}
	return p.text[from:p.at]
}

// quoted reads a text in single quotes, of which two stand for one, or within an array or an object in double quotes,
// as JSON writes it.
func (p *parser) quoted() (node, error) {
	if p.text[p.at] == '"' {
		return p.doubleQuoted()
	}
	var b strings.Builder
	for p.at++; p.at < p.end; p.at++ {
		if p.text[p.at] != '\'' {
			b.WriteByte(p.text[p.at])
			continue
		}
		if p.at++; p.at == p.end || p.text[p.at] != '\'' {
			return node{value: b.String()}, nil
		}
		b.WriteByte('\'')
	}
	return node{}, p.fail("lacks the quote that ends a text")
}

func (p *parser) doubleQuoted() (node, error) {
	from := p.at
	for p.at++; p.at < p.end && p.text[p.at] != '"'; p.at++ {
		if p.text[p.at] == '\\' {
			p.at++
		}
	}
	if p.at >= p.end {
		p.at = p.end
		return node{}, p.fail("lacks the quote that ends a text")
	}
	p.at++
	var text string
	if err := json.Unmarshal([]byte(p.text[from:p.at]), &text); err != nil {
		return node{}, p.fail("has a text that JSON does not know")
	}
	return node{value: text}, nil
}

func (p *parser) number() (node, error) {
	from := p.at
	for p.at++; p.at < p.end && strings.IndexByte("0123456789.eE", p.text[p.at]) >= 0; p.at++ {
	}
	text := p.text[from:p.at]
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return node{value: n}, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return node{}, p.fail("has a number that is none")
	}
	return node{value: f}, nil
}

// lambda reads (name) => expression.
func (p *parser) lambda(depth int) (node, error) {
	p.at++
	p.blanks()
	name := p.word()
	if name == "" || !p.take(')') || !p.take('=') || p.at == p.end || p.text[p.at] != '>' {
		return node{}, p.fail("has a parenthesis that begins no function such as (item) => item.name")
	}
	p.at++
	p.scope = append(p.scope, name)
	body, err := p.expression(depth + 1)
	p.scope = p.scope[:len(p.scope)-1]
	if err != nil {
		return node{}, err
	}
	if body.kind == lambda {
		return node{}, p.fail("has a function that gives a function")
	}
	return node{kind: lambda, name: name, args: []node{body}}, nil
}
