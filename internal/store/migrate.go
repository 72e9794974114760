package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Migrations go forward only, one file a number for both engines, whose own words dialect fills in. A migration that
// was released never changes: testdata/migrations.txt holds what each is.
//
//go:embed migrations
var migrationFiles embed.FS

type migration struct {
	number   int64
	name     string
	text     string
	checksum string // of the text as the engine got it
}

// migrations reads the migrations of one engine in their order.
func migrations(d dialect) ([]migration, error) {
	entries, err := fs.ReadDir(migrationFiles, "migrations")
	if err != nil {
		return nil, err
	}
	found := make([]migration, 0, len(entries))
	for i, entry := range entries {
		number, name, _ := strings.Cut(strings.TrimSuffix(entry.Name(), ".sql"), "_")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n != int64(i)+1 {
			return nil, fmt.Errorf("migration %s is not number %d", entry.Name(), i+1)
		}
		raw, err := fs.ReadFile(migrationFiles, path.Join("migrations", entry.Name()))
		if err != nil {
			return nil, err
		}
		text, err := d.fill(string(raw))
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", entry.Name(), err)
		}
		sum := sha256.Sum256([]byte(text))
		found = append(found, migration{number: n, name: name, text: text, checksum: hex.EncodeToString(sum[:])})
	}
	return found, nil
}

// migrator is what a migration needs of an engine.
type migrator interface {
	dialect() dialect
	// lock keeps other processes from migrating until unlock.
	lock(ctx context.Context) error
	unlock(ctx context.Context) error
	applied(ctx context.Context) ([]migration, error)
	// apply runs a script and records it, in one transaction.
	apply(ctx context.Context, m migration) error
}

const (
	createMigrations = `create table if not exists schema_migrations (
    number   bigint not null,
    name     text not null,
    checksum text not null,
    constraint schema_migrations_pk primary key (number)
)`
	selectMigrations = "select number, name, checksum from schema_migrations order by number" + everyRow
	insertMigration  = "insert into schema_migrations (number, name, checksum) values ($1, $2, $3)"
)

// migrate carries out the migrations that the database has not.
func migrate(ctx context.Context, m migrator) error {
	wanted, err := migrations(m.dialect())
	if err != nil {
		return err
	}
	return carryOut(ctx, m, wanted)
}

func carryOut(ctx context.Context, m migrator, wanted []migration) (err error) {
	if err := m.lock(ctx); err != nil {
		return fmt.Errorf("lock the schema: %w", err)
	}
	defer func() { err = errors.Join(err, m.unlock(context.WithoutCancel(ctx))) }()
	have, err := m.applied(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if len(have) > len(wanted) {
		return fmt.Errorf("the database has schema %d and this program knows %d: use the newer program", len(have),
			len(wanted))
	}
	for i, w := range wanted {
		if i >= len(have) {
			if err := m.apply(ctx, w); err != nil {
				return fmt.Errorf("migration %d %s: %w", w.number, w.name, err)
			}
			// The lock may have been somebody else's meanwhile, who went on from here.
			if have, err = m.applied(ctx); err != nil {
				return fmt.Errorf("read the schema's version: %w", err)
			}
			continue
		}
		if h := have[i]; h.number != w.number || h.name != w.name || h.checksum != w.checksum {
			return fmt.Errorf("the database has migration %d %s in another form than this program: it was made by a "+
				"program that is not this one's ancestor",
				h.number, h.name)
		}
	}
	return nil
}

func scanMigration(row scanner) (m migration, err error) {
	err = row.Scan(&m.number, &m.name, &m.checksum)
	return m, err
}

// sqliteMigrator locks by a transaction around each migration, so that another process may come in between two.
type sqliteMigrator struct{ conn *sql.Conn }

func (m *sqliteMigrator) dialect() dialect { return sqliteDialect }

func (m *sqliteMigrator) lock(ctx context.Context) error {
	_, err := m.conn.ExecContext(ctx, "begin immediate;"+createMigrations)
	return err
}

func (m *sqliteMigrator) unlock(ctx context.Context) error {
	_, err := m.conn.ExecContext(ctx, "rollback")
	return err
}

func (m *sqliteMigrator) applied(ctx context.Context) ([]migration, error) {
	return whole(ctx, connQuerier{m.conn}, scanMigration, selectMigrations)
}

func (m *sqliteMigrator) apply(ctx context.Context, next migration) error {
	if _, err := m.conn.ExecContext(ctx, next.text); err != nil {
		return err
	}
	if _, err := m.conn.ExecContext(ctx, insertMigration, next.number, next.name, next.checksum); err != nil {
		return err
	}
	_, err := m.conn.ExecContext(ctx, "commit; begin immediate")
	return err
}

// postgresMigrator locks by an advisory lock of its session.
type postgresMigrator struct{ conn *pgx.Conn }

// migrationLock is any number that nobody else uses: "postern" in ASCII.
const migrationLock = 0x706f737465726e

func (m *postgresMigrator) dialect() dialect { return postgresDialect }

func (m *postgresMigrator) lock(ctx context.Context) error {
	if _, err := m.conn.Exec(ctx, "select pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return err
	}
	_, err := m.conn.Exec(ctx, createMigrations)
	return err
}

func (m *postgresMigrator) unlock(ctx context.Context) error {
	_, err := m.conn.Exec(ctx, "select pg_advisory_unlock($1)", int64(migrationLock))
	return err
}

func (m *postgresMigrator) applied(ctx context.Context) ([]migration, error) {
	rows, err := m.conn.Query(ctx, selectMigrations)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (migration, error) { return scanMigration(row) })
}

func (m *postgresMigrator) apply(ctx context.Context, next migration) error {
	return pgx.BeginFunc(ctx, m.conn, func(tx pgx.Tx) error {
		if _, err := tx.Conn().PgConn().Exec(ctx, next.text).ReadAll(); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, insertMigration, next.number, next.name, next.checksum)
		return err
	})
}

// connQuerier runs statements on a bare connection.
type connQuerier struct{ conn *sql.Conn }

func (q connQuerier) query(ctx context.Context, text string, args ...any) (answer, error) {
	return q.conn.QueryContext(ctx, text, args...) //nolint:rowserrcheck // all asks for it
}

func (q connQuerier) broken(error) {}
