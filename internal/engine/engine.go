package engine

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// Config is what the engine is made of. Store, Now, Log and SealKey are required.
type Config struct {
	Store Store
	Now   func() time.Time // the server's wall clock
	Log   *slog.Logger

	// SealKey is what the keys that sign access tokens and checkpoints are sealed with in the store: 32 random bytes that
	// live apart from it, the same for all engines that share it.
	SealKey []byte

	// SealSecret checks and seals the secret of a channel, and TestChannel sends one test message through a channel: to is
	// the address where the channel is personal, by who asked; it gives the receiver's answer. Without them channels cannot
	// have secrets of their own, or cannot be tested.
	SealSecret  func(id ChannelID, kind ChannelKind, text string) (ChannelSecret, error)
	TestChannel func(ctx context.Context, channel Channel, to, by string) (answer string, err error)

	// SessionIdle is how long a session lasts without being used; two hours where it is zero.
	SessionIdle time.Duration

	// Anchors keep a checkpoint each AnchorEvery, which is an hour where it is zero.
	Anchors     []Anchor
	AnchorEvery time.Duration
	// Signed remembers what was signed last, as often as the anchors; without it that ends with the process.
	Signed Memory

	// Quotas bound what people have; DefaultQuotas where a field is 0.
	Quotas Quotas

	// Tickets asks whether a ticket is good, where a policy wants that. Where it is nil, such a policy cannot be written.
	Tickets TicketChecker
}

// DefaultSessionIdle is how long a session lasts without being used.
const DefaultSessionIdle = 2 * time.Hour

// Engine runs the use cases. It is safe for concurrent use, and any number of engines may share one store.
type Engine struct {
	store       Store
	clock       func() time.Time
	log         *slog.Logger
	seal        seal // of secret settings
	sealSecret  func(ChannelID, ChannelKind, string) (ChannelSecret, error)
	testChannel func(ctx context.Context, channel Channel, to, by string) (string, error)

	sessionIdle time.Duration
	anchors     []Anchor
	anchorEvery time.Duration
	signed      Memory
	tampered    func(ctx context.Context, key, problem string, evidence int64) error // says that the activity log does not fit

	rules  *rulebook
	quotas Quotas

	strangeUses flood[access.AgentID] // of uses of unknown codes
	denials     flood[access.AgentID] // of denied attempts
	words       flood[access.AgentID] // of agents about themselves
	moves       flood[access.AgentID] // of grants to and fro
	refusals    refusals
	tickets     TicketChecker
	swept       sweep // of the grants whose holders may have lost the right to them
	counted     sweep // pending requests, likewise

	sealed    atomic.Pointer[string]         // the note of the checkpoint that this server signed last, before its start too; nil where there is none
	directory atomic.Pointer[rbac.Directory] // the newest that was needed
	forgot    atomic.Int64                   // when old watches of alerts were last deleted, in microseconds
	wake      chan struct{}                  // buffered 1: there may be due work sooner than the reconciler knows
}

// New makes an engine. It starts nothing: call Bootstrap once, then Run.
func New(c Config) (*Engine, error) {
	if c.Store == nil || c.Now == nil || c.Log == nil {
		return nil, errors.New("engine needs a store, a clock and a log")
	}
	rules, err := newRulebook()
	if err != nil {
		return nil, err
	}
	seal, err := newSeal(c.SealKey)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		store: c.Store, clock: c.Now, log: c.Log, seal: seal, sealSecret: c.SealSecret, testChannel: c.TestChannel,
		sessionIdle: cmp.Or(c.SessionIdle, DefaultSessionIdle), anchors: c.Anchors, anchorEvery: cmp.Or(c.AnchorEvery, time.Hour), signed: c.Signed,
		rules: rules, quotas: c.Quotas.orDefault(), tickets: c.Tickets, wake: make(chan struct{}, 1),
		strangeUses: flood[access.AgentID]{most: maxForgottenUses}, denials: flood[access.AgentID]{most: maxDeniedAnHour}, words: flood[access.AgentID]{most: maxWordsAnHour}, moves: flood[access.AgentID]{most: maxMovesAnHour},
		refusals: refusals{flood: flood[access.PrincipalID]{most: maxRefusedAnHour}, last: map[access.PrincipalID]access.Event{}},
	}
	e.tampered = e.alertTampered
	return e, nil
}

// now reads the clock as the records keep it: UTC, microseconds.
func (e *Engine) now() time.Time { return e.clock().UTC().Truncate(time.Microsecond) }

// poke tells the reconciler to look again.
func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// newID makes an identifier that sorts by age.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// Caller is who calls, as identity found out. The engine decides what they may do.
type Caller struct {
	Principal access.PrincipalID
	Name      string
	Tenant    access.TenantID
	Address   netip.Addr // from the connection, or from a trusted proxy
	Via       string     // cli, api, arm, portal
	Session   string     // hash of the session's token; empty where there is none

	SteppedUpAt time.Time // when the session was last confirmed with a passkey; zero where it never was
	ProvedAt    time.Time // when whoever holds the session last proved who they are; zero where there is none
	usedAt      time.Time // about when the session was last used
	Bounds      *Bounds   // of the API token that calls; nil where the caller may do all that their roles allow
}

// Actor gives the caller as events record it.
func (c Caller) Actor() access.Actor {
	return access.Actor{ID: c.Principal, Name: c.Name, Address: c.Address, Via: c.Via}
}
