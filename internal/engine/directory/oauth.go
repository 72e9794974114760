package directory

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// TokenKeys gives the keys of access tokens as identity wrote them; empty where there are none.
func (e *Service) TokenKeys(ctx context.Context) (keys []byte, err error) {
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		keys, err = e.tokenKeys(ctx, r)
		return err
	})
	return keys, err
}

func (e *Service) tokenKeys(ctx context.Context, r engine.Reader) ([]byte, error) {
	keys, err := e.kernel.SecretSetting(ctx, r, engine.TokenKeysSetting)
	switch {
	case engine.IsKind(err, access.KindNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the keys of tokens: %w", err)
	}
	return keys, nil
}

// SwapTokenKeys replaces the keys of access tokens, where they are still was; else another replica was faster, which is
// access.KindConflict.
func (e *Service) SwapTokenKeys(ctx context.Context, was, next []byte) error {
	return e.kernel.Store.Update(ctx, func(tx engine.Tx) error {
		now, err := e.tokenKeys(ctx, tx)
		if err != nil {
			return err
		}
		if !bytes.Equal(now, was) {
			return access.Fault(access.KindConflict, "keysChanged", "the token signing keys have changed in the meantime")
		}
		return e.kernel.SaveSecretSetting(ctx, tx, engine.TokenKeysSetting, next)
	})
}

// FindTenant gives the tenant that ref names by its id or name; an empty ref is the tenant that runs the server.
func (e *Service) FindTenant(ctx context.Context, ref string) (t access.Tenant, err error) {
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		tenants, err := r.Tenants(ctx)
		if err != nil {
			return fmt.Errorf("read tenants: %w", err)
		}
		want := ref
		if ref == "" {
			home, err := engine.HomeTenant(ctx, r)
			if err != nil {
				return fmt.Errorf("read tenants: %w", err)
			}
			want = string(home)
		}
		t, err = tenantNamed(tenants, want)
		return err
	})
	return t, err
}

// BeginSignIn keeps a sign-in that is under way, and forgets those whose time is over.
func (e *Service) BeginSignIn(ctx context.Context, p engine.PendingSignIn) error {
	return e.kernel.Store.Update(ctx, func(tx engine.Tx) error {
		if err := tx.DeletePendingSignInsBefore(ctx, e.kernel.Now()); err != nil {
			return fmt.Errorf("forget old sign-ins: %w", err)
		}
		return tx.SavePendingSignIn(ctx, p)
	})
}

// PendingSignIn gives the sign-in that waits for the person who typed its code.
func (e *Service) PendingSignIn(ctx context.Context, userCode string) (p engine.PendingSignIn, err error) {
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		p, err = r.PendingSignInByCode(ctx, userCode)
		if engine.IsKind(err, access.KindNotFound) || err == nil && !e.kernel.Now().Before(p.ExpiresAt) {
			p = engine.PendingSignIn{}
			return access.Fault(access.KindNotFound, "unknownCode",
				"this code is unknown or has expired: start again on the device")
		}
		return err
	})
	return p, err
}

// AnswerSignIn says what a person decided about the sign-in with their code: session is the one that they opened for
// it, and empty is a no. It can be answered once.
func (e *Service) AnswerSignIn(ctx context.Context, userCode, session string) error {
	return e.kernel.Update(ctx, func(tx engine.Tx) error {
		p, err := tx.PendingSignInByCode(ctx, userCode)
		switch {
		case engine.IsKind(err, access.KindNotFound),
			err == nil && (!e.kernel.Now().Before(p.ExpiresAt) || p.Denied || p.Session != ""):
			return access.Fault(access.KindNotFound, "unknownCode",
				"this code is unknown or has expired: start again on the device")
		case err != nil:
			return fmt.Errorf("read sign-in: %w", err)
		}
		p.Session, p.Denied = session, session == ""
		return tx.SavePendingSignIn(ctx, p)
	})
}

// The codes of RedeemSignIn's refusals.
const (
	SignInWaits   = "signInWaits"   // nobody has answered yet
	SignInDenied  = "signInDenied"  // a person said no
	SignInUnknown = "signInUnknown" // it was never there, its time is over, or it was redeemed already
)

// RedeemSignIn exchanges a sign-in that a person approved for a session, once: next, whose principal and times are
// taken from the session that the person opened, takes its place. check may refuse; a sign-in that it refused is lost.
func (e *Service) RedeemSignIn(ctx context.Context, hash string, next engine.Session,
	check func(engine.PendingSignIn) error,
) (p engine.PendingSignIn, s engine.Session, err error) {
	// Most that ask wait, or made their code up: they cost nobody a transaction.
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		p, err = e.answered(ctx, r, hash)
		return err
	})
	if err != nil {
		return engine.PendingSignIn{}, engine.Session{}, err
	}
	var refusal error
	err = e.kernel.Update(ctx, func(tx engine.Tx) error {
		refusal = nil
		if p, err = e.answered(ctx, tx, hash); err != nil {
			return err
		}
		if err := tx.DeletePendingSignIn(ctx, hash); err != nil {
			return fmt.Errorf("delete sign-in: %w", err)
		}
		if p.Denied {
			refusal = access.Fault(access.KindUnauthenticated, SignInDenied,
				"the sign-in was refused by the person who was asked")
			return nil
		}
		opened, err := tx.Session(ctx, p.Session)
		if engine.IsKind(err, access.KindNotFound) {
			refusal = access.Fault(access.KindUnauthenticated, SignInUnknown,
				"the session that was opened for this sign-in has ended")
			return nil
		}
		if err != nil {
			return fmt.Errorf("read session: %w", err)
		}
		if err := tx.DeleteSession(ctx, opened.Hash); err != nil {
			return fmt.Errorf("delete session: %w", err)
		}
		if refusal = check(p); refusal != nil {
			return nil //nolint:nilerr // what was refused is lost all the same, so this commits; the refusal is given below
		}
		s = opened
		s.Hash, s.Client = next.Hash, next.Client
		// a person proved themselves to their browser, and not to the device, which may be anybody's
		if p.UserCode != "" {
			s.ProvedAt, s.SteppedUpAt = time.Time{}, time.Time{}
		}
		return tx.SaveSession(ctx, s)
	})
	if err == nil {
		err = refusal
	}
	return p, s, err
}

// answered gives the sign-in that a person has answered.
func (e *Service) answered(ctx context.Context, r engine.Reader, hash string) (engine.PendingSignIn, error) {
	p, err := r.PendingSignIn(ctx, hash)
	switch {
	case engine.IsKind(err, access.KindNotFound), err == nil && !e.kernel.Now().Before(p.ExpiresAt):
		return p, access.Fault(access.KindUnauthenticated, SignInUnknown,
			"the code is unknown, has expired, or was used already")
	case err != nil:
		return p, fmt.Errorf("read sign-in: %w", err)
	case p.Session == "" && !p.Denied:
		return p, access.Fault(access.KindUnauthenticated, SignInWaits, "nobody has approved this sign-in yet")
	}
	return p, nil
}

// PrincipalOf gives the principal behind a session. Package identity alone calls it.
func (e *Service) PrincipalOf(ctx context.Context, s engine.Session) (p access.Principal, err error) {
	err = e.kernel.Store.View(ctx, func(r engine.Reader) error {
		p, err = r.Principal(ctx, s.Principal)
		return err
	})
	return p, err
}

// CodeTime is how long a sign-in by code may take.
const CodeTime = 15 * time.Minute
