package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/postern-dev/postern/internal/core/audit"
)

const (
	sqliteReaders = 4
	sqliteOldest  = 3_051_003 // before 3.51.3, resetting the write-ahead log could corrupt the file
)

// sqliteBackend is one writing connection, which the committer has for itself, and a few that can only read.
type sqliteBackend struct {
	path    string
	write   *sql.DB
	read    *sql.DB
	conn    *sqliteConn
	readers chan *sqliteConn
	opened  int           // readers there are
	closed  chan struct{} // closed when close begins
}

func openSQLite(ctx context.Context, path string) (backend, error) {
	if strings.HasPrefix(path, ":") || strings.HasPrefix(path, "file:") {
		return nil, fmt.Errorf("%q is not a path: give that of a file", path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := ownFile(path); err != nil {
		return nil, err
	}
	// While another process opens or closes the file, SQLite may answer at once that it is busy, and waits for nothing.
	const attempts = 4
	for attempt := 1; ; attempt++ {
		b := &sqliteBackend{path: path, readers: make(chan *sqliteConn, sqliteReaders), closed: make(chan struct{})}
		err := b.connect(ctx, path)
		if err == nil {
			return b, nil
		}
		closed := b.close()
		fault, ok := errors.AsType[*sqlite.Error](err)
		if !ok || fault.Code()&0xff != sqlite3.SQLITE_BUSY || attempt == attempts {
			return nil, errors.Join(err, closed)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// ownFile makes the file where it is missing, and its owner the only one who can read it. SQLite gives the files beside
// it the same mode.
func ownFile(path string) error {
	const owner = 0o600
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, owner) //nolint:gosec // the operator names it
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(owner), f.Close())
}

// sqliteDSN sets the pragmas in the DSN, so that each connection has them. busy_timeout comes first: the others may
// wait.
func sqliteDSN(path string, more ...string) string {
	pragmas := append([]string{"_pragma=busy_timeout(10000)"}, more...)
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + strings.Join(pragmas, "&")
}

func (b *sqliteBackend) connect(ctx context.Context, path string) error {
	var err error
	b.write, err = sql.Open("sqlite",
		sqliteDSN(path, "_pragma=journal_mode(wal)", "_pragma=synchronous(full)", "_pragma=foreign_keys(1)",
			"_pragma=temp_store(memory)", // savepoints keep pages there
			// KiB: the inner pages of all indexes, and those that this hour's changes touch
			"_pragma=cache_size(-16384)",
			// pages, 16 MiB: one that changes often goes to the file itself less often
			"_pragma=wal_autocheckpoint(4000)",
			"_pragma=journal_size_limit(67108864)")) // bytes
	if err != nil {
		return err
	}
	b.write.SetMaxOpenConns(1)
	b.read, err = sql.Open("sqlite", sqliteDSN(path, "mode=ro", "_pragma=query_only(1)"))
	if err != nil {
		return err
	}
	b.read.SetMaxOpenConns(sqliteReaders)
	if b.conn, err = newSQLiteConn(ctx, b.write); err != nil {
		return err
	}
	if err := checkSQLiteVersion(ctx, b.conn.conn); err != nil {
		return err
	}
	if err := migrate(ctx, &sqliteMigrator{conn: b.conn.conn}); err != nil {
		return err
	}
	for range sqliteReaders {
		c, err := newSQLiteConn(ctx, b.read)
		if err != nil {
			return err
		}
		b.readers <- c
		b.opened++
	}
	return nil
}

func checkSQLiteVersion(ctx context.Context, conn *sql.Conn) error {
	var text string
	var major, minor, patch int
	if err := conn.QueryRowContext(ctx, "select sqlite_version()").Scan(&text); err != nil {
		return err
	}
	if _, err := fmt.Sscanf(text, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return fmt.Errorf("read the version of SQLite %q: %w", text, err)
	}
	if major*1_000_000+minor*1_000+patch < sqliteOldest {
		return fmt.Errorf("this is SQLite %s, which can corrupt its file; 3.51.3 or later is needed", text)
	}
	return nil
}

func (b *sqliteBackend) view(ctx context.Context, fn func(querier) error) error {
	var c *sqliteConn
	select {
	case c = <-b.readers:
	case <-ctx.Done():
		return ctx.Err()
	case <-b.closed:
		return errClosed()
	}
	defer func() { b.readers <- c }()
	if err := c.run(ctx, "begin"); err != nil {
		return classify("", err)
	}
	// there is nothing to lose, and no transaction where an error has ended it
	defer func() { _ = c.run(context.WithoutCancel(ctx), "rollback") }()
	return fn(c)
}

func (b *sqliteBackend) writer(context.Context) (writer, error) {
	return &sqliteWriter{sqliteConn: b.conn}, nil
}

// bound gives no limit: with one, each statement would cost a goroutine, and a local file answers.
func (b *sqliteBackend) bound(ctx context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
	return ctx, func() {}
}

func (b *sqliteBackend) announce(news) {} // no other replica works on the file

func (b *sqliteBackend) ping(ctx context.Context) error {
	return b.view(ctx, func(q querier) error {
		_, err := all(ctx, q, scanNumber, "select 1 limit 1")
		return err
	})
}

// scrub writes the whole file anew, since what a row held before may be left in any page, and empties the write-ahead
// log.
func (b *sqliteBackend) scrub(ctx context.Context) error {
	db, err := sql.Open("sqlite", sqliteDSN(b.path))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "vacuum")
	if err == nil {
		_, err = db.ExecContext(ctx, "pragma wal_checkpoint(truncate)")
	}
	return errors.Join(err, db.Close())
}

func (b *sqliteBackend) close() error {
	close(b.closed)
	var errs []error
	if b.read != nil {
		for range b.opened { // waits for those who read
			errs = append(errs, (<-b.readers).close())
		}
		errs = append(errs, b.read.Close())
	}
	if b.conn != nil {
		errs = append(errs, b.conn.close())
	}
	if b.write != nil {
		errs = append(errs, b.write.Close())
	}
	return errors.Join(errs...)
}

// sqliteConn is one connection with its prepared statements. One goroutine at a time uses it.
type sqliteConn struct {
	conn       *sql.Conn
	statements map[string]*sqliteStmt
}

// sqliteStmt is a statement whose placeholders are bare question marks. The driver finds the argument of a $n by
// comparing texts, which for a wide row takes longer than to insert it.
type sqliteStmt struct {
	*sql.Stmt

	order []int // for each question mark, the index of its argument
}

// bare replaces each $n. No statement of ours has a dollar sign in a literal.
//
// SQLite looks at the value of a placeholder that is all of a limit or a pattern, and plans the statement anew for each
// value it is given, which takes longer than to run it. A plus sign, which changes no value, keeps it from that.
func bare(text string) (bared string, order []int) {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(text, "$")
		b.WriteString(before)
		if !ok {
			return b.String(), order
		}
		if strings.HasSuffix(before, " limit ") || strings.HasSuffix(before, " like ") {
			b.WriteByte('+')
		}
		n := 0
		for after != "" && after[0] >= '0' && after[0] <= '9' {
			n = 10*n + int(after[0]-'0')
			after = after[1:]
		}
		b.WriteByte('?')
		order = append(order, n-1)
		text = after
	}
}

// arrange gives the arguments in the order of the question marks.
func (s *sqliteStmt) arrange(args []any) ([]any, error) {
	inOrder := len(s.order) == len(args)
	for i, n := range s.order {
		if n < 0 || n >= len(args) {
			return nil, fmt.Errorf("the statement has no argument %d", n+1)
		}
		inOrder = inOrder && n == i
	}
	if inOrder {
		return args, nil
	}
	arranged := make([]any, len(s.order))
	for i, n := range s.order {
		arranged[i] = args[n]
	}
	return arranged, nil
}

func newSQLiteConn(ctx context.Context, db *sql.DB) (*sqliteConn, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &sqliteConn{conn: conn, statements: map[string]*sqliteStmt{}}, nil
}

func (c *sqliteConn) prepare(ctx context.Context, text string) (*sqliteStmt, error) {
	if s := c.statements[text]; s != nil {
		return s, nil
	}
	const most = 500 // filters combine; so many do not occur
	if len(c.statements) >= most {
		for old, s := range c.statements {
			delete(c.statements, old)
			if err := s.Close(); err != nil {
				return nil, err
			}
		}
	}
	bared, order := bare(text)
	prepared, err := c.conn.PrepareContext(ctx, bared)
	if err != nil {
		return nil, err
	}
	s := &sqliteStmt{Stmt: prepared, order: order}
	c.statements[text] = s
	return s, nil
}

func (c *sqliteConn) query(ctx context.Context, text string, args ...any) (answer, error) {
	if err := checkText("", args); err != nil {
		return nil, err
	}
	s, err := c.prepare(ctx, text)
	if err != nil {
		return nil, err
	}
	if args, err = s.arrange(args); err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...) //nolint:rowserrcheck // all asks for it
}

