// Package enforce keeps one target equal to its desired state: it applies, looks, reports, heals and closes on time.
// It knows no technology; each of those is a package below it that implements Enforcer.
package enforce

import (
	"context"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Enforcer makes a target equal to a desired state. It owns what it made, touches nothing else, and is used by one
// goroutine at a time. Every instant is of the clock that the desired state counts on.
type Enforcer interface {
	// Apply makes the target equal to d as of now, in one step where the target allows it; where it does not, what is
	// not desired any more goes before what is new comes. It is idempotent. Openings
	// whose end is not after now are left out, never made permanent; those that end within Soonest may be left out,
	// where it cannot be certain that they end on time. nil removes everything that is ours. An error of type
	// *PartialError means that all but what it names was applied; after any other the target holds what it held before
	// or what d says, and nothing between.
	Apply(ctx context.Context, d *access.DesiredState, now time.Time) error

	// Held looks at what the target really holds: all of it where keys is nil, else only those keys. A key that is
	// not held is absent from the answer.
	//
	// A key of the state last applied is held when everything that it needs is there. Any other key is held when
	// something of it is there that no opening of that state explains. With nil, what no opening explains comes as
	// keys of one port each, and the rules are looked at too: what is wrong with them arrives on Drift.
	Held(ctx context.Context, keys []access.OpeningKey, now time.Time) ([]Held, error)

	// Drift receives, in words, each change of ours that somebody else made, soon after they made it. The next Apply
	// mends it.
	Drift() <-chan string

	// Denied receives attempts that the target refused, limited in rate.
	Denied() <-chan access.Denied

	// Close lets go of the target and leaves it enforcing what it holds.
	Close() error
}

// Soonest is how long an opening must remain for an Enforcer to have to hold it.
const Soonest = 500 * time.Millisecond

// Held is one opening as the target holds it.
type Held struct {
	Key     access.OpeningKey
	Until   time.Time // when the target itself will end it
	Packets uint64
	Bytes   uint64
}

// PartialError says which openings a target cannot hold, and why. All others were applied.
type PartialError struct {
	Keys map[access.OpeningKey]string // why, in words
}

// Error names one of the openings.
func (e *PartialError) Error() string {
	for key, why := range e.Keys {
		return fmt.Sprintf("%d openings cannot be held, such as %s %s/%s: %s", len(e.Keys), key.Source, key.Ports,
			key.Protocol, why)
	}
	return "no opening is wrong"
}
