package store_test

import (
	"context"
	"encoding/json"
	"flag"
	"go/ast"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/store"
)

var updateStored = flag.Bool("update-stored", false, "write testdata/stored.txt anew")

// TestStoredShape compares what is written, table by table, column by column, key by key, with testdata/stored.txt.
// Rows of every version are read by those to come: a key that is renamed is lost, and one that is gone is refused.
func TestStoredShape(t *testing.T) {
	t.Parallel()
	var lines []string
	for _, d := range store.EveryTable() {
		lines = append(lines, d.Columns...)
	}
	slices.Sort(lines)
	now := strings.Join(slices.Compact(lines), "\n") + "\n"
	path := filepath.Join("testdata", "stored.txt")
	if *updateStored {
		if err := os.WriteFile(path, []byte(now), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "what is written", strings.Split(string(before), "\n"), strings.Split(now, "\n"))
}

// TestEveryFieldHasAColumn fails where a field of a type that is kept has no column and is in none with others.
func TestEveryFieldHasAColumn(t *testing.T) {
	t.Parallel()
	tables := store.EveryTable()
	apart := map[string][]string{ // fields that are kept otherwise, or never
		"policyTable": {"Machines []access.MachinePolicy", "Reach string"},
		"grantTable":  {"Grant.Target access.Target"}, // which is in the row as its fields
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		missing := slices.DeleteFunc(tables[name].Forgotten, func(field string) bool {
			return slices.Contains(apart[name], field)
		})
		if len(missing) > 0 {
			t.Errorf("no column of %s holds the fields %s", name, strings.Join(missing, ", "))
		}
	}
	// Each descriptor is one of them.
	for _, file := range parsed(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) == 0 {
				return true
			}
			call, ok := spec.Values[0].(*ast.CallExpr)
			if !ok {
				return true
			}
			called, ok := call.Fun.(*ast.Ident)
			if ok && called.Name == "describe" && tables[spec.Names[0].Name].Table == "" {
				t.Errorf("EveryTable misses %s", spec.Names[0].Name)
			}
			return true
		})
	}
}

// TestFormerRowsAreRead reads nested values as the version before descriptors wrote them, with every field filled, and
// demands each field back, under the same key.
func TestFormerRowsAreRead(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "former.txt"))
	if err != nil {
		t.Fatal(err)
	}
	former := map[string]string{}
	for line := range strings.Lines(string(text)) {
		column, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		former[column] = value
	}
	for _, d := range store.EveryTable() {
		for column, again := range d.Again {
			if former[column] == "" {
				continue // it is newer
			}
			got, err := again(former[column])
			if err != nil {
				t.Errorf("%s: %v", column, err)
				continue
			}
			same(t, column, decoded(t, former[column]), decoded(t, got))
			delete(former, column)
		}
	}
	for column := range former {
		t.Errorf("%s is read by no descriptor", column)
	}
}

func decoded(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// TestNewerFieldsAreRefused adds a field that this version does not know to each nested value: it is not passed over,
// since a change of the row would lose it.
func TestNewerFieldsAreRefused(t *testing.T) {
	t.Parallel()
	for _, d := range store.EveryTable() {
		for column, again := range d.Again {
			text := `{"invented":1}`
			switch {
			case slices.ContainsFunc(d.Columns, func(c string) bool { return strings.HasPrefix(c, column+".") }):
			case slices.ContainsFunc(d.Columns, func(c string) bool { return strings.HasPrefix(c, column+"[].") }):
				text = "[" + text + "]"
			default:
				continue // it has no fields
			}
			_, err := again(text)
			wantKind(t, column, err, access.KindInternal, "writtenByNewer")
			if err != nil && !strings.Contains(err.Error(), `"invented"`) {
				t.Errorf("%s does not name the field: %v", column, err)
			}
			if got, err := again(strings.Replace(text, `"invented":1`, "", 1)); err != nil {
				t.Errorf("%s with no field that an older version had not: %v", column, err)
			} else if strings.Contains(got, ":") {
				t.Errorf("%s with no field becomes %s", column, got)
			}
		}
	}
	each(t, func(t *testing.T, f *fixture) {
		f.update(t, func(ctx context.Context, tx engine.Tx) error {
			return tx.SavePolicy(ctx, policy("policy-1", "p", f.machine), 0)
		})
		change := func(statement string) {
			t.Helper()
			if _, err := f.raw(t).ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		change(`update policy_machines set body = '{"allow":"all"}'`)
		err := f.View(t.Context(), func(r engine.Reader) error {
			_, err := r.GuardOf(t.Context(), f.machine)
			return err
		})
		wantKind(t, "a policy of a newer version", err, access.KindInternal, "writtenByNewer")
		change("update policy_machines set body = '{}'") // as an older version wrote what it knew nothing of
		for table, read := range map[string]func(engine.Reader) error{
			"requests": func(r engine.Reader) error {
				_, err := r.Requests(t.Context(), engine.RequestFilter{}, engine.Page{Limit: 10})
				return err
			},
			"grants": func(r engine.Reader) error {
				_, err := r.Scenes(t.Context(), []access.AgentID{f.agent})
				return err
			},
		} {
			f.update(t, func(ctx context.Context, tx engine.Tx) error { return f.submit(ctx, tx, day()) })
			if err := f.View(t.Context(), read); err != nil {
				t.Errorf("%s: %v", table, err)
			}
			change("update " + table + " set state = 'suspended'")
			wantKind(t, table+" of a newer version", f.View(t.Context(), read), access.KindInternal, "writtenByNewer")
		}
	})
}
