package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/postern-dev/postern"

// rule says what one package may import: packages of this module, and third-party modules by path prefix.
// Test files may import anything.
type rule struct {
	// "core" stands for every package below internal/core, "engine" for internal/engine and every one below it
	own   []string
	third []string
	pure  bool // no clock, no input or output, no goroutine
}

// capabilities are the packages of use cases, in import order: each sees the kernel, internal/engine, and those before
// it.
func capabilities() []string {
	return []string{
		"records", "directory", "notices", "alerts", "machines", "hosts", "fleet", "requests", "roles",
		"reviews", "apps", "inbox", "services",
	}
}

// rules is the import table of ARCHITECTURE.md. A package that is not listed is refused.
func rules() map[string]rule {
	table := rings()
	seen := []string{"core", "internal/engine"}
	for _, name := range capabilities() {
		table["internal/engine/"+name] = rule{own: slices.Clone(seen), third: []string{"github.com/google/uuid"}}
		seen = append(seen, "internal/engine/"+name)
	}
	return table
}

func rings() map[string]rule {
	return map[string]rule{
		"internal/core/access": {pure: true},
		"internal/core/rbac":   {own: []string{"internal/core/access"}, pure: true},
		"internal/core/policy": {
			own:   []string{"internal/core/access", "internal/core/rbac"},
			third: []string{"cel.dev/cel-go", "github.com/teambition/rrule-go"}, pure: true,
		},
		"internal/core/app":    {own: []string{"internal/core/access", "internal/core/rbac"}, pure: true},
		"internal/core/review": {own: []string{"internal/core/access", "internal/core/audit"}, pure: true},
		"internal/core/alert":  {own: []string{"internal/core/access"}, pure: true},
		"internal/core/audit": {
			own: []string{"internal/core/access"}, third: []string{"golang.org/x/mod/sumdb"},
			pure: true,
		},

		"internal/engine": {own: []string{"core"}, third: []string{"github.com/google/uuid"}},
		"internal/store": {
			own:   []string{"core", "engine"},
			third: []string{"modernc.org/sqlite", "github.com/jackc/pgx/v5", "golang.org/x/mod/sumdb"},
		},
		"internal/identity": {
			own: []string{"internal/core/access", "internal/core/rbac", "engine"},
			third: []string{
				"golang.org/x/crypto", "golang.org/x/time", "golang.org/x/oauth2",
				"github.com/coreos/go-oidc/v3", "github.com/go-jose/go-jose/v4", "github.com/go-webauthn/webauthn",
			},
		},
		"internal/notify": {
			own:   []string{"internal/core/access", "internal/core/rbac", "engine"},
			third: []string{"github.com/wneessen/go-mail"},
		},

		// api, for what people and agents are told alike: problems, heartbeats, rules of other firewalls.
		"internal/agentwire": {own: []string{"internal/core/access", "api"}},

		"internal/enforce": {own: []string{"internal/core/access"}},
		"internal/enforce/nftables": {
			own:   []string{"internal/core/access", "internal/enforce"},
			third: []string{"github.com/google/nftables", "github.com/mdlayher/netlink", "golang.org/x/sys"},
		},

		"internal/httpapi": {
			own: []string{"core", "engine", "internal/identity", "internal/agentwire", "api"},
			third: []string{
				"github.com/danielgtaylor/huma/v2", "github.com/prometheus/client_golang",
				"golang.org/x/sys",
			},
		},
		"internal/armapi": {
			own:   []string{"core", "engine", "internal/identity"},
			third: []string{"github.com/google/uuid"},
		},
		"internal/portal": {own: []string{"internal/core/access", "engine", "internal/identity", "deploy/systemd"}},
		"internal/agent": {
			own: []string{
				"internal/core/access", "internal/enforce", "internal/enforce/nftables",
				"internal/agentwire",
			},
			third: []string{"github.com/coreos/go-systemd/v22", "golang.org/x/sys"},
		},
		"internal/logging": {},
		"internal/server": {
			own: []string{
				"core", "internal/logging", "engine", "internal/store", "internal/identity",
				"internal/notify", "internal/httpapi", "internal/armapi", "internal/portal", "api",
			},
			third: []string{"go.yaml.in/yaml/v3", "github.com/prometheus/client_golang", "golang.org/x/sys"},
		},
		"internal/demo": {
			own:   []string{"api", "internal/core/audit", "internal/nettest"},
			third: []string{"github.com/vishvananda/netlink", "golang.org/x/sys"},
		},
		"internal/nettest": {third: []string{"github.com/vishvananda/netlink", "golang.org/x/sys"}},

		"api":            {},
		"deploy/systemd": {},
		"internal/cli": {
			own: []string{
				"api", "internal/core/access", "internal/core/audit", "internal/core/review", "internal/agent",
				"internal/server", "internal/demo", "internal/logging",
			},
			third: []string{"github.com/spf13/cobra", "go.yaml.in/yaml/v3", "golang.org/x/term", "golang.org/x/sys"},
		},
		"cmd/postern": {own: []string{"internal/cli"}},
	}
}

