package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite"
)

// BenchmarkBareCommit commits the rows of whole requests without the store: ready-made values, prepared statements, a
// savepoint for each caller, and one commit for all who wait. It is what the engine and the disk give to any program.
// The rows are those that BenchmarkWholeRequest writes, spread over as many people and machines: what a commit costs is
// above all the pages that it changes.
func BenchmarkBareCommit(b *testing.B) {
	for name, engineDSN := range engines() {
		b.Run(name, func(b *testing.B) {
			dsn := engineDSN(b)
			samples := newSamples(b, dsn)
			open := bareSQLite
			if strings.HasPrefix(dsn, "postgres") {
				open = barePostgres
			}
			conn := open(b, dsn)
			calls := make(chan bareCall, benchCallers)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for first := range calls {
					conn.group(b.Context(), first, calls)
				}
			}()
			callers(b, func(i int64) error {
				c := bareCall{rows: samples.rows(i), done: make(chan error, 1)}
				calls <- c
				return <-c.done
			})
			close(calls)
			<-ended
		})
	}
}

// bareCall is a caller's statements with their arguments.
type bareCall struct {
	rows []bareRow
	done chan error
}

type bareRow struct {
	text string
	args []any
}

// bareConn runs what one caller writes at once.
type bareConn func(ctx context.Context, rows ...bareRow) error

// group commits the rows of first and of all who wait, as the store does.
func (run bareConn) group(ctx context.Context, first bareCall, calls <-chan bareCall) {
	group := []bareCall{first}
	for more := true; more; {
		select {
		case c, ok := <-calls:
			if more = ok; ok {
				group = append(group, c)
			}
		default:
			more = false
		}
	}
	err := run(ctx, bareRow{text: "begin"})
	for _, c := range group {
		if err == nil {
			err = run(ctx,
				slices.Concat([]bareRow{{text: "savepoint s"}}, c.rows, []bareRow{{text: "release savepoint s"}})...)
		}
	}
	if err == nil {
		err = run(ctx, bareRow{text: "commit"})
	}
	for _, c := range group {
		c.done <- err
	}
}

func bareSQLite(b *testing.B, dsn string) bareConn {
	b.Helper()
	db, err := sql.Open("sqlite",
		"file:"+dsn+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=foreign_keys(1)"+
			// as the store has them
			"&_pragma=temp_store(memory)&_pragma=cache_size(-16384)&_pragma=wal_autocheckpoint(4000)&_pragma=journal_size_limit(67108864)")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	prepared := map[string]*sql.Stmt{}
	return func(ctx context.Context, rows ...bareRow) error {
		for _, row := range rows {
			s := prepared[row.text]
			if s == nil {
				if s, err = conn.PrepareContext(ctx, row.text); err != nil {
					return err
				}
				prepared[row.text] = s
			}
			if _, err := s.ExecContext(ctx, row.args...); err != nil {
				return err
			}
		}
		return nil
	}
}

// barePostgres sends what one caller writes in one round trip.
func barePostgres(b *testing.B, dsn string) bareConn {
	b.Helper()
	ctx := b.Context()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	return func(ctx context.Context, rows ...bareRow) error {
		if len(rows) == 1 {
			_, err := conn.Exec(ctx, rows[0].text)
			return err
		}
		batch := &pgx.Batch{}
		for _, row := range rows {
			batch.Queue(row.text, row.args...)
		}
		return conn.SendBatch(ctx, batch).Close()
	}
}

// sample is the rows of one request, by table, as the database has them.
type sample map[string][]columns

// columns is a row: the names of its columns, and what they hold.
type columns struct {
	names  []string
	values []any
}

// samples are a request of each person, for a machine each.
type samples struct {
	of      []sample
	seq     int64  // behind which no event is
	last    int64  // behind which no sample was created, in microseconds
	id      string // the beginning of ids that sort behind all others
	inserts map[string]string
}

const micro2001 = 1e15 // numbers above are instants

// newSamples lets everybody ask once, and reads what that wrote.
func newSamples(b *testing.B, dsn string) *samples {
	b.Helper()
	c := newCrowd(b, open(b, dsn))
	db := (&fixture{dsn: dsn}).raw(b)
	s := &samples{inserts: map[string]string{}}
	for i := range int64(benchCallers) {
		d, err := c.ask(b.Context(), i)
		if err != nil {
			b.Fatal(err)
		}
		id := string(d.Request.ID)
		one := sample{}
		for table, where := range map[string]string{
			"requests": "id = $1", "request_machines": "request = $1", "grants": "request = $1",
			"events":   "request = $1",
			"machines": "id in (select machine from request_machines where request = $1)",
		} {
			one[table] = readRows(b, db, "select * from "+table+" where "+where, id)
			names := one[table][0].names
			marks := make([]string, len(names))
			for n := range names {
				marks[n] = "$" + strconv.Itoa(n+1)
			}
			s.inserts[table] = "insert into " + table + " (" + strings.Join(names,
				", ") + ") values (" + strings.Join(marks, ", ") + ")"
		}
		s.of = append(s.of, one)
		s.seq = max(s.seq, one["events"][len(one["events"])-1].get("seq").(int64))
		s.last = d.Request.CreatedAt.UnixMicro()
		s.id = id[:len(id)-12]
	}
	return s
}

func readRows(b *testing.B, db *sql.DB, text string, args ...any) (all []columns) {
	b.Helper()
	rows, err := db.QueryContext(b.Context(), text, args...)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var c columns
		if c.names, err = rows.Columns(); err != nil {
			b.Fatal(err)
		}
		into := make([]any, len(c.names))
		c.values = make([]any, len(c.names))
		for i := range into {
			into[i] = &c.values[i]
		}
		if err := rows.Scan(into...); err != nil {
			b.Fatal(err)
		}
		all = append(all, c)
	}
	if err := rows.Err(); err != nil || len(all) == 0 {
		b.Fatalf("%s gave %d rows: %v", text, len(all), err)
	}
	return all
}

func (c columns) get(name string) any {
	for i, n := range c.names {
		if n == name {
			return c.values[i]
		}
	}
	return nil
}

// rows gives the rows of the i-th request: those of the person with the machine of another sample, later than all
// before.
func (s *samples) rows(i int64) []bareRow {
	person, machine := pair(i)
	by, at := s.of[person], s.of[machine]
	changed := map[string]any{
		"machine": at["request_machines"][0].get("machine"), "policy": at["grants"][0].get("policy"),
		"items": at["requests"][0].get("items"),
	}
	later := s.last + i - by["requests"][0].get("created_at").(int64)
	id := fmt.Sprintf("%s%012x", s.id, i)
	add := func(rows []bareRow, table, key string, n int64) []bareRow {
		for k, row := range by[table] {
			args := make([]any, len(row.values))
			for c, value := range row.values {
				other, ok := changed[row.names[c]]
				instant, number := value.(int64)
				switch {
				case row.names[c] == key, table == "grants" && row.names[c] == "id":
					value = id
				case row.names[c] == "seq":
					value = n + int64(k)
				case ok && value != "":
					value = other
				case number && instant > micro2001:
					value = instant + later
				}
				args[c] = value
			}
			rows = append(rows, bareRow{s.inserts[table], args})
		}
		return rows
	}
	rows := add(nil, "requests", "id", 0)
	rows = add(rows, "request_machines", "request", 0)
	rows = add(rows, "grants", "request", 0)
	rows = append(rows,
		bareRow{"update agents set revision = revision + 1 where id = $1", []any{at["machines"][0].get("agent")}})
	return add(rows, "events", "request", s.seq+1+int64(len(by["events"]))*i)
}
