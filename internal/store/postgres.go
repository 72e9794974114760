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
)

const (
	postgresConns  = 16
	commitPostgres = "commit"
)

// postgresBackend is one pool, for those who read and for the committer.
type postgresBackend struct {
	pool     *pgxpool.Pool
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
	b := &postgresBackend{pool: pool}
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
	tx, err := b.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return classify("", err)
	}
	defer func() {
		const most = 5 * time.Second
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
		defer cancel()
		_ = tx.Rollback(ctx) // there is nothing to lose
	}()
	return fn(postgresReader{tx})
}

type postgresReader struct{ tx pgx.Tx }

func (r postgresReader) query(ctx context.Context, text string, args ...any) (answer, error) {
	if err := checkText("", args); err != nil {
		return nil, err
	}
	rows, err := r.tx.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return postgresAnswer{rows}, nil
}

func (r postgresReader) broken(error) {}

// postgresAnswer is the rows of one statement.
type postgresAnswer struct{ pgx.Rows }

func (a postgresAnswer) Close() error {
	a.Rows.Close()
	return a.Err()
}

func (b *postgresBackend) writer(ctx context.Context) (writer, error) {
	conn, err := b.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return &postgresWriter{pool: b.pool, conn: conn}, nil
}

func (b *postgresBackend) bound(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, most)
}

func (b *postgresBackend) announce(n news) { b.replicas.announce(n) }

func (b *postgresBackend) ping(ctx context.Context) error { return b.pool.Ping(ctx) }

// scrub writes the table of settings anew; PostgreSQL's own log and its archives keep what they hold.
func (b *postgresBackend) scrub(ctx context.Context) error {
	_, err := b.pool.Exec(ctx, "vacuum full settings")
	return err
}

func (b *postgresBackend) close() error {
	if b.replicas != nil {
		b.replicas.leave()
	}
	b.pool.Close()
	return nil
}

// postgresWriter is a connection in a transaction. It queues writes, and sends them in one round trip: with the next
// read, at the end of a call, or with the commit.
type postgresWriter struct {
	pool *pgxpool.Pool
	conn *pgxpool.Conn
	open bool
	id   int64 // of the transaction

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
	results := w.conn.SendBatch(ctx, b)
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

func (w *postgresWriter) query(ctx context.Context, text string, args ...any) (answer, error) {
	results, err := w.send(ctx, func(b *pgx.Batch) { b.Queue(text, args...) })
	if err != nil {
		return nil, err
	}
	rows, err := results.Query()
	if err != nil {
		_ = results.Close() // it says the same
		return nil, err
	}
	return lastAnswer{Rows: rows, results: results}, nil
}

// lastAnswer is the rows of the last of the statements that were sent together.
type lastAnswer struct {
	pgx.Rows

	results pgx.BatchResults
}

func (a lastAnswer) Close() error {
	a.Rows.Close()
	return a.results.Close()
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
	results, err := w.send(ctx, func(*pgx.Batch) {})
	if err != nil {
		return err
	}
	return results.Close()
}

// send sends what is queued, and what add adds, of which the results are still to be read.
func (w *postgresWriter) send(ctx context.Context, add func(*pgx.Batch)) (pgx.BatchResults, error) {
	queue := w.queue
	w.queue, w.sent = nil, w.sent || len(w.queue) > 0
	b := &pgx.Batch{}
	for _, wr := range queue {
		b.Queue(wr.sql, wr.args...)
	}
	add(b)
	results := w.conn.SendBatch(ctx, b)
	for _, wr := range queue {
		if err := wr.took(results.Exec()); err != nil {
			_ = results.Close() // it says the same, or less
			return nil, err
		}
	}
	return results, nil
}

// took tells how the write ended.
func (wr write) took(tag pgconn.CommandTag, err error) error {
	switch {
	case err != nil:
		return classify(wr.what, err)
	case wr.sql == commitPostgres && tag.String() != "COMMIT":
		return fmt.Errorf("the commit ended in %s", tag) // PostgreSQL's answer where a statement had failed unseen
	case wr.none != nil && tag.RowsAffected() == 0:
		return wr.none
	}
	return nil
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
	if _, err := w.conn.Exec(ctx, "rollback to savepoint s"); err != nil {
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
		if err := w.pool.QueryRow(ctx, "select txid_status($1)", w.id).Scan(
			&status); err != nil && faultOf(err) != faultLost {
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
	if w.open && !w.conn.Conn().IsClosed() {
		if _, err := w.conn.Exec(ctx, "rollback"); err != nil {
			_ = w.conn.Conn().Close(ctx) // the pool drops a closed connection
		}
	}
	w.conn.Release()
}
