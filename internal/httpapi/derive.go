package httpapi

import (
	"context"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine/services"
)

const (
	derivers      = 4   // read transactions at once
	deriveMost    = 100 // agents in one of them
	deriveTimeout = 30 * time.Second
)

// deriver derives desired states for many streams: those that ask while others are being derived share the next read
// transaction. A stream that asks alone does not wait.
type deriver struct {
	engine *services.Services
	owner  *sync.WaitGroup // of the goroutines that it starts

	mu      sync.Mutex // protects what follows
	waiting []wish
	running int
}

type wish struct {
	agent access.AgentID
	state chan<- derived // has room for one
}

type derived struct {
	state access.DesiredState
	err   error
}

// of gives the desired state of an agent, as it was after the call began.
func (d *deriver) of(ctx context.Context, agent access.AgentID) (access.DesiredState, error) {
	state := make(chan derived, 1)
	d.mu.Lock()
	d.waiting = append(d.waiting, wish{agent: agent, state: state})
	if d.running < derivers {
		d.running++
		d.owner.Go(d.run)
	}
	d.mu.Unlock()
	select {
	case got := <-state:
		return got.state, got.err
	case <-ctx.Done():
		return access.DesiredState{}, ctx.Err()
	}
}

// run derives until nobody waits.
func (d *deriver) run() {
	for {
		batch := d.take()
		if batch == nil {
			return
		}
		agents := make([]access.AgentID, len(batch))
		for i, w := range batch {
			agents[i] = w.agent
		}
		ctx, cancel := context.WithTimeout(context.Background(), deriveTimeout)
		states, errs := d.engine.Machines.DesiredOf(ctx, agents)
		cancel()
		for i, w := range batch {
			w.state <- derived{state: states[i], err: errs[i]}
		}
	}
}

// take gives the wishes that have waited longest, or nil and one goroutine less.
func (d *deriver) take() []wish {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(d.waiting), deriveMost)
	if n == 0 {
		d.running--
		d.waiting = nil
		return nil
	}
	batch := d.waiting[:n:n]
	d.waiting = d.waiting[n:]
	return batch
}
