package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
)

// PasskeysOf lists the passkeys of a principal, the oldest first.
func (e *Engine) PasskeysOf(ctx context.Context, c Caller, ref string) (list []Passkey, err error) {
	err = e.look(ctx, c, attempt{action: rbac.PrincipalsRead, details: map[string]string{"principal": ref}}, func(r Reader) error {
		if _, err := e.authorize(ctx, r, c, rbac.PrincipalsRead, access.Root); err != nil {
			return err
		}
		p, err := findPrincipal(ctx, r, c.Tenant, ref)
		if err != nil {
			return err
		}
		list, err = r.Passkeys(ctx, p.ID)
		return err
	})
	return list, err
}

// DeletePasskeyOf forgets a passkey of somebody else, who lost it. One's own are deleted with DeletePasskey.
func (e *Engine) DeletePasskeyOf(ctx context.Context, c Caller, ref, id string) error {
	a := attempt{action: rbac.PrincipalsWrite, details: map[string]string{"principal": ref, "passkey": id}}
	return e.change(ctx, c, a, func(tx Tx) error {
		may, err := e.authorize(ctx, tx, c, rbac.PrincipalsWrite, access.Root)
		if err != nil {
			return err
		}
		p, err := findPrincipal(ctx, tx, c.Tenant, ref)
		switch {
		case err != nil:
			return err
		case p.ID == c.Principal:
			return access.Fault(access.KindConflict, "ownPasskey", "this is your own passkey: delete it under your account")
		}
		list, err := tx.Passkeys(ctx, p.ID)
		if err != nil {
			return fmt.Errorf("read passkeys: %w", err)
		}
		i := slices.IndexFunc(list, func(k Passkey) bool { return k.ID == id })
		if i < 0 {
			return access.Fault(access.KindNotFound, "unknownPasskey", "%q has no passkey %q", p.Name, clip(id))
		}
		if err := tx.DeletePasskey(ctx, id); err != nil {
			return fmt.Errorf("delete passkey: %w", err)
		}
		w := e.newWork(tx, may.now)
		detail := fmt.Sprintf("%s ended your passkey %s, with which you cannot sign in any more.", c.Name, list[i].Name)
		if err := w.tellOwner(ctx, p, "Your sign-ins were ended", detail, c.Actor()); err != nil {
			return err
		}
		event := list[i].event(access.PasskeyDeleted, c.Actor(), c.Tenant)
		event.Action = rbac.PrincipalsWrite
		event.Details["principal"], event.Details["of"] = string(p.ID), p.Name
		w.event(event)
		return w.finish(ctx)
	})
}
