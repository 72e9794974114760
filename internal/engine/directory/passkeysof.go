package directory

import (
	"context"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// PasskeysOf lists the passkeys of a principal, the oldest first.
func (e *Service) PasskeysOf(ctx context.Context, c engine.Caller, ref string) (list []engine.Passkey, err error) {
	err = e.kernel.Look(ctx, c,
		engine.Attempt{Action: rbac.PrincipalsRead, Details: map[string]string{"principal": ref}},
		func(r engine.Reader, may engine.Rights) error {
			if err := may.Require(rbac.PrincipalsRead, access.Root); err != nil {
				return err
			}
			p, err := FindPrincipal(ctx, r, c.Tenant, ref)
			if err != nil {
				return err
			}
			list, err = r.Passkeys(ctx, p.ID)
			return err
		})
	return list, err
}

// DeletePasskeyOf forgets a passkey of somebody else, who lost it. One's own are deleted with DeletePasskey.
func (e *Service) DeletePasskeyOf(ctx context.Context, c engine.Caller, ref, id string) error {
	a := engine.Attempt{Action: rbac.PrincipalsWrite, Details: map[string]string{"principal": ref, "passkey": id}}
	return e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		if err := may.Require(rbac.PrincipalsWrite, access.Root); err != nil {
			return err
		}
		p, err := FindPrincipal(ctx, tx, c.Tenant, ref)
		switch {
		case err != nil:
			return err
		case p.ID == c.Principal:
			return access.Fault(access.KindConflict, "ownPasskey",
				"this is your own passkey: delete it under your account")
		}
		list, err := tx.Passkeys(ctx, p.ID)
		if err != nil {
			return fmt.Errorf("read passkeys: %w", err)
		}
		i := slices.IndexFunc(list, func(k engine.Passkey) bool { return k.ID == id })
		if i < 0 {
			return access.Fault(access.KindNotFound, "unknownPasskey", "%q has no passkey %q", p.Name, engine.Clip(id))
		}
		if err := tx.DeletePasskey(ctx, id); err != nil {
			return fmt.Errorf("delete passkey: %w", err)
		}
		w := e.kernel.NewWork(tx, may.Now)
		detail := fmt.Sprintf("%s ended your passkey %s, with which you cannot sign in any more.", c.Name, list[i].Name)
		if err := tellOwner(ctx, w, p, "Your sign-ins were ended", detail, c.Actor()); err != nil {
			return err
		}
		event := list[i].Event(access.PasskeyDeleted, c.Actor(), c.Tenant)
		event.Action = rbac.PrincipalsWrite
		event.Details["principal"], event.Details["of"] = string(p.ID), p.Name
		w.Event(event)
		return w.Finish(ctx)
	})
}
