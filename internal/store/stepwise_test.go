package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"modernc.org/sqlite"
)

// Stepwise carries out migrations on a connection of its own, statement by statement.
type Stepwise struct {
	dialect dialect
	lite    *sql.Conn
	pg      *pgx.Conn
}

// OpenStepwise connects to a database, and leaves what is in it alone.
func OpenStepwise(tb testing.TB, dsn string) *Stepwise {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context())
	if strings.HasPrefix(dsn, "postgres") {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = conn.Close(ctx) })
		return &Stepwise{dialect: postgresDialect, pg: conn}
	}
	// So small a cache has pages of a transaction that is not committed written to the file.
	db, err := sql.Open("sqlite", sqliteDSN(dsn, "_pragma=journal_mode(wal)", "_pragma=foreign_keys(1)",
		"_pragma=cache_size(10)"))
	if err != nil {
		tb.Fatal(err)
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _, _ = conn.Close(), db.Close() })
	return &Stepwise{dialect: sqliteDialect, lite: conn}
}

func (s *Stepwise) migrator() migrator {
	if s.pg != nil {
		return &postgresMigrator{conn: s.pg}
	}
	return &sqliteMigrator{conn: s.lite}
}

// MigrationNames returns what the migrations are called, in their order.
func MigrationNames(tb testing.TB) (names []string) {
	tb.Helper()
	list, err := migrations(sqliteDialect)
	if err != nil {
		tb.Fatal(err)
	}
	for _, m := range list {
		names = append(names, m.name)
	}
	return names
}

// MigrationSums returns a line for each migration with what identifies it on each engine.
func MigrationSums(tb testing.TB) (lines []string) {
	tb.Helper()
	lite, err := migrations(sqliteDialect)
	if err != nil {
		tb.Fatal(err)
	}
	pg, err := migrations(postgresDialect)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range lite {
		lines = append(lines, fmt.Sprintf("%04d %s %s %s", lite[i].number, lite[i].name, lite[i].checksum, pg[i].checksum))
	}
	return lines
}

