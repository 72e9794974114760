//go:build linux

package nftables

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/enforce"
)

// Config says where and how to enforce. Log is required.
type Config struct {
	Log        *slog.Logger
	Table      string           // empty means "postern"
	NFLogGroup uint16           // where the kernel sends refused packets; 0 means 7
	NetNS      int              // file descriptor of a network namespace; 0 means the one that we are in
	Now        func() time.Time // the clock that desired states count on; nil: from the instant of each call on
	Plain      bool             // leaves the table open to changes by others, as kernels before 6.9 do
}

// Enforcer keeps one table of one network namespace equal to a desired state. It implements enforce.Enforcer.
type Enforcer struct {
	log       *slog.Logger
	table     string
	group     uint16
	namespace int
	now       func() time.Time
	plain     bool // the kernel cannot, or shall not, give the table to us alone

	wrote []wrote // by the present Apply

	conn  *conn  // nil until the first Apply, and after an error
	known *known // what the table holds as far as we know; nil: nothing, so the next Apply writes everything

	watch    *watch
	hearing  sync.Mutex // protects refusals
	refusals *refusals
	drift    chan string
	denied   chan access.Denied
	stale    atomic.Bool // somebody else changed the table
	missed   atomic.Bool // the kernel told of more changes than we could take, so one of our table may be among those
	targets  atomic.Pointer[targets]
}

// known is what the table holds, as far as we know.
type known struct {
	shape      shape
	sets       []Set // without elements
	chains     []Chain
	protected  guarded
	book       *book
	state      access.DesiredState // as last applied
	structure  []object            // as the kernel listed it after our last change of rules and sets
	generation uint32              // of the kernel's rules, when they were last seen to be ours
}

var _ enforce.Enforcer = (*Enforcer)(nil)

// New makes an enforcer that has not touched the kernel yet. It needs CAP_NET_ADMIN in the namespace and nothing
// else. Close it when done.
func New(c Config) (*Enforcer, error) {
	e := quiet(c)
	var err error
	if e.watch, err = startWatch(e); err != nil {
		return nil, err
	}
	// Enforcement matters more than the count of refused attempts: whoever looks after these asks again.
	if err := e.Hear(); err != nil {
		e.log.Debug("refused attempts are not heard of yet", "error", err)
	}
	return e, nil
}

// quiet makes an enforcer that listens to nothing.
func quiet(c Config) *Enforcer {
	if c.Table == "" {
		c.Table = defaultTable
	}
	if c.NFLogGroup == 0 {
		c.NFLogGroup = defaultGroup
	}
	return &Enforcer{
		log: c.Log, table: c.Table, group: c.NFLogGroup, namespace: c.NetNS, plain: c.Plain, now: c.Now,
		drift: make(chan string, driftQueue), denied: make(chan access.Denied, deniedQueue),
	}
}

const (
	defaultTable = "postern"
	defaultGroup = 7
	driftQueue   = 64
	deniedQueue  = 1024
)

// Drift implements enforce.Enforcer.
func (e *Enforcer) Drift() <-chan string { return e.drift }

// Denied implements enforce.Enforcer.
func (e *Enforcer) Denied() <-chan access.Denied { return e.denied }

// Close implements enforce.Enforcer: the table stays, without an owner.
func (e *Enforcer) Close() error {
	err := e.forget()
	if e.watch != nil {
		err = errors.Join(err, e.watch.close())
	}
	e.hearing.Lock()
	defer e.hearing.Unlock()
	if e.refusals != nil {
		err = errors.Join(err, e.refusals.close())
	}
	return err
}

// forget closes the socket, in which answers might be left, and makes the next Apply write everything.
func (e *Enforcer) forget() error {
	e.known = nil
	if e.conn == nil {
		return nil
	}
	err := e.conn.close()
	e.conn = nil
	return err
}

// Apply implements enforce.Enforcer.
func (e *Enforcer) Apply(_ context.Context, d *access.DesiredState, now time.Time) error {
	clock := e.stopwatch(now)
	if e.stale.Swap(false) {
		e.known = nil
	}
	if d == nil {
		return e.remove()
	}
	if err := e.write(*d, clock); err != nil {
		return err
	}
	if refused := e.known.book.refused; len(refused) > 0 {
		return &enforce.PartialError{Keys: maps.Clone(refused)}
	}
	return nil
}

