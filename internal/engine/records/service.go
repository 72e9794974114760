// Package records holds the use cases of the activity log: it is listed, proved, exported, signed and anchored, and
// tells who had access.
package records

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/postern-dev/postern/internal/engine"
)

// Service runs the use cases. It is safe for concurrent use.
type Service struct {
	kernel      *engine.Kernel
	anchors     []Anchor
	anchorEvery time.Duration
	signed      Memory
	// says that the activity log does not fit
	tampered func(ctx context.Context, key, problem string, evidence int64) error
	// the note of the checkpoint that this server signed last, before its start too; nil where there is none
	sealed atomic.Pointer[string]
}

// Config says how checkpoints are kept elsewhere.
type Config struct {
	// Anchors keep a checkpoint each AnchorEvery.
	Anchors     []Anchor
	AnchorEvery time.Duration
	// Signed remembers what was signed last, as often as the anchors; without it that ends with the process.
	Signed Memory

	// Tampered is told what does not fit in the log.
	Tampered func(ctx context.Context, key, problem string, evidence int64) error
}

// New makes the service.
func New(kernel *engine.Kernel, c Config) *Service {
	return &Service{
		kernel: kernel, anchors: c.Anchors, anchorEvery: c.AnchorEvery, signed: c.Signed,
		tampered: c.Tampered,
	}
}
