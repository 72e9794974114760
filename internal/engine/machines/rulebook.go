package machines

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/policy"
)

// Rulebook compiles conditions and finds time zones, each once.
type Rulebook struct {
	conditions *policy.Conditions

	mu       sync.Mutex // protects what follows
	compiled map[string]*policy.Condition
	zones    map[string]*time.Location
}

const maxCompiled = 1000 // conditions that are kept; beyond that they are compiled anew

// NewRulebook makes an empty one.
func NewRulebook() (*Rulebook, error) {
	conditions, err := policy.NewConditions()
	if err != nil {
		return nil, err
	}
	return &Rulebook{
		conditions: conditions, compiled: map[string]*policy.Condition{},
		zones: map[string]*time.Location{},
	}, nil
}

// Compile is a policy.Compiler.
func (b *Rulebook) Compile(source string) (*policy.Condition, error) {
	b.mu.Lock()
	known, ok := b.compiled[source]
	b.mu.Unlock()
	if ok {
		return known, nil
	}
	made, err := b.conditions.Compile(source)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.compiled) >= maxCompiled {
		clear(b.compiled)
	}
	b.compiled[source] = made
	return made, nil
}

// LooksAt reports whether a condition of a rule looks at what which says.
func (b *Rulebook) LooksAt(rule access.Rule, which func(*policy.Condition) bool) bool {
	return slices.ContainsFunc(rule.Cases, func(c access.Case) bool {
		if c.When == "" {
			return false
		}
		condition, err := b.Compile(c.When)
		return err == nil && which(condition)
	})
}

// Zone is policy.Zones. The server's own zone has no name here: a rule must mean the same on every replica.
func (b *Rulebook) Zone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("there is no time zone %q", name)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if known, ok := b.zones[name]; ok {
		return known, nil
	}
	found, err := time.LoadLocation(name)
	if err == nil {
		b.zones[name] = found
	}
	return found, err
}
