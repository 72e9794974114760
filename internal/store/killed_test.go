package store_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/postern-dev/postern/internal/store"
)

// TestMigrationsAreAsReleased compares what each migration is on each engine with what it was: a database that has one
// in another form is refused.
func TestMigrationsAreAsReleased(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "migrations.txt"))
	if err != nil {
		t.Fatal(err)
	}
	released := strings.Split(strings.TrimSpace(string(text)), "\n")
	now := store.MigrationSums(t)
	for i, line := range now {
		if i >= len(released) {
			t.Errorf("migration %s is new; add this line to testdata/migrations.txt", line)
		} else if line != released[i] {
			t.Errorf("a released migration has changed: it is\n%s, and was\n%s", line, released[i])
		}
	}
	if len(released) > len(now) {
		t.Errorf("migration %s is gone", released[len(now)])
	}
}

// TestMigrationsBrokenOffAnywhere loses the process of each migration behind each of its statements: nothing of it is
// there, and the next program carries it out as if nothing had been.
func TestMigrationsBrokenOffAnywhere(t *testing.T) {
	t.Parallel()
	for name, dsn := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := dsn(t)
			store.OpenStepwise(t, where).To(t, 0)
			steady := store.OpenStepwise(t, dsn(t))
			for i := range store.MigrationNames(t) {
				number := i + 1
				before := store.OpenStepwise(t, where).Everything(t)
				last := steady.Statements(t, number)
				for statements := range last + 2 {
					if name == "PostgreSQL" && statements < last {
						continue // whatever one of them would commit is there behind the last too, and this takes long
					}
					where = store.OpenStepwise(t, where).BreakOff(t, where, number, statements)
				}
				next := store.OpenStepwise(t, where)
				next.To(t, i)
				if left := next.Everything(t); left != before {
					t.Fatalf("migration %d, broken off behind each of its statements, left\n%s\nof\n%s", number, left,
						before)
				}
				next.To(t, number)
				steady.To(t, number)
				if got, want := next.Everything(t), steady.Everything(t); got != want {
					t.Fatalf("migration %d, at last carried out, made\n%s\nand not\n%s", number, got, want)
				}
			}
			open(t, where)
		})
	}
}

// migrateEnv, where set, makes the test binary a child that begins a migration in the SQLite file that it names.
const migrateEnv = "POSTERN_STORE_MIGRATE"

// beginMigration begins a migration, says so in the midst of it, and waits to be killed.
func beginMigration(t *testing.T, at string) {
	t.Helper()
	number, path, _ := strings.Cut(at, " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	store.OpenStepwise(t, path).HangIn(t, n)
}

// TestMigrationIsKilled kills a process within a migration: the next one opens the store.
func TestMigrationIsKilled(t *testing.T) {
	t.Parallel()
	if at := os.Getenv(migrateEnv); at != "" {
		beginMigration(t, at)
	}
	for _, number := range []int{1, 9, 19} {
		path := filepath.Join(t.TempDir(), "postern.db")
		child := exec.Command(os.Args[0], "-test.run=^TestMigrationIsKilled$")
		child.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", migrateEnv, number, path))
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		said := make([]byte, len("begun\n"))
		if _, err := io.ReadFull(out, said); err != nil || string(said) != "begun\n" {
			t.Errorf("the child says %q: %v", said, err)
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait()
		newFixture(t, path)
	}
}