// impure names the parts of the standard library that a pure package must not touch.
func impure() []string {
	return []string{
		"os", "net", "net/http", "io/fs", "database/sql", "log", "log/slog", "math/rand", "math/rand/v2",
		"crypto/rand", "sync/atomic", "context", "syscall", "embed",
	}
}

// clocks names the functions of package time that read a clock or wait for one.
func clocks() []string {
	return []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
}

type file struct {
	path string // relative to the module's root
	pkg  string // its folder, slash-separated
	test bool
	ast  *ast.File
}

func parse(t *testing.T) []file {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	var files []file
	set := token.NewFileSet()
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); rel != "." && (strings.HasPrefix(name,
				".") || name == "node_modules" || name == "testdata" || name == "tmp") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files,
			file{
				path: filepath.ToSlash(rel), pkg: filepath.ToSlash(filepath.Dir(rel)),
				test: strings.HasSuffix(path, "_test.go"), ast: parsed,
			})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func imports(f file) []string {
	var paths []string
	for _, spec := range f.ast.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

func matches(path, prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }

func (r rule) allows(path string) bool {
	own, isOwn := strings.CutPrefix(path, module+"/")
	first, _, _ := strings.Cut(path, "/")
	switch {
	case isOwn:
		return slices.Contains(r.own, own) || slices.Contains(r.own, "core") && matches(own, "internal/core") ||
			slices.Contains(r.own, "engine") && matches(own, "internal/engine")
	case !strings.Contains(first, "."):
		return !r.pure || !slices.Contains(impure(), path)
	default:
		return slices.ContainsFunc(r.third, func(prefix string) bool { return matches(path, prefix) })
	}
}

func TestImportsPointInward(t *testing.T) {
	t.Parallel()
	table := rules()
	for _, f := range parse(t) {
		if f.test || strings.HasPrefix(f.pkg, "test/") {
			continue
		}
		r, ok := table[f.pkg]
		if !ok {
			t.Errorf("%s: package %s is not in the import table", f.path, f.pkg)
			continue
		}
		for _, path := range imports(f) {
			if !r.allows(path) {
				t.Errorf("%s: %s may not import %s", f.path, f.pkg, path)
			}
		}
	}
}

func TestCoreIsPure(t *testing.T) {
	t.Parallel()
	table := rules()
	for _, f := range parse(t) {
		if f.test || !table[f.pkg].pure {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: starts a goroutine", f.path)
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clocks(), n.Sel.Name) {
					t.Errorf("%s: uses time.%s; take the time as an argument", f.path, n.Sel.Name)
				}
			case *ast.Field:
				if n.Tag != nil {
					t.Errorf("%s: has a struct tag; wire and storage forms belong to the edges", f.path)
				}
			}
			return true
		})
	}
}

// kinds names the files that have one answer for each kind of target: the kinds themselves, what the engine reads to
// judge each, and the forms in which each is stored and sent. docs/adr/0017-targets.md says why.
func kinds() []string {
	return []string{
		"internal/core/access/target.go", "internal/core/access/target_port.go", "internal/core/access/target_role.go",
		"internal/core/policy/evaluate.go",
		"internal/engine/target.go", "internal/engine/machines/target.go", "internal/engine/requests/target.go",
		"internal/engine/roles/target.go",
		"internal/store/target.go", "internal/httpapi/target.go", "internal/armapi/target.go",
	}
}

// TestNobodyAsksForTheKindOfATarget lets access.Match and access.Try stand in the files of kinds alone, and refuses to
// assert a target to be a port or a role anywhere but in package access.
func TestNobodyAsksForTheKindOfATarget(t *testing.T) {
	t.Parallel()
	answered := map[string]bool{}
	for _, f := range parse(t) {
		if f.test {
			continue
		}
		for _, what := range kindQuestions(f) {
			answered[f.path] = true
			if !slices.Contains(kinds(), f.path) {
				t.Errorf("%s: %s; give access.Target a method, or the package's target.go an answer for each kind",
					f.path, what)
			}
		}
	}
	for _, path := range kinds() {
		if !answered[path] {
			t.Errorf("%s answers nothing for each kind of target: take it off the list", path)
		}
	}
}

// kindQuestions returns where a file tells kinds of targets apart, in words.
func kindQuestions(f file) (found []string) {
	isKind := func(e ast.Expr) bool {
		name := ""
		switch e := e.(type) {
		case *ast.SelectorExpr: // access.PortTarget
			name = e.Sel.Name
		case *ast.Ident:
			name = e.Name
		}
		return name == "PortTarget" || name == "RoleTarget"
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeAssertExpr:
			if n.Type != nil && isKind(n.Type) {
				found = append(found, "asserts the kind of a target")
			}
		case *ast.TypeSwitchStmt:
			for _, clause := range n.Body.List {
				if c, ok := clause.(*ast.CaseClause); ok && slices.ContainsFunc(c.List, isKind) {
					found = append(found, "switches by the kind of a target")
				}
			}
		case *ast.CallExpr:
			called := n.Fun
			if indexed, ok := called.(*ast.IndexExpr); ok {
				called = indexed.X
			}
			if s, ok := called.(*ast.SelectorExpr); ok && (s.Sel.Name == "Match" || s.Sel.Name == "Try") {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "access" {
					found = append(found, "calls access."+s.Sel.Name)
				}
			}
		}
		return true
	})
	return found
}