func (e *Enforcer) write(d access.DesiredState, clock stopwatch) error {
	e.aim(d)
	e.wrote = e.wrote[:0]
	if k := e.known; k != nil && k.state.Mode == d.Mode && (d.Mode != access.ModeGateway || slices.EqualFunc(
		k.state.Machines, d.Machines, sameMachine)) {
		err := e.change(d, clock)
		if err == nil {
			err = e.punctual(clock)
		}
		if err == nil {
			return nil
		}
		// An element that ends while we delete it makes the kernel refuse the transaction; writing everything needs
		// no knowledge of what is there.
		e.log.Debug("write the whole table, since a change was refused", "error", err)
	}
	if err := e.forget(); err != nil {
		e.log.Debug("close a netlink socket", "error", err)
	}
	e.wrote = e.wrote[:0]
	err := e.rewrite(d, clock)
	if err == nil {
		err = e.punctual(clock)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("apply table inet %s: %w", e.table, err), e.forget())
	}
	return nil
}

func sameMachine(a, b access.Guarded) bool {
	return a.Machine == b.Machine && slices.Equal(a.Addresses, b.Addresses)
}

// stopwatch tells the time on the clock that desired states count on.
type stopwatch struct {
	now   func() time.Time
	extra time.Duration // taken off what remains, where nothing else helps: see punctual
}

func (e *Enforcer) stopwatch(at time.Time) stopwatch {
	if e.now != nil {
		return stopwatch{now: e.now}
	}
	started := time.Now()
	return stopwatch{now: func() time.Time { return at.Add(time.Since(started)) }}
}

// left is what remains until an end, less what it takes to write n elements, and less a tick: the kernel counts in
// ticks, and on a busy machine sees one late. Closing a moment too soon is better than one too late.
func (s stopwatch) left(until time.Time, n int) time.Duration {
	return (until.Sub(s.now()) - margin(n) - tick() - s.extra).Truncate(time.Millisecond)
}

func margin(n int) time.Duration { return time.Millisecond + time.Duration(n)*10*time.Microsecond }

// tick is what the kernel counts in.
var tick = sync.OnceValue(func() time.Duration { //nolint:gochecknoglobals // a property of the kernel
	const most = 10 * time.Millisecond
	var t unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE,
		&t); err != nil || t.Nano() <= 0 || time.Duration(t.Nano()) > most {
		return most
	}
	return time.Duration(t.Nano())
})

// early is how much sooner than wanted an element may end without being written again.
func early(n int) time.Duration { return 4*time.Millisecond + time.Duration(n)*20*time.Microsecond }

// late is how much later than wanted an element may seem to end: the kernel counts in steps, and we round.
const late = 4 * time.Millisecond

// remove deletes the table, whoever made it, where we may.
func (e *Enforcer) remove() error {
	if e.conn == nil {
		c, err := e.open()
		if err != nil {
			return err
		}
		e.conn = c
	}
	t, err := e.conn.find()
	switch {
	case err != nil:
	case t == nil:
	default:
		messages := []netlink.Message{deleteTable(e.table)}
		if t.flags&tableOwned != 0 {
			// Only its owner may delete it, and after a restart we are not it yet.
			messages = slices.Insert(messages, 0, newTable(e.table, tableOwned|tablePersists))
		}
		err = e.conn.commit(messages)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("remove table inet %s: %w", e.table, err), e.forget())
	}
	return e.forget()
}

func (e *Enforcer) open() (*conn, error) {
	c, err := dial(e.namespace, e.table)
	if err != nil {
		return nil, err
	}
	if e.watch != nil {
		e.watch.own(c.port())
	}
	return c, nil
}

// targets tells which machine a refused packet was for.
type targets struct {
	mode    access.Mode
	byAddr  map[netip.Addr]access.MachineID
	ports   []access.Protected
	machine access.MachineID // the first, in host mode
}

func (e *Enforcer) aim(d access.DesiredState) {
	if k := e.known; k != nil && slices.EqualFunc(k.state.Machines, d.Machines,
		sameMachine) && slices.Equal(k.state.Protected, d.Protected) {
		return
	}
	t := &targets{mode: d.Mode, byAddr: make(map[netip.Addr]access.MachineID), ports: d.Protected}
	for _, m := range d.Machines {
		if t.machine == "" {
			t.machine = m.Machine
		}
		for _, addr := range m.Addresses {
			t.byAddr[addr.Unmap().WithZone("")] = m.Machine
		}
	}
	e.targets.Store(t)
}

// machineOf says for which machine a packet was.
func (t *targets) machineOf(to netip.Addr, protocol access.Protocol, port uint16) access.MachineID {
	if t.mode == access.ModeGateway {
		return t.byAddr[to]
	}
	for _, p := range t.ports {
		if p.Protocol == protocol && p.Ports.First <= port && port <= p.Ports.Last {
			return p.Machine
		}
	}
	return t.machine
}

func refusedByKernel(err error, numbers ...unix.Errno) bool {
	return slices.ContainsFunc(numbers, func(n unix.Errno) bool { return errors.Is(err, n) })
}
