package enforce_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
)

// memory is a target in memory that behaves like a kernel: each opening has a timeout that runs on the timers' clock,
// it can lose openings, be changed by others, be slow to end them, refuse, and fail.
type memory struct {
	mu      sync.Mutex // protects all below
	held    map[access.OpeningKey]*element
	applied map[access.OpeningKey]time.Time
	asked   int // calls of Apply
	failing error
	blind   error         // of Held
	late    time.Duration // how much longer than asked for it holds openings
	refuses func(access.OpeningKey) string

	drift  chan string
	denied chan access.Denied
}

type element struct {
	ends    time.Time // on the timers' clock
	packets uint64
}

func newMemory() *memory {
	return &memory{
		held: make(map[access.OpeningKey]*element), drift: make(chan string, 16),
		denied: make(chan access.Denied, 16),
	}
}

var errBusy = errors.New("the target is busy")

func (m *memory) Apply(_ context.Context, d *access.DesiredState, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.failing != nil {
		return m.failing
	}
	m.expire()
	wanted := make(map[access.OpeningKey]time.Time)
	partial := &enforce.PartialError{Keys: make(map[access.OpeningKey]string)}
	if d != nil {
		for _, o := range d.Openings {
			if !o.Until.After(now) {
				continue
			}
			if m.refuses != nil {
				if why := m.refuses(o.OpeningKey); why != "" {
					partial.Keys[o.OpeningKey] = why
					continue
				}
			}
			wanted[o.OpeningKey] = o.Until
		}
	}
	for key := range m.held {
		if _, ok := wanted[key]; !ok {
			delete(m.held, key)
		}
	}
	for key, until := range wanted {
		if m.held[key] == nil {
			m.held[key] = &element{}
		}
		m.held[key].ends = time.Now().Add(until.Sub(now)).Add(m.late)
	}
	m.applied = wanted
	if len(partial.Keys) > 0 {
		return partial
	}
	return nil
}

func (m *memory) expire() {
	for key, e := range m.held {
		if !e.ends.After(time.Now()) {
			delete(m.held, key)
		}
	}
}

func (m *memory) Held(_ context.Context, keys []access.OpeningKey, now time.Time) ([]enforce.Held, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.blind != nil {
		return nil, m.blind
	}
	m.expire()
	var held []enforce.Held
	for key, e := range m.held {
		if keys == nil || slices.Contains(keys, key) {
			held = append(held,
				enforce.Held{Key: key, Until: now.Add(time.Until(e.ends)), Packets: e.packets, Bytes: e.packets * 100})
		}
	}
	return held, nil
}

func (m *memory) Drift() <-chan string         { return m.drift }
func (m *memory) Denied() <-chan access.Denied { return m.denied }
func (m *memory) Close() error                 { return nil }

// String renders what is held, with what remains.
func (m *memory) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire()
	lines := make([]string, 0, len(m.held))
	for key, e := range m.held {
		lines = append(lines,
			fmt.Sprintf("%s %s %s/%s %s", key.Machine, key.Source, key.Ports, key.Protocol, time.Until(e.ends)))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (m *memory) has(key access.OpeningKey) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire()
	return m.held[key] != nil
}

func (m *memory) change(fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fn()
}
