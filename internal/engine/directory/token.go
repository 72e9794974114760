package directory

import (
	"context"
	"fmt"
	"slices"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// WithdrawToken deletes a token and records that.
func WithdrawToken(ctx context.Context, w *engine.Work, t engine.EnrollmentToken, action string,
	by access.Actor,
) error {
	if err := w.Tx.DeleteEnrollmentToken(ctx, t.Hash); err != nil {
		return fmt.Errorf("delete enrollment token: %w", err)
	}
	w.Event(access.Event{
		Kind: access.AgentTokenDeleted, Actor: by, Tenant: t.Tenant, Scope: t.Scope(), Action: action,
		Details: map[string]string{"name": t.Name, "token": t.PublicID()},
	})
	return nil
}

// withdrawTokensOf withdraws the enrollment tokens that somebody made and that wait for their agent: whoever took the
// account over, or had it, knows them still.
func withdrawTokensOf(ctx context.Context, w *engine.Work, maker access.PrincipalID, may engine.Rights) error {
	tenants := may.Dir.Tenants(maker)
	if !slices.Contains(tenants, may.Caller.Tenant) {
		tenants = append(tenants, may.Caller.Tenant)
	}
	for _, tenant := range tenants {
		tokens, err := w.Tx.EnrollmentTokens(ctx, tenant, w.Now)
		if err != nil {
			return fmt.Errorf("read enrollment tokens: %w", err)
		}
		for _, t := range tokens {
			if t.CreatedBy != maker {
				continue
			}
			if err := WithdrawToken(ctx, w, t, rbac.PrincipalsWrite, may.Actor(t.Tenant)); err != nil {
				return err
			}
		}
	}
	return nil
}