// To carries out the migrations that are missing up to a number.
func (s *Stepwise) To(tb testing.TB, number int) {
	tb.Helper()
	list, err := migrations(s.dialect)
	if err == nil {
		err = carryOut(context.WithoutCancel(tb.Context()), s.migrator(), list[:number])
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// Statements returns how many statements a migration has.
func (s *Stepwise) Statements(tb testing.TB, number int) int {
	tb.Helper()
	return len(s.statements(tb, number))
}

func (s *Stepwise) statements(tb testing.TB, number int) (list []string) {
	tb.Helper()
	all, err := migrations(s.dialect)
	if err != nil {
		tb.Fatal(err)
	}
	var one strings.Builder
	for line := range strings.Lines(all[number-1].text) {
		one.WriteString(line)
		text := one.String()
		inside := strings.Count(text, "$$")%2 == 1
		if s.lite != nil && strings.Contains(text, "create trigger") {
			inside = !strings.HasSuffix(text, "\nend;\n")
		}
		if strings.HasSuffix(text, ";\n") && !inside {
			list = append(list, text)
			one.Reset()
		}
	}
	if rest := strings.TrimSpace(one.String()); rest != "" {
		tb.Fatalf("migration %d ends with half a statement: %q", number, rest)
	}
	return list
}

// HangIn has the migrator carry out a migration and never return from within it.
func (s *Stepwise) HangIn(tb testing.TB, number int) {
	tb.Helper()
	list, err := migrations(s.dialect)
	if err == nil {
		own := s.statements(tb, number)
		list[number-1].text = strings.Join(own[:3], "") + s.loss("", "") + strings.Join(own[3:], "")
		err = carryOut(tb.Context(), s.migrator(), list)
	}
	tb.Fatalf("migration %d ended: %v", number, err)
}

// BreakOff has the migrator carry out a migration and loses it behind its first statements; one more than there are is
// what the migrator writes behind them. It returns where the database is then, as the next process finds it.
func (s *Stepwise) BreakOff(tb testing.TB, dsn string, number, statements int) (left string) {
	tb.Helper()
	list, err := migrations(s.dialect)
	if err != nil {
		tb.Fatal(err)
	}
	left = dsn
	if s.lite != nil {
		left = filepath.Join(tb.TempDir(), "postern.db")
	}
	m, own := &list[number-1], s.statements(tb, number)
	if statements <= len(own) {
		m.text = strings.Join(own[:statements], "") + s.loss(dsn, left)
	} else {
		m.text += fmt.Sprintf(lossAtEnd[s.dialect.name], s.loss(dsn, left))
	}
	if err := carryOut(tb.Context(), s.migrator(), list[:number]); err == nil {
		tb.Fatalf("migration %d goes on without its process", number)
	}
	return left
}

// loss is a statement within which the process is lost: PostgreSQL loses the connection, and of SQLite's files the
// copy is what a killed process leaves.
func (s *Stepwise) loss(from, to string) string {
	if s.pg != nil {
		return "select pg_terminate_backend(pg_backend_pid());"
	}
	return fmt.Sprintf("select broken_off('%s', '%s');", from, to)
}

// lossAtEnd has the same happen when the migration is recorded.
var lossAtEnd = map[string]string{
	"sqlite": `create temp trigger broken_off after insert on main.schema_migrations
begin
    %s
end;`,
	"postgres": `create function broken_off() returns trigger language plpgsql as $$
begin
    perform pg_terminate_backend(pg_backend_pid());
    return null;
end
$$;
create trigger broken_off after insert on schema_migrations for each row execute function broken_off();
-- %s`,
}

func init() {
	sqlite.MustRegisterScalarFunction("broken_off", 2, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		from, to := args[0].(string), args[1].(string)
		if to == "" {
			fmt.Println("begun")
			select {}
		}
		for _, suffix := range []string{"", "-wal"} {
			file, err := os.ReadFile(from + suffix)
			if err == nil {
				err = os.WriteFile(to+suffix, file, 0o600)
			}
			if err != nil {
				return nil, err
			}
		}
		return nil, errors.New("the process is lost")
	})
}

// Everything returns the schema and what is in it, as text.
func (s *Stepwise) Everything(tb testing.TB) string {
	tb.Helper()
	var b strings.Builder
	if s.pg != nil {
		b.WriteString(s.texts(tb, postgresSchema))
		b.WriteString(s.texts(tb, "select schema_to_xml(current_schema(), true, true, '')::text"))
		own := strings.TrimSpace(s.texts(tb, "select current_schema()"))
		return strings.ReplaceAll(b.String(), own, "schema")
	}
	b.WriteString(s.texts(tb, "select type || ' ' || name || ': ' || coalesce(sql, '') from sqlite_master order by 1"))
	for table := range strings.FieldsSeq(s.texts(tb, "select name from sqlite_master where type = 'table' order by 1")) {
		b.WriteString(table + "\n" + s.rows(tb, table))
	}
	return b.String()
}

const postgresSchema = `select line from (
select c.relname || ' ' || c.relkind::text || ' ' || coalesce(pg_get_indexdef(i.indexrelid), '') line from pg_class c left join pg_index i on i.indexrelid = c.oid
where c.relnamespace = current_schema()::regnamespace
union all select c.relname || '.' || a.attnum || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || a.attidentity::text || ' '
|| coalesce(o.collname, '') || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 left join pg_collation o on o.oid = a.attcollation
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace
union all select conname || ' ' || pg_get_constraintdef(oid) from pg_constraint where connamespace = current_schema()::regnamespace
union all select tgname || ' ' || pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = t.tgrelid
where not tgisinternal and c.relnamespace = current_schema()::regnamespace
union all select pg_get_functiondef(oid) from pg_proc where pronamespace = current_schema()::regnamespace) lines order by 1`

// texts returns the first column of a query, a line for each row.
func (s *Stepwise) texts(tb testing.TB, query string) string {
	tb.Helper()
	var lines []string
	var err error
	scan := func(row scanner) (line string, err error) {
		err = row.Scan(&line)
		return line, err
	}
	if s.pg != nil {
		var rows pgx.Rows
		if rows, err = s.pg.Query(tb.Context(), query); err == nil {
			lines, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) { return scan(row) })
		}
	} else {
		lines, err = all(tb.Context(), connQuerier{s.lite}, scan, query)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return strings.Join(lines, "\n") + "\n"
}

// rows returns the rows of a table of SQLite.
func (s *Stepwise) rows(tb testing.TB, table string) string {
	tb.Helper()
	rows, err := s.lite.QueryContext(tb.Context(), "select * from "+table)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		tb.Fatal(err)
	}
	var lines []string
	for rows.Next() {
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			tb.Fatal(err)
		}
		lines = append(lines, fmt.Sprint(values...))
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}
