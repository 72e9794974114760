package armapi

import (
	"net/http"
	"strings"
)

// route is one operation: a method, a pattern, the api-versions it has, and what answers it.
//
// A pattern is matched segment by segment without regard to case. {name} takes one segment; {scope...}, only at the
// beginning, takes any number of them and gives a resource id.
type route struct {
	method   string
	pattern  string
	versions []string // empty: no api-version is asked for
	open     bool     // no sign-in is asked for
	handle   func(*call) (reply, error)
}

// reply is what a handler answers: the status, and the body unless it is nil.
type reply struct {
	status int
	body   any
}

func ok(body any) (reply, error) { return reply{status: http.StatusOK, body: body}, nil }

// router finds the route of a path. It is a list: a few dozen patterns are compared in a few microseconds.
type router struct{ routes []compiled }

type compiled struct {
	route

	scoped   bool
	segments []string // folded; variables keep their braces and their case
}

func newRouter(routes []route) *router {
	r := &router{routes: make([]compiled, 0, len(routes))}
	for _, one := range routes {
		c := compiled{route: one}
		rest, scoped := strings.CutPrefix(one.pattern, "{scope...}")
		c.scoped = scoped
		for _, s := range split(rest) {
			if s[0] != '{' {
				s = strings.ToLower(s)
			}
			c.segments = append(c.segments, s)
		}
		r.routes = append(r.routes, c)
	}
	return r
}

// find gives the route for method and path with the values of its variables. Where there is none, others are the
// methods that the path has.
func (r *router) find(method, path string) (found *compiled, vars map[string]string, others []string) {
	segments := split(path)
	for i := range r.routes {
		c := &r.routes[i]
		values, matched := c.match(segments)
		if !matched {
			continue
		}
		if c.method == method {
			return c, values, nil
		}
		others = append(others, c.method)
	}
	return nil, nil, others
}

func (c *compiled) match(segments []string) (map[string]string, bool) {
	skip := len(segments) - len(c.segments)
	if skip < 0 || skip > 0 && !c.scoped {
		return nil, false
	}
	for i, want := range c.segments {
		if want[0] != '{' && !strings.EqualFold(want, segments[skip+i]) {
			return nil, false
		}
	}
	vars := map[string]string{}
	if c.scoped {
		vars["scope"] = "/" + strings.Join(segments[:skip], "/")
	}
	for i, want := range c.segments {
		if want[0] == '{' {
			vars[want[1:len(want)-1]] = segments[skip+i]
		}
	}
	return vars, true
}

// split gives the segments of a path. Empty ones do not count: some clients send two slashes before a scope.
func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}
