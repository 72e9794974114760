package store

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postern-dev/postern/internal/core/access"
)

// replicas tells the other servers on one PostgreSQL what was committed, and hears it from them, by NOTIFY and LISTEN.
// It notifies outside the transaction, where NOTIFY would serialise commits, and gathers what is committed meanwhile.
// A message may be lost with a connection: whoever waits must also poll, slowly.
type replicas struct {
	pool    *pgxpool.Pool
	log     *slog.Logger
	hub     *hub
	channel string
	self    string

	mu      sync.Mutex // protects what is to be told
	agents  map[access.AgentID]struct{}
	events  bool
	pending chan struct{}

	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// joinReplicas returns when the server hears what others commit.
func joinReplicas(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger, h *hub) (*replicas, error) {
	var schema string
	if err := pool.QueryRow(ctx, "select current_schema()").Scan(&schema); err != nil {
		return nil, err
	}
	r := &replicas{pool: pool, log: log, hub: h, channel: "postern " +
		schema, self: strconv.FormatUint(rand.Uint64(), 36), //nolint:gosec // a name, not a secret
		agents: map[access.AgentID]struct{}{}, pending: make(chan struct{}, 1)}
	conn, err := r.listen(ctx)
	if err != nil {
		return nil, err
	}
	ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	r.ended.Go(func() { r.hear(ctx, conn) })
	r.ended.Go(func() { r.tell(ctx) })
	return r, nil
}

// leave tells what is still to be told, and stops.
func (r *replicas) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r.notify(ctx)
	r.cancel()
	r.ended.Wait()
}

func (r *replicas) announce(n news) {
	r.mu.Lock()
	for _, agent := range n.agents {
		r.agents[agent] = struct{}{}
	}
	r.events = r.events || n.events
	r.mu.Unlock()
	select {
	case r.pending <- struct{}{}:
	default:
	}
}

func (r *replicas) tell(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.pending:
			r.notify(ctx)
		}
	}
}

// A message is the sender, then "e" where events were appended, then the agents; "*" stands for all of them.
const (
	messageEvents = "e"
	messageAll    = "*"
	messageMost   = 7000 // PostgreSQL takes less than 8,000 bytes
)

func (r *replicas) notify(ctx context.Context) {
	r.mu.Lock()
	fields := []string{r.self, ""}
	if r.events {
		fields[1] = messageEvents
	}
	for agent := range r.agents {
		fields = append(fields, string(agent))
	}
	r.agents, r.events = map[access.AgentID]struct{}{}, false
	r.mu.Unlock()
	if len(fields) == 2 && fields[1] == "" {
		return
	}
	message := strings.Join(fields, ",")
	if len(message) > messageMost {
		message = strings.Join([]string{r.self, fields[1], messageAll}, ",")
	}
	if _, err := r.pool.Exec(ctx, "select pg_notify($1, $2)", r.channel, message); err != nil && ctx.Err() == nil {
		r.log.WarnContext(ctx, "other replicas were not told of a commit and will see it when they poll", "error", err)
	}
}

func (r *replicas) listen(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, r.pool.Config().ConnConfig)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{r.channel}.Sanitize()); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return conn, nil
}

// hear passes on what others commit, until ctx ends. After each break it wakes everybody: it may have missed something.
func (r *replicas) hear(ctx context.Context, conn *pgx.Conn) {
	const most = 10 * time.Second
	pause := 100 * time.Millisecond
	for {
		var err error
		if conn == nil {
			conn, err = r.listen(ctx)
			if err == nil {
				r.hub.tellAll()
			}
		}
		if err == nil {
			pause = 100 * time.Millisecond
			err = r.pass(ctx, conn)
			_ = conn.Close(context.WithoutCancel(ctx)) // it is broken or no longer needed
			conn = nil
		}
		if ctx.Err() != nil {
			return
		}
		r.log.WarnContext(ctx, "lost the connection that tells of other replicas' commits; trying again", "error", err,
			"pause", pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, most)
	}
}

func (r *replicas) pass(ctx context.Context, conn *pgx.Conn) error {
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		fields := strings.Split(n.Payload, ",")
		if len(fields) < 2 || fields[0] == r.self {
			continue
		}
		heard := news{events: fields[1] == messageEvents}
		for _, agent := range fields[2:] {
			if agent == messageAll {
				r.hub.tellAll()
			}
			heard.agents = append(heard.agents, access.AgentID(agent))
		}
		r.hub.tell(heard)
	}
}
