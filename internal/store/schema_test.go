package store_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/store"
)

// columns lists each table's columns with what the two engines have in common: whether they may be null.
func (f *fixture) columns(t *testing.T) []string {
	t.Helper()
	query := `select m.name || '.' || c.name || case when c."notnull" = 1 or c.pk > 0 then '' else ' null' end from sqlite_master m join pragma_table_info(m.name) c
where m.type = 'table' and m.name not like 'sqlite_%' order by 1`
	if strings.HasPrefix(f.dsn, "postgres") {
		query = `select table_name || '.' || column_name || case is_nullable when 'NO' then '' else ' null' end from information_schema.columns
where table_schema = current_schema() order by 1`
	}
	rows, err := f.raw(t).QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var columns []string
	for rows.Next() {
		var column string
		if err := rows.Scan(&column); err != nil {
			t.Fatal(err)
		}
		columns = append(columns, column)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(columns)
	return columns
}

func TestSchemasAreAlike(t *testing.T) {
	t.Parallel()
	lite, pg := newFixture(t, filepath.Join(t.TempDir(), "postern.db")), newFixture(t, postgresDSN(t))
	same(t, "columns", lite.columns(t), pg.columns(t))
	var collated int
	err := pg.raw(t).QueryRowContext(t.Context(),
		`select count(*) from information_schema.columns where table_schema = current_schema() and table_name <> 'schema_migrations'
and data_type = 'text' and collation_name is distinct from 'C'`).Scan(&collated)
	if err != nil || collated != 0 {
		t.Errorf("%d text columns are not compared byte by byte: %v", collated, err)
	}
}

func TestForeignSchemaIsRefused(t *testing.T) {
	t.Parallel()
	for what, statement := range map[string]string{
		"newer":   "insert into schema_migrations (number, name, checksum) values (9999, 'later', 'x')",
		"another": "update schema_migrations set checksum = 'x' where number = 1",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			for name, dsn := range engines() {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					f := newFixture(t, dsn(t))
					if err := f.Close(); err != nil {
						t.Fatal(err)
					}
					if _, err := f.raw(t).ExecContext(t.Context(), statement); err != nil {
						t.Fatal(err)
					}
					if db, err := store.Open(t.Context(),
						store.Config{DSN: f.dsn, Log: slog.New(slog.DiscardHandler)}); err == nil {
						t.Errorf("it is opened: %v", db.Close())
					}
				})
			}
		})
	}
}

func TestReplicasMigrateOnce(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := dsn(t)
			errs := make(chan error, 5)
			for range cap(errs) {
				go func() {
					db, err := store.Open(t.Context(), store.Config{DSN: where, Log: slog.New(slog.DiscardHandler)})
					if err == nil {
						err = db.Close()
					}
					errs <- err
				}()
			}
			for range cap(errs) {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestSQLiteFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a file ?%.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, path)
	f.update(t, func(ctx context.Context, tx engine.Tx) error { return tx.Append(ctx, access.Event{At: day()}) })
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if files++; info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || files != 3 {
		t.Errorf("%d files: %v", files, err)
	}
	for _, dsn := range []string{
		":memory:", "file:x", "", filepath.Join(dir, "none", "x.db"),
		"postgres://nobody@127.0.0.1:1/none?connect_timeout=1",
	} {
		if db, err := store.Open(t.Context(), store.Config{DSN: dsn, Log: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("%q is opened: %v", dsn, db.Close())
		}
	}
}

// TestEveryStatementIsPrepared reads each constant of the package that is a statement, and lets both engines compile
// it. Lists and groups, which are put together, are run in every combination by their own tests.
func TestEveryStatementIsPrepared(t *testing.T) {
	t.Parallel()
	statements := constants(t)
	if len(statements) < 60 {
		t.Fatalf("found %d statements only", len(statements))
	}
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, dsn(t))
			db := f.raw(t)
			for name, text := range statements {
				if strings.HasSuffix(text, " values ") {
					text += marks(strings.Count(text, ",") + 1)
				}
				s, err := db.PrepareContext(t.Context(), text)
				if err != nil {
					t.Errorf("%s: %v\n%s", name, err, text)
					continue
				}
				if err := s.Close(); err != nil { //nolint:sqlclosecheck // in a loop
					t.Error(err)
				}
				if strings.HasPrefix(text,
					"select") && !strings.HasPrefix(name, "list") && !strings.Contains(text, " limit ") {
					t.Errorf("%s has no limit", name)
				}
			}
		})
	}
}

func marks(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = "$" + strconv.Itoa(i+1)
	}
	return "(" + strings.Join(list, ", ") + ")"
}

// parsed gives the package's own files.
func parsed(t *testing.T) (own []*ast.File) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		own = append(own, f)
	}
	return own
}

// constants gives the statements of the package by name: its string constants and variables, and what the descriptors
// make and is used.
func constants(t *testing.T) map[string]string {
	t.Helper()
	values := map[string]ast.Expr{}
	tables, made := store.EveryTable(), map[string]bool{} // which statements of descriptors are used
	for _, file := range parsed(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				note := func(i int, verbs ...string) {
					if i < len(call.Args) {
						for _, verb := range verbs {
							made[fmt.Sprint(call.Args[i])+"."+verb] = true
						}
					}
				}
				switch fmt.Sprint(call.Fun) {
				case "put":
					if used, ok := call.Args[3].(*ast.SelectorExpr); ok {
						note(2, used.Sel.Name)
					}
				case "swap":
					note(2, "insert", "update")
				}
			}
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == len(spec.Names) {
				for i, name := range spec.Names {
					values[name.Name] = spec.Values[i]
				}
			}
			return true
		})
	}
	var value func(e ast.Expr) (string, error)
	value = func(e ast.Expr) (string, error) {
		switch e := e.(type) {
		case *ast.BasicLit:
			return strconv.Unquote(e.Value)
		case *ast.Ident:
			if values[e.Name] != nil {
				return value(values[e.Name])
			}
		case *ast.SelectorExpr: // a statement or a list of columns that a descriptor made
			if of, ok := e.X.(*ast.Ident); ok && tables[of.Name].Statements[e.Sel.Name] != "" {
				return tables[of.Name].Statements[e.Sel.Name], nil
			}
		case *ast.BinaryExpr:
			left, err := value(e.X)
			if err != nil {
				return "", err
			}
			right, err := value(e.Y)
			return left + right, err
		}
		return "", fmt.Errorf("not a text")
	}
	statements := map[string]string{}
	for name, d := range tables {
		for _, verb := range []string{"insert", "update", "upsert"} {
			if text := d.Statements[verb]; made[name+"."+verb] {
				statements[name+"."+verb] = text
			}
		}
	}
	for name, e := range values {
		text, err := value(e)
		verb, _, ok := strings.Cut(text, " ")
		if err == nil && ok && slices.Contains([]string{"select", "insert", "update", "delete"}, verb) {
			statements[name] = text
		}
	}
	return statements
}
