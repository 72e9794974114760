package machines

import (
	"context"
	"fmt"

	"github.com/postern-dev/postern/internal/core/access"
	"github.com/postern-dev/postern/internal/core/rbac"
	"github.com/postern-dev/postern/internal/engine"
)

// RevokeGateway has the certificate of a gateway count no longer, without another in its place. Nothing may be behind
// it: machines would be without a guard, and nobody would see what is open on them close. They are deleted first, or
// the gateway is replaced, which takes them along.
func (e *Service) RevokeGateway(ctx context.Context, c engine.Caller, ref string) error {
	a := engine.Attempt{Action: rbac.GatewaysJoin, Details: map[string]string{"gateway": ref}}
	return e.kernel.Change(ctx, c, a, func(tx engine.Tx, may engine.Rights) error {
		gateway, err := findGateway(ctx, tx, may, c.Tenant, ref)
		if err != nil {
			return err
		}
		if err := may.RequireOf(gateway.Tenant, rbac.MachinesWrite, engine.OrRoot(gateway.Scope)); err != nil {
			return err
		}
		if err := nothingBehind(ctx, tx, may, gateway); err != nil {
			return err
		}
		w := e.kernel.NewWork(tx, may.Now)
		if err := w.RevokeAgent(ctx, gateway, "it was revoked"); err != nil {
			return err
		}
		w.Event(access.Event{
			Kind: access.AgentRevoked, Actor: may.Actor(gateway.Tenant), Tenant: gateway.Tenant, Scope: gateway.Scope,
			Agent: gateway.ID, Action: rbac.GatewaysJoin, Details: map[string]string{"name": gateway.Name},
		})
		return w.Finish(ctx)
	})
}

// nothingBehind refuses where a gateway guards machines, with those of them that the caller may see.
func nothingBehind(ctx context.Context, r engine.Reader, may engine.Rights, gateway access.Agent) error {
	behind, err := r.Machines(ctx, engine.MachineFilter{Agent: gateway.ID}, engine.Page{Limit: engine.MaxReasons})
	if err != nil {
		return fmt.Errorf("read machines: %w", err)
	}
	if len(behind.Items) == 0 {
		return nil
	}
	refusal := access.Fault(access.KindConflict, "gatewayInUse",
		"the gateway %q guards machines that nothing else would guard: delete them first, or replace the gateway",
		gateway.Name)
	for _, m := range behind.Items {
		if may.MayOf(m.Tenant, rbac.MachinesRead, m.Resource) {
			refusal.Reasons = append(refusal.Reasons, access.Reason{Code: "behind", Message: string(m.Resource)})
		}
	}
	return refusal
}
