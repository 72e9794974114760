//go:build linux

package nftables

import (
	"context"
	"errors"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
)

// Guard closes the ports that d protects, with no opening at all, and leaves. It is for the time of boot before there
// is a network: the table stays, and the enforcer that starts later adopts it.
func Guard(ctx context.Context, c Config, d access.DesiredState) error {
	e := quiet(c)
	d.Openings = nil
	return errors.Join(e.Apply(ctx, &d, time.Now()), e.Close())
}

// Remove deletes our table, unless it belongs to a process that lives.
func Remove(ctx context.Context, c Config) error {
	e := quiet(c)
	return errors.Join(e.Apply(ctx, nil, time.Now()), e.Close())
}
