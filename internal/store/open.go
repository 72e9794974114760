package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// Config says where things are kept. Both fields are required.
type Config struct {
	// postgres://… for PostgreSQL; anything else is the path of an SQLite file, which is made where it is missing
	DSN string
	Log *slog.Logger
}

// DB is an open store. It is safe for concurrent use.
type DB struct {
	log     *slog.Logger
	backend backend
	hub     *hub
	inserts inserts
	scopes  scopeCache

	calls   chan *call    // changes that wait for their batch
	closing chan struct{} // closed when Close begins
	stopped chan struct{} // closed when the committer has ended
	once    sync.Once
}

var _ engine.Store = (*DB)(nil)

// backend is what differs between SQLite and PostgreSQL.
type backend interface {
	// view calls fn with a consistent state of the database, and undoes what fn might write.
	view(ctx context.Context, fn func(querier) error) error
	// writer gives the connection for the next transaction; the committer alone calls it.
	writer(ctx context.Context) (writer, error)
	// announce tells other replicas what was committed; it does not wait.
	announce(n news)
	// bound gives the context of one transaction, which may not last longer than most where the database is remote.
	bound(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc)
	ping(ctx context.Context) error
	scrub(ctx context.Context) error
	close() error
}

// Open opens the store and brings its schema up to date. It refuses a schema that is newer than this program.
func Open(ctx context.Context, c Config) (*DB, error) {
	if c.DSN == "" || c.Log == nil {
		return nil, errors.New("open store: it needs a DSN and a log")
	}
	db := &DB{
		log: c.Log, hub: newHub(), inserts: newInserts(), calls: make(chan *call, maxBatch),
		closing: make(chan struct{}), stopped: make(chan struct{}),
	}
	var err error
	if strings.HasPrefix(c.DSN, "postgres://") || strings.HasPrefix(c.DSN, "postgresql://") {
		db.backend, err = openPostgres(ctx, c.DSN, c.Log, db.hub)
	} else {
		db.backend, err = openSQLite(ctx, c.DSN)
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	go db.commitLoop(context.WithoutCancel(ctx))
	return db, nil
}

// Close finishes what is being committed, refuses what still waits, and closes the database. Further calls do nothing.
func (db *DB) Close() error {
	var err error
	db.once.Do(func() {
		close(db.closing)
		<-db.stopped
		err = db.backend.close()
	})
	return err
}

// View implements engine.Store.
func (db *DB) View(ctx context.Context, fn func(engine.Reader) error) error {
	return db.backend.view(ctx, func(q querier) error { return fn(&reader{q: q, scopes: &db.scopes}) })
}

// Ping implements engine.Store.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.backend.ping(ctx); err != nil {
		return classify("", err)
	}
	return nil
}

// Scrub implements engine.Store.
func (db *DB) Scrub(ctx context.Context) error {
	if err := db.backend.scrub(ctx); err != nil {
		return classify("", err)
	}
	return nil
}

// Watch implements engine.Store.
func (db *DB) Watch(agent access.AgentID) (changed <-chan struct{}, stop func()) {
	return db.hub.watch(agent)
}

// WatchEvents implements engine.Store.
func (db *DB) WatchEvents() (changed <-chan struct{}, stop func()) { return db.hub.watchEvents() }

func errClosed() error {
	return access.Fault(access.KindUnavailable, "storeClosed", "the server is stopping; try again")
}
