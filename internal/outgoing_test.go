package internal_test

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// TestNothingCallsOutByDefault refuses what of net/http goes wherever a name or the environment leads: its ready-made
// clients, and clients that do not say how they dial. A proxy of the environment sees names where a check at the dial
// sees the proxy's address alone, so it is used where the address comes of whoever runs the program, or is checked
// before the proxy is asked.
func TestNothingCallsOutByDefault(t *testing.T) {
	t.Parallel()
	ready := []string{"DefaultClient", "DefaultTransport", "Get", "Head", "Post", "PostForm"}
	proxied := []string{"api/client.go", "internal/agentwire/client.go", "internal/server/oidc.go"}
	must := map[string]string{"Client": "Transport", "Transport": "DialContext"}
	for _, f := range parse(t) {
		if f.test || strings.HasPrefix(f.pkg, "test/") || f.pkg == "internal/demo" || f.pkg == "internal/nettest" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if name := fromHTTP(n); slices.Contains(ready,
				name) || name == "ProxyFromEnvironment" && !slices.Contains(proxied, f.path) {
				t.Errorf("%s uses http.%s", f.path, name)
			}
			made, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			name := fromHTTP(made.Type)
			if key := must[name]; key != "" && !slices.ContainsFunc(made.Elts,
				func(e ast.Expr) bool { return sets(e, key) }) {
				t.Errorf("%s makes an http.%s without a %s of its own", f.path, name, key)
			}
			return true
		})
	}
}

// fromHTTP gives what of net/http a node names; empty where it is something else.
func fromHTTP(n ast.Node) string {
	s, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if x, ok := s.X.(*ast.Ident); !ok || x.Name != "http" {
		return ""
	}
	return s.Sel.Name
}

// sets tells whether an element of a literal sets a field.
func sets(e ast.Expr, field string) bool {
	pair, ok := e.(*ast.KeyValueExpr)
	if !ok {
		return false
	}
	key, ok := pair.Key.(*ast.Ident)
	return ok && key.Name == field
}
