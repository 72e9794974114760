package identity

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/engine"
	"github.com/postern-dev/postern/internal/engine/directory"
)

// ResetPassword gives a user another password: the given one, or a one-time one, which it gives back.
func (i *Identity) ResetPassword(ctx context.Context, c engine.Caller, ref,
	password string,
) (oneTime string, err error) {
	// Ask first: a hash is dear, and only for those who may.
	if err := i.engine.Directory.MayResetPassword(ctx, c, ref); err != nil {
		return "", err
	}
	if password == "" {
		oneTime = directory.OneTimePassword()
		password = oneTime
	}
	p, err := i.engine.Directory.Principal(ctx, c, ref)
	if err != nil {
		return "", err
	}
	hash, err := i.HashPassword(ctx, password, p.Name, p.DisplayName, p.Email)
	if err != nil {
		return "", err
	}
	return oneTime, i.engine.Directory.ResetPassword(ctx, c, ref, hash, oneTime != "")
}

// ChangePassword replaces the caller's own password, and ends every other session of theirs. It takes the present
// password, so that whoever took a session over cannot keep it, and wrong ones count as they do at a sign-in.
func (i *Identity) ChangePassword(ctx context.Context, c engine.Caller, password, next string) error {
	found, err := i.checkOwn(ctx, c, password)
	if err != nil {
		return err
	}
	if err := CheckPassword(next, password, found.Principal.Name, found.Principal.DisplayName,
		found.Principal.Email); err != nil {
		return err
	}
	hash, err := i.hash(ctx, next)
	if err != nil {
		return err
	}
	return i.engine.Directory.ChangePassword(ctx, c, hash, found.Password.Hash)
}

// Prove notes that whoever holds the caller's session knows the password, which the first passkey needs.
func (i *Identity) Prove(ctx context.Context, c engine.Caller, password string) error {
	found, err := i.checkOwn(ctx, c, password)
	if err != nil {
		return err
	}
	return i.engine.Directory.Prove(ctx, c, found.Password.Hash)
}

// checkOwn checks the caller's own password, as a sign-in does.
func (i *Identity) checkOwn(ctx context.Context, c engine.Caller, password string) (directory.Credentials, error) {
	if c.Session == "" {
		return directory.Credentials{}, access.Fault(access.KindForbidden, "signInNeeded",
			"this cannot be done with a token: sign in")
	}
	found, err := i.engine.Directory.Credentials(ctx, string(c.Tenant), c.Name, c.Address)
	if err != nil {
		return found, fmt.Errorf("read credentials: %w", err)
	}
	if len(password) > maxPassword {
		return found, access.Fault(access.KindLimited, "tooManyAttempts",
			"too many attempts for this name: wait a minute and try again")
	}
	if err := i.allowName(c.Name+"@"+string(c.Tenant), c.Address, found.Familiar); err != nil {
		return found, err
	}
	right, _, err := i.verify(ctx, found, password)
	if err != nil {
		return found, err
	}
	if reason := i.refusal(found, right); reason != "" {
		err := i.engine.Directory.SignInRefused(ctx, directory.SignInRefusal{
			Name: c.Name, Principal: c.Principal, Reason: reason, WrongSecret: reason == "wrongPassword", Via: c.Via,
			Address: c.Address,
		})
		if err != nil {
			return found, fmt.Errorf("record refused password: %w", err)
		}
		return found, access.Fault(access.KindForbidden, "wrongPassword",
			"the present password is another, or you have none; after several wrong ones, wait")
	}
	return found, nil
}
