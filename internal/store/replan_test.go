package store

import (
	"log/slog"
	"path/filepath"
	"runtime"
	"testing"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// TestHotReadsArePlannedOnce demands that SQLite keeps its plan of a prepared statement whatever values it is given
// next: to plan takes longer than to run, and nothing but the time shows it.
func TestHotReadsArePlannedOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "postern.db")
	db, err := Open(ctx, Config{DSN: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	lib := openLib(t, path)
	// Whether the index of what is pending may be used, the state decides that is asked for.
	byValue, seen := map[string]bool{"requests in state": true, "requests of person pending": true}, map[string]bool{}
	for name, read := range hotReads(ctx) {
		q := &recorder{}
		read(&reader{q: q, scopes: &scopeCache{}})
		for i, text := range q.texts {
			if !lib.replanned(text, q.args[i]) {
				continue
			}
			if !byValue[name] {
				t.Errorf("%s is planned again for each value:\n%s", name, text)
			}
			seen[name] = true
		}
	}
	for name := range byValue {
		if !seen[name] {
			t.Errorf("%s may be planned again, and is not", name)
		}
	}
}

// libSQLite is SQLite's own interface, which tells what the driver does not.
type libSQLite struct {
	tb  testing.TB
	tls *libc.TLS
	db  uintptr
}

func openLib(tb testing.TB, path string) *libSQLite {
	tb.Helper()
	l := &libSQLite{tb: tb, tls: libc.NewTLS()}
	name := l.text(path)
	into, address := l.pointer()
	l.want(sqlite3.SQLITE_OK, sqlite3.Xsqlite3_open_v2(l.tls, name, address, sqlite3.SQLITE_OPEN_READONLY, 0))
	l.db = *into
	tb.Cleanup(func() {
		sqlite3.Xsqlite3_close_v2(l.tls, l.db)
		l.tls.Close()
	})
	return l
}

func (l *libSQLite) want(want, got int32) {
	l.tb.Helper()
	if got != want {
		l.tb.Fatalf("SQLite gave %d, not %d", got, want)
	}
}

// text gives a string as C has it.
func (l *libSQLite) text(s string) uintptr {
	l.tb.Helper()
	p, err := libc.CString(s)
	if err != nil {
		l.tb.Fatal(err)
	}
	l.tb.Cleanup(func() { libc.Xfree(l.tls, p) })
	return p
}

// pointer gives a place to put a pointer, which stays where it is.
func (l *libSQLite) pointer() (into *uintptr, address uintptr) {
	var pin runtime.Pinner
	into = new(uintptr)
	pin.Pin(into)
	l.tb.Cleanup(pin.Unpin)
	return into, uintptr(unsafe.Pointer(into)) //nolint:gosec // SQLite writes there
}

// replanned reports whether a statement of ours, as it is prepared, is planned anew when it runs with other values.
func (l *libSQLite) replanned(text string, args []any) bool {
	l.tb.Helper()
	bared, order := bare(text)
	into, address := l.pointer()
	l.want(sqlite3.SQLITE_OK, sqlite3.Xsqlite3_prepare_v2(l.tls, l.db, l.text(bared), -1, address, 0))
	s := *into
	defer sqlite3.Xsqlite3_finalize(l.tls, s)
	for more := range int64(3) {
		for i, n := range order {
			at := int32(i + 1) //nolint:gosec // there are few
			switch value := args[n].(type) {
			case int64:
				l.want(sqlite3.SQLITE_OK, sqlite3.Xsqlite3_bind_int64(l.tls, s, at, value+more))
			case string:
				l.want(sqlite3.SQLITE_OK,
					sqlite3.Xsqlite3_bind_text(l.tls, s, at, l.text(value+string(rune('a'+more))), -1, 0))
			default:
				l.tb.Fatalf("an argument is a %T", value)
			}
		}
		if got := sqlite3.Xsqlite3_step(l.tls, s); got != sqlite3.SQLITE_DONE && got != sqlite3.SQLITE_ROW {
			l.tb.Fatalf("SQLite gave %d to\n%s", got, text)
		}
		l.want(sqlite3.SQLITE_OK, sqlite3.Xsqlite3_reset(l.tls, s))
	}
	return sqlite3.Xsqlite3_stmt_status(l.tls, s, sqlite3.SQLITE_STMTSTATUS_REPREPARE, 0) > 0
}
