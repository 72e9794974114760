package server

import (
	"context"
	"errors"
	"time"

	"github.com/postern-dev/postern/internal/engine/services"
	"github.com/postern-dev/postern/internal/identity"
	"github.com/postern-dev/postern/internal/store"
)

// Inside is what a benchmark reaches that a caller cannot.
type Inside struct {
	Store    *store.DB
	Engine   *services.Services
	Identity *identity.Identity
	Pace     func(body, take time.Duration) // makes the server less patient, before it serves
}

// RunInside is Run, and shows its inside once it is open.
func RunInside(ctx context.Context, c Config, opened func(Inside)) error {
	s, err := open(ctx, c)
	if err != nil {
		return err
	}
	opened(Inside{
		Store: s.store, Engine: s.engine, Identity: s.identity,
		Pace: func(body, take time.Duration) { s.paces = paces{body, take} },
	})
	return errors.Join(s.serve(ctx), s.close())
}
