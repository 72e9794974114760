package identity

import (
	"context"
	"fmt"
	"strings"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
)

// ResetPassword gives a user another password: the given one, or a one-time one, which it gives back.
func (i *Identity) ResetPassword(ctx context.Context, c engine.Caller, ref, password string) (oneTime string, err error) {
	// Ask first: a hash is dear, and only for those who may.
	if err := i.engine.MayResetPassword(ctx, c, ref); err != nil {
		return "", err
	}
	if password == "" {
		oneTime = engine.OneTimePassword()
		password = oneTime
	}
	hash, err := i.HashPassword(ctx, password)
	if err != nil {
		return "", err
	}
	return oneTime, i.engine.ResetPassword(ctx, c, ref, hash, oneTime != "")
}

// ChangePassword replaces the caller's own password, and ends every other session of theirs. It takes the present password,
// so that whoever took a session over cannot keep it, and wrong ones count as they do at a sign-in.
func (i *Identity) ChangePassword(ctx context.Context, c engine.Caller, password, next string) error {
	if c.Session == "" {
		return access.Fault(access.KindForbidden, "signInNeeded", "this cannot be done with a token: sign in")
	}
	if len(password) > maxPassword || !i.names.allow(strings.ToLower(c.Name), i.now()) {
		return access.Fault(access.KindLimited, "tooManyAttempts", "too many attempts for this name: wait a minute and try again")
	}
	found, err := i.engine.Credentials(ctx, string(c.Tenant), c.Name)
	if err != nil {
		return fmt.Errorf("read credentials: %w", err)
	}
	right, _, err := i.verify(ctx, found.Password.Hash, password)
	if err != nil {
		return err
	}
	if reason := i.refusal(found, right); reason != "" {
		err := i.engine.SignInRefused(ctx, engine.SignInRefusal{
			Name: c.Name, Principal: c.Principal, Reason: reason, WrongSecret: reason == "wrongPassword", Via: c.Via, Address: c.Address,
		})
		if err != nil {
			return fmt.Errorf("record refused change: %w", err)
		}
		return access.Fault(access.KindForbidden, "wrongPassword", "the present password is another, or you have none; after several wrong ones, wait")
	}
	if err := CheckPassword(next, password); err != nil {
		return err
	}
	hash, err := i.HashPassword(ctx, next)
	if err != nil {
		return err
	}
	return i.engine.ChangePassword(ctx, c, hash, found.Password.Hash)
}
