// Package services puts the capabilities together: one value that façades hold, and the loops that do what the time
// makes due.
package services

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/alerts"
	"github.com/postern-dev/postern/internal/engine/apps"
	"github.com/postern-dev/postern/internal/engine/directory"
	"github.com/postern-dev/postern/internal/engine/fleet"
	"github.com/postern-dev/postern/internal/engine/hosts"
	"github.com/postern-dev/postern/internal/engine/inbox"
	"github.com/postern-dev/postern/internal/engine/machines"
	"github.com/postern-dev/postern/internal/engine/notices"
	"github.com/postern-dev/postern/internal/engine/records"
	"github.com/postern-dev/postern/internal/engine/requests"
	"github.com/postern-dev/postern/internal/engine/reviews"
	"github.com/postern-dev/postern/internal/engine/roles"
)

// Config is what the engine is made of. Store, Now, Log and SealKey are required.
type Config struct {
	Store engine.Store
	Now   func() time.Time // the server's wall clock
	Log   *slog.Logger

	// SealKey is what the keys that sign access tokens and checkpoints are sealed with in the store: 32 random bytes
	// that live apart from it, the same for all engines that share it.
	SealKey []byte

	// SealSecret checks and seals the secret of a channel, and TestChannel sends one test message through a channel: to
	// is the address where the channel is personal, by who asked; it gives the receiver's answer. Without them channels
	// cannot have secrets of their own, or cannot be tested.
	SealSecret  func(id engine.ChannelID, kind engine.ChannelKind, text string) (engine.ChannelSecret, error)
	TestChannel func(ctx context.Context, channel engine.Channel, to, by string) (answer string, err error)

	// SessionIdle is how long a session lasts without being used; two hours where it is zero.
	SessionIdle time.Duration

	// Anchors keep a checkpoint each AnchorEvery, which is an hour where it is zero.
	Anchors     []records.Anchor
	AnchorEvery time.Duration
	// Signed remembers what was signed last, as often as the anchors; without it that ends with the process.
	Signed records.Memory

	// Quotas bound what people have; DefaultQuotas where a field is 0.
	Quotas engine.Quotas

	// Tickets asks whether a ticket is good, where a policy wants that. Where it is nil, such a policy cannot be
	// written.
	Tickets engine.TicketChecker
}

// DefaultSessionIdle is how long a session lasts without being used.
const DefaultSessionIdle = 2 * time.Hour

// Services holds the use cases of every capability, and does what the time makes due. It is safe for concurrent use,
// and any number of them may share one store.
type Services struct {
	kernel  *engine.Kernel
	pruning sync.Mutex
	pruned  access.PrincipalID // the last whose inbox was pruned

	Records   *records.Service
	Directory *directory.Service
	Notices   *notices.Service
	Alerts    *alerts.Service
	Machines  *machines.Service
	Fleet     *fleet.Service
	Hosts     *hosts.Service
	Requests  *requests.Service
	Roles     *roles.Service
	Reviews   *reviews.Service
	Apps      *apps.Service
	Inbox     *inbox.Service
}

// New makes the services. It starts nothing: call Directory.Bootstrap once, then Run.
func New(c Config) (*Services, error) {
	kernel, err := engine.New(c.Store, c.Now, c.Log, c.SealKey)
	if err != nil {
		return nil, err
	}
	rules, err := machines.NewRulebook()
	if err != nil {
		return nil, err
	}
	s := &Services{kernel: kernel}
	s.Records = records.New(kernel, records.Config{
		Anchors: c.Anchors, AnchorEvery: cmp.Or(c.AnchorEvery, time.Hour), Signed: c.Signed,
		Tampered: func(ctx context.Context, key, problem string, evidence int64) error {
			return s.Alerts.Tampered(ctx, key, problem, evidence)
		},
	})
	s.Directory = directory.New(kernel, s.Records, cmp.Or(c.SessionIdle, DefaultSessionIdle))
	s.Notices = notices.New(kernel, c.SealSecret, c.TestChannel)
	s.Alerts = alerts.New(kernel, s.Records, s.Notices)
	s.Machines = machines.New(kernel, s.Directory, rules, c.Tickets)
	s.Fleet = fleet.New(kernel, s.Machines)
	s.Hosts = hosts.New(kernel)
	s.Requests = requests.New(kernel, s.Machines, rules, c.Tickets, c.Quotas)
	s.Roles = roles.New(kernel, s.Machines, s.Requests)
	s.Reviews = reviews.New(kernel, s.Records, s.Directory, s.Machines, s.Roles)
	s.Apps = apps.New(kernel, s.Directory, s.Notices)
	s.Inbox = inbox.New(kernel)
	return s, nil
}