func (c *sqliteConn) broken(error) {}

func (c *sqliteConn) run(ctx context.Context, text string) error {
	s, err := c.prepare(ctx, text)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(ctx)
	return err
}

func (c *sqliteConn) close() error {
	var errs []error
	for _, s := range c.statements {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.conn.Close())...)
}

// sqliteWriter is the writing connection in a transaction. It sends everything at once: there is no round trip to save.
type sqliteWriter struct {
	*sqliteConn

	open bool
}

func (w *sqliteWriter) begin(ctx context.Context) (head, error) {
	if err := w.run(ctx, "begin immediate"); err != nil {
		return head{}, err
	}
	w.open = true
	return one(ctx, w, "activity log", scanHead, selectHead)
}

func (w *sqliteWriter) exec(ctx context.Context, wr write) error {
	s, err := w.prepare(ctx, wr.sql)
	if err != nil {
		return err
	}
	args, err := s.arrange(wr.args)
	if err != nil {
		return err
	}
	result, err := s.ExecContext(ctx, args...)
	if err != nil || wr.none == nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		return wr.none
	}
	return err
}

func (w *sqliteWriter) flush(context.Context) error       { return nil }
func (w *sqliteWriter) save(ctx context.Context) error    { return w.run(ctx, "savepoint s") }
func (w *sqliteWriter) release(ctx context.Context) error { return w.run(ctx, "release s") }