// Codes of errors are ours; Azure's are made in its façade alone, by a table.
func TestAzuresCodesStayInItsFacade(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, f := range parse(t) {
		if f.test || f.pkg == "internal/armapi" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 3 {
				return true
			}
			called, ok := call.Fun.(*ast.SelectorExpr)
			code, literal := call.Args[1].(*ast.BasicLit)
			if !ok || called.Sel.Name != "Fault" || !literal {
				return true
			}
			seen++
			if text, err := strconv.Unquote(code.Value); err != nil || text == "" || text[0] < 'a' || text[0] > 'z' {
				t.Errorf("%s: the code %s of an error does not begin with a small letter", f.path, code.Value)
			}
			return true
		})
	}
	if seen < 300 {
		t.Errorf("only %d errors were looked at", seen)
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	comments := map[string][]string{}
	for _, f := range parse(t) {
		if f.test || strings.HasPrefix(f.pkg, "test/") {
			continue
		}
		if _, ok := comments[f.pkg]; !ok {
			comments[f.pkg] = nil
		}
		if f.ast.Doc != nil && !ast.IsGenerated(f.ast) {
			comments[f.pkg] = append(comments[f.pkg], f.path)
		}
	}
	for pkg, files := range comments {
		if len(files) != 1 {
			t.Errorf("package %s has %d package comments, want one: %v", pkg, len(files), files)
		}
	}
}

func TestFilesAreSmall(t *testing.T) {
	t.Parallel()
	const most = 800
	for _, f := range parse(t) {
		data, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(f.path)))
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(string(data), "\n"); lines > most && !ast.IsGenerated(f.ast) {
			t.Errorf("%s has %d lines; split it (at most %d, better below 300)", f.path, lines, most)
		}
	}
}

// TestCapabilitiesAreSmall bounds what a reader has to know to find something in a capability.
func TestCapabilitiesAreSmall(t *testing.T) {
	t.Parallel()
	const most = 5000
	lines := map[string]int{}
	for _, f := range parse(t) {
		if f.test || !matches(f.pkg, "internal/engine") || f.pkg == "internal/engine" {
			continue
		}
		data, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(f.path)))
		if err != nil {
			t.Fatal(err)
		}
		lines[f.pkg] += strings.Count(string(data), "\n")
	}
	if len(lines) != len(capabilities()) {
		t.Errorf("%d capabilities were counted, want %d", len(lines), len(capabilities()))
	}
	for pkg, n := range lines {
		if n > most {
			t.Errorf("%s has %d lines without its tests: move what belongs elsewhere (at most %d)", pkg, n, most)
		}
	}
}

func TestNoShellingOut(t *testing.T) {
	t.Parallel()
	for _, f := range parse(t) {
		if f.test || strings.HasPrefix(f.pkg, "test/") || f.pkg == "internal/demo" || f.pkg == "internal/nettest" {
			continue // the demo starts the real programs; that is its point
		}
		if slices.Contains(imports(f), "os/exec") {
			t.Errorf("%s imports os/exec", f.path)
		}
	}
}

// TestNoReturnReadsWhatItAlsoFills refuses `return out, fill(&out)`: Go leaves open whether out is read before the call
// or after it.
func TestNoReturnReadsWhatItAlsoFills(t *testing.T) {
	t.Parallel()
	for _, f := range parse(t) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			result, ok := n.(*ast.ReturnStmt)
			if !ok || len(result.Results) < 2 {
				return true
			}
			read, filled := map[string]bool{}, map[string]bool{}
			for _, e := range result.Results {
				if name, ok := variable(e); ok {
					read[name] = true
					continue
				}
				ast.Inspect(e, func(n ast.Node) bool {
					called, ok := n.(*ast.CallExpr)
					if !ok {
						return true
					}
					for _, arg := range called.Args {
						ast.Inspect(arg, func(n ast.Node) bool {
							if u, ok := n.(*ast.UnaryExpr); ok && u.Op == token.AND {
								if name, ok := variable(u.X); ok {
									filled[name] = true
								}
							}
							return true
						})
					}
					return true
				})
			}
			for name := range read {
				if filled[name] {
					t.Errorf("%s: a return reads %s and passes its address to a call; do the call first", f.path, name)
				}
			}
			return true
		})
	}
}

// variable returns the variable that an expression reads a value or a field of.
func variable(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name, true
	case *ast.SelectorExpr:
		return variable(e.X)
	default:
		return "", false
	}
}
