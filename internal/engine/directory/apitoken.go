package directory

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// APITokenInput is a token that a principal makes for a program of theirs.
type APITokenInput struct {
	Name   string        // for people
	TTL    time.Duration // 0: 90 days
	Bounds engine.Bounds
}

// APITokenPrefix is what API tokens begin with, so that scanners for leaked secrets know them.
const APITokenPrefix = "pat_"

const (
	defaultAPITokenTTL = 90 * 24 * time.Hour
	minAPITokenTTL     = time.Minute
	maxAPITokenTTL     = 366 * 24 * time.Hour // a year, be it a long one
	maxAPITokens       = 50                   // of one principal
)

// MakeAPIToken makes a token for the caller's own programs. It is shown here and never again, and may never do more
// than the caller. A call with an API token makes none: what leaked could else renew itself.
func (e *Service) MakeAPIToken(ctx context.Context, c engine.Caller,
	in APITokenInput,
) (token string, t engine.APIToken, err error) {
	token = APITokenPrefix + Secret()
	err = e.kernel.Change(ctx, c, engine.Attempt{Details: map[string]string{"token": in.Name}},
		func(tx engine.Tx, may engine.Rights) error {
			if err := SignedInOnly(c); err != nil {
				return err
			}
			if err := stillSignedIn(ctx, tx, c); err != nil {
				return err
			}
			if t, err = in.make(c, token, may.Now); err != nil {
				return err
			}
			earlier, err := tx.APITokens(ctx, c.Principal)
			if err != nil {
				return fmt.Errorf("read API tokens: %w", err)
			}
			live := 0
			for _, other := range earlier {
				if !may.Now.Before(other.ExpiresAt) {
					continue
				}
				live++
				if strings.EqualFold(other.Name, t.Name) {
					return access.Fault(access.KindConflict, "tokenExists",
						"you have a token %q already: choose another name, or revoke that one", engine.Clip(t.Name))
				}
			}
			if live >= maxAPITokens || len(earlier) >= 2*maxAPITokens {
				return access.Fault(access.KindConflict, "tooManyTokens",
					"you have %d tokens, the most that are allowed: revoke one first", live)
			}
			if err := tx.SaveAPIToken(ctx, t); err != nil {
				return fmt.Errorf("save API token: %w", err)
			}
			owner, err := tx.Principal(ctx, c.Principal)
			if err != nil {
				return fmt.Errorf("read principal: %w", err)
			}
			w := e.kernel.NewWork(tx, may.Now)
			detail := fmt.Sprintf("The API token %s was made%s, and is good until %s. If that was not you, end it "+
				"and change your password: postern credential list",
				t.Name, from(c.Actor()), t.ExpiresAt.Format(time.DateOnly))
			if err := tellOwner(ctx, w, owner, "An API token was made", detail, c.Actor()); err != nil {
				return err
			}
			w.Event(t.Event(access.APITokenMade, c, may.Now))
			return w.Finish(ctx)
		})
	if err != nil {
		return "", engine.APIToken{}, err
	}
	return token, t, nil
}

// SignedInOnly refuses callers that act by an API token.
func SignedInOnly(c engine.Caller) error {
	if c.Bounds != nil {
		return access.Fault(access.KindForbidden, "signInNeeded", "this cannot be done with an API token: sign in")
	}
	return nil
}

func (in APITokenInput) make(c engine.Caller, token string, now time.Time) (t engine.APIToken, err error) {
	if in.TTL == 0 {
		in.TTL = defaultAPITokenTTL
	}
	switch {
	case in.Name == "" || strings.TrimSpace(
		in.Name) != in.Name || len(in.Name) > maxPrincipalName || !PlainText(in.Name):
		return t, access.Fault(access.KindInvalid, "malformedName",
			"the token needs a name that says its purpose: 1 to %d bytes without control characters",
			maxPrincipalName)
	case in.TTL < minAPITokenTTL || in.TTL > maxAPITokenTTL:
		return t, access.Fault(access.KindInvalid, "ttlOutOfRange",
			"the token would be valid for %s; use one minute to one year", in.TTL)
	}
	if err := in.Bounds.Check(); err != nil {
		return t, err
	}
	return engine.APIToken{
		ID: engine.APITokenID(engine.NewID()), Principal: c.Principal, Name: in.Name,
		Hash: HashSecret(token), Bounds: in.Bounds, CreatedAt: now, ExpiresAt: now.Add(in.TTL),
	}, nil
}

// APITokens lists the caller's own tokens, the oldest first; those that expired are not shown.
func (e *Service) APITokens(ctx context.Context, c engine.Caller) (list []engine.APIToken, err error) {
	err = e.kernel.Look(ctx, c, engine.Attempt{}, func(r engine.Reader, may engine.Rights) error {
		all, err := r.APITokens(ctx, c.Principal)
		if err != nil {
			return fmt.Errorf("read API tokens: %w", err)
		}
		list = nil
		for _, t := range all {
			if may.Now.Before(t.ExpiresAt) {
				list = append(list, t)
			}
		}
		return nil
	})
	return list, err
}

// RevokeAPIToken ends one of the caller's own tokens, by its name or id.
func (e *Service) RevokeAPIToken(ctx context.Context, c engine.Caller, ref string) error {
	return e.kernel.Change(ctx, c, engine.Attempt{Details: map[string]string{"token": ref}},
		func(tx engine.Tx, may engine.Rights) error {
			if err := SignedInOnly(c); err != nil {
				return err
			}
			all, err := tx.APITokens(ctx, c.Principal)
			if err != nil {
				return fmt.Errorf("read API tokens: %w", err)
			}
			for _, t := range all {
				if !strings.EqualFold(string(t.ID),
					ref) && (!strings.EqualFold(t.Name, ref) || !may.Now.Before(t.ExpiresAt)) {
					continue
				}
				if err := tx.DeleteAPIToken(ctx, t.ID); err != nil {
					return fmt.Errorf("delete API token: %w", err)
				}
				return tx.Append(ctx, t.Event(access.APITokenRevoked, c, may.Now))
			}
			return access.Fault(access.KindNotFound, "unknownToken", "you have no token %q", engine.Clip(ref))
		})
}

// APITokenCaller gives the caller behind the hash of an API token; it fails with access.KindUnauthenticated where there
// is none, where its time is over, or where its principal is disabled. Package identity alone calls it.
func (e *Service) APITokenCaller(ctx context.Context, hash string) (c engine.Caller, err error) {
	ended := access.Fault(access.KindUnauthenticated, "tokenEnded",
		"the API token has expired, was revoked, or is not one of this server: create another")
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		t, err := r.APITokenByHash(ctx, hash)
		if err != nil {
			return orEnded(err, ended)
		}
		p, err := r.Principal(ctx, t.Principal)
		if err != nil {
			return orEnded(err, ended)
		}
		if p.Disabled || !e.kernel.Now().Before(t.ExpiresAt) {
			return ended
		}
		bounds := t.Bounds
		c = engine.Caller{Principal: p.ID, Name: p.Name, Tenant: p.Tenant, Bounds: &bounds}
		return nil
	})
	return c, err
}