func (w *sqliteWriter) undo(ctx context.Context) error {
	if err := w.run(ctx, "rollback to s"); err != nil {
		return err
	}
	return w.release(ctx)
}

func (w *sqliteWriter) commit(ctx context.Context) error {
	err := w.run(ctx, "commit")
	w.open = err != nil
	return err
}

func (w *sqliteWriter) end(ctx context.Context) {
	if w.open {
		_ = w.run(ctx, "rollback") // an error that ended the transaction has done it already
	}
}

func scanNumber(row scanner) (n int64, err error) {
	err = row.Scan(&n)
	return n, err
}

const selectHead = "select size, frontier, high, disorder from audit_head where id = 1 limit 1"

func scanHead(row scanner) (head, error) {
	var h head
	var frontier []byte
	if err := row.Scan(&h.tree.Size, &frontier, &h.high, &h.disorder); err != nil {
		return head{}, err
	}
	for len(frontier) >= len(audit.Hash{}) {
		h.tree.Frontier = append(h.tree.Frontier, audit.Hash(frontier[:len(audit.Hash{})]))
		frontier = frontier[len(audit.Hash{}):]
	}
	if !h.tree.Valid() || len(frontier) > 0 {
		return head{}, errors.New("the head of the activity log is damaged")
	}
	return h, nil
}
