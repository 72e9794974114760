package store

import (
	"sync"

	"github.com/postern-dev/postern/internal/core/access"
)

// hub wakes those who wait for a commit.
type hub struct {
	mu     sync.Mutex // protects both maps
	agents map[access.AgentID]map[chan struct{}]struct{}
	events map[chan struct{}]struct{}
}

func newHub() *hub {
	return &hub{agents: map[access.AgentID]map[chan struct{}]struct{}{}, events: map[chan struct{}]struct{}{}}
}

func (h *hub) watch(agent access.AgentID) (changed <-chan struct{}, stop func()) {
	wake := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.agents[agent] == nil {
		h.agents[agent] = map[chan struct{}]struct{}{}
	}
	h.agents[agent][wake] = struct{}{}
	return wake, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.agents[agent], wake)
		if len(h.agents[agent]) == 0 {
			delete(h.agents, agent)
		}
	}
}

func (h *hub) watchEvents() (changed <-chan struct{}, stop func()) {
	wake := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events[wake] = struct{}{}
	return wake, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.events, wake)
	}
}

func (h *hub) tell(n news) {
	if n.empty() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, agent := range n.agents {
		ring(h.agents[agent])
	}
	if n.events {
		ring(h.events)
	}
}

// tellAll wakes everybody, since something may have been missed.
func (h *hub) tellAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, watchers := range h.agents {
		ring(watchers)
	}
	ring(h.events)
}

func ring(watchers map[chan struct{}]struct{}) {
	for wake := range watchers {
		select {
		case wake <- struct{}{}:
		default: // it is awake already
		}
	}
}
