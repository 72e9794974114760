package server

import (
	"context"
	"errors"

	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/identity"
	"github.com/postern-dev/postern/internal/store"
)

// Inside is what a benchmark reaches that a caller cannot.
type Inside struct {
	Store    *store.DB
	Engine   *engine.Engine
	Identity *identity.Identity
}

// RunInside is Run, and shows its inside once it is open.
func RunInside(ctx context.Context, c Config, opened func(Inside)) error {
	s, err := open(ctx, c)
	if err != nil {
		return err
	}
	opened(Inside{Store: s.store, Engine: s.engine, Identity: s.identity})
	return errors.Join(s.serve(ctx), s.close())
}
