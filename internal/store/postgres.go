package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	postgresConns  = 16
	commitPostgres = "commit"
)

// postgresBackend is one pool, which database/sql reads through and the committer writes through.
type postgresBackend struct {
	pool     *pgxpool.Pool
	db       *sql.DB
	replicas *replicas
}

func openPostgres(ctx context.Context, dsn string, log *slog.Logger, h *hub) (backend, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.MaxConns = max(config.MaxConns, postgresConns)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	b := &postgresBackend{pool: pool, db: stdlib.OpenDBFromPool(pool)}
	err = pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return migrate(ctx, &postgresMigrator{conn: c.Conn()}) })
	if err == nil {
		b.replicas, err = joinReplicas(ctx, pool, log, h)
	}
	if err != nil {
		return nil, errors.Join(err, b.close()) //nolint:contextcheck // closing has a limit of its own
	}
	return b, nil
}

func (b *postgresBackend) view(ctx context.Context, fn func(querier) error) error {
	tx, err := b.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return classify("", err)
	}
	defer func() { _ = tx.Rollback() }() // there is nothing to lose
	return fn(postgresReader{tx})
}

type postgresReader struct{ tx *sql.Tx }

func (r postgresReader) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if err := checkText("", args); err != nil {
		return nil, err
	}
	return r.tx.QueryContext(ctx, text, args...)
}

func (r postgresReader) broken(error) {}

func (b *postgresBackend) writer(ctx context.Context) (writer, error) {
	conn, err := b.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &postgresWriter{pool: b.pool, conn: conn}
	err = conn.Raw(func(driverConn any) error {
		c, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("the driver's connection is a %T", driverConn)
		}
		w.native = c.Conn()
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return w, nil
}

func (b *postgresBackend) bound(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, most)
}

func (b *postgresBackend) announce(n news) { b.replicas.announce(n) }

func (b *postgresBackend) ping(ctx context.Context) error { return b.pool.Ping(ctx) }

func (b *postgresBackend) close() error {
	if b.replicas != nil {
		b.replicas.leave()
	}
	err := b.db.Close()
	b.pool.Close()
	return err
}

// postgresWriter is a connection in a transaction. It queues writes, and sends them in one round trip before the next
// read, at the end of a call, and with the commit.
type postgresWriter struct {
	pool   *pgxpool.Pool
	conn   *sql.Conn
	native *pgx.Conn
	open   bool
	id     int64 // of the transaction

	queue []write
	sent  bool // the savepoint of the present call was sent
	mark  int  // length of the queue before it was queued
}

func (w *postgresWriter) begin(ctx context.Context) (head, error) {
	b := &pgx.Batch{}
	b.Queue("begin")
	b.Queue(selectHead + " for update")
	b.Queue("select txid_current()")
	w.open = true
	results := w.native.SendBatch(ctx, b)
	h, err := func() (head, error) {
		if _, err := results.Exec(); err != nil {
			return head{}, err
		}
		h, err := scanHead(results.QueryRow())
		if err != nil {
			return head{}, err
		}
		return h, results.QueryRow().Scan(&w.id)
	}()
	return h, errors.Join(err, results.Close())
}

func (w *postgresWriter) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if err := w.flush(ctx); err != nil {
		return nil, err
	}
	return w.conn.QueryContext(ctx, text, args...)
}

func (w *postgresWriter) broken(error) {}

func (w *postgresWriter) exec(_ context.Context, wr write) error {
	w.queue = append(w.queue, wr)
	return nil
}

func (w *postgresWriter) flush(ctx context.Context) error {
	if len(w.queue) == 0 {
		return nil
	}
	queue := w.queue
	w.queue, w.sent = nil, true
	b := &pgx.Batch{}
	for _, wr := range queue {
		b.Queue(wr.sql, wr.args...)
	}
	results := w.native.SendBatch(ctx, b)
	var err error
	for _, wr := range queue {
		var tag pgconn.CommandTag
		if tag, err = results.Exec(); err != nil {
			err = classify(wr.what, err)
			break
		}
		if wr.sql == commitPostgres && tag.String() != "COMMIT" {
			err = fmt.Errorf("the commit ended in %s", tag) // PostgreSQL's answer where a statement had failed unseen
			break
		}
		if wr.none != nil && tag.RowsAffected() == 0 {
			err = wr.none
			break
		}
	}
	closing := results.Close()
	if err == nil {
		err = closing
	}
	return err
}

func (w *postgresWriter) save(ctx context.Context) error {
	w.mark, w.sent = len(w.queue), false
	return w.exec(ctx, write{sql: "savepoint s"})
}

// release goes with what is sent next.
func (w *postgresWriter) release(ctx context.Context) error {
	return w.exec(ctx, write{sql: "release savepoint s"})
}

func (w *postgresWriter) undo(ctx context.Context) error {
	if !w.sent {
		w.queue = w.queue[:w.mark]
		return nil
	}
	w.queue = nil
	if _, err := w.native.Exec(ctx, "rollback to savepoint s"); err != nil {
		return err
	}
	return w.release(ctx)
}

// commit goes with what is queued. Where the connection breaks in it, the transaction's id tells another connection how
// it ended.
func (w *postgresWriter) commit(ctx context.Context) error {
	if err := w.exec(ctx, write{sql: commitPostgres}); err != nil {
		return err
	}
	err := w.flush(ctx)
	if err == nil {
		w.open = false
		return nil
	}
	if f := faultOf(err); f != faultLost && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	committed, asked := w.outcome(ctx)
	switch {
	case asked != nil:
		return errors.Join(errUnknownOutcome, err, asked)
	case committed:
		return nil
	default:
		return err
	}
}

// outcome tells whether the transaction was committed. The server may take a moment to see that its connection is gone.
func (w *postgresWriter) outcome(ctx context.Context) (committed bool, err error) {
	const pause = 50 * time.Millisecond
	for {
		var status sql.NullString
		if err := w.pool.QueryRow(ctx, "select txid_status($1)", w.id).Scan(&status); err != nil && faultOf(err) != faultLost {
			return false, err
		}
		switch status.String {
		case "committed":
			return true, nil
		case "aborted":
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (w *postgresWriter) end(ctx context.Context) {
	if w.open && !w.native.IsClosed() {
		if _, err := w.native.Exec(ctx, "rollback"); err != nil {
			_ = w.native.Close(ctx) // the pool drops a closed connection
		}
	}
	_ = w.conn.Close() // it only goes back to the pool
}
