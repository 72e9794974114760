// Package notices holds the use cases of being told: channels, the routes that lead to them, and what was delivered.
package notices

import (
	"context"

	"github.com/postern-dev/postern/internal/engine"
)

// Service runs the use cases. It is safe for concurrent use.
type Service struct {
	kernel      *engine.Kernel
	sealSecret  func(engine.ChannelID, engine.ChannelKind, string) (engine.ChannelSecret, error)
	testChannel func(ctx context.Context, channel engine.Channel, to, by string) (string, error)
}

// New makes the service. sealSecret checks and seals the secret of a channel, and testChannel sends one test message
// through a channel: to is the address where the channel is personal, by who asked; it gives the receiver's answer.
// Without them channels cannot have secrets of their own, or cannot be tested.
func New(kernel *engine.Kernel,
	sealSecret func(engine.ChannelID, engine.ChannelKind, string) (engine.ChannelSecret, error),
	testChannel func(ctx context.Context, channel engine.Channel, to, by string) (answer string, err error),
) *Service {
	return &Service{kernel: kernel, sealSecret: sealSecret, testChannel: testChannel}
}
